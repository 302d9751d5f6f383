/**
 * A call with a token, repeated once with another token if the first was
 * rejected: what `AuthedHttpClient` and `AuthedCall` promise.
 */
import * as Effect from "effect/Effect"
import type * as AccessToken from "../AccessToken.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import * as OriginVerdicts from "../provider/OriginVerdicts.js"
import * as ProviderMemory from "../provider/ProviderMemory.js"
import { TokenProvider } from "../TokenProvider.js"
import type { TokenRequest } from "../TokenRequest.js"

/** One call with one token. */
export interface Attempt {
  readonly token: AccessToken.AccessToken
  readonly tokenRequest: TokenRequest | undefined
  /** The other side; `undefined` if there is only one. */
  readonly origin: string | undefined
}

/** What calls of one kind share. A rejection is a response, not a failure. */
interface Kind<T extends Attempt, A, E, R> {
  /** Makes the call, and passes the response on. */
  readonly send: (
    attempt: T,
    receive: (answer: A, attempt: T) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** Whether the response rejects the token. */
  readonly isRejection: (answer: A, attempt: T) => boolean
  /** Whether a rejected token is renewed at all. */
  readonly renews: boolean
  /** The call with another token; `undefined` if it is not certain to be the same. */
  readonly again: (attempt: T, token: AccessToken.AccessToken) => T | undefined
  /** Disposes of a rejection that is not returned to the caller. */
  readonly discard: (rejection: A) => Effect.Effect<unknown>
}

/** Makes calls of one kind, each with the token that it starts with. */
export type WithToken = <T extends Attempt, A, E, R>(
  kind: Kind<T, A, E, R>
) => (attempt: T) => Effect.Effect<A, E, R>

type TokenFailure = TokenRequestError | TokenProviderError

/** Makes it for one client of the provider. */
export const make: Effect.Effect<WithToken, never, TokenProvider> = Effect.gen(function*() {
  const provider = yield* TokenProvider
  // With a provider that an app made itself, each client has its own memory
  const acceptances = ProviderMemory.of(provider)?.acceptances ?? new OriginVerdicts.Acceptances()
  const update = yield* OAuthMetrics.makeUpdate
  const count = (outcome: OAuthMetrics.ReplayOutcome, failure?: TokenFailure) => {
    update(OAuthMetrics.tokenReplays(outcome), 1)
    if (outcome === "unrenewed" || outcome === "rejected") update(OAuthMetrics.tokenFailures("rejected", failure), 1)
  }

  const report = ({ origin, token, tokenRequest }: Attempt, outcome: "accepted" | "rejected") => {
    acceptances[outcome](token, origin ?? OriginVerdicts.anyOrigin)
    return provider.report(token, outcome, tokenRequest, origin)
  }

  return <T extends Attempt, A, E, R>({ again, discard, isRejection, renews, send }: Kind<T, A, E, R>) => {
    // The hot path: a token that is known to work costs no more than this
    const received = (answer: A, attempt: T): Effect.Effect<A, E, R> => {
      if (isRejection(answer, attempt)) return renews ? renew(answer, attempt) : Effect.succeed(answer)
      return acceptances.works(attempt.token, attempt.origin ?? OriginVerdicts.anyOrigin)
        ? Effect.succeed(answer)
        : Effect.as(report(attempt, "accepted"), answer)
    }

    const renew = (rejection: A, attempt: T): Effect.Effect<A, E, R> => {
      const { origin, token, tokenRequest } = attempt
      acceptances.rejected(token, origin ?? OriginVerdicts.anyOrigin)
      const end = (outcome: OAuthMetrics.ReplayOutcome, failure?: TokenFailure) => {
        count(outcome, failure)
        return Effect.succeed(rejection)
      }
      const renewed = Effect.onInterrupt(provider.renew(token, tokenRequest, origin), () => discard(rejection))
      return Effect.matchEffect(renewed, {
        // The response of the other side tells the caller more than a failed renewal
        onFailure: (failure) => end("unrenewed", failure),
        onSuccess: (renewed) => {
          if (renewed === token) return end("unrenewed")
          const second = again(attempt, renewed)
          if (second === undefined) return end("unreplayable")
          return Effect.zipRight(discard(rejection), replay(second))
        }
      })
    }

    const replay = (second: T): Effect.Effect<A, E, R> => {
      let answered = false
      const replayed = (answer: A, attempt: T): Effect.Effect<A, E, R> => {
        answered = true
        const outcome = isRejection(answer, attempt) ? "rejected" : "accepted"
        count(outcome)
        return Effect.as(report(attempt, outcome), answer)
      }
      // A response may arrive as a failure
      return Effect.tapError(send(second, replayed), () =>
        Effect.sync(() => {
          if (!answered) count("failed")
        }))
    }

    return (attempt: T) => send(attempt, received)
  }
})
