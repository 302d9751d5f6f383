import { type AuthorizationServer, OAuthError, TokenIntrospection, TokenRevocation } from "@effect-alf/core"
import type { HttpClient, HttpClientError } from "@effect/platform"
import { Effect, Match, type Option, Redacted } from "effect"
import { expect, test } from "tstyche"

declare const server: AuthorizationServer.AuthorizationServer["Type"]

type Made<A> = Effect.Effect<A, OAuthError.InvalidOptions, HttpClient.HttpClient>

declare const call: Effect.Effect<string, OAuthError.OAuthError | HttpClientError.HttpClientError>

test("OAuthError is the union of four tags", () => {
  expect<OAuthError.OAuthError["_tag"]>()
    .type.toBe<"TokenEndpointError" | "DiscoveryError" | "TokenProviderError" | "OriginNotAllowed">()
})

test("catchTag narrows to one error, and leaves the others", () => {
  expect(call.pipe(Effect.catchTag("TokenEndpointError", (error) => Effect.succeed(error.reason)))).type.toBe<
    Effect.Effect<
      string,
      Exclude<OAuthError.OAuthError, OAuthError.TokenEndpointError> | HttpClientError.HttpClientError
    >
  >()
})

test("catchTags with all tags leaves the errors of platform", () => {
  const caught = call.pipe(Effect.catchTags({
    TokenEndpointError: (error) => Effect.succeed(error.message),
    DiscoveryError: (error) => Effect.succeed(error.message),
    TokenProviderError: (error) => Effect.succeed(error.message),
    OriginNotAllowed: (error) => Effect.succeed(error.origin)
  }))
  expect(caught).type.toBe<Effect.Effect<string, HttpClientError.HttpClientError>>()
})

test("the reasons can be matched exhaustively", () => {
  const advise = Match.type<OAuthError.AuthorizationServerErrorReason>().pipe(
    Match.whenOr("ClientAuth", "OAuth", () => "credentials"),
    Match.whenOr("Transport", "Timeout", "Status", () => "server"),
    Match.whenOr("Redirect", "InvalidResponse", () => "address"),
    Match.exhaustive
  )
  expect(advise("OAuth")).type.toBe<string>()
})

test("a request to an authorization server fails with the error of that request alone", () => {
  const options = { clientId: "id", clientSecret: Redacted.make("secret") }
  const url = "https://auth.example.com/"
  expect(TokenRevocation.make({ ...options, revocationEndpoint: url }))
    .type.toBe<Made<TokenRevocation.Revoke>>()
  expect<Effect.Effect.Error<ReturnType<TokenRevocation.Revoke>>>().type.toBe<OAuthError.TokenRevocationError>()
  expect(TokenIntrospection.make({ ...options, introspectionEndpoint: url }))
    .type.toBe<Made<TokenIntrospection.Introspect>>()
  expect<Effect.Effect.Error<ReturnType<TokenIntrospection.Introspect>>>()
    .type.toBe<OAuthError.TokenIntrospectionError>()
})

test("a request to a discovered endpoint can fail with a DiscoveryError too", () => {
  const options = { clientId: "id", clientSecret: Redacted.make("secret") }
  expect(server.endpoint("revocation_endpoint")).type.toBe<Effect.Effect<URL, OAuthError.DiscoveryError>>()
  expect(TokenRevocation.make({ ...options, revocationEndpoint: server.endpoint("revocation_endpoint") }))
    .type.toBe<Made<TokenRevocation.Revoke<OAuthError.DiscoveryError>>>()
  expect<Effect.Effect.Error<ReturnType<TokenRevocation.Revoke<OAuthError.DiscoveryError>>>>()
    .type.toBe<OAuthError.TokenRevocationError | OAuthError.DiscoveryError>()
})

test("isOAuthError narrows any value, and find returns the OAuthError of an error", () => {
  expect(OAuthError.isOAuthError).type.toBe<(u: unknown) => u is OAuthError.OAuthError | OAuthError.RedirectError>()
  expect(OAuthError.find(new Error())).type.toBe<Option.Option<OAuthError.OAuthError | OAuthError.RedirectError>>()
})
