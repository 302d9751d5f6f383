/**
 * The token endpoint (RFC 6749 §3.2) as a service: one POST that turns client
 * credentials and a `TokenRequest` into an `AccessToken`, tried again by a
 * Schedule where that can help.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { escape as escapeRegExp } from "effect/RegExp"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as AccessToken from "./AccessToken.js"
import * as Check from "./Check.js"
import * as ClientAuth from "./ClientAuth.js"
import { describe, type InvalidOptions, oneLine, TokenEndpointError } from "./OAuthError.js"
import * as RetryPolicy from "./RetryPolicy.js"
import * as TokenRequest from "./TokenRequest.js"
import * as TokenResponse from "./TokenResponse.js"

/**
 * What `TokenProvider` asks for tokens; an app's tests replace it.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenEndpoint extends Context.Tag("@effect-alf/core/TokenEndpoint")<
  TokenEndpoint,
  {
    /** Merges a request into the defaults and computes its key. */
    readonly resolve: (request?: TokenRequest.TokenRequest) => TokenRequest.ResolvedTokenRequest
    /** Asks for a token once. `attempt` counts from 1 and reaches the client authentication. */
    readonly attempt: (
      request: TokenRequest.ResolvedTokenRequest,
      attempt?: number
    ) => Effect.Effect<AccessToken.AccessToken, TokenEndpointError>
    /** Asks for a token, with the retries of the layer's options. */
    readonly request: (
      request: TokenRequest.ResolvedTokenRequest
    ) => Effect.Effect<AccessToken.AccessToken, TokenEndpointError>
    /** By what `request` tries again; a provider that takes turns with other processes drives it itself. */
    readonly retry: Schedule.Schedule<unknown, TokenEndpointError>
    /**
     * A fingerprint of the credentials that the next attempt would use; `None`
     * when they cannot change. A failure never fails it: it is `None` too.
     */
    readonly credentials: Effect.Effect<Option.Option<string>>
  }
>() {}

