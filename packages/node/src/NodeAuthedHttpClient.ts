/**
 * Everything for Node in one call: undici, a store, the token endpoint, the
 * provider and the client.
 *
 * @since 0.1.0
 */
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import type * as AuthorizationServer from "@effect-alf/core/AuthorizationServer"
import type * as ClientAuth from "@effect-alf/core/ClientAuth"
import type { ClientCertificate } from "@effect-alf/core/ClientCertificate"
import * as Environment from "@effect-alf/core/Environment"
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import { type InvalidOption, InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Origin from "@effect-alf/core/Origin"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type * as TokenProvider from "@effect-alf/core/TokenProvider"
import type { TokenRequest } from "@effect-alf/core/TokenRequest"
import * as TokenStore from "@effect-alf/core/TokenStore"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as EnvironmentOptions from "./environment/EnvironmentOptions.js"
import * as HttpOption from "./http/HttpOption.js"
import * as NodeHttp from "./NodeHttp.js"
import type * as RedisTokenStore from "./RedisTokenStore.js"

/**
 * Where tokens are requested: `tokenEndpoint` or `issuer` is required.
 *
 * @since 0.1.0
 * @category options
 */
export type EndpointOptions =
  | {
    /** The token endpoint's address: https, or http on loopback. */
    readonly tokenEndpoint: string | URL
  }
  | {
    /**
     * The authorization server's issuer identifier, exactly as the server writes it. Without a `tokenEndpoint` its
     * metadata contains it (RFC 8414, OpenID Connect Discovery 1.0).
     */
    readonly issuer: string | URL
  }

/**
 * How the client authenticates.
 *
 * @since 0.1.0
 * @category options
 */
export type AuthenticationOptions<R = never> =
  | {
    /** The client secret, or an effect that is run at every token request. */
    readonly clientSecret: AuthorizationServer.RedactedClientSecret<R>
  }
  | {
    /** Another way to authenticate; it takes precedence over a `clientSecret`. */
    readonly clientAuth: ClientAuth.ClientAuth<R>
  }

/**
 * Where the tokens are cached: by default in the memory of the process.
 *
 * @since 0.1.0
 * @category options
 */
export type StoreOptions<ES = never, RS = never> =
  | {
    /** Keeps the tokens in Redis, where the other processes of the app find them. */
    readonly redis?: RedisTokenStore.Options | undefined
    readonly tokenStore?: undefined
  }
  | {
    /** A store of your own, instead of `redis`. */
    readonly tokenStore?: Layer.Layer<TokenStore.TokenStore, ES, RS> | undefined
    readonly redis?: undefined
  }

/**
 * How tokens are requested. It does not apply to requests of the API: limit
 * their time with `Effect.timeout`.
 *
 * @since 0.1.0
 * @category options
 */
export interface TokenRequestOptions
  extends
    Pick<TokenEndpoint.Options, "timeout" | "retry" | "retryWhile" | "headers" | "maxResponseBytes">,
    Pick<TokenRequest, "params">
{}

/**
 * Optional settings. `grant`, `scope`, `resource` and `audience` define the
 * token request.
 *
 * @since 0.1.0
 * @category options
 */
export interface FurtherOptions<R = never>
  extends
    Omit<TokenRequest, "params">,
    Pick<TokenEndpoint.Options<R>, "dpop" | "bearerTypes" | "tokenField" | "fields">,
    Pick<TokenEndpoint.DiscoveryOptions<R>, "metadataUrl" | "refreshMetadataEvery">,
    Pick<AuthedHttpClient.Options, "isRejection" | "retryOn401">,
    TokenProvider.Options
{
  /** How tokens are requested: time limit, retries, headers and the like. */
  readonly tokenRequest?: TokenRequestOptions | undefined
}

/**
 * The connections of the HTTP client.
 *
 * @since 0.1.0
 * @category options
 */
export interface HttpOptions {
  /**
   * Connections, their time limits and the proxy, for requests of the API and token requests; or an HTTP client in
   * their place, such as `TestAuthorizationServer.layer()`.
   */
  readonly http?: NodeHttp.Options | Layer.Layer<HttpClient.HttpClient, InvalidOptions> | undefined
}

/**
 * The same with a client certificate, which `clientAuth` may require.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsHttpOptions<RC = never> {
  /** The certificate, and also connections, their time limits and the proxy. */
  readonly http: NodeHttp.MutualTlsOptions<RC>
}

