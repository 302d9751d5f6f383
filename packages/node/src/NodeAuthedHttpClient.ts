/**
 * Everything for Node in one call: undici, a store, the token endpoint, the
 * provider and the client.
 *
 * @since 0.1.0
 */
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import * as ClientAuth from "@effect-alf/core/ClientAuth"
import type { ClientCertificate } from "@effect-alf/core/ClientCertificate"
import * as Environment from "@effect-alf/core/Environment"
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import { InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Origin from "@effect-alf/core/Origin"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type * as TokenProvider from "@effect-alf/core/TokenProvider"
import type { TokenRequest } from "@effect-alf/core/TokenRequest"
import * as TokenStore from "@effect-alf/core/TokenStore"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NodeHttp from "./NodeHttp.js"
import * as RedisTokenStore from "./RedisTokenStore.js"
import * as StoreUrl from "./store/StoreUrl.js"

/**
 * The options of all layers. `grant`, `scope`, `resource`, `audience` and
 * `params` define the token request; `headers`, `retry`, `retryWhile`,
 * `timeout` and `maxResponseBytes` apply to it. `tokenEndpoint` or `issuer` is
 * required, as is `baseUrl` or `origins`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never, ES = never, RS = never>
  extends
    Omit<TokenEndpoint.Options<R>, "tokenEndpoint" | "issuer" | "request" | "requestInit">,
    Pick<TokenEndpoint.DiscoveryOptions<R>, "metadataUrl" | "refreshMetadataEvery">,
    Origin.Options,
    Pick<AuthedHttpClient.Options, "isRejection" | "retryOn401">,
    TokenProvider.Options,
    TokenRequest
{
  /** The URL of the token endpoint: https, or http on loopback. */
  readonly tokenEndpoint?: string | URL | undefined
  /**
   * The authorization server's issuer identifier, exactly as the server writes it. Without a `tokenEndpoint` its
   * metadata provides the URL (RFC 8414, OpenID Connect Discovery 1.0).
   */
  readonly issuer?: string | URL | undefined
  /** Keeps tokens in Redis, shared with the other processes of the app. The default is the memory of this process. */
  readonly redis?: RedisTokenStore.Options | undefined
  /** A store of your own, instead of `redis`. */
  readonly tokenStore?: Layer.Layer<TokenStore.TokenStore, ES, RS> | undefined
  /** Connections, time limits and proxy of the HTTP client for requests and token requests. */
  readonly http?: NodeHttp.Options | undefined
}

/**
 * The same with a client certificate, which `clientAuth` may require.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsOptions<R = never, ES = never, RS = never, RC = never> extends Options<R, ES, RS> {
  readonly http: NodeHttp.MutualTlsOptions<RC>
}

/**
 * A client and its provider, with everything they need. An effect that reads
 * the secret over HTTP gets the layer's own client.
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
export const layer: {
  <R = never, ES = never, RS = never, RC = never>(
    options: MutualTlsOptions<R, ES, RS, RC>
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ES,
    Exclude<R, HttpClient.HttpClient | ClientCertificate> | RS | RC
  >
  <R = never, ES = never, RS = never>(
    options: Options<R, ES, RS>
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ES,
    Exclude<R, HttpClient.HttpClient> | RS
  >
} = <R, ES, RS, RC>(options: Options<R, ES, RS> | MutualTlsOptions<R, ES, RS, RC>) => {
  const { http, origins = [], redis, tokenStore } = options
  return AuthedHttpClient.layer({ ...options, origins }).pipe(
    Layer.provide(makeEndpoint(options)),
    Layer.provide(http !== undefined && "certificate" in http ? NodeHttp.layerMutualTls(http) : NodeHttp.layer(http)),
    nameHere,
    Layer.provide(makeStore(redis, tokenStore))
  )
}

const makeEndpoint = <R>(options: Options<R, unknown, unknown>) => {
  const { audience, grant, issuer, params, resource, scope, tokenEndpoint, ...rest } = options
  const request: TokenRequest = { audience, grant, params, resource, scope }
  if (tokenEndpoint !== undefined) {
    if (rest.metadataUrl !== undefined) {
      const description = "and tokenEndpoint are both given: with an endpoint no metadata is read"
      return Layer.fail(new InvalidOptions({ option: "TokenEndpoint.metadataUrl", description }))
    }
    return TokenEndpoint.layer<R>({ ...rest, tokenEndpoint, issuer: issuer && String(issuer), request })
  }
  return issuer === undefined
    ? Layer.fail(
      new InvalidOptions({ option: "TokenEndpoint.tokenEndpoint", description: "is missing, and issuer as well: give one of them" })
    )
    : TokenEndpoint.layerDiscovery<R>({ ...rest, issuer, request })
}

const makeStore = <ES, RS>(
  redis: RedisTokenStore.Options | undefined,
  tokenStore: Layer.Layer<TokenStore.TokenStore, ES, RS> | undefined
): Layer.Layer<TokenStore.TokenStore, InvalidOptions | ES, RS> => {
  if (redis === undefined) return tokenStore ?? TokenStore.layerMemory()
  return tokenStore === undefined
    ? nameHere(RedisTokenStore.layer(redis))
    : Layer.fail(
      new InvalidOptions({
        option: "NodeAuthedHttpClient.tokenStore",
        description: "and redis are both given: one of them holds the tokens"
      })
    )
}

/**
 * What `layerConfig` takes in addition to the environment, which takes
 * precedence.
 *
 * @since 0.1.0
 * @category options
 */
