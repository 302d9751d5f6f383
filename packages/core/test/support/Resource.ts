/**
 * A resource for the tests of `AuthedHttpClient`: an `HttpClient` that answers
 * by script and records what reached it, with the signal that can abort it.
 */
import type { OAuthError } from "@effect-alf/core"
import { AuthedHttpClient, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer, TestTokenEndpoint } from "@effect-alf/core/testing"
import type { HttpClientError, HttpClientRequest } from "@effect/platform"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import type { Scope } from "effect"
import { Context, Effect, Layer } from "effect"

import { patient } from "./ProviderBench.js"

/** A request as it arrived. */
export interface Sent {
  readonly index: number
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: URL
  readonly signal: AbortSignal
  /** Without those by which platform hands the trace on. */
  readonly headers: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  readonly token: string | undefined
}

type Answer =
  | Response
  | number
  | Effect.Effect<Response | HttpClientResponse.HttpClientResponse | number, HttpClientError.HttpClientError>

export type Respond = (sent: Sent) => Answer

export interface Resource {
  readonly client: HttpClient.HttpClient
  readonly sent: Array<Sent>
}

const noBody = [101, 204, 205, 304]

/** A number is a status, with a small body where it may have one. */
export const make = (respond: Respond = () => 200): Resource => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url, signal) => {
    const { authorization } = request.headers
    const token = authorization?.startsWith("Bearer ") ? authorization.slice("Bearer ".length) : undefined
    const { b3: _, traceparent: __, ...headers } = request.headers
    const one: Sent = { index: sent.length, request, url, signal, headers, authorization, token }
    sent.push(one)
    const answer = respond(one)
    return Effect.map(
      Effect.isEffect(answer) ? answer : Effect.succeed(answer),
      (answer) =>
        typeof answer === "number"
          ? HttpClientResponse.fromWeb(
            request,
            new Response(noBody.includes(answer) ? null : `answer ${one.index}`, { status: answer })
          )
          : answer instanceof Response
          ? HttpClientResponse.fromWeb(request, answer)
          : answer
    )
  })
  return { client, sent }
}

/** Accepts only these tokens. */
export const accepts = (...tokens: ReadonlyArray<string>): Respond => ({ token }) =>
  token !== undefined && tokens.includes(token) ? 200 : 401

export type Client = AuthedHttpClient.AuthedHttpClient["Type"]

export interface World {
  readonly client: Client
  readonly sent: Array<Sent>
  readonly tokens: TestTokenEndpoint.TestTokenEndpoint["Type"]
  readonly provider: TokenProvider.TokenProvider["Type"]
}

/** The client with its provider over a scripted resource and a scripted token endpoint. */
export const over = (
  resource: Resource | HttpClient.HttpClient,
  options: AuthedHttpClient.Options & TokenProvider.Options = { baseUrl: "https://api.test" },
  endpoint?: TestTokenEndpoint.Options
): Effect.Effect<World, OAuthError.InvalidOptions, Scope.Scope> =>
  Effect.map(
    Layer.build(
      AuthedHttpClient.layer({ ...patient, ...options }).pipe(
        Layer.provide(TokenStore.layerMemory()),
        Layer.provide(Layer.succeed(HttpClient.HttpClient, "client" in resource ? resource.client : resource)),
        Layer.provideMerge(TestTokenEndpoint.layer(endpoint))
      )
    ),
    (context) => ({
      client: Context.get(context, AuthedHttpClient.AuthedHttpClient),
      provider: Context.get(context, TokenProvider.TokenProvider),
      tokens: Context.get(context, TestTokenEndpoint.TestTokenEndpoint),
      sent: "client" in resource ? resource.sent : []
    })
  )

/** The client over the in-memory authorization server and its resource. */
export const overServer = (
  { client, ...server }: TestAuthorizationServer.Options & {
    readonly client?: Partial<AuthedHttpClient.Options & TokenProvider.Options>
  } = {}
) =>
  Effect.map(
    Layer.build(
      AuthedHttpClient.layer({
        ...patient,
        baseUrl: TestAuthorizationServer.apiUrl,
        ...client
      })
        .pipe(
          Layer.provide(TokenEndpoint.layer({
            tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
            clientId: TestAuthorizationServer.clientId,
            clientSecret: server.clientSecret ?? TestAuthorizationServer.clientSecret
          })),
          Layer.provide(TokenStore.layerMemory()),
          Layer.provideMerge(TestAuthorizationServer.layer(server))
        )
    ),
    (context) => ({
      client: Context.get(context, AuthedHttpClient.AuthedHttpClient),
      provider: Context.get(context, TokenProvider.TokenProvider),
      server: Context.get(context, TestAuthorizationServer.TestAuthorizationServer),
      context
    })
  )
