/**
 * The token endpoint (RFC 6749 §3.2) as a service: it sends client credentials
 * and a `TokenRequest`, and returns an `AccessToken`. Failed requests are
 * retried by a Schedule.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as AccessToken from "./AccessToken.js"
import * as AuthorizationServer from "./AuthorizationServer.js"
import type * as ClientAuth from "./ClientAuth.js"
import * as ErrorAttributes from "./disclosure/ErrorAttributes.js"
import type * as DPoP from "./DPoP.js"
import * as AuthenticatedPost from "./endpoint/AuthenticatedPost.js"
import * as ClientAuthChoice from "./endpoint/ClientAuthChoice.js"
import * as IssuerOptions from "./endpoint/IssuerOptions.js"
import type * as ServerExchange from "./endpoint/ServerExchange.js"
import * as TokenRequestCheck from "./endpoint/TokenRequestCheck.js"
import * as TokenResponse from "./endpoint/TokenResponse.js"
import * as UnreadFields from "./endpoint/UnreadFields.js"
import * as LayerOptions from "./LayerOptions.js"
import {
  DiscoveryError,
  type InvalidOption,
  type InvalidOptions,
  oneLine,
  TokenEndpointError,
  type TokenRequestError
} from "./OAuthError.js"
import * as OAuthMetrics from "./OAuthMetrics.js"
import * as Origin from "./Origin.js"
import * as RetryPolicy from "./RetryPolicy.js"
import * as TokenRequest from "./TokenRequest.js"

/**
 * The service that requests tokens. Tests can replace it.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenEndpoint extends Context.Tag("@effect-alf/core/TokenEndpoint")<
  TokenEndpoint,
  {
    /** Its name in errors: the URL without its query, or the issuer whose metadata contains the URL. */
    readonly address: string
    /** Merges a request with the defaults and computes its cache key. */
    readonly resolve: (request?: TokenRequest.TokenRequest) => TokenRequest.ResolvedTokenRequest
    /** Whether new tokens of this request would be bound to the same key or certificate. */
    readonly isCurrent: (request: TokenRequest.ResolvedTokenRequest) => boolean
    /** Requests a token once. `attempt` counts from 1 and is passed to the client authentication. */
    readonly attempt: (
      request: TokenRequest.ResolvedTokenRequest,
      attempt?: number
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError>
    /** Requests a token, with the retries of the options. */
    readonly request: (
      request: TokenRequest.ResolvedTokenRequest
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError>
    /** The longest time of an attempt. */
    readonly timeout: Duration.Duration
    /** The key that tokens are bound to, if they are (RFC 9449). */
    readonly proofKey: DPoP.ProofKey | undefined
    /** The Schedule by which `request` retries. A provider that takes turns with other processes retries by itself. */
    readonly retry: Schedule.Schedule<unknown, TokenRequestError>
    /**
     * The version of the credentials that the next attempt would use; `None` if they cannot change or cannot be read.
     */
    readonly credentials: Effect.Effect<Option.Option<ClientAuth.Version>>
  }
>() {}

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> extends AuthorizationServer.RequestOptions<R> {
  /** The URL of the token endpoint: https, or http on loopback. */
  readonly tokenEndpoint: string | URL
  /** The issuer identifier of the authorization server (RFC 8414 §2): the audience of the client's assertions. */
  readonly issuer?: string | undefined
  /**
   * The key that tokens are bound to (DPoP, RFC 9449), from `DPoP.generate()` or `DPoP.fromKey`. An effect runs once,
   * when the layer is built.
   */
  readonly dpop?: DPoP.ProofKey | Effect.Effect<DPoP.ProofKey, unknown, R> | undefined
  /**
   * Further values of `token_type` that mean Bearer, in any case: `["JWT"]`. Tokens of an unknown type are rejected
   * (RFC 6749 §7.1).
   */
  readonly bearerTypes?: ReadonlyArray<string> | undefined
  /**
   * The field of the response that contains the token: `id_token` for Cloud Run and IAP. The default is
   * `access_token`.
   */
  readonly tokenField?: string | undefined
  /** Further fields of the response to keep with the token, as `AccessToken.fields`: `["instance_url"]`. */
  readonly fields?: ReadonlyArray<string> | undefined
  /** The default token request; calls can override it. */
  readonly request?: TokenRequest.TokenRequest | undefined
  /** The default is `RetryPolicy.standard`. */
  readonly retry?: Schedule.Schedule<unknown, TokenRequestError> | undefined
  /** Which failures are retried. The default is `OAuthError.isTransient`. */
  readonly retryWhile?: Predicate.Predicate<TokenRequestError> | undefined
}

const settingsOf = <R>(options: Options<R>) =>
  LayerOptions.collect({
    url: Origin.checkUrl("TokenEndpoint.tokenEndpoint", options.tokenEndpoint, options),
    issuer: LayerOptions.type("TokenEndpoint.issuer", options.issuer, Predicate.isString, "a string"),
    clientAuth: AuthenticatedPost.clientAuthOf("TokenEndpoint", options),
    bounds: AuthenticatedPost.check("TokenEndpoint", options),
    requests: checkRequests(options)
  })

const checkRequests = (options: Omit<Options<unknown>, "tokenEndpoint" | "issuer" | "clientAuth">) =>
  LayerOptions.collect([
    TokenRequestCheck.check("TokenEndpoint.request", options.request),
    LayerOptions.texts("TokenEndpoint.bearerTypes", options.bearerTypes),
    options.tokenField === undefined
      ? Exit.void
      : LayerOptions.text("TokenEndpoint.tokenField", options.tokenField),
    LayerOptions.texts("TokenEndpoint.fields", options.fields),
    LayerOptions.type("TokenEndpoint.headers", options.headers, Predicate.isObject, "a record of headers"),
    LayerOptions.type("TokenEndpoint.retry", options.retry, Schedule.isSchedule, "a Schedule"),
    LayerOptions.type("TokenEndpoint.retryWhile", options.retryWhile, Predicate.isFunction, "a function")
  ])

/**
 * Checks the options, and names all that are wrong. The layers do this
 * themselves.
 *
 * @since 0.1.0
 * @category checks
 */
export const check = <R = never>(options: Options<R>): Effect.Effect<void, InvalidOptions> => settingsOf(options)

/**
 * Checks the options and makes the service over the `HttpClient` in context,
 * which must not follow redirects (platform's `followRedirects` would send the
 * credentials along).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <R = never>(
  options: Options<R>
) => Effect.Effect<TokenEndpoint["Type"], InvalidOptions, HttpClient.HttpClient | R> = Effect.fnUntraced(function*<
  R = never
>(options: Options<R>) {
  const { bounds, clientAuth, url } = yield* settingsOf(options)
  return yield* makeAt({
    ...options,
    ...bounds,
    name: `${url.origin}${url.pathname}`,
    identity: url.href,
    clientAuth,
    destination: Effect.succeed({ url, issuer: options.issuer, clientAuth })
  })
})

/** The service of an endpoint whose address is known, or is found when it is needed. */
const makeAt = Effect.fnUntraced(function*<R>(
  options: Omit<Options<R>, "tokenEndpoint" | "issuer" | "clientAuth" | keyof AuthenticatedPost.Bounds> & {
    /** Its name in spans and errors. */
    readonly name: string
    readonly identity: string
    readonly clientAuth: Pick<ClientAuth.ClientAuth<R>, "method" | "version" | "binding">
    readonly destination: Effect.Effect<AuthenticatedPost.Destination<R>, DiscoveryError>
    readonly onFailure?: (error: TokenRequestError) => Effect.Effect<void>
  } & AuthenticatedPost.Bounds
) {
  const { clientAuth, clientId, onFailure = () => Effect.void } = options
  const proofKey = yield* proofKeyOf(options)
  const post = yield* AuthenticatedPost.make(TokenEndpointError, options.destination, { ...options, proofKey })
  const retry = Schedule.whileInput(
    options.retry ?? RetryPolicy.standard,
    options.retryWhile ?? (({ isTransient }) => isTransient)
  )
  const services = yield* Effect.context<R>()
  const update = yield* OAuthMetrics.makeUpdate
  const binding = yield* bindingOf(clientAuth, proofKey)
  const identity: TokenRequest.Identity = {
    endpoint: options.identity + readingOf(options),
    clientId,
    authMethod: clientAuth.method,
    headers: Headers.fromInput(options.headers)
  }

  const tellUnread = UnreadFields.makeTell(`Token endpoint ${options.name}`)

  const readToken = Effect.fnUntraced(function*(
    { body, clean, read, reject, sentAt }: ServerExchange.Answer<TokenEndpointError>,
    { grant }: TokenRequest.ResolvedTokenRequest
  ) {
    const refreshToken = TokenResponse.decodeRefreshToken(body)
    if (refreshToken !== undefined) grant.onRefreshToken?.(refreshToken)
    const response = yield* read((body) => TokenResponse.decode(body, options))
    // RFC 9449 §5: the client requested a bound token
    if (response.isBound !== (proofKey !== undefined)) {
      return yield* reject(
        proofKey === undefined ? "token_type is \"DPoP\", which was not requested" : "token_type is not DPoP"
      )
    }
    yield* tellUnread(response.unread)
    return AccessToken.make({
      value: response.access_token,
      proofKey,
      obtainedAt: DateTime.unsafeMake(sentAt),
      expiresIn: response.expires_in && Duration.seconds(response.expires_in),
      scope: response.scope && clean(response.scope),
      refreshToken,
      fields: response.fields
    })
  })

  const attributes = { "oauth.client_id": clientId, "oauth.token_endpoint": options.name }

  const attempt = (request: TokenRequest.ResolvedTokenRequest, number = 1) =>
    ErrorAttributes.inSpan(
      "TokenEndpoint.attempt",
      { attributes: { ...attributes, "oauth.attempt": number } },
      () => {
        if (number > 1) update(OAuthMetrics.tokenRetries, 1)
        return post(request, number).pipe(
          Effect.tapError(onFailure),
          Effect.flatMap((answer) => readToken(answer, request)),
          Effect.either,
          Effect.timed,
          Effect.flatMap(([elapsed, result]) => {
            const outcome = Either.isRight(result) ? "issued" : result.left
            update(OAuthMetrics.tokenRequests(outcome), 1)
            update(OAuthMetrics.tokenRequestDuration(outcome), Duration.toSeconds(elapsed))
            return result
          })
        )
      }
    )

  return TokenEndpoint.of({
    address: options.name,
    resolve: memoizeResolve(identity, options.request ?? {}, binding),
    isCurrent: (request) => request.binding === binding(),
    attempt,
    request: (request) =>
      ErrorAttributes.inSpan("TokenEndpoint.request", { attributes }, () => {
        let number = 0
        return Effect.retry(Effect.suspend(() => attempt(request, ++number)), retry)
      }),
    timeout: options.timeout,
    proofKey,
    retry,
    credentials: clientAuth.version === undefined
      ? Effect.succeedNone
      : Effect.option(Effect.sandbox(Effect.disconnect(Effect.provide(clientAuth.version, services))))
  })
})

/**
 * Part of the key: an endpoint that reads other fields of the same responses
 * obtains another token, or other fields.
 */
const readingOf = <R>({ fields = [], tokenField = "" }: Pick<Options<R>, "fields" | "tokenField">): string =>
  ` ${tokenField} ${[...fields].sort().join(" ")}`.trimEnd()

const proofKeyOf = <R>({ dpop }: Pick<Options<R>, "dpop">) =>
  Effect.isEffect(dpop)
    ? orInvalid(dpop, "dpop", "provides no key")
    : Effect.succeed(dpop)

/** RFC 9449 §5.1: a server may list the algorithms of the proofs that it accepts. */
const doubtOfProofs = (
  proofKey: DPoP.ProofKey | undefined,
  { dpop_signing_alg_values_supported: supported }: AuthorizationServer.Metadata
): string | undefined =>
  proofKey === undefined || Option.isNone(supported) || supported.value.includes(proofKey.algorithm)
    ? undefined
    : `the server supports DPoP proofs signed with ${
      supported.value.join(", ")
    }; the key signs with ${proofKey.algorithm}`

/** What new tokens are bound to: a key, a certificate, or both. */
const bindingOf = <R>(
  { binding, method }: Pick<ClientAuth.ClientAuth<R>, "binding" | "method">,
  proofKey: DPoP.ProofKey | undefined
): Effect.Effect<() => string | undefined, InvalidOptions, R> => {
  if (binding === undefined) return Effect.succeed(() => proofKey?.thumbprint)
  return Effect.map(
    orInvalid(binding, "clientAuth", `${method}: what its tokens are bound to is not known`),
    (thumbprint) => proofKey === undefined ? thumbprint : () => `${proofKey.thumbprint}.${thumbprint()}`
  )
}

const orInvalid = <A, R>(effect: Effect.Effect<A, unknown, R>, option: string, description: string) =>
  Effect.catchAllCause(
    effect,
    (cause) => LayerOptions.invalid(`TokenEndpoint.${option}`, description + AuthenticatedPost.sayWhy(cause))
  )

/**
 * The service as a layer. It fails with `InvalidOptions` when it is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<TokenEndpoint, InvalidOptions, HttpClient.HttpClient | R> => Layer.effect(TokenEndpoint, make(options))

/**
 * Options of `layerDiscovery`. The metadata says which authentication methods
 * the server supports.
 *
 * @since 0.1.0
 * @category options
 */
export interface DiscoveryOptions<R = never> extends Omit<Options<R>, "tokenEndpoint" | "issuer" | "clientAuth"> {
  /** The issuer identifier, exactly as the server writes it: an https URL, or http on loopback. */
  readonly issuer: string | URL
  /**
   * One authentication method, or several: the first that the server supports is used; if it supports none, the
   * first, with a warning. A `clientSecret` is sent with `client_secret_basic`, `client_secret_post` or
   * `client_secret_jwt`, as the server supports.
   */
  readonly clientAuth?: ClientAuth.ClientAuth<R> | ReadonlyArray<ClientAuth.ClientAuth<R>> | undefined
  /** The URL of the metadata, if it is not at the well-known one. */
  readonly metadataUrl?: string | URL | undefined
  /** The age at which the metadata is requested again. The default is 1 hour. */
  readonly refreshMetadataEvery?: Duration.DurationInput | undefined
}

const discoverySettingsOf = <R>(options: DiscoveryOptions<R>) =>
  LayerOptions.collect({
    server: Effect.mapError(
      IssuerOptions.check(serverOf(options)),
      (error) => LayerOptions.rename(error, nameHere)
    ),
    candidates: ClientAuthChoice.make("TokenEndpoint", options),
    bounds: AuthenticatedPost.check("TokenEndpoint", options),
    requests: checkRequests(options)
  })

const serverOf = <R>(options: DiscoveryOptions<R>): AuthorizationServer.Options => ({
  allowInsecure: options.allowInsecure,
  headers: options.headers,
  issuer: options.issuer,
  maxResponseBytes: options.maxResponseBytes,
  metadataUrl: options.metadataUrl,
  refreshEvery: options.refreshMetadataEvery,
  requestInit: options.requestInit,
  timeout: options.timeout
})

/**
 * Checks the options of `layerDiscovery`, and names all that are wrong. The
 * layer does this itself.
 *
 * @since 0.1.0
 * @category checks
 */
export const checkDiscovery = <R = never>(options: DiscoveryOptions<R>): Effect.Effect<void, InvalidOptions> =>
  discoverySettingsOf(options)

/**
 * Makes the service of an endpoint that is found in the metadata of its
 * authorization server when the first token is needed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeDiscovery: <R = never>(
  options: DiscoveryOptions<R>
) => Effect.Effect<TokenEndpoint["Type"], InvalidOptions, HttpClient.HttpClient | Scope.Scope | R> = Effect.fnUntraced(
  function*<R = never>(options: DiscoveryOptions<R>) {
    const { bounds, candidates } = yield* discoverySettingsOf(options)
    const server = yield* AuthorizationServer.make(serverOf(options))
    const proofKey = yield* proofKeyOf(options)

    let warned = ""

    /** A method that the app chose is used even if the metadata does not list it. */
    const choose = Effect.fnUntraced(function*(metadata: AuthorizationServer.Metadata) {
      const { clientAuth, doubt } = ClientAuthChoice.choose(candidates, metadata)
      const failure = (description: string) =>
        new DiscoveryError({
          endpoint: server.issuer,
          reason: "ClientAuth",
          description: oneLine(description)
        })
      if (doubt !== undefined && options.clientAuth === undefined) return yield* failure(doubt)
      const doubts = [doubt, doubtOfProofs(proofKey, metadata)].filter(Predicate.isString).join("; ")
      if (doubts !== warned) {
        warned = doubts
        if (doubts !== "") yield* Effect.logWarning(`${failure(doubts).message}. It is used anyway`)
      }
      return clientAuth
    })

    const destination = Effect.gen(function*() {
      const clientAuth = yield* choose(yield* server.metadata)
      const url = yield* server.endpoint("token_endpoint", { mutualTls: clientAuth.binding !== undefined })
      return { url, issuer: server.issuer, clientAuth }
    })

    const endpoint = yield* makeAt({
      ...options,
      ...bounds,
      dpop: proofKey,
      name: server.issuer,
      identity: server.issuer,
      clientAuth: ClientAuthChoice.merge(candidates),
      destination,
      onFailure: (error) => hasMoved(error) ? server.forget : Effect.void
    })
    return TokenEndpoint.of({ ...endpoint, timeout: Duration.sum(endpoint.timeout, server.timeout) })
  }
)

