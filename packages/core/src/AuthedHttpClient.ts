/**
 * An `HttpClient` that sends every request with an access token. If the
 * response is a 401, it gets a new token and sends the request once more.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as AddressedRequest from "./client/AddressedRequest.js"
import * as Authorization from "./client/Authorization.js"
import { type CallOptions, CurrentCall } from "./client/CurrentCall.js"
import * as Redirect from "./client/Redirect.js"
import * as Replay from "./client/Replay.js"
import * as WithToken from "./client/WithToken.js"
import { FetchRequestInit } from "./endpoint/FetchRequestInit.js"
import * as TokenRequestCheck from "./endpoint/TokenRequestCheck.js"
import * as HttpTransport from "./HttpTransport.js"
import * as LayerOptions from "./LayerOptions.js"
import type { InvalidOptions, OAuthError, RedirectError } from "./OAuthError.js"
import * as Origin from "./Origin.js"
import type { TokenEndpoint } from "./TokenEndpoint.js"
import * as TokenProvider from "./TokenProvider.js"
import * as TokenRequest from "./TokenRequest.js"
import type { TokenStatus, TokenUse } from "./TokenStatus.js"
import type { TokenStore } from "./TokenStore.js"

/**
 * The client; apps use it in place of platform's `HttpClient`.
 *
 * @since 0.1.0
 * @category tags
 */
export class AuthedHttpClient extends Context.Tag("@effect-alf/core/AuthedHttpClient")<
  AuthedHttpClient,
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | OAuthError>
>() {}

/**
 * A tag for one of several APIs, with its token provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, Id, AuthedHttpClient["Type"]> {
  /**
   * Makes the layer of this API from one that provides an `AuthedHttpClient` with its provider, as `layer` and
   * `layerFromProvider` do.
   */
  readonly layer: <E, R>(
    layer: Layer.Layer<AuthedHttpClient | TokenProvider.TokenProvider, E, R>
  ) => Layer.Layer<Self, E, R>
  /** The provider of this API's tokens: to get one, or to renew it. */
  readonly provider: Context.Tag<Self, TokenProvider.TokenProvider["Type"]>
  /** The state of the token of a request: see `TokenProvider.status`. */
  readonly status: (request?: TokenRequest.TokenRequest) => Effect.Effect<TokenStatus, never, Self>
}

/**
 * Makes a tag for one of several APIs of an app: a client like
 * `AuthedHttpClient`, with a layer of its own.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, TokenEndpoint } from "@effect-alf/core"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * class Payments extends AuthedHttpClient.Tag("Payments")<Payments>() {}
 *
 * const PaymentsLive = Payments.layer(AuthedHttpClient.layer({ baseUrl: "https://payments.example.com" })).pipe(
 *   Layer.provide(TokenEndpoint.layer({
 *     tokenEndpoint: "https://auth.example.com/token",
 *     clientId: "client-id",
 *     clientSecret: Redacted.make("client-secret")
 *   }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const payments = yield* Payments
 *   yield* payments.get("/payments")
 *   return yield* Payments.status()
 * }).pipe(Effect.provide(PaymentsLive))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const client = Context.Tag(id)<Self, AuthedHttpClient["Type"]>()
  const provider = Context.GenericTag<Self, TokenProvider.TokenProvider["Type"]>(`${id}/TokenProvider`)
  const statics: Pick<TagClass<Self, Id>, "layer" | "provider" | "status"> = {
    layer: Layer.map((context) =>
      Context.make(client, Context.get(context, AuthedHttpClient)).pipe(
        Context.add(provider, Context.get(context, TokenProvider.TokenProvider))
      )
    ),
    provider,
    status: (request) => Effect.flatMap(provider, (provider) => TokenProvider.status(provider, request))
  }
  return Object.assign(client, statics)
}

/**
 * Options of a client. The origins that tokens may be sent to are required:
 * `baseUrl`, `origins`, or both.
 *
 * @since 0.1.0
 * @category options
 */
export type Options = Origin.Destination & {
  /** The token request of this client; what it leaves out comes from the defaults of the endpoint. */
  readonly request?: TokenRequest.TokenRequest | undefined
  /** `false` returns every 401 as it is, without requesting a new token. The default is `true`. */
  readonly retryOn401?: boolean | undefined
  /**
   * Whether a response rejects the token, for an API that answers with another status than 401. `standard` is the
   * result of the default check (RFC 6750 §3.1).
   */
  readonly isRejection?:
    | ((response: HttpClientResponse.HttpClientResponse, standard: boolean) => boolean)
    | undefined
}

