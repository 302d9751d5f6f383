/**
 * How the providers of one process share its memory: tokens are kept as they
 * are, and per key one provider at a time asks the endpoint.
 */
import * as Effect from "effect/Effect"
import { constFalse, identity } from "effect/Function"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import type { AccessToken } from "../AccessToken.js"
import * as Sharing from "./Sharing.js"

/** Makes it for one store with this capacity. */
export const make = (capacity: number): Sharing.Sharing => {
  // In the order in which they were written
  const tokens = new Map<string, AccessToken>()
  const busy = new Set<string>()

  const fleet: Sharing.Fleet = {
    isShared: false,
    isFailing: constFalse,
    tokens: {
      read: (key) =>
        Effect.sync(() => {
          const token = Option.fromNullable(tokens.get(key))
          return Option.some({ token, version: Option.as(token, "") })
        }),
      write: (key, token) =>
        Effect.sync(() => {
          tokens.delete(key)
          tokens.set(key, token)
          const [oldest] = tokens.keys()
          if (tokens.size > capacity) tokens.delete(oldest)
          return true
        })
    },
    remove: (key) => Effect.sync(() => tokens.delete(key)),
    enter: ({ askAlone, key, onBusy }) => ({
      bound: identity,
      // The look at the store is not used: memory does not fail
      take: () =>
        Effect.suspend(() => {
          if (busy.has(key)) {
            onBusy()
            return Sharing.pollInterval
          }
          busy.add(key)
          return Effect.ensuring(askAlone, Effect.sync(() => busy.delete(key)))
        }),
      leave: Effect.void
    })
  }

  return Sharing.make({
    isShared: false,
    keyOf: identity,
    // Two keys may have the same name: it distinguishes them well enough for a reader
    nameOf: (key) => (Hash.string(key) >>> 0).toString(36),
    join: () => Effect.succeed(fleet)
  })
}