/**
 * The service of an endpoint that is found in the metadata of its authorization
 * server (RFC 8414, OpenID Connect Discovery 1.0). The metadata is requested
 * with the first token, so that an app starts while the server is down.
 *
 * @example
 * ```ts
 * import { TokenEndpoint } from "@effect-alf/core"
 * import { Redacted } from "effect"
 *
 * const layer = TokenEndpoint.layerDiscovery({
 *   issuer: "https://keycloak.example.com/realms/shop",
 *   clientId: "client-id",
 *   clientSecret: Redacted.make("client-secret")
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDiscovery = <R = never>(
  options: DiscoveryOptions<R>
): Layer.Layer<TokenEndpoint, InvalidOptions, HttpClient.HttpClient | Exclude<R, Scope.Scope>> =>
  Layer.scoped(TokenEndpoint, makeDiscovery(options))

/** Names the option at fault as `DiscoveryOptions` does. */
const nameHere = ({ description, option }: InvalidOption): InvalidOption => ({
  option: option
    .replace(/^AuthorizationServer\./, "TokenEndpoint.")
    .replace(/\.refreshEvery$/, ".refreshMetadataEvery"),
  description
})

/** The metadata's address of the token endpoint is no longer valid. */
const hasMoved = ({ _tag, reason, status }: TokenRequestError): boolean =>
  _tag === "TokenEndpointError" && (reason === "Redirect" || status === 404 || status === 405 || status === 410)

