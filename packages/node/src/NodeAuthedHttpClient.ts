/**
 * Everything wired for Node in one call: undici, a store, the token endpoint,
 * the provider and the client that signs.
 *
 * @since 0.1.0
 */
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import type { ClientCertificate } from "@effect-alf/core/ClientCertificate"
import { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type * as TokenProvider from "@effect-alf/core/TokenProvider"
import type { TokenRequest } from "@effect-alf/core/TokenRequest"
import * as TokenStore from "@effect-alf/core/TokenStore"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as NodeHttp from "./NodeHttp.js"
import * as RedisTokenStore from "./RedisTokenStore.js"

/**
 * The options of all layers in one. `grant`, `scope`, `resource`, `audience` and
 * `params` say what is asked for; `headers`, `retry`, `retryWhile`, `timeout`
 * and `maxResponseBytes` are about the token request. `tokenEndpoint` or
 * `issuer` is required, and `baseUrl` or `origins`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never, ES = never, RS = never>
  extends
    Omit<TokenEndpoint.Options<R>, "url" | "issuer" | "request" | "requestInit">,
    Pick<TokenEndpoint.DiscoveryOptions<R>, "metadataUrl" | "refreshMetadataEvery">,
    Omit<AuthedHttpClient.Options, "request">,
    TokenProvider.Options,
    TokenRequest
{
  /** The token endpoint's address: https, or http on loopback. */
  readonly tokenEndpoint?: string | URL | undefined
  /**
   * The authorization server's issuer identifier, exactly as the server writes it. Without a `tokenEndpoint` its metadata
   * tells where that is (RFC 8414, OpenID Connect Discovery 1.0).
   */
  readonly issuer?: string | URL | undefined
  /** Keeps the tokens in Redis, where the other processes of the app find them. The default is this process' memory. */
  readonly redis?: RedisTokenStore.Options | undefined
  /** A store of one's own, in place of `redis`. */
  readonly tokenStore?: Layer.Layer<TokenStore.TokenStore, ES, RS> | undefined
  /** Connections, time limits and the proxy of the HTTP client that both requests and token requests go through. */
  readonly http?: NodeHttp.Options | undefined
}