/**
 * The server, the client and its authentication, and where tokens may go.
 *
 * @since 0.1.0
 * @category options
 */
export type ClientOptions<R = never> =
  & EndpointOptions
  & {
    /** The client's id. */
    readonly clientId: string
  }
  & AuthenticationOptions<R>
  & Origin.Destination

/**
 * The options of all layers. `clientId` is required, and one of each:
 * `tokenEndpoint` or `issuer`, `clientSecret` or `clientAuth`, `baseUrl` or
 * `origins`.
 *
 * @since 0.1.0
 * @category options
 */
export type Options<R = never, ES = never, RS = never> = Flat<
  ClientOptions<R> & StoreOptions<ES, RS> & FurtherOptions<R> & HttpOptions
>

/**
 * The same with a client certificate, which `clientAuth` may then need.
 *
 * @since 0.1.0
 * @category options
 */
export type MutualTlsOptions<R = never, ES = never, RS = never, RC = never> = Flat<
  ClientOptions<R> & StoreOptions<ES, RS> & FurtherOptions<R> & MutualTlsHttpOptions<RC>
>

/**
 * Options of several parts as one type.
 *
 * @since 0.1.0
 * @category type checks
 */
export type Flat<Options> = { readonly [Name in keyof Options]: Options[Name] }

/**
 * What the compiler reports if a required option is missing.
 *
 * @since 0.1.0
 * @category type checks
 */
export interface MissingOption<Name extends string> {
  readonly "is missing": Name
}

/**
 * What the compiler reports if options exclude each other.
 *
 * @since 0.1.0
 * @category type checks
 */
export interface ContradictoryOptions<Names extends string> {
  readonly "exclude each other": Names
}

/**
 * Names the first required option that is or may be missing, or options that
 * contradict each other: the compiler's own error would name none in its first
 * line.
 *
 * @since 0.1.0
 * @category type checks
 */
export type Checked<Given> =
  // The first branch is never taken: the type of the options is inferred there
  [Given] extends [never] ? Given
    : unknown extends Given ? unknown
    : true extends Lacks<Given, "tokenEndpoint" | "issuer"> ? MissingOption<"tokenEndpoint or issuer">
    : true extends Lacks<Given, "clientId"> ? MissingOption<"clientId">
    : true extends Lacks<Given, "clientSecret" | "clientAuth"> ? MissingOption<"clientSecret or clientAuth">
    : true extends Lacks<Given, "baseUrl" | "origins"> ? MissingOption<"baseUrl or origins">
    : true extends HasBoth<Given, "redis", "tokenStore"> ? ContradictoryOptions<"redis and tokenStore">
    : unknown

/** Whether all of these options may be missing, in any member of a union. */
type Lacks<Given, Name extends string> = Given extends unknown ? [SureOf<Given, Name>] extends [never] ? true : false
  : never

/** Whether both options may be given, in any member of a union. */
type HasBoth<Given, One extends string, Other extends string> = Given extends unknown
  ? [ValueOf<Given, One>] extends [undefined] ? false : [ValueOf<Given, Other>] extends [undefined] ? false : true
  : never

/** The options among these that are certain to be given. */
type SureOf<Given, Name extends string> = Name extends unknown ? undefined extends ValueOf<Given, Name> ? never : Name
  : never

type ValueOf<Given, Name extends string> = Name extends keyof Given ? Given[Name] : undefined

