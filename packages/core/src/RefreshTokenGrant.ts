/**
 * The grant of refresh tokens (RFC 6749 §6). The provider keeps the newest
 * refresh token in the store.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { fingerprint } from "./disclosure/Fingerprint.js"
import type { Grant } from "./Grant.js"
import * as RefreshTokens from "./store/RefreshTokens.js"

/**
 * `refresh_token` (RFC 6749 §6), for a refresh token that was issued before,
 * for example when a user gave consent. `initial` is the first one. When the
 * server issues another, `TokenProvider` keeps it in the store and uses it in
 * all processes that start with the same `initial`.
 *
 * Use a store that all processes share, that has leases (`TokenStore.byTurns`,
 * or the store in memory) and that loses nothing: many servers revoke all
 * tokens when a refresh token is used twice. A store of only `get` and `set`
 * has no leases: it is for one provider. The refresh tokens of a public client
 * may be bound to its key (RFC 9449 §5) or certificate (RFC 8705 §4): then all
 * processes need the same one, so use `DPoP.fromKey` and not `DPoP.generate`.
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
