/**
 * An `HttpClient` that signs every request with a token, and answers a 401 with
 * a new token and one replay.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { globalValue } from "effect/GlobalValue"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as AccessToken from "./AccessToken.js"
import * as Check from "./Check.js"
import { type InvalidOptions, type OAuthError, OriginNotAllowed } from "./OAuthError.js"
import * as Origin from "./Origin.js"
import type { TokenEndpoint } from "./TokenEndpoint.js"
import * as TokenProvider from "./TokenProvider.js"
import * as TokenRequest from "./TokenRequest.js"
import type { TokenStore } from "./TokenStore.js"
import * as UnsignedResponse from "./UnsignedResponse.js"

/**
 * The client that an app asks for in place of platform's `HttpClient`.
 *
 * @since 0.1.0
 * @category tags
 */
export class AuthedHttpClient extends Context.Tag("@effect-alf/core/AuthedHttpClient")<
  AuthedHttpClient,
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | OAuthError>
>() {}

/**
 * Where tokens may go is always said: by `baseUrl`, by `origins`, or by both.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Relative addresses are joined to it, and its origin is allowed. */
  readonly baseUrl?: string | URL | undefined
  /** The origins that a token may be sent to; `"any"` allows every one that is on https or loopback. */
  readonly origins?: ReadonlyArray<string | URL> | "any" | undefined
  /** What the tokens of this client are for, beside the defaults of the endpoint. */
  readonly request?: TokenRequest.TokenRequest | undefined
  /** `false` returns every 401 as it is, without a new token. The default is `true`. */
  readonly retryOn401?: boolean | undefined
  /** Allows plain http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * What a single call says about its token. Set by the combinators of this
 * module.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly request: TokenRequest.TokenRequest | undefined
  readonly unsigned: boolean
  readonly replayable: boolean
}

/**
 * How the combinators reach the client: through the fiber's context.
 *
 * @since 0.1.0
 * @category references
 */
export class CurrentCall extends Context.Reference<CurrentCall>()("@effect-alf/core/AuthedHttpClient/CurrentCall", {
  defaultValue: (): CallOptions => noCallOptions
}) {}

type ClientError = HttpClientError.HttpClientError | OAuthError

/** With `origins: "any"` the number of origins that a token is sent to has no other bound. */
const maxOrigins = 256

const noCallOptions: CallOptions = { request: undefined, unsigned: false, replayable: false }

const withCall = (change: (call: CallOptions) => CallOptions) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(CurrentCall, (call) => Effect.provideService(effect, CurrentCall, change(call)))

