/** Revokes a provider's tokens when the provider closes (RFC 7009), unless other processes use them. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AccessToken } from "../AccessToken.js"
import { isAuthorizationServerError } from "../OAuthError.js"
import type { Fleet } from "../store/Sharing.js"
import * as HeldToken from "./HeldToken.js"
import type { Slot } from "./TokenCache.js"

/** How long a closing app waits; tokens that are not revoked by then expire by themselves. */
const maxWait = Duration.seconds(2)
/** In parallel, so that an app with many tenants stops in time. */
const concurrency = 16

/** `TokenRevocation.OnClose`, as a provider uses it. */
export interface ClosingRevocation {
  readonly _tag: "TokenRevocationOnClose"
  /**
   * Revokes the tokens that the slots hold now and that were issued to this process. Removes each from the store first.
   * Never fails, and takes at most 2 seconds.
   */
  readonly run: (
    slots: Iterable<Slot>,
    fleet: Pick<Fleet, "tokens" | "remove">,
    now: number
  ) => Effect.Effect<void>
}

/** Makes it from a function that revokes one token. */
export const make = (revoke: (token: AccessToken) => Effect.Effect<void, unknown>): ClosingRevocation => ({
  _tag: "TokenRevocationOnClose",
  run: (slots, fleet, now) => {
    const own = Array.from(slots).flatMap(({ key, state: { held } }) =>
      HeldToken.isAlive(held, now) && held.isOwn ? [[key, held] as const] : []
    )

    const forget = (key: string, held: HeldToken.HeldToken) =>
      Effect.flatMap(fleet.tokens.read(key), (found) => {
        const isHeld = Option.exists(Option.flatMap(found, ({ token }) => token), (token) => HeldToken.is(held, token))
        const version = Option.flatMap(found, ({ version }) => version)
        return isHeld && Option.isSome(version) ? fleet.remove(key, version.value) : Effect.void
      })

    const end = (key: string, held: HeldToken.HeldToken) =>
      Effect.zipRight(forget(key, held), Effect.suspend(() => revoke(held.token)))

    return Effect.forEach(own, ([key, held]) => Effect.exit(end(key, held)), { concurrency }).pipe(
      // The time limit must also hold for a function that cannot be interrupted
      Effect.disconnect,
      // A finalizer cannot be interrupted. In a fiber of its own, as the closing fiber may have been interrupted
      Effect.interruptible,
      Effect.flatMap((exits) => {
        const failures = exits.flatMap((exit) => exit._tag === "Failure" ? [exit.cause] : [])
        return failures.length === 0 ? Effect.void : Effect.logWarning(describe(failures))
      }),
      Effect.timeoutTo({
        duration: maxWait,
        onSuccess: () => Effect.void,
        onTimeout: () =>
          Effect.logWarning(
            `Tokens were not revoked within ${Duration.format(maxWait)}: they stay valid until they expire`
          )
      }),
      Effect.flatten
    )
  }
})

/** The error of an app's function is not reported, as it could contain anything. */
const describe = (causes: ReadonlyArray<Cause.Cause<unknown>>): string => {
  const known = causes.map(Cause.squash).find(isAuthorizationServerError)
  return `Tokens that were not revoked: ${causes.length}. They stay valid until they expire. ${known?.message ?? ""}`
    .trim()
}