/**
 * A client and its provider, with everything that they need. An effect that
 * reads the secret over HTTP uses the layer's own client.
 *
 * Limit the time of an API call with `Effect.timeout`, and that of a token
 * request with `tokenRequest.timeout`.
 *
 * @example
 * ```ts
 * import { NodeAuthedHttpClient } from "@effect-alf/node"
 * import { Redacted } from "effect"
 *
 * const layer = NodeAuthedHttpClient.layer({
 *   tokenEndpoint: "https://auth.example.com/token",
 *   clientId: "client-id",
 *   clientSecret: Redacted.make("client-secret"),
 *   baseUrl: "https://api.example.com",
 *   redis: { url: "redis://localhost:6379" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never, ES = never, RS = never, Given = unknown>(
  options: Options<R, ES, RS> & Checked<Given>
): Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ES,
  Exclude<R, HttpClient.HttpClient> | RS
> => wire<R, ES, RS>(options)(AuthedHttpClient.layer, HttpOption.layer(options.http))

/**
 * The same with a client certificate (mutual TLS, RFC 8705), which
 * `http.certificate` names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMutualTls = <R = never, ES = never, RS = never, RC = never, Given = unknown>(
  options: MutualTlsOptions<R, ES, RS, RC> & Checked<Given>
): Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ES,
  Exclude<R, HttpClient.HttpClient | ClientCertificate> | RS | RC
> => wire<R, ES, RS>(options)(AuthedHttpClient.layer, NodeHttp.layerMutualTls(options.http))

/**
 * Provides platform's own `HttpClient`, so that code written for it
 * (HttpApiClient, RPC) is authorised without a change: see
 * `AuthedHttpClient.layerHttpClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient = <R = never, ES = never, RS = never, Given = unknown>(
  options: Options<R, ES, RS> & Checked<Given>
): Layer.Layer<
  HttpClient.HttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ES,
  Exclude<R, HttpClient.HttpClient> | RS
> => wire<R, ES, RS>(options)(AuthedHttpClient.layerHttpClient, HttpOption.layer(options.http))

/** The options as an environment, or plain JavaScript, may give them: each may be missing. */
type Given<R, ES, RS> = FurtherOptions<R> & HttpOptions & EnvironmentOptions.Options<R, ES, RS>

type MakeClient<A> = (
  options: AuthedHttpClient.Options & TokenProvider.Options
) => Layer.Layer<A, InvalidOptions, TokenEndpoint.TokenEndpoint | TokenStore.TokenStore | HttpClient.HttpClient>

const wire =
  <R, ES, RS>(options: Given<R, ES, RS>) =>
  <A, H, RH>(client: MakeClient<A>, http: Layer.Layer<HttpClient.HttpClient | H, InvalidOptions, RH>) =>
    Layer.scopedContext(Effect.flatMap(check(options, http), (http) => assemble(options, client, http)))

/** Builds everything over the HTTP client: one layer takes less time than several that are combined. */
const assemble = <R, ES, RS, A, H>(
  options: Given<R, ES, RS>,
  client: MakeClient<A>,
  http: Context.Context<HttpClient.HttpClient | H>
) =>
  Effect.gen(function*() {
    const store = yield* buildShared(storeOf(options))
    const parts = Effect.gen(function*() {
      const endpoint = yield* Effect.provide(endpointOf(options).make, http)
      const context = Context.add(Context.merge(http, store), TokenEndpoint.TokenEndpoint, endpoint)
      return yield* Effect.provide(Layer.build(client(destinationOf(options))), context)
    })
    return yield* Effect.mapError(parts, (error) => LayerOptions.rename(error, nameHere))
  })

/**
 * Makes the HTTP client, and names all that is wrong with it and the other
 * options at once.
 */
const check = <R, ES, RS, H, RH>(
  options: Given<R, ES, RS>,
  http: Layer.Layer<HttpClient.HttpClient | H, InvalidOptions, RH>
): Effect.Effect<Context.Context<HttpClient.HttpClient | H>, InvalidOptions, RH | Scope.Scope> =>
  Effect.contextWithEffect((context: Context.Context<RH | Scope.Scope>) =>
    LayerOptions.collect({
      clientId: refuseIf(options.clientId === undefined, "TokenEndpoint.clientId", "is missing"),
      endpoint: endpointOf(options).check,
      destination: AuthedHttpClient.check(destinationOf(options)),
      http: Effect.provide(buildShared(http), context),
      redis: options.redis === undefined ? Effect.void : checkRedis(options.redis),
      store: refuseIf(
        options.redis !== undefined && options.tokenStore !== undefined,
        "NodeAuthedHttpClient.tokenStore",
        "and redis are both given: one of them holds the tokens"
      )
    })
  ).pipe(
    Effect.mapBoth({
      onFailure: (error) => LayerOptions.rename(error, nameHere),
      onSuccess: ({ http }) => http
    })
  )

/** Builds a layer of the app, which other layers may use too, once. */
const buildShared = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.flatMap(
    Effect.all([Layer.CurrentMemoMap, Effect.scope]),
    ([memoMap, scope]) => Layer.buildWithMemoMap(layer, memoMap, scope)
  )

const destinationOf = <R, ES, RS>(options: Given<R, ES, RS>) => ({ ...options, origins: options.origins ?? [] })