/**
 * Options of `layer`. `clientAuth` takes precedence over `clientSecret`, which
 * is sent by HTTP Basic; one of the two is required.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> {
  /** The token endpoint's address: https, or http on loopback. */
  readonly url: string | URL
  readonly clientId: string
  /** The client secret, or an effect that is run at every token request. */
  readonly clientSecret?: ClientAuth.Secret<R> | undefined
  readonly clientAuth?: ClientAuth.ClientAuth<R> | undefined
  /** What is asked for when a call does not say otherwise. */
  readonly request?: TokenRequest.TokenRequest | undefined
  /** Further headers of the token request; their values are kept out of spans. */
  readonly headers?: Headers.Input | undefined
  /** Options for `fetch`, used when the HTTP client is platform's fetch client. */
  readonly requestInit?: RequestInit | undefined
  /** The default is `RetryPolicy.standard`. */
  readonly retry?: Schedule.Schedule<unknown, TokenEndpointError> | undefined
  /** Which failures are tried again. The default is `RetryPolicy.transient`. */
  readonly retryWhile?: Predicate.Predicate<TokenEndpointError> | undefined
  /** How long one attempt may take, its answer's body included. The default is 10 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** The default is 262,144 bytes. */
  readonly maxResponseBytes?: number | undefined
  /** Allows plain http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

const defaultTimeout = Duration.seconds(10)
// The largest tokens seen (with group claims) are some 30 kB
const defaultMaxResponseBytes = 256 * 1024

/**
 * Checks the options and makes the service over the given `HttpClient`, which
 * must not follow redirects by itself (platform's `followRedirects` would carry
 * the credentials with it).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*<R = never>(options: Options<R>) {
  const url = yield* Check.url("TokenEndpoint.url", options.url, options)
  const clientId = yield* Check.text("TokenEndpoint.clientId", options.clientId)
  const clientAuth = yield* checkClientAuth(options)
  const timeout = yield* Check.positiveDuration("TokenEndpoint.timeout", options.timeout ?? defaultTimeout)
  const maxResponseBytes = yield* Check.positiveInteger(
    "TokenEndpoint.maxResponseBytes",
    options.maxResponseBytes ?? defaultMaxResponseBytes
  )
  const context = yield* Effect.context<HttpClient.HttpClient | R>()
  const scopedClient = HttpClient.withScope(Context.get(context, HttpClient.HttpClient))
  const retry = Schedule.whileInput(options.retry ?? RetryPolicy.standard, options.retryWhile ?? RetryPolicy.transient)
  const headers = Headers.fromInput(options.headers)
  const endpoint = `${url.origin}${url.pathname}`
  const identity: TokenRequest.Identity = { endpoint: url.href, clientId, authMethod: clientAuth.method, headers }

  // A redirect would carry the credentials to another place
  const requestInit: RequestInit = {
    ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
    ...options.requestInit,
    redirect: "manual"
  }

  const error = (fields: Omit<ConstructorParameters<typeof TokenEndpointError>[0], "endpoint">) =>
    new TokenEndpointError({ endpoint, ...fields })

  const authenticate = (attempt: number) =>
    Effect.catchAllCause(
      Effect.provide(
        // The time limit must hold for an effect that cannot be interrupted, too
        Effect.disconnect(
          Effect.suspend(() => clientAuth.authenticate({ clientId, endpoint: url.href, issuer: undefined, attempt }))
        ),
        context
      ),
      // The cause may hold anything, the secret included: only its kind is told
      () =>
        Effect.fail(
          error({ reason: "ClientAuth", description: `the ${clientAuth.method} credentials are unavailable` })
        )
    )

  const checkCredentials = (credentials: ClientAuth.Credentials) =>
    redactedOf(credentials).some((secret) => isMissing(Redacted.value(secret)))
      ? Effect.fail(error({ reason: "ClientAuth", description: `the ${clientAuth.method} credentials are empty` }))
      : Effect.void

  const exchange = (request: HttpClientRequest.HttpClientRequest, clean: Clean) =>
    scopedClient.execute(request).pipe(
      // What a status means is decided here, also for a client that filters them
      Effect.catchIf(
        (cause): cause is HttpClientError.ResponseError =>
          cause._tag === "ResponseError" && cause.reason === "StatusCode",
        ({ response }) => Effect.succeed(response)
      ),
      Effect.mapError((cause) => transportError(cause.cause ?? cause.description ?? cause.reason, clean)),
      Effect.flatMap((response) =>
        Effect.mapBoth(readBody(response, maxResponseBytes), {
          onFailure: ({ cause, reason }) => {
            const answer = { status: response.status, headers: cleanHeaders(response.headers, clean) }
            return reason === "TooLarge"
              ? error({
                ...answer,
                reason: "InvalidResponse",
                description: `the body is larger than ${maxResponseBytes} bytes (maxResponseBytes)`
              })
              : transportError(cause, clean, answer)
          },
          onSuccess: (body) => ({ response, body })
        })
      ),
      // Ends a body that was not read to its end, which would keep its connection busy
      Effect.scoped,
      Effect.provideService(FetchHttpClient.RequestInit, requestInit)
    )

  const transportError = (
    cause: unknown,
    clean: Clean,
    answer?: { readonly status: number; readonly headers: Headers.Headers }
  ) => error({ ...answer, reason: "Transport", description: describe(cause, clean) })

  const interpret = (
    response: HttpClientResponse.HttpClientResponse,
    body: string,
    sentAt: number,
    now: number,
    secrets: ReadonlyArray<string>
  ): Either.Either<AccessToken.AccessToken, TokenEndpointError> => {
    const status = response.status
    const json = parseJson(body)
    const clean = cleaner([...secrets, ...tokensOf(json)])
    const headers = cleanHeaders(response.headers, clean)
    const fail = (
      fields: Omit<ConstructorParameters<typeof TokenEndpointError>[0], "endpoint" | "status" | "headers">
    ) =>
      Either.left(
        error({ status, headers, retryAfter: parseRetryAfter(response.headers["retry-after"], now), ...fields })
      )
    // A browser hides the status of a redirect that is not followed
    if (status === 0 || (status >= 300 && status < 400)) {
      return fail({ reason: "Redirect", description: "a redirect, which is not followed" })
    }
    const failure = Option.flatMap(json, (json) => TokenResponse.decodeError(json, clean))
    if (Option.isSome(failure)) {
      return fail({ reason: "OAuth", description: failure.value.error, ...failure.value })
    }
    if (status < 200 || status >= 300) {
      return fail({ reason: "Status", description: `no OAuth error in ${describeBody(headers, body)}` })
    }
    if (Option.isNone(json)) {
      return fail({ reason: "InvalidResponse", description: `no valid JSON in ${describeBody(headers, body)}` })
    }
    const decoded = TokenResponse.decode(json.value)
    if (Either.isLeft(decoded)) return fail({ reason: "InvalidResponse", description: clean(decoded.left) })
    return Either.right(AccessToken.make({
      value: decoded.right.access_token,
      obtainedAt: DateTime.unsafeMake(sentAt),
      expiresIn: Option.getOrUndefined(
        Option.map(TokenResponse.lifetime(decoded.right), (seconds) => Duration.seconds(seconds))
      ),
      scope: Option.getOrUndefined(TokenResponse.scope(decoded.right))
    }))
  }

  const attempt = Effect.fnUntraced(
    function*(request: TokenRequest.ResolvedTokenRequest, attempt: number) {
      const credentials = yield* authenticate(attempt)
      yield* checkCredentials(credentials)
      const post = buildRequest(url, headers, request, credentials)
      const secrets = secretsOf(credentials)
      const sentAt = yield* Clock.currentTimeMillis
      const { body, response } = yield* exchange(post, cleaner(secrets)).pipe(
        Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, notHarmless])
      )
      const now = yield* Clock.currentTimeMillis
      return yield* interpret(response, body, sentAt, now, secrets)
    },
    Effect.timeoutFail({
      duration: timeout,
      onTimeout: () => error({ reason: "Timeout", description: `no answer within ${Duration.format(timeout)}` })
    })
  )

  const attributes = { "oauth.client_id": clientId, "oauth.token_endpoint": endpoint }

  const traced = (request: TokenRequest.ResolvedTokenRequest, number: number) =>
    Effect.withSpan(attempt(request, number), "TokenEndpoint.attempt", {
      captureStackTrace: false,
      attributes: { ...attributes, "oauth.attempt": number }
    })

  return TokenEndpoint.of({
    resolve: memoizeResolve(identity, options.request ?? {}),
    attempt: (request, number = 1) => traced(request, number),
    request: (request) =>
      Effect.suspend(() => {
        let number = 0
        return Effect.retry(Effect.suspend(() => traced(request, ++number)), retry)
      }).pipe(
        Effect.withSpan("TokenEndpoint.request", { captureStackTrace: false, attributes })
      ),
    retry,
    credentials: clientAuth.version === undefined
      ? Effect.succeedNone
      : Effect.option(Effect.sandbox(Effect.disconnect(Effect.provide(clientAuth.version, context))))
  })
})

/**
 * The service as a layer; it fails with `InvalidOptions` when it is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<TokenEndpoint, InvalidOptions, HttpClient.HttpClient | R> => Layer.effect(TokenEndpoint, make(options))

/**
 * The options that a configuration can hold.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: Redacted.Redacted
  readonly scope?: string | undefined
  readonly timeout?: Duration.Duration | undefined
}

/**
 * Reads the options from a configuration; what a configuration cannot hold is
 * given beside it.
 *
 * @example
 * ```ts
 * import { TokenEndpoint } from "@effect-alf/core"
 * import { Config } from "effect"
 *
 * const layer = TokenEndpoint.layerConfig({
 *   url: Config.string("TOKEN_URL"),
 *   clientId: Config.string("CLIENT_ID"),
 *   clientSecret: Config.redacted("CLIENT_SECRET")
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Omit<Options, "url" | "clientId" | "clientSecret" | "clientAuth"> | undefined
): Layer.Layer<TokenEndpoint, InvalidOptions | ConfigError.ConfigError, HttpClient.HttpClient> =>
  Layer.unwrapEffect(Effect.map(
    Config.unwrap(config),
    ({ clientId, clientSecret, scope, timeout, url }) =>
      layer({
        ...options,
        url,
        clientId,
        clientSecret,
        request: scope === undefined ? options?.request : { ...options?.request, scope },
        timeout: timeout ?? options?.timeout
      })
  ))

const checkClientAuth = <R>(
  options: Options<R>
): Effect.Effect<ClientAuth.ClientAuth<R>, InvalidOptions> => {
  if (options.clientAuth !== undefined) return Effect.succeed(options.clientAuth)
  const secret = options.clientSecret
  return Effect.isEffect(secret)
    ? Effect.succeed(ClientAuth.secretBasic(secret))
    : Effect.map(
      Check.secret("TokenEndpoint.clientSecret", secret as Redacted.Redacted),
      (secret) => ClientAuth.secretBasic(secret)
    )
}

/**
 * The same request object resolves to the same value, so that a key is
 * computed once however often the request is used.
 */