/**
 * Asks for a token of this scope for the requests of an effect.
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
    withCall((call) => ({ ...call, request: { ...call.request, scope } }))(effect)
)

/**
 * Asks for a token for this resource (RFC 8707) for the requests of an effect.
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
    withCall((call) => ({ ...call, request: { ...call.request, resource } }))(effect)
)

/**
 * Sends the requests of an effect without a token, wherever they go.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withoutToken: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = withCall((call) => ({
  ...call,
  unsigned: true
}))

/**
 * Says that the bodies sent through this client can be sent twice, streams
 * included: a stream that reads a consumed source would be replayed as an empty
 * body, so that is never assumed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const replayable: <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R> =
  HttpClient.transformResponse(withCall((call) => ({ ...call, replayable: true })))

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
  const route = yield* makeRoute(options)
  const inner = yield* HttpClient.HttpClient
  const provider = yield* TokenProvider.TokenProvider
  const retryOn401 = options.retryOn401 ?? true
  const merge = memoizeMerge(options.request)

  // Which origins have accepted a token since they last rejected it: another answer tells the provider nothing new
  const accepted = new WeakMap<AccessToken.AccessToken, Set<string>>()
  let lastAccepted: AccessToken.AccessToken | undefined
  let lastOrigin = ""
  const isAccepted = (token: AccessToken.AccessToken, origin: string) =>
    (token === lastAccepted && origin === lastOrigin) || (accepted.get(token)?.has(origin) ?? false)

  const settle = (
    token: AccessToken.AccessToken,
    outcome: "accepted" | "rejected",
    tokenRequest: TokenRequest.TokenRequest | undefined,
    origin: string
  ) => {
    mark(token, outcome, origin)
    return provider.settle(token, outcome, tokenRequest, origin)
  }

  const mark = (token: AccessToken.AccessToken, outcome: "accepted" | "rejected", origin: string) => {
    const origins = accepted.get(token) ?? new Set()
    if (outcome === "accepted") {
      if (origins.size >= maxOrigins) origins.clear()
      accepted.set(token, origins.add(origin))
      lastAccepted = token
      lastOrigin = origin
    } else {
      origins.delete(origin)
      lastAccepted = undefined
    }
  }

  let lastToken: AccessToken.AccessToken | undefined
  let lastHeader = ""
  const sign = (request: HttpClientRequest.HttpClientRequest, token: AccessToken.AccessToken) => {
    if (token !== lastToken) {
      lastHeader = AccessToken.authorization(token)
      lastToken = token
    }
    const signed = HttpClientRequest.setHeader(request, "authorization", lastHeader)
    carryScope(request, signed)
    return signed
  }

  /** Sends a request and takes the signature out of whatever comes back. */
  const send = (
    request: HttpClientRequest.HttpClientRequest,
    token: AccessToken.AccessToken
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
    Effect.matchCauseEffect(inner.execute(sign(request, token)), {
      onFailure: (cause) => Effect.failCause(UnsignedResponse.unsignCause(cause, request)),
      onSuccess: (response) => Effect.succeed(UnsignedResponse.make(response, request))
    })

  const sendSigned = (
    request: HttpClientRequest.HttpClientRequest,
    origin: string,
    call: CallOptions,
    tokenRequest: TokenRequest.TokenRequest | undefined,
    token: AccessToken.AccessToken
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
    Effect.flatMap(send(request, token), (response) => {
      if (response.status !== 401) {
        return isAccepted(token, origin)
          ? Effect.succeed(response)
          : Effect.as(settle(token, "accepted", tokenRequest, origin), response)
      }
      if (!retryOn401) return Effect.succeed(response)
      mark(token, "rejected", origin)
      const renewed = Effect.onInterrupt(provider.renew(token, tokenRequest, origin), () => drainLater(response))
      return Effect.matchEffect(renewed, {
        // The resource has answered: its 401 says more to the caller than a failed renewal
        onFailure: (error) =>
          Effect.as(Effect.logDebug(`A rejected token was not replaced: ${error.message}`), response),
        onSuccess: (renewed) =>
          renewed === token || !canReplay(request.body, call)
            ? Effect.succeed(response)
            : Effect.zipRight(drainLater(response), replay(request, origin, tokenRequest, renewed))
      })
    })

  const replay = (
    request: HttpClientRequest.HttpClientRequest,
    origin: string,
    tokenRequest: TokenRequest.TokenRequest | undefined,
    token: AccessToken.AccessToken
  ) =>
    Effect.tap(
      send(request, token),
      ({ status }) => settle(token, status === 401 ? "rejected" : "accepted", tokenRequest, origin)
    )

  return HttpClient.makeWith<ClientError, never, ClientError, never>(
    Effect.flatMap((unrouted) =>
      Effect.withFiberRuntime<HttpClientResponse.HttpClientResponse, ClientError>((fiber) => {
        const call = Context.get(fiber.currentContext, CurrentCall)
        const routed = route(unrouted)
        if (call.unsigned) return inner.execute(routed.request)
        if (routed.origin === undefined) return Effect.fail(routed.error)
        const { origin, request } = routed
        const tokenRequest = merge(call.request)
        const token = provider.peek(tokenRequest, origin)
        const response = token === undefined
          ? Effect.flatMap(
            provider.get(tokenRequest, origin),
            (token) => sendSigned(request, origin, call, tokenRequest, token)
          )
          : sendSigned(request, origin, call, tokenRequest, token)
        return hideAuthorization(response, fiber.getFiberRef(Headers.currentRedactedNames))
      })
    ),
    Effect.succeed
  )
})

