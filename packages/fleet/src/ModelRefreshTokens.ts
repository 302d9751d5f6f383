/**
 * The refresh tokens of the authorization server. Each use issues another one; the
 * use of a token after its grace period revokes all of them, and the fleet is
 * locked out.
 */
import type { Grant } from "@effect-alf/core"
import { RefreshTokenGrant } from "@effect-alf/core"
import { Effect, Predicate, Redacted } from "effect"
import type { VirtualClock } from "./VirtualClock.js"

export interface Options {
  /** How long a token that was used can be used again. */
  readonly grace: number
}

export interface ModelRefreshTokens {
  /** What the processes begin with. */
  readonly grant: Grant.Grant
  /** Uses a token and returns the next one; `undefined` if the token is invalid. */
  readonly use: (token: string) => string | undefined
  /** Uses of a token that was used before. */
  readonly reuses: () => number
  readonly isLockedOut: () => boolean
}

export const make = (time: VirtualClock, { grace }: Options): ModelRefreshTokens => {
  const initial = "refresh-0"
  /** When each was first used. */
  const usedAt = new Map<string, number | undefined>([[initial, undefined]])
  let reuses = 0
  let isLockedOut = false
  return {
    grant: RefreshTokenGrant.make(Redacted.make(initial)),
    use: (token) => {
      const first = usedAt.get(token)
      if (first !== undefined) {
        reuses++
        isLockedOut ||= time.elapsed() - first >= grace
      }
      if (isLockedOut || !usedAt.has(token)) return undefined
      usedAt.set(token, first ?? time.elapsed())
      const next = `refresh-${usedAt.size}`
      usedAt.set(next, undefined)
      return next
    },
    reuses: () => reuses,
    isLockedOut: () => isLockedOut
  }
}

/** The refresh token that a grant sends. */
export const sent = (grant: Grant.Grant): Effect.Effect<string | undefined> =>
  Effect.map(
    Effect.orDie(
      grant.params({ clientId: "fleet", endpoint: "https://auth.test/token", issuer: undefined, attempt: 1 })
    ),
    ({ refresh_token: token }) =>
      Predicate.isString(token) || !Redacted.isRedacted(token) ? undefined : Redacted.value(token)
  )
