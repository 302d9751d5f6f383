import { OAuthError } from "@effect-alf/core"
import type { HttpClientError } from "@effect/platform"
import { Effect, Match, type Option } from "effect"
import { expect, test } from "tstyche"

declare const call: Effect.Effect<string, OAuthError.OAuthError | HttpClientError.HttpClientError>

test("the family is closed: four tags are all of it", () => {
  expect<OAuthError.OAuthError["_tag"]>()
    .type.toBe<"TokenEndpointError" | "TokenProviderError" | "OriginNotAllowed" | "RedirectError">()
})

test("catchTag narrows to one error, and leaves the others", () => {
  expect(call.pipe(Effect.catchTag("TokenEndpointError", (error) => Effect.succeed(error.reason)))).type.toBe<
    Effect.Effect<
      string,
      Exclude<OAuthError.OAuthError, OAuthError.TokenEndpointError> | HttpClientError.HttpClientError
    >
  >()
})

test("catchTags of all leaves the errors of platform", () => {
  const caught = call.pipe(Effect.catchTags({
    TokenEndpointError: (error) => Effect.succeed(error.message),
    TokenProviderError: (error) => Effect.succeed(error.message),
    OriginNotAllowed: (error) => Effect.succeed(error.origin),
    RedirectError: (error) => Effect.succeed(error.message)
  }))
  expect(caught).type.toBe<Effect.Effect<string, HttpClientError.HttpClientError>>()
})

test("the reasons can be matched exhaustively", () => {
  const advise = Match.type<OAuthError.TokenEndpointErrorReason>().pipe(
    Match.whenOr("ClientAuth", "OAuth", () => "credentials"),
    Match.whenOr("Transport", "Timeout", "Status", () => "server"),
    Match.whenOr("Redirect", "InvalidResponse", () => "address"),
    Match.exhaustive
  )
  expect(advise("OAuth")).type.toBe<string>()
})

test("what is unknown is told by a guard, and found behind platform's error", () => {
  expect(OAuthError.isOAuthError).type.toBe<(u: unknown) => u is OAuthError.OAuthError>()
  expect(OAuthError.find(new Error())).type.toBe<Option.Option<OAuthError.OAuthError>>()
})