interface Attempt extends Authorization.Attempt, WithToken.Attempt {}

/**
 * What a request can fail with: platform's own error, or an `OAuthError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type ClientError = HttpClientError.HttpClientError | OAuthError

const withCall = (change: (call: CallOptions) => CallOptions) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(CurrentCall, (call) => Effect.provideService(effect, CurrentCall, change(call)))

/**
 * Sets the token request for the requests of an effect. It overrides that of
 * the client and of the endpoint.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withTokenRequest: {
  (request: TokenRequest.TokenRequest): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, request: TokenRequest.TokenRequest): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, request: TokenRequest.TokenRequest) =>
    withCall((call) => ({ ...call, request: TokenRequest.merge(call.request ?? {}, request) }))(effect)
)

/**
 * Requests a token of this scope for the requests of an effect.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withTokenScope: {
  (scope: string | ReadonlyArray<string>): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, scope: string | ReadonlyArray<string>): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, scope: string | ReadonlyArray<string>) =>
    withTokenRequest(effect, { scope })
)

/**
 * Requests a token for this resource (RFC 8707) for the requests of an effect.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withTokenResource: {
  (resource: string | ReadonlyArray<string>): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, resource: string | ReadonlyArray<string>): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, resource: string | ReadonlyArray<string>) =>
    withTokenRequest(effect, { resource })
)

/**
 * Sends the requests of an effect without a token, to any origin.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withoutToken: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = withCall((call) => ({
  ...call,
  withoutToken: true
}))

/**
 * Declares that all bodies sent through this client can be sent twice, streams
 * included. The client never assumes this: a stream over a consumed source
 * would be sent again as an empty body.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withReplayableBodies: <E, R>(
  client: HttpClient.HttpClient.With<E, R>
) => HttpClient.HttpClient.With<E, R> = HttpClient.transformResponse(
  withCall((call) => ({ ...call, replayable: true }))
)

// As platform follows
const defaultMaxRedirects = 10

/**
 * Follows redirects, at most `max` (10) in a row. A redirect that is not
 * followed fails with a `RedirectError`. Each hop is a request of its own:
 *
 * - Methods and bodies change as with fetch: 301 and 302 turn a POST into a
 *   GET, 303 every method but HEAD; 307 and 308 repeat the request. If its body
 *   cannot be sent again (see `withReplayableBodies`), the redirect itself is
 *   returned.
 * - The token is sent to the origin of the first request and to those of
 *   `baseUrl` and `origins`, but no longer after a redirect to any other
 *   origin. A 401 of each hop is handled as usual.
 * - When the origin changes, even to an allowed one, the headers Authorization,
 *   Cookie, Proxy-Authorization, DPoP and Host of the caller are removed, and
 *   those in platform's `Headers.currentRedactedNames`.
 * - A redirect from https to http, or from loopback to http elsewhere, is not
 *   followed.
 *
 * Do not use platform's own `HttpClient.followRedirects`: it fails with
 * `OriginNotAllowed` where this one continues without a token, and repeats
 * every method and header.
 *
 * If you use platform's fetch client and provide a `RequestInit` to its layer,
 * provide the `RequestInit` to this client too. In a browser, which hides
 * redirects from programs, the response has the status 0.
 *
 * @since 0.1.0
 * @category combinators
 */
export const followRedirects: {
  (max?: number): <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E | RedirectError, R>
  <E, R>(client: HttpClient.HttpClient.With<E, R>, max?: number): HttpClient.HttpClient.With<E | RedirectError, R>
} = dual(
  (args) => Predicate.hasProperty(args[0], HttpClient.TypeId),
  <E, R>(
    client: HttpClient.HttpClient.With<E, R>,
    max = defaultMaxRedirects
  ): HttpClient.HttpClient.With<E | RedirectError, R> =>
    HttpClient.transformResponse(client, withCall((call) => ({ ...call, redirects: Redirect.follow(max) })))
)

/**
 * Returns every redirect as it is, also over platform's fetch client, which
 * follows redirects by default. The notes of `followRedirects` on `RequestInit`
 * and browsers apply here too.
 *
 * @since 0.1.0
 * @category combinators
 */
export const manualRedirects: <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R> =
  HttpClient.transformResponse(withCall((call) => ({ ...call, redirects: Redirect.manual })))

/**
 * Checks the options of the client and its provider, and names all that are
 * wrong. The layers do this themselves.
 *
 * @since 0.1.0
 * @category checks
 */
export const check = (options: Options & TokenProvider.Options): Effect.Effect<void, InvalidOptions> =>
  LayerOptions.collect([settingsOf(options), TokenProvider.check(options)])

