/** One attempt of a renewal: at the endpoint alone, or by the refresh tokens of its grant. */
import * as Effect from "effect/Effect"
import * as AccessToken from "../AccessToken.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import type * as RefreshTokens from "../store/RefreshTokens.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"

/** Makes one attempt. */
export type TokenAttempts = (
  need: RefreshTokens.Need
) => Effect.Effect<AccessToken.AccessToken, TokenRequestError | TokenProviderError>

/** Options of the attempts. */
interface Options extends RefreshTokens.Options {
  readonly endpoint: TokenEndpoint["Type"]
}

/**
 * Makes the attempts of a provider. Refresh tokens that could not be stored are
 * stored once more when the scope closes.
 */
export const make = (options: Options): TokenAttempts => (need) => {
  const { refreshTokens } = need.request.grant
  return refreshTokens === undefined
    ? Effect.map(options.endpoint.attempt(need.request, need.attempt), AccessToken.withoutRefreshToken)
    : (refreshTokens as RefreshTokens.Start).attempt(need, options)
}
