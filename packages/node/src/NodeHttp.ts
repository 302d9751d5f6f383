/**
 * The HTTP client for Node: undici, with its own connection pool. It keeps
 * connections alive, follows no redirects, uses the proxy of the environment,
 * and presents a client certificate if there is one.
 *
 * @since 0.1.0
 */
import * as ClientCertificate from "@effect-alf/core/ClientCertificate"
import * as Environment from "@effect-alf/core/Environment"
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Undici from "@effect/platform-node/Undici"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as ConnectionPool from "./http/ConnectionPool.js"
import * as ContentCoding from "./http/ContentCoding.js"
import * as DefaultHeaders from "./http/DefaultHeaders.js"
import * as UndiciHttpClient from "./http/UndiciHttpClient.js"
import type * as HttpProxy from "./HttpProxy.js"
import type * as TlsCertificate from "./TlsCertificate.js"

/**
 * The number of connections, their lifetimes and their route.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The maximum number of connections to one origin; further requests wait. While they do, up to 1 MiB of an unread
   * body is kept, and after 5 seconds the body and its connection are closed. There is no limit by default, but at most
   * 64 connections are opened at the same time.
   */
  readonly connections?: number | undefined
  /** The time limit of a connection attempt, including TLS. The default is 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** How long an idle connection is kept, unless the server's `Keep-Alive` says otherwise. The default is 4 seconds. */
  readonly keepAliveTimeout?: Duration.DurationInput | undefined
  /**
   * The URL of a proxy, `false` for none, or `"environment"` (the default): `HTTPS_PROXY`, `HTTP_PROXY` (for https too
   * if the other is not set) and `NO_PROXY`; lower case takes precedence. Requests are tunnelled (CONNECT), for http as
   * well as for https.
   */
  readonly proxy?: HttpProxy.Options | undefined
  /** The authorities' certificates in PEM, trusted instead of those that Node trusts. */
  readonly ca?: string | ReadonlyArray<string> | undefined
}

/**
 * The same, with the certificate for servers that request one.
 *
 * @since 0.1.0
 * @category options
 */
export interface MutualTlsOptions<R = never> extends Options {
  /** The certificate and its key: file paths, values, or an effect that reads them from elsewhere. */
  readonly certificate: TlsCertificate.Source<R>
  /**
   * How often the certificate is read again, in addition to every token request with `ClientAuth.tlsClientAuth`. The
   * default is 10 seconds for files; an effect does not run periodically.
   */
  readonly refreshInterval?: Duration.DurationInput | undefined
  /** How long requests that started with the previous certificate may continue. The default is 5 minutes. */
  readonly gracePeriod?: Duration.DurationInput | undefined
}

// Certificates are replaced minutes before they expire, and reading two small files costs less than a millisecond
const defaultRefreshInterval = Duration.seconds(10)
// Longer than any request that someone waits for; an endless stream must reconnect eventually
const defaultGracePeriod = Duration.minutes(5)

/**
 * The connection pool, closed with its scope: requests in progress then fail.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeDispatcher: (
  options?: Options | undefined
) => Effect.Effect<Undici.Dispatcher, InvalidOptions, Scope.Scope> = (options) =>
  Effect.map(makePool(options), ({ dispatcher }) => dispatcher)

const makePool = Effect.fnUntraced(function*(options: Options | undefined) {
  const { makePool } = yield* ConnectionPool.make(options)
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => makePool()),
    ({ close }) => Effect.promise(close)
  )
  return { ...pool, dispatcher: pool.dispatcher.compose(acceptFormBodies, ContentCoding.decode, DefaultHeaders.add) }
})

/**
 * An `HttpClient` with its own connection pool. While a request of an
 * `AuthedHttpClient` waits for its token, its connection is opened.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<HttpClient.HttpClient, InvalidOptions> =>
  Layer.scoped(
    HttpClient.HttpClient,
    Effect.flatMap(makePool(options), (pool) => UndiciHttpClient.make(pool, options?.connections))
  )

/**
 * The options that a configuration can contain. The URL of a proxy may contain
 * a password: read it with `Config.redacted`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConfigurableOptions {
  readonly connections?: number | undefined
  readonly connectTimeout?: Duration.Duration | undefined
  readonly keepAliveTimeout?: Duration.Duration | undefined
  readonly proxy?: string | false | Redacted.Redacted | undefined
}

/**
 * The variables for proxy and time limits.
 *
 * @since 0.1.0
 * @category configurations
 */
