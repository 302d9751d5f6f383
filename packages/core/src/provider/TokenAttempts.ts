/** One attempt of a renewal: at the endpoint alone, or by the refresh tokens of its grant. */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Scope from "effect/Scope"
import * as AccessToken from "../AccessToken.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import type * as RefreshTokens from "../store/RefreshTokens.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"

/** Makes one attempt; `attempt` counts from 1 within a renewal. */
export type TokenAttempts = (
  need: Need,
  attempt: number
) => Effect.Effect<AccessToken.AccessToken, TokenRequestError | TokenProviderError>

/** What an attempt is for. */
type Need = Omit<RefreshTokens.Need, "attempt">

/** Options of the attempts. */
interface Options extends Omit<RefreshTokens.Options, "scope"> {
  readonly endpoint: TokenEndpoint["Type"]
}

/**
 * Makes the attempts of a provider. Refresh tokens that could not be stored are
 * stored once more when the scope closes.
 */
export const make = (options: Options): Effect.Effect<TokenAttempts, never, Scope.Scope> =>
  Effect.map(
    Effect.flatMap(Effect.scope, (scope) => Scope.fork(scope, ExecutionStrategy.sequential)),
    (scope): TokenAttempts => {
      const all = { ...options, scope }
      return (need, attempt) =>
        Effect.suspend(() => {
          const { grant } = need.request
          return grant.refreshTokens === undefined
            ? Effect.map(options.endpoint.attempt(need.request, attempt), AccessToken.withoutRefreshToken)
            : (grant.refreshTokens as RefreshTokens.Start).attempt({ ...need, attempt }, all)
        })
    }
  )