const settingsOf = (options: Options) =>
  LayerOptions.collect({
    route: Origin.makeRoute(options),
    request: TokenRequestCheck.check("AuthedHttpClient.request", options.request),
    isRejection: LayerOptions.type(
      "AuthedHttpClient.isRejection",
      options.isRejection,
      Predicate.isFunction,
      "a function"
    )
  })

/**
 * Makes a client over the given `HttpClient` and `TokenProvider`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<
  AuthedHttpClient["Type"],
  InvalidOptions,
  TokenProvider.TokenProvider | HttpClient.HttpClient
> = Effect.fnUntraced(function*(options) {
  const { route } = yield* settingsOf(options)
  const inner = yield* HttpClient.HttpClient
  const connect = HttpTransport.connect(inner)
  const provider = yield* TokenProvider.TokenProvider
  const requestInit = Option.getOrUndefined(yield* Effect.serviceOption(FetchRequestInit))
  const merge = makeMerge(options.request)
  const withToken = yield* WithToken.make
  const rejects = options.isRejection
  const sendWithToken = withToken<
    Attempt,
    HttpClientResponse.HttpClientResponse,
    HttpClientError.HttpClientError,
    never
  >({
    send: Authorization.make(inner, requestInit),
    isRejection: rejects === undefined
      ? Replay.isRejection
      : (response, attempt) => rejects(response, Replay.isRejection(response, attempt)),
    renews: options.retryOn401 ?? true,
    again: (attempt, token) =>
      Replay.canReplay(attempt.request.body, attempt.call.replayable)
        ? { ...attempt, token, use: "replayed", resends: attempt.resends + 1 }
        : undefined,
    discard: Replay.drainLater
  })

  const send = (
    request: HttpClientRequest.HttpClientRequest,
    url: string,
    origin: string | undefined,
    call: CallOptions
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, ClientError> => {
    if (origin === undefined) return inner.execute(AddressedRequest.toRequest({ request, url }))
    const tokenRequest = merge(call.request)
    const token = provider.peek(tokenRequest, origin)
    const attempt = { request, url, origin, token, tokenRequest, call, use: undefined, resends: 0 }
    return token === undefined ? getAndSend(attempt) : sendWithToken(attempt as Attempt)
  }

  const getAndSend = (
    attempt: Omit<Attempt, "token"> & { readonly origin: string }
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, ClientError> => {
    let use: TokenUse | undefined
    const onUse = (told: TokenUse) => {
      use = told
      if (told === "awaited") connect?.(attempt.origin)
    }
    return Effect.flatMap(
      provider.get(attempt.tokenRequest, attempt.origin, onUse),
      (token) => sendWithToken({ ...attempt, token, use })
    )
  }

  const execute = (
    request: HttpClientRequest.HttpClientRequest
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, ClientError | RedirectError> => {
    // An effect that returns the fiber would cost more than the rest of this function
    const fiber = Option.getOrThrow(Fiber.getCurrentFiber())
    const call = Context.get(fiber.currentContext, CurrentCall)
    const url = route.complete(request.url)
    const origin = call.withoutToken ? undefined : route.originOf(url)
    if (typeof origin === "object") return origin
    const response = call.redirects === undefined
      ? send(request, url, origin, call)
      : call.redirects(AddressedRequest.toRequest({ request, url }), origin, { send, route, call, requestInit })
    return Authorization.hide(response, fiber.getFiberRef(Headers.currentRedactedNames))
  }

  // Redirects are refused only where they are followed: only that client's type contains the error
  return HttpClient.makeWith(Effect.flatMap(execute), Effect.succeed) as AuthedHttpClient["Type"]
})

/**
 * Merges the token request of a call with that of its client. The same request
 * gives the same object, whose key is cached.
 */
const makeMerge = (defaults: TokenRequest.TokenRequest | undefined) => {
  const known = new WeakMap<TokenRequest.TokenRequest, TokenRequest.TokenRequest>()
  return (request: TokenRequest.TokenRequest | undefined) => {
    if (defaults === undefined || request === undefined) return request ?? defaults
    let merged = known.get(request)
    if (merged === undefined) {
      merged = TokenRequest.merge(defaults, request)
      known.set(request, merged)
    }
    return merged
  }
}