/** How the token endpoint is made, and the check of its options. */
const endpointOf = <R, ES, RS>(options: Given<R, ES, RS>) => {
  const { audience, clientId = "", grant, issuer, metadataUrl, resource, scope, tokenEndpoint, tokenRequest } = options
  const { params, ...bounds } = tokenRequest ?? {}
  const request: TokenRequest = { audience, grant, params, resource, scope }
  const common = { ...options, ...bounds, clientId, request }
  if (tokenEndpoint === undefined && issuer !== undefined) {
    const found = { ...common, issuer }
    return { make: TokenEndpoint.makeDiscovery<R>(found), check: TokenEndpoint.checkDiscovery<R>(found) }
  }
  const known = { ...common, tokenEndpoint: tokenEndpoint ?? "", issuer: issuer && String(issuer) }
  const isDoubtful = tokenEndpoint !== undefined && metadataUrl !== undefined
  const checks = [
    refuseIf(
      tokenEndpoint === undefined,
      "TokenEndpoint.tokenEndpoint",
      "is missing, and issuer as well: give one of them"
    ),
    TokenEndpoint.check<R>(known),
    refuseIf(
      isDoubtful,
      "TokenEndpoint.metadataUrl",
      "and tokenEndpoint are both given: with an endpoint no metadata is read"
    )
  ]
  return {
    make: TokenEndpoint.make<R>(known),
    check: LayerOptions.collect(checks)
  }
}

const refuseIf = (isWrong: boolean, option: string, description: string): LayerOptions.Done<void> =>
  isWrong ? LayerOptions.invalid(option, description) : Exit.void

const storeOf = <R, ES, RS>(
  { redis, tokenStore }: Given<R, ES, RS>
): Layer.Layer<TokenStore.TokenStore, InvalidOptions | ES, RS> =>
  redis === undefined
    ? tokenStore ?? TokenStore.layerMemory()
    : LayerOptions.mapInvalid(redisStore(redis), nameHere)

// Loaded only by an app that has Redis
const checkRedis = (redis: RedisTokenStore.Options) =>
  Effect.flatMap(Effect.promise(() => import("./redis/RedisConnection.js")), ({ check }) => check(redis))
const redisStore = (redis: RedisTokenStore.Options) =>
  Layer.unwrapEffect(Effect.map(Effect.promise(() => import("./RedisTokenStore.js")), ({ layer }) => layer(redis)))

/**
 * Every variable that `layerEnv` and the command `alf` read.
 *
 * @since 0.1.0
 * @category configurations
 */
export const variables = { ...Environment.variables, ...EnvironmentOptions.added }

/**
 * The values of the variables, and their names.
 *
 * @since 0.1.0
 * @category configurations
 */
export type NodeEnvironment = Environment.Reading<typeof variables>

/**
 * Reads the variables. Errors name an invalid variable, or two contradicting
 * ones, as written, and show no value.
 *
 * @since 0.1.0
 * @category configurations
 */
export const readEnvironment = (
  options?: Environment.Options
): Effect.Effect<NodeEnvironment, InvalidOptions | ConfigError.ConfigError> =>
  Environment.readWith(EnvironmentOptions.added, options)

/**
 * Options in addition to the environment. If both set something, the
 * environment counts.
 *
 * @since 0.1.0
 * @category options
 */
export interface EnvClientOptions<R = never> extends Environment.Options, Origin.Options {
  /** How the client authenticates, in place of the environment's secret or key. */
  readonly clientAuth?: ClientAuth.ClientAuth<R> | undefined
}

/**
 * The options of `layerEnv`.
 *
 * @since 0.1.0
 * @category options
 */
export type EnvOptions<R = never, ES = never, RS = never> =
  & EnvClientOptions<R>
  & StoreOptions<ES, RS>
  & FurtherOptions<R>
  & HttpOptions

/**
 * The same with a client certificate.
 *
 * @since 0.1.0
 * @category options
 */
export type MutualTlsEnvOptions<R = never, ES = never, RS = never, RC = never> =
  & EnvClientOptions<R>
  & StoreOptions<ES, RS>
  & FurtherOptions<R>
  & MutualTlsHttpOptions<RC>

