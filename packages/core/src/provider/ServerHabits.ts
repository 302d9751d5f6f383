/**
 * What rejected tokens say about the server that issues them: whether a new
 * token invalidates the previous one and, for shared tokens, whether they are
 * bound to the process that requested them. Pure bookkeeping for one key.
 */
import * as Equal from "effect/Equal"
import type * as Redacted from "effect/Redacted"
import type { Token, TokenBinding } from "../store/TokenBinding.js"

/** Tokens become invalid early, as with a server that keeps one active token per client. */
export const oneActiveToken =
  "Tokens that worked are rejected long before they expire: the server seems to allow one active token per client"

/** The lifetime of a token (epoch milliseconds). */
export interface Life {
  readonly obtainedAt: number
  readonly expiresAt: number
}

/** Takes reports, and returns a message when the server shows a habit that operators should know. */
export interface ServerHabits {
  /** Whether tokens are bound to the process that requested them, if tokens are shared. */
  readonly binding: TokenBinding | undefined
  /** The origin rejected the token; `hasWorked` if it accepted it before. */
  readonly rejected: (
    token: Token,
    life: Life,
    origin: string,
    hasWorked: boolean,
    now: number
  ) => string | undefined
}

/** A token that worked and is rejected within this share of its lifetime became invalid early. */
const youngShare = 0.25
/** However long its lifetime is, a token is no longer young after this (ms). */
const maxYoung = 60_000
/** This many early rejections within `deathsMemory` (ms) are no manual revocation. */
const minDeaths = 3
const deathsMemory = 10 * 60_000

interface Death {
  readonly token: Redacted.Redacted
  readonly at: number
}

/** An empty record, as for a server that follows RFC 6749. `binding` is present if tokens are shared. */
export const make = (binding?: TokenBinding): ServerHabits => {
  let deaths: ReadonlyArray<Death> = []

  /** Once per token: many origins may report one manual revocation. */
  const died = (token: Redacted.Redacted, now: number): string | undefined => {
    if (deaths.length >= minDeaths) return undefined
    deaths = [
      ...deaths.filter((death) => !Equal.equals(death.token, token) && now - death.at < deathsMemory),
      { token, at: now }
    ]
    return deaths.length >= minDeaths ? oneActiveToken : undefined
  }

  return {
    binding,
    rejected: (token, life, origin, hasWorked, now) => {
      const bound = binding?.rejected(token, origin, hasWorked, now)
      const youth = Math.min(maxYoung, (life.expiresAt - life.obtainedAt) * youngShare)
      return hasWorked && now - life.obtainedAt < youth ? died(token.value, now) : bound
    }
  }
}