/**
 * A client over a `TokenProvider` that several APIs with one credential share.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromProvider = (
  options: Options
): Layer.Layer<AuthedHttpClient, InvalidOptions, TokenProvider.TokenProvider | HttpClient.HttpClient> =>
  Layer.effect(AuthedHttpClient, make(options))

/**
 * A client and its provider in one.
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
> => Layer.provideMerge(layerFromProvider(options), TokenProvider.layer(options))

/**
 * Provides platform's own `HttpClient`, so that code written for it
 * (HttpApiClient, RPC) is authorised without a change. An `OAuthError` travels
 * as the cause of a `RequestError` with reason `Encode`, which platform's
 * `retryTransient` leaves alone; `OAuthError.fromUnknown` finds it again.
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
> =>
  Layer.provideMerge(
    Layer.effect(HttpClient.HttpClient, Effect.map(make(options), toHttpClient)),
    TokenProvider.layer(options)
  )

/**
 * What the handler of `layerTest` answers with.
 *
 * @since 0.1.0
 * @category testing
 */
export type TestResponse = Response | HttpClientResponse.HttpClientResponse

/**
 * A client for an app's tests that asks the handler instead of the network, and
 * needs no token. Addresses reach the handler as the app wrote them.
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
): Layer.Layer<AuthedHttpClient> =>
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
  )

/**
 * The same client with platform's error type, as `layerHttpClient` provides it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const toHttpClient = (client: AuthedHttpClient["Type"]): HttpClient.HttpClient =>
  HttpClient.transform(
    client,
    (effect, request) => Effect.mapError(effect, (error) => toHttpClientError(error, request))
  ) as HttpClient.HttpClient

const toHttpClientError = (
  error: ClientError,
  request: HttpClientRequest.HttpClientRequest
): HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error)
    ? error
    : new HttpClientError.RequestError({ request, reason: "Encode", cause: error, description: error.message })

// -----------------------------------------------------------------------------
// where a request goes
// -----------------------------------------------------------------------------

type Routed =
  | { readonly request: HttpClientRequest.HttpClientRequest; readonly origin: string }
  | {
    readonly request: HttpClientRequest.HttpClientRequest
    readonly origin: undefined
    readonly error: OriginNotAllowed
  }

const makeRoute = Effect.fnUntraced(function*(options: Options) {
  const any = options.origins === "any"
  if (!any && options.origins !== undefined && !Array.isArray(options.origins)) {
    return yield* Check.invalid("AuthedHttpClient.origins", "must be a list of origins or \"any\"")
  }
  const baseUrl = options.baseUrl === undefined
    ? undefined
    : yield* Check.url("AuthedHttpClient.baseUrl", options.baseUrl, options)
  if (baseUrl !== undefined && baseUrl.search !== "") {
    return yield* Check.invalid("AuthedHttpClient.baseUrl", "must not have a query")
  }
  const listed: Array<string> = []
  for (const origin of Array.isArray(options.origins) ? options.origins : []) {
    const url = yield* Check.url("AuthedHttpClient.origins", origin, options)
    if (url.pathname !== "/" || url.search !== "") {
      return yield* Check.invalid("AuthedHttpClient.origins", `takes origins, without a path: ${url.origin}`)
    }
    listed.push(url.origin)
  }
  const allowed = baseUrl === undefined ? listed : [baseUrl.origin, ...listed]
  if (!any && allowed.length === 0) {
    return yield* Check.invalid("AuthedHttpClient.origins", "is missing: say where tokens may go, or give a baseUrl")
  }
  // As the user wrote it but for its origin: a base ends where its path ends, with or without a slash
  const base = baseUrl === undefined
    ? undefined
    : `${baseUrl.origin}${baseUrl.pathname === "/" ? "" : baseUrl.pathname}`
  const allowInsecure = options.allowInsecure === true

  return (request: HttpClientRequest.HttpClientRequest): Routed => {
    const { url } = request
    if (base !== undefined && !Origin.isAbsolute(url)) {
      const joined = HttpClientRequest.setUrl(request, Origin.join(base, url))
      carryScope(request, joined)
      return { request: joined, origin: allowed[0] }
    }
    for (const origin of allowed) {
      if (Origin.startsWith(url, origin)) return { request, origin }
    }
    const parsed = Origin.parse(url)
    if (parsed === undefined) {
      return {
        request,
        origin: undefined,
        error: new OriginNotAllowed({ origin: "an address without an origin", allowed })
      }
    }
    return (any && (allowInsecure || Origin.isSecure(parsed))) || allowed.includes(parsed.origin)
      ? { request, origin: parsed.origin }
      : {
        request,
        origin: undefined,
        error: new OriginNotAllowed({ origin: parsed.origin, allowed: any ? [] : allowed })
      }
  }
})

// -----------------------------------------------------------------------------
// replay
// -----------------------------------------------------------------------------

/** Only what is sure to be the same the second time. */
const canReplay = (body: HttpBody.HttpBody, call: CallOptions): boolean => {
  switch (body._tag) {
    case "Empty":
    case "Uint8Array":
    case "FormData":
      return true
    case "Raw":
      return call.replayable || isRepeatable(body.body)
    case "Stream":
      return call.replayable
  }
}