/**
 * The options that a `Config` can hold: `tokenEndpoint`, or `issuer`, whose
 * metadata contains it. Which one is decided at run time.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions extends
  Pick<
    Options,
    "clientId" | "issuer" | "bearerTypes" | "tokenField" | "timeout" | "maxResponseBytes" | "allowInsecure"
  >,
  Pick<TokenRequest.TokenRequest, "scope" | "resource" | "audience">
{
  readonly tokenEndpoint?: string | undefined
  readonly clientSecret?: Redacted.Redacted | undefined
}

/**
 * What `layerConfig` takes besides the `Config`, which takes precedence.
 * `metadataUrl` and `refreshMetadataEvery` apply to an issuer without
 * `tokenEndpoint`.
 *
 * @since 0.1.0
 * @category options
 */
export interface LayerConfigOptions<R = never>
  extends
    Omit<Options<R>, "tokenEndpoint" | "issuer" | "clientId">,
    Pick<DiscoveryOptions<R>, "metadataUrl" | "refreshMetadataEvery">
{}

/**
 * Reads the options from a `Config`. Give other options beside it. Errors name
 * the variable that is wrong.
 *
 * @example
 * ```ts
 * import { Environment, TokenEndpoint } from "@effect-alf/core"
 * import { Config } from "effect"
 *
 * const layer = TokenEndpoint.layerConfig({
 *   tokenEndpoint: Config.string("TOKEN_ENDPOINT"),
 *   clientId: Config.string("CLIENT_ID"),
 *   clientSecret: Config.redacted("CLIENT_SECRET")
 * })
 *
 * // ALF_TOKEN_ENDPOINT or ALF_ISSUER, ALF_CLIENT_ID, ALF_CLIENT_SECRET and the like
 * const fromEnvironment = TokenEndpoint.layerConfig(Environment.tokenEndpoint)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: LayerConfigOptions<R> | undefined
): Layer.Layer<TokenEndpoint, InvalidOptions | ConfigError.ConfigError, HttpClient.HttpClient | R> =>
  LayerOptions.make(
    config,
    ({ audience, issuer, resource, scope, tokenEndpoint, ...configured }: ConfigurableOptions) => {
      const { metadataUrl, refreshMetadataEvery, ...rest } = { ...options, ...configured }
      const request = TokenRequest.merge(options?.request ?? {}, { audience, resource, scope })
      if (tokenEndpoint !== undefined) return layer<R>({ ...rest, tokenEndpoint, issuer, request })
      return issuer === undefined
        ? Layer.fail(
          LayerOptions.error("TokenEndpoint.tokenEndpoint", "is missing, and issuer as well: give one of them")
        )
        : layerDiscovery<R>({ ...rest, issuer, metadataUrl, refreshMetadataEvery, request })
    }
  )

/**
 * Resolves a request object with a grant to the same value each time, so that
 * its key is computed once, until tokens are bound to another key or
 * certificate. Requests without a grant are recognized by their contents, where
 * tokens are kept.
 */
const memoizeResolve = (
  identity: TokenRequest.Identity,
  defaults: TokenRequest.TokenRequest,
  bindingOf: () => string | undefined
) => {
  const known = new WeakMap<TokenRequest.TokenRequest, TokenRequest.ResolvedTokenRequest>()
  return (request = defaults) => {
    const binding = bindingOf()
    const found = known.get(request)
    if (found !== undefined && found.binding === binding) return found
    const resolved = TokenRequest.resolve({ ...identity, binding }, TokenRequest.merge(defaults, request))
    if (request === defaults || request.grant !== undefined) known.set(request, resolved)
    return resolved
  }
}
