/**
 * What the fate of tokens says about the server that issues them: whether a new
 * token ends the one before, and, where others share the tokens, whether they
 * are bound to the process that asked for them. The bookkeeping of one key;
 * without Effects.
 */
import * as Equal from "effect/Equal"
import type * as Redacted from "effect/Redacted"
import type { Token, TokenBinding } from "../store/TokenBinding.js"

/** Tokens die young, as where a server keeps one active token for each client. */
export const oneActiveToken =
  "Tokens that worked are rejected long before their end: the server seems to keep one active token for each client"

/** The time of a token (epoch milliseconds). */
export interface Life {
  readonly obtainedAt: number
  readonly expiresAt: number
}

/** Takes reports, and tells a habit of the server that somebody should know of, in words, when it shows. */
export interface ServerHabits {
  /** Whether tokens are bound to who asked for them, where others share them. */
  readonly binding: TokenBinding | undefined
  /** The origin rejected the token; `hasWorked` if it had accepted it before. */
  readonly rejected: (
    token: Token,
    life: Life,
    origin: string,
    hasWorked: boolean,
    now: number
  ) => string | undefined
}

/** A token that worked and is rejected before this part of its life is over has died young. */
const youngShare = 0.25
/** A token whose end is a day away is no longer young after this (ms). */
const maxYoung = 60_000
/** So many early deaths in such a time are no revocation by hand (ms). */
const minDeaths = 3
const deathsMemory = 10 * 60_000

interface Death {
  readonly token: Redacted.Redacted
  readonly at: number
}

/** An empty record: a server that does as RFC 6749 has it. `binding` is there where others share the tokens. */
export const make = (binding?: TokenBinding): ServerHabits => {
  let deaths: ReadonlyArray<Death> = []
  let isSaid = false

  /** Once for each token: a revocation by hand may be told by many origins. */
  const died = (token: Redacted.Redacted, now: number): string | undefined => {
    if (isSaid) return undefined
    deaths = [
      ...deaths.filter((death) => !Equal.equals(death.token, token) && now - death.at < deathsMemory),
      { token, at: now }
    ]
    isSaid = deaths.length >= minDeaths
    return isSaid ? oneActiveToken : undefined
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