export interface LayerConfigOptions<R = never, ES = never, RS = never>
  extends Omit<Options<R, ES, RS>, "tokenEndpoint" | "issuer" | "clientId" | "clientSecret">
{}

/**
 * The same with a client certificate.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsLayerConfigOptions<R = never, ES = never, RS = never, RC = never>
  extends Omit<MutualTlsOptions<R, ES, RS, RC>, "tokenEndpoint" | "issuer" | "clientId" | "clientSecret">
{}

const added = { ...StoreUrl.variables, ...NodeHttp.variables }

/**
 * Every variable that `layerConfig` and the command `alf` read.
 *
 * @since 0.1.0
 * @category configurations
 */
export const variables = { ...Environment.variables, ...added }

/**
 * The values of the variables, and their names.
 *
 * @since 0.1.0
 * @category configurations
 */
export type NodeEnvironment = Environment.Environment & Environment.Reading<typeof added>

/**
 * Reads the variables. Errors name an invalid variable, or two contradicting
 * ones, as written, and show no value.
 *
 * @since 0.1.0
 * @category configurations
 */
export const readEnvironment: Effect.Effect<NodeEnvironment, InvalidOptions | ConfigError.ConfigError> = Environment
  .readWith(added)

/**
 * Reads the `variables` from the environment, or wherever the app's
 * ConfigProvider reads:
 *
 * - `ALF_TOKEN_ENDPOINT`, or `ALF_ISSUER`, whose metadata tells it; with both, the issuer is the audience of assertions
 * - `ALF_CLIENT_ID`
 * - `ALF_CLIENT_SECRET`, `ALF_CLIENT_SECRET_FILE` or `ALF_CLIENT_KEY_FILE`, unless the options give a `clientAuth`
 * - `ALF_BASE_URL` or `ALF_ORIGINS`, unless the options give `baseUrl` or `origins`
 * - `ALF_STORE_URL` or `ALF_REDIS_URL`, if it is there; it is not read when the options give a `tokenStore`
 * - `ALF_SCOPE` and the others, if they are there
 *
 * A wrong one is named as it is written there, with the prefix of the
 * ConfigProvider.
 *
 * @example
 * ```ts
 * import { RetryPolicy } from "@effect-alf/core"
 * import { NodeAuthedHttpClient } from "@effect-alf/node"
 *
 * const layer = NodeAuthedHttpClient.layerConfig({ retryWhile: RetryPolicy.statuses([500]) })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: {
  <R = never, ES = never, RS = never, RC = never>(
    options: MutualTlsLayerConfigOptions<R, ES, RS, RC>
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ConfigError.ConfigError | ES,
    Exclude<R, HttpClient.HttpClient | ClientCertificate> | RS | RC
  >
  <R = never, ES = never, RS = never>(
    options?: LayerConfigOptions<R, ES, RS> | undefined
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ConfigError.ConfigError | ES,
    Exclude<R, HttpClient.HttpClient> | RS
  >
} = <R, ES, RS>(options: LayerConfigOptions<R, ES, RS> = {}) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const environment = yield* readEnvironment
    const isProved = options.clientAuth !== undefined || environment.clientAuth === "none"
    const isBound = options.baseUrl !== undefined || options.origins !== undefined
    const required: ReadonlyArray<Environment.Alternatives> = [
      ["tokenEndpoint", "issuer"],
      ["clientId"],
      ...(isProved ? [] : [["clientSecret", "clientSecretFile", "clientKeyFile"] as const]),
      ...(isBound ? [] : [["baseUrl", "origins"] as const])
    ]
    yield* Environment.requireEach(environment, required)
    return LayerOptions.mapInvalid(
      layer<R, ES | InvalidOptions, RS>(fromEnvironment(environment, options)),
      nameInEnvironment(environment, options)
    )
  }))

const fromEnvironment = <R, ES, RS>(
  environment: NodeEnvironment,
  options: LayerConfigOptions<R, ES, RS>
): Options<R, ES | InvalidOptions, RS> => {
  const { connectTimeout, proxy, redisPrefix, redisUrl } = environment
  return {
    ...options,
    ...(options.clientAuth === undefined && credentials(environment)),
    tokenEndpoint: environment.tokenEndpoint,
    issuer: environment.issuer,
    clientId: environment.clientId ?? "",
    scope: environment.scope ?? options.scope,
    resource: environment.resource ?? options.resource,
    audience: environment.audience ?? options.audience,
    bearerTypes: environment.bearerTypes ?? options.bearerTypes,
    tokenField: environment.tokenField ?? options.tokenField,
    baseUrl: environment.baseUrl ?? options.baseUrl,
    origins: environment.origins ?? options.origins,
    timeout: environment.timeout ?? options.timeout,
    maxWait: environment.maxWait ?? options.maxWait,
    refreshAhead: environment.refreshAhead ?? options.refreshAhead,
    allowInsecure: environment.allowInsecure ?? options.allowInsecure,
    redis: options.tokenStore !== undefined || (redisUrl ?? options.redis) === undefined
      ? options.redis
      : { ...options.redis, url: redisUrl ?? options.redis?.url, prefix: redisPrefix ?? options.redis?.prefix },
    ...(options.tokenStore === undefined && environment.storeUrl !== undefined &&
      { redis: undefined, tokenStore: StoreUrl.layer(environment, options.redis) }),
    http: {
      ...options.http,
      connectTimeout: connectTimeout ?? options.http?.connectTimeout,
      proxy: proxy ?? options.http?.proxy
    }
  }
}

/**
 * The client authentication that the variables define, as options of a
 * `TokenEndpoint` layer.
 *
 * @since 0.1.0
 * @category options
 */