const isRepeatable = (body: unknown): boolean =>
  typeof body === "string" ||
  body === undefined ||
  body === null ||
  body instanceof ArrayBuffer ||
  ArrayBuffer.isView(body) ||
  body instanceof Blob ||
  body instanceof URLSearchParams

/** More of a rejected answer is not read to free its connection. */
const maxDrainBytes = 64 * 1024
const maxDrainTime = "1 second"

/** An answer that nobody reads keeps its connection busy; aborting it would close the connection. */
const drain = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Stream.runFoldWhile(response.stream, 0, (bytes) => bytes < maxDrainBytes, (bytes, chunk) => bytes + chunk.byteLength)
    .pipe(Effect.timeout(maxDrainTime), Effect.ignore)

/** A fiber inherits whether it can be interrupted, without which no time limit would hold. */
const drainLater = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.forkDaemon(Effect.interruptible(drain(response)))

// -----------------------------------------------------------------------------
// what platform knows of a request
// -----------------------------------------------------------------------------

/** Platform's tracer shows every header that is not in this list, and an app may have replaced the list. */
const hideAuthorization = <A, E>(
  effect: Effect.Effect<A, E>,
  redactedNames: ReadonlyArray<string | RegExp>
): Effect.Effect<A, E> =>
  redactedNames.includes("authorization")
    ? effect
    : Effect.locally(effect, Headers.currentRedactedNames, [...redactedNames, "authorization"])

/**
 * Platform's `withScope` knows a request by its identity; the joined and the
 * signed request must inherit its controller.
 */
const carryScope = (from: HttpClientRequest.HttpClientRequest, to: HttpClientRequest.HttpClientRequest) => {
  const controller = scopedRequests.get(from)
  if (controller !== undefined) scopedRequests.set(to, controller)
}

const scopedRequests = globalValue(
  "@effect/platform/HttpClient/scopedRequests",
  () => new WeakMap<HttpClientRequest.HttpClientRequest, AbortController>()
)

/** The same override merges to the same object, by which the endpoint knows its key. */
const memoizeMerge = (defaults: TokenRequest.TokenRequest | undefined) => {
  if (defaults === undefined) return (request: TokenRequest.TokenRequest | undefined) => request
  const known = new WeakMap<TokenRequest.TokenRequest, TokenRequest.TokenRequest>()
  return (request: TokenRequest.TokenRequest | undefined) => {
    if (request === undefined) return defaults
    let merged = known.get(request)
    if (merged === undefined) {
      merged = TokenRequest.merge(defaults, request)
      known.set(request, merged)
    }
    return merged
  }
}
