/**
 * One attempt of a renewal: at the endpoint alone, or as the refresh tokens of
 * its grant have it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as AccessToken from "../AccessToken.js"
import type { TokenEndpointError, TokenProviderError } from "../OAuthError.js"
import type * as RefreshTokens from "../store/RefreshTokens.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"

/** Makes one attempt; it counts from 1 within a renewal. */
export type TokenAttempts = (
  need: Need,
  attempt: number
) => Effect.Effect<AccessToken.AccessToken, TokenEndpointError | TokenProviderError>

/** What an attempt is for. */
export type Need = Omit<RefreshTokens.Need, "attempt">

/** What the attempts are made with. */
export interface Options extends Omit<RefreshTokens.Options, "scope"> {
  readonly endpoint: TokenEndpoint["Type"]
}

/**
 * Makes the attempts of a provider. What refresh tokens could not be stored is
 * tried once more at the end of the scope.
 */
export const make: (
  options: Options
) => Effect.Effect<TokenAttempts, never, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const { endpoint } = options
  const scope = yield* Effect.scope
  const kept = new Map<RefreshTokens.Start["make"], RefreshTokens.RefreshTokens>()
  yield* Effect.addFinalizer(() => Effect.forEach(kept.values(), ({ flush }) => flush, { discard: true }))

  const keptBy = (make: RefreshTokens.Start["make"]) => {
    const known = kept.get(make) ?? make({ ...options, scope })
    kept.set(make, known)
    return known
  }

  return (need, attempt) =>
    Effect.suspend(() => {
      const { refreshTokens } = need.request.grant
      return refreshTokens === undefined
        ? Effect.map(endpoint.attempt(need.request, attempt), AccessToken.withoutRefreshToken)
        : keptBy((refreshTokens as RefreshTokens.Start).make).attempt(refreshTokens.initial, {
          ...need,
          attempt
        })
    })
})