export const variables = {
  proxy: Environment.make<Redacted.Redacted | false>(
    "ALF_PROXY",
    "The proxy to go through, or `none`. By default that of `HTTPS_PROXY` and `HTTP_PROXY`",
    (text) => Either.right(text.trim() === "none" ? false : Redacted.make(text.trim())),
    true
  ),
  connectTimeout: Environment.duration("ALF_CONNECT_TIMEOUT", "How long it may take to connect")
}

/**
 * The variables, for `layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const environment = {
  proxy: variables.proxy.config,
  connectTimeout: variables.connectTimeout.config
}

/**
 * Reads the options from a configuration; the second argument contains the
 * others.
 *
 * @example
 * ```ts
 * import { NodeHttp } from "@effect-alf/node"
 * import { Config } from "effect"
 *
 * const layer = NodeHttp.layerConfig({ connectTimeout: Config.duration("CONNECT_TIMEOUT") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Options | undefined
): Layer.Layer<HttpClient.HttpClient, InvalidOptions | ConfigError.ConfigError> =>
  LayerOptions.make(config, (configured: ConfigurableOptions) => layer({ ...options, ...configured }))

/**
 * The same with a client certificate (mutual TLS, RFC 8705). The certificate is
 * replaced without a restart: new connections present new contents if they are
 * a certificate with its key, and requests in progress end on their
 * connections. If they are not, the previous certificate stays, with one
 * warning.
 *
 * @example
 * ```ts
 * import { NodeHttp } from "@effect-alf/node"
 *
 * const layer = NodeHttp.layerMutualTls({
 *   certificate: { certificateFile: "/run/tls/tls.crt", keyFile: "/run/tls/tls.key" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMutualTls = <R = never>(
  options: MutualTlsOptions<R>
): Layer.Layer<HttpClient.HttpClient | ClientCertificate.ClientCertificate, InvalidOptions, R> =>
  Layer.unwrapScoped(Effect.map(makeMutualTls(options), ({ certificate, ...pool }) =>
    Layer.merge(
      Layer.succeed(ClientCertificate.ClientCertificate, certificate),
      Layer.effect(HttpClient.HttpClient, UndiciHttpClient.make(pool, options.connections))
    )))

const makeMutualTls = Effect.fnUntraced(function*<R>(options: MutualTlsOptions<R>) {
  // What is wrong with them is named once, among the settings
  const ca = Option.getOrUndefined(yield* Effect.option(ConnectionPool.authorities(options)))
  const interval = options.refreshInterval ??
    (Effect.isEffect(options.certificate) ? undefined : defaultRefreshInterval)
  const context = yield* Effect.context<R>()
  // Loaded only by an app that has a certificate
  const MutualTls = yield* Effect.promise(() => import("./http/MutualTls.js"))
  const { first, gracePeriod, refreshInterval, settings: { makePool } } = yield* LayerOptions.collect({
    settings: ConnectionPool.make(options),
    gracePeriod: ConnectionPool.timeout("gracePeriod", options.gracePeriod ?? defaultGracePeriod),
    refreshInterval: interval === undefined
      ? Effect.succeed(undefined)
      : ConnectionPool.timeout("refreshInterval", interval),
    first: Effect.provide(MutualTls.read(options.certificate, ca), context)
  })
  const { dispatcher, open, ...certificate } = yield* MutualTls.make({
    source: options.certificate,
    first,
    ca,
    makePool,
    gracePeriod,
    refreshInterval
  })
  return {
    certificate: ClientCertificate.ClientCertificate.of(certificate),
    open,
    dispatcher: dispatcher.compose(acceptFormBodies, ContentCoding.decode, DefaultHeaders.add)
  }
})

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

/** Bodies that fetch accepts and undici's `request` does not. */
const acceptFormBodies: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const body: unknown = options.body
  // Before the global FormData is looked at: Node loads its own fetch for that
  if (body === null || typeof body !== "object" || ArrayBuffer.isView(body)) return dispatch(options, handler)
  if (body instanceof URLSearchParams) {
    const headers = { "content-type": "application/x-www-form-urlencoded;charset=UTF-8", ...options.headers }
    return dispatch({ ...options, headers, body: body.toString() }, handler)
  }
  return dispatch(isGlobalFormData(body) ? { ...options, body: convertFormData(body) } : options, handler)
}

// undici accepts only its own FormData, not that of the copy in Node
const isGlobalFormData = (body: unknown): body is FormData =>
  body instanceof FormData && !(body instanceof Undici.FormData)

const convertFormData = (body: FormData): Undici.FormData => {
  const converted = new Undici.FormData()
  for (const [name, value] of body) {
    if (typeof value === "string") {
      converted.append(name, value)
    } else {
      converted.append(name, value, value.name)
    }
  }
  return converted
}