/**
 * A client that uses the `TokenProvider` in context, for several APIs with the
 * same credentials.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromProvider = (
  options: Options
): Layer.Layer<
  AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions,
  TokenProvider.TokenProvider | HttpClient.HttpClient
> =>
  Layer.merge(
    Layer.effect(AuthedHttpClient, make(options)),
    Layer.effect(TokenProvider.TokenProvider, TokenProvider.TokenProvider)
  )

/**
 * A client and its provider.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options & TokenProvider.Options
): Layer.Layer<
  AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions,
  TokenEndpoint | TokenStore | HttpClient.HttpClient
> => checked(options, AuthedHttpClient, make(options))

/**
 * A client and its own provider, after a check of the options of both. In one
 * layer, as combining several costs more.
 */
const checked = <I, A>(
  options: Options & TokenProvider.Options,
  tag: Context.Tag<I, A>,
  client: Effect.Effect<A, InvalidOptions, TokenProvider.TokenProvider | HttpClient.HttpClient>
) =>
  Layer.scopedContext(Effect.gen(function*() {
    yield* check(options)
    const provider = yield* TokenProvider.make(options)
    const made = yield* Effect.provideService(client, TokenProvider.TokenProvider, provider)
    return Context.add(Context.make(tag, made), TokenProvider.TokenProvider, provider)
  }))

/**
 * The options that a `Config` can hold.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions extends TokenProvider.ConfigurableOptions {
  readonly baseUrl?: string | undefined
  readonly origins?: ReadonlyArray<string> | undefined
  readonly allowInsecure?: boolean | undefined
  readonly retryOn401?: boolean | undefined
}

/**
 * Reads the options of the client and its provider from a `Config`. Give other
 * options beside it.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient } from "@effect-alf/core"
 * import { Config } from "effect"
 *
 * const layer = AuthedHttpClient.layerConfig({ baseUrl: Config.string("ORDERS_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Partial<Options> & TokenProvider.Options | undefined
): Layer.Layer<
  AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ConfigError.ConfigError,
  TokenEndpoint | TokenStore | HttpClient.HttpClient
> =>
  LayerOptions.make(config, (configured: ConfigurableOptions) => {
    const merged = { ...options, ...configured }
    return layer({ ...merged, origins: merged.origins ?? [] })
  })

/**
 * Provides platform's own `HttpClient`, so that code written for it
 * (HttpApiClient, RPC) sends tokens without a change. An `OAuthError` is the
 * cause of a `RequestError` with reason `Encode`, which platform's
 * `retryTransient` does not retry; `OAuthError.find` finds it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient = (
  options: Options & TokenProvider.Options
): Layer.Layer<
  HttpClient.HttpClient | TokenProvider.TokenProvider,
  InvalidOptions,
  TokenEndpoint | TokenStore | HttpClient.HttpClient
> => checked(options, HttpClient.HttpClient, Effect.map(make(options), toHttpClient))

/**
 * What the handler of `layerTest` returns.
 *
 * @since 0.1.0
 * @category testing
 */
export type TestResponse = Response | HttpClientResponse.HttpClientResponse

/**
 * A client for tests that calls the handler in place of the network and needs
 * no token. The handler sees URLs as the app wrote them. `TestAuthedHttpClient`
 * also records the requests.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient } from "@effect-alf/core"
 *
 * const layer = AuthedHttpClient.layerTest((request) =>
 *   request.url === "/orders" ? Response.json([]) : new Response(null, { status: 404 })
 * )
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const layerTest = (
  handler: (request: HttpClientRequest.HttpClientRequest) => TestResponse | Effect.Effect<TestResponse, ClientError>
): Layer.Layer<AuthedHttpClient | TokenProvider.TokenProvider> =>
  Layer.merge(
    Layer.succeed(
      AuthedHttpClient,
      HttpClient.makeWith<ClientError, never, ClientError, never>(
        Effect.flatMap((request) =>
          Effect.map(
            Effect.suspend(() => {
              const answer = handler(request)
              return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
            }),
            (answer) => answer instanceof Response ? HttpClientResponse.fromWeb(request, answer) : answer
          )
        ),
        Effect.succeed
      )
    ),
    TokenProvider.layerTest
  )

/**
 * The same client with platform's error type, as `layerHttpClient` provides it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const toHttpClient = (
  client: HttpClient.HttpClient.With<ClientError | RedirectError>
): HttpClient.HttpClient =>
  HttpClient.transform(
    client,
    (effect, request) => Effect.mapError(effect, (error) => toHttpClientError(error, request))
  ) as HttpClient.HttpClient

const toHttpClientError = (
  error: ClientError | RedirectError,
  request: HttpClientRequest.HttpClientRequest
): HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error)
    ? error
    : new HttpClientError.RequestError({ request, reason: "Encode", cause: error, description: error.message })