/**
 * The same with a client certificate, which `clientAuth` may then need.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsOptions<R = never, ES = never, RS = never, RC = never> extends Options<R, ES, RS> {
  readonly http: NodeHttp.MutualTlsOptions<RC>
}

/**
 * A client and its provider, with all that they need. An effect that reads the
 * secret over HTTP is given the layer's own client.
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
  const { http, redis, tokenStore } = options
  return AuthedHttpClient.layer(options).pipe(
    Layer.provide(makeEndpoint(options)),
    Layer.provide(http !== undefined && "certificate" in http ? NodeHttp.layerMutualTls(http) : NodeHttp.layer(http)),
    renameOptions(nameInLayer),
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
    return TokenEndpoint.layer<R>({ ...rest, url: tokenEndpoint, issuer: issuer && String(issuer), request })
  }
  return issuer === undefined
    ? Layer.fail(new InvalidOptions({ option: "TokenEndpoint.url", description: "is missing, and so is the issuer" }))
    : TokenEndpoint.layerDiscovery<R>({ ...rest, issuer, request })
}

const makeStore = <ES, RS>(
  redis: RedisTokenStore.Options | undefined,
  tokenStore: Layer.Layer<TokenStore.TokenStore, ES, RS> | undefined
): Layer.Layer<TokenStore.TokenStore, InvalidOptions | ES, RS> => {
  if (redis === undefined) return tokenStore ?? TokenStore.layerMemory()
  return tokenStore === undefined
    ? renameOptions(nameInLayer)(RedisTokenStore.layer(redis))
    : Layer.fail(
      new InvalidOptions({
        option: "NodeAuthedHttpClient.tokenStore",
        description: "and redis are both given: one of them holds the tokens"
      })
    )
}

/**
 * What `layerConfig` takes beside the environment. Where both say something,
 * the environment counts.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigOptions<R = never, ES = never, RS = never>
  extends Omit<Options<R, ES, RS>, "tokenEndpoint" | "issuer" | "clientId" | "clientSecret">
{}

/**
 * The same with a client certificate.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsConfigOptions<R = never, ES = never, RS = never, RC = never>
  extends Omit<MutualTlsOptions<R, ES, RS, RC>, "tokenEndpoint" | "issuer" | "clientId" | "clientSecret">
{}

/**
 * Reads from the environment, or wherever the app's ConfigProvider reads:
 *
 * - `ALF_TOKEN_URL`, or `ALF_ISSUER`, whose metadata tells it; with both, the issuer is the audience of assertions
 * - `ALF_CLIENT_ID`
 * - `ALF_CLIENT_SECRET`, unless the options give a `clientAuth`
 * - `ALF_BASE_URL`, unless the options give `baseUrl` or `origins`
 * - `ALF_SCOPE`, if it is there: scopes with spaces between
 * - `ALF_REDIS_URL`, if it is there; it is not read when the options give a `tokenStore`
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
    options: MutualTlsConfigOptions<R, ES, RS, RC>
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ConfigError.ConfigError | ES,
    Exclude<R, HttpClient.HttpClient | ClientCertificate> | RS | RC
  >
  <R = never, ES = never, RS = never>(
    options?: ConfigOptions<R, ES, RS> | undefined
  ): Layer.Layer<
    AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider,
    InvalidOptions | ConfigError.ConfigError | ES,
    Exclude<R, HttpClient.HttpClient> | RS
  >
} = <R, ES, RS>(options?: ConfigOptions<R, ES, RS>) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const needsBase = options?.baseUrl === undefined && options?.origins === undefined
    const issuer = yield* optional(Config.string("ALF_ISSUER"))
    const tokenUrl = Config.string("ALF_TOKEN_URL")
    const tokenEndpoint = yield* issuer === undefined ? tokenUrl : optional(tokenUrl)
    const clientId = yield* Config.string("ALF_CLIENT_ID")
    const clientSecret = options?.clientAuth === undefined ? yield* Config.redacted("ALF_CLIENT_SECRET") : undefined
    const baseUrl = yield* needsBase ? Config.string("ALF_BASE_URL") : optional(Config.string("ALF_BASE_URL"))
    const scope = yield* optional(Config.string("ALF_SCOPE"))
    const redisUrl = options?.tokenStore === undefined ? yield* optional(Config.redacted("ALF_REDIS_URL")) : undefined
    return renameOptions(nameInEnvironment({ baseUrl, redisUrl }, options))(layer<R, ES, RS>({
      ...options,
      tokenEndpoint,
      issuer,
      clientId,
      clientSecret,
      baseUrl: baseUrl ?? options?.baseUrl,
      scope: scope ?? options?.scope,
      redis: redisUrl === undefined ? options?.redis : { ...options?.redis, url: redisUrl }
    }))
  }))

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

// -----------------------------------------------------------------------------
// names of options
// -----------------------------------------------------------------------------

/** An option at fault is named as it was written here, not as the layer within knows it. */
const renameOptions = (rename: (option: string) => string) => <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Layer.mapError(layer, (error) =>
    error instanceof InvalidOptions
      ? new InvalidOptions({ option: rename(error.option), description: error.description }) as E & InvalidOptions
      : error)

const nameInLayer = (option: string): string => {
  if (option === "TokenEndpoint.url") return "NodeAuthedHttpClient.tokenEndpoint"
  return option
    .replace(/^(TokenEndpoint|AuthedHttpClient|TokenProvider)\./, "NodeAuthedHttpClient.")
    .replace(/^RedisTokenStore\b/, "NodeAuthedHttpClient.redis")
    .replace(/^NodeHttp\b/, "NodeAuthedHttpClient.http")
}

const nameInEnvironment = (
  found: { readonly baseUrl: string | undefined; readonly redisUrl: unknown },
  options: { readonly redis?: RedisTokenStore.Options | undefined } | undefined
) =>
(option: string): string => {
  switch (option) {
    case "NodeAuthedHttpClient.tokenEndpoint":
      return "ALF_TOKEN_URL"
    case "NodeAuthedHttpClient.issuer":
      return "ALF_ISSUER"
    case "NodeAuthedHttpClient.clientId":
      return "ALF_CLIENT_ID"
    case "NodeAuthedHttpClient.clientSecret":
      return "ALF_CLIENT_SECRET"
    case "NodeAuthedHttpClient.baseUrl":
      return found.baseUrl === undefined ? option : "ALF_BASE_URL"
    case "NodeAuthedHttpClient.redis.url":
      return found.redisUrl === undefined && options?.redis?.url !== undefined ? option : "ALF_REDIS_URL"
    default:
      return option
  }
}