export const credentials = (environment: Environment.Environment): Pick<Options, "clientSecret" | "clientAuth"> => {
  const { clientAuth, clientKeyFile, clientKeyId: keyId, clientSecretFile } = environment
  if (clientAuth === "none") return { clientAuth: ClientAuth.none }
  if (clientKeyFile !== undefined) {
    return { clientAuth: ClientAuth.privateKeyJwt({ key: readFile(clientKeyFile), keyId }) }
  }
  const clientSecret = clientSecretFile === undefined ? environment.clientSecret : readFile(clientSecretFile)
  return clientSecret === undefined || clientAuth === undefined || clientAuth === "private_key_jwt"
    ? { clientSecret }
    : { clientAuth: bySecret[clientAuth](clientSecret) }
}

/**
 * The store that the variables name, if they name one.
 *
 * @since 0.1.0
 * @category layers
 */
export const tokenStore = (
  environment: NodeEnvironment
): Layer.Layer<TokenStore.TokenStore, InvalidOptions> | undefined => StoreUrl.layer(environment)

const bySecret = {
  client_secret_basic: ClientAuth.clientSecretBasic<never>,
  client_secret_post: ClientAuth.clientSecretPost<never>,
  client_secret_jwt: ClientAuth.clientSecretJwt<never>
}

const readFile = (path: string) => Effect.provide(ClientAuth.secretFile(path), NodeFileSystem.layer)

// -----------------------------------------------------------------------------
// names of options
// -----------------------------------------------------------------------------

/** Names the option at fault as it was written here, not as the inner layer knows it. */
const nameHere = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  LayerOptions.mapInvalid(
    layer,
    ({ description, option }) => new InvalidOptions({ option: nameInLayer(option), description })
  )

const nameInLayer = (option: string): string => {
  return option
    .replace(/^(TokenEndpoint|AuthedHttpClient|TokenProvider)\./, "NodeAuthedHttpClient.")
    .replace(/^RedisTokenStore\b/, "NodeAuthedHttpClient.redis")
    .replace(/^NodeHttp\b/, "NodeAuthedHttpClient.http")
}

const nameInEnvironment = (environment: NodeEnvironment, options: LayerConfigOptions<any, any, any>) => {
  const { names } = environment
  const isFromOptions = (key: keyof typeof variables) =>
    environment[key] === undefined && (key !== "redisUrl" || options.redis?.url !== undefined)
  return ({ description, option }: InvalidOptions): InvalidOptions => {
    const key = variableOfOption[option.replace(/^NodeAuthedHttpClient\./, "")]
    return key === undefined || isFromOptions(key)
      ? new InvalidOptions({ option, description })
      : new InvalidOptions({
        option: names[key].name,
        description: description.replace("set allowInsecure", `set ${names.allowInsecure.name}`)
      })
  }
}

const variableOfOption: Readonly<Record<string, keyof typeof variables>> = {
  tokenEndpoint: "tokenEndpoint",
  issuer: "issuer",
  clientId: "clientId",
  clientSecret: "clientSecret",
  clientAuth: "clientAuth",
  baseUrl: "baseUrl",
  origins: "origins",
  timeout: "timeout",
  maxWait: "maxWait",
  refreshAhead: "refreshAhead",
  "redis.url": "redisUrl",
  "redis.prefix": "redisPrefix",
  "http.proxy": "proxy",
  "http.connectTimeout": "connectTimeout"
}