const memoizeResolve = (identity: TokenRequest.Identity, defaults: TokenRequest.TokenRequest) => {
  const resolve = (request: TokenRequest.TokenRequest | undefined) =>
    TokenRequest.resolve(identity, TokenRequest.merge(defaults, request))
  const resolvedDefaults = resolve(undefined)
  const known = new WeakMap<TokenRequest.TokenRequest, TokenRequest.ResolvedTokenRequest>()
  return (request?: TokenRequest.TokenRequest) => {
    if (request === undefined) return resolvedDefaults
    const found = known.get(request)
    if (found !== undefined) return found
    const resolved = resolve(request)
    known.set(request, resolved)
    return resolved
  }
}

const buildRequest = (
  url: URL,
  headers: Headers.Headers,
  request: TokenRequest.ResolvedTokenRequest,
  credentials: ClientAuth.Credentials
): HttpClientRequest.HttpClientRequest => {
  const form = new URLSearchParams()
  for (const [name, value] of request.params) form.append(name, value)
  for (const [name, value] of Object.entries(credentials.params ?? {})) form.set(name, reveal(value))
  return HttpClientRequest.post(url.href).pipe(
    HttpClientRequest.setHeaders({
      accept: "application/json",
      // Nothing is decompressed here, so that a small answer cannot become a large one
      "accept-encoding": "identity"
    }),
    HttpClientRequest.setHeaders(headers),
    HttpClientRequest.setHeaders(
      Object.entries(credentials.headers ?? {}).map(([name, value]) => [name, reveal(value)] as const)
    ),
    HttpClientRequest.setBody(HttpBody.text(form.toString(), "application/x-www-form-urlencoded"))
  )
}

