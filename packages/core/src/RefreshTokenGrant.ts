/**
 * The grant of refresh tokens, of which the provider keeps the newest in the store: the one grant that needs a store.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { fingerprint } from "./disclosure/Fingerprint.js"
import type { Grant } from "./Grant.js"
import * as RefreshTokens from "./store/RefreshTokens.js"

/**
 * `refresh_token` (RFC 6749 §6), for a server that was once asked in another
 * way, as by a person who gave consent. `initial` is where it begins: when the
 * server answers with another refresh token, `TokenProvider` keeps that one in
 * the store and goes on with it, in all processes that begin with this one.
 *
 * Give the processes a store that they share and that forgets nothing: whoever
 * sends a refresh token that was used already is locked out by many servers. A
 * client without authentication may find its refresh tokens bound to the key
 * (RFC 9449 §5) or certificate (RFC 8705 §4) they were issued to: it needs that
 * one in all its processes, `DPoP.fromKey` and not `DPoP.generate`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (initial: Redacted.Redacted): Grant => {
  const refreshTokens: RefreshTokens.Start = {
    initial,
    attempt: (need, options) => Effect.flatMap(RefreshTokens.of(options), ({ attempt }) => attempt(initial, need))
  }
  return {
    type: "refresh_token",
    id: fingerprint(Redacted.value(initial)),
    params: () => Effect.succeed({ refresh_token: initial }),
    refreshTokens
  }
}