/**
 * Reads the `variables` from the environment, or wherever the app's
 * ConfigProvider reads:
 *
 * - `ALF_TOKEN_ENDPOINT`, or `ALF_ISSUER`, whose metadata contains it; with both, the issuer is the audience of assertions
 * - `ALF_CLIENT_ID`
 * - `ALF_CLIENT_SECRET`, `ALF_CLIENT_SECRET_FILE` or `ALF_CLIENT_KEY_FILE`, unless the options give a `clientAuth`
 * - `ALF_BASE_URL` or `ALF_ORIGINS`, unless the options give `baseUrl` or `origins`
 * - `ALF_STORE_URL` or `ALF_REDIS_URL`, if set, unless the options give a `tokenStore`
 * - `ALF_SCOPE` and the others, if set
 *
 * With `prefix: "BILLING"` these are `BILLING_TOKEN_ENDPOINT` and so on, so that
 * several clients of one app can have one each. The error names all variables
 * that are missing or wrong.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "@effect-alf/core"
 * import { NodeAuthedHttpClient } from "@effect-alf/node"
 *
 * const layer = NodeAuthedHttpClient.layerEnv({
 *   tokenRequest: { retryWhile: RetryPolicy.statuses([500]) }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnv = <R = never, ES = never, RS = never>(
  options: EnvOptions<R, ES, RS> = {}
): Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ConfigError.ConfigError | ES,
  Exclude<R, HttpClient.HttpClient> | RS
> => fromEnv<R, ES, RS, never, never>(options, (given) => HttpOption.layer(given.http))

/**
 * The same with a client certificate.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnvMutualTls = <R = never, ES = never, RS = never, RC = never>(
  options: MutualTlsEnvOptions<R, ES, RS, RC>
): Layer.Layer<
  AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
  InvalidOptions | ConfigError.ConfigError | ES,
  Exclude<R, HttpClient.HttpClient | ClientCertificate> | RS | RC
> =>
  fromEnv<R, ES, RS, ClientCertificate, RC>(
    options,
    (given) => NodeHttp.layerMutualTls({ ...options.http, ...given.http })
  )

const fromEnv = <R, ES, RS, H, RH>(
  options: Given<R, ES, RS> & Environment.Options,
  makeHttp: (options: Given<R, ES, RS>) => Layer.Layer<HttpClient.HttpClient | H, InvalidOptions, RH>
) =>
  Layer.scopedContext(Effect.gen(function*() {
    const { check: checkVariables, options: set, rename, store } = yield* EnvironmentOptions.inspect(options)
    const given: Given<R, ES, RS> = { ...options, ...set }
    const context = yield* Effect.context<RH | Scope.Scope>()
    const { http, tokenStore } = yield* LayerOptions.collect({
      variables: checkVariables,
      http: check(given, makeHttp(given)).pipe(
        Effect.provide(context),
        Effect.mapError((error) => LayerOptions.rename(error, rename))
      ),
      tokenStore: store === undefined
        ? Effect.succeed(options.tokenStore)
        : Effect.map(Effect.provide(Layer.build(store), context), Layer.succeedContext)
    })
    return yield* Effect.mapError(
      assemble({ ...given, tokenStore }, AuthedHttpClient.layer, http),
      (error) => error instanceof InvalidOptions ? LayerOptions.rename(error, rename) : error
    )
  }))

/**
 * The client authentication that the variables define, as options of a
 * `TokenEndpoint` layer.
 *
 * @since 0.1.0
 * @category options
 */
export const credentials: (
  environment: Environment.Environment
) => Pick<TokenEndpoint.Options, "clientSecret" | "clientAuth"> = EnvironmentOptions.credentials

/**
 * The store of the variables, if they name one.
 *
 * @since 0.1.0
 * @category layers
 */
export const tokenStore = (
  environment: NodeEnvironment
): Layer.Layer<TokenStore.TokenStore, InvalidOptions> | undefined => EnvironmentOptions.tokenStore(environment)

// -----------------------------------------------------------------------------
// names of options
// -----------------------------------------------------------------------------

/** Names the option at fault as it was written here, not as the inner layer knows it. */
const nameHere = ({ description, option }: InvalidOption): InvalidOption => ({
  option: option
    .replace(ofTokenRequest, "NodeAuthedHttpClient.tokenRequest.")
    .replace(/^TokenEndpoint\.request\.|^(TokenEndpoint|AuthedHttpClient|TokenProvider)\./, "NodeAuthedHttpClient.")
    .replace(/^RedisTokenStore\b/, "NodeAuthedHttpClient.redis")
    .replace(/^NodeHttp\b/, "NodeAuthedHttpClient.http"),
  description
})

const ofTokenRequest =
  /^TokenEndpoint\.(request\.(?=params\b)|(?=(timeout|retry|retryWhile|headers|maxResponseBytes)\b))/