const isMissing = (secret: unknown): boolean => !Predicate.isString(secret) || secret.trim() === ""

const reveal = (value: string | Redacted.Redacted): string => typeof value === "string" ? value : Redacted.value(value)

/**
 * Why a body could not be read. A stream runs in fibers of its own, whose
 * failures may be logged: this holds no request, which has the credentials.
 */
interface BodyError {
  readonly _tag: "BodyError"
  readonly reason: "TooLarge" | "Empty" | "Broken"
  readonly cause?: unknown
}

const readBody = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<string, BodyError> =>
  Effect.suspend(() => {
    const tooLarge: BodyError = { _tag: "BodyError", reason: "TooLarge" }
    if (Number(response.headers["content-length"]) > maxBytes) return Effect.fail(tooLarge)
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    return response.stream.pipe(
      Stream.mapError(({ cause, description, reason }): BodyError =>
        reason === "EmptyBody"
          ? { _tag: "BodyError", reason: "Empty" }
          : { _tag: "BodyError", reason: "Broken", cause: cause ?? description ?? reason }
      ),
      Stream.runForEach((chunk) => {
        bytes += chunk.byteLength
        if (bytes > maxBytes) return Effect.fail(tooLarge)
        text += decoder.decode(chunk, { stream: true })
        return Effect.void
      }),
      Effect.catchIf((error) => error.reason === "Empty", () => Effect.void),
      Effect.map(() => text + decoder.decode())
    )
  })

const parseJson = (body: string): Option.Option<unknown> => Option.liftThrowable(() => JSON.parse(body) as unknown)()

const describeBody = (headers: Headers.Headers, body: string): string => {
  if (body.trim() === "") return "an empty body"
  const type = oneLine(headers["content-type"]?.split(";")[0] ?? "untyped")
  const encoding = headers["content-encoding"]
  const encoded = encoding === undefined || encoding === "identity"
    ? ""
    : `, ${oneLine(encoding)} though identity was asked for`
  return `a body of ${body.length} characters (${type}${encoded})`
}

// RFC 9110 §10.2.3: a number of seconds or a date, which begins with the day of the week
const parseRetryAfter = (value: string | undefined, now: number): Duration.Duration | undefined => {
  const given = value?.trim() ?? ""
  if (/^\d+$/.test(given)) return Duration.seconds(Number(given))
  if (!/^(mon|tue|wed|thu|fri|sat|sun)/i.test(given)) return undefined
  // The oldest form means GMT without saying so (RFC 9110 §5.6.7)
  const date = Date.parse(given.endsWith("GMT") ? given : `${given} GMT`)
  return Number.isNaN(date) ? undefined : Duration.millis(Math.max(0, date - now))
}

const redactedOf = (credentials: ClientAuth.Credentials): ReadonlyArray<Redacted.Redacted> =>
  [
    ...Object.values(credentials.headers ?? {}),
    ...Object.values(credentials.params ?? {}),
    ...credentials.secrets ?? []
  ].filter((value) => typeof value !== "string")

/** Every text form in which a secret of this attempt could be echoed back. */
const secretsOf = (credentials: ClientAuth.Credentials): ReadonlyArray<string> => {
  const schemeless = Object.values(credentials.headers ?? {}).map((value) => reveal(value).replace(/^\S+ /, ""))
  const secrets = [...redactedOf(credentials).map(reveal), ...schemeless]
  return secrets.concat(secrets.map((secret) => secret.trim())).flatMap((secret) => {
    const form = ClientAuth.formEncode(secret)
    const percent = form.replaceAll("+", "%20")
    return [
      secret,
      form,
      percent,
      // As encodeURIComponent does it
      percent.replaceAll(/%(21|27|28|29|7E)/g, decodeURIComponent),
      JSON.stringify(secret).slice(1, -1),
      Encoding.encodeBase64(secret)
    ]
  })
}

/** The tokens of an answer, which may be refused for another reason. */
const tokensOf = (json: Option.Option<unknown>): ReadonlyArray<string> =>
  Option.isSome(json) && Predicate.isRecord(json.value)
    ? [json.value.access_token, json.value.refresh_token, json.value.id_token].filter(Predicate.isString)
    : []

const redacted = "<redacted>"
const secretHeaders = ["set-cookie", "cookie", "authorization", "proxy-authorization"]

// A span shows the headers of both directions before anything here has seen them
const notHarmless = /^(?!(accept|accept-encoding|content-(type|length|encoding)|date|retry-after)$)/i

type Clean = (text: string) => string

/** A server may echo what it was sent: no text of an answer passes unread. */
const cleaner = (secrets: ReadonlyArray<string>): Clean => {
  const longestFirst = secrets.filter((secret) => secret !== "").sort((a, b) => b.length - a.length)
  if (longestFirst.length === 0) return identity
  const pattern = new RegExp(longestFirst.map(escapeRegExp).join("|"), "g")
  return (text) => text.replace(pattern, redacted)
}

const cleanHeaders = (headers: Headers.Headers, clean: Clean): Headers.Headers =>
  Headers.fromInput(
    Object.entries(headers).map(([name, value]) =>
      [name, secretHeaders.includes(name) ? redacted : clean(value)] as const
    )
  )
