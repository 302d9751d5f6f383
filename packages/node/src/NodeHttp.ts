/**
 * The HTTP client for Node: undici, through platform-node, with a pool of
 * connections of its own. It keeps connections alive, follows no redirects and
 * goes through the proxy that the environment names.
 *
 * @since 0.1.0
 */
import * as Check from "@effect-alf/core/Check"
import { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Undici from "@effect/platform-node/Undici"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"

/**
 * How many connections there are, how long they last and where they go.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** How many connections to one origin there are at most; further requests wait. There is no limit by default. */
  readonly connections?: number | undefined
  /** How long it may take to connect, TLS included. The default is 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * How long an idle connection is kept. What a server says in `Keep-Alive` takes precedence. The default is
   * 4 seconds.
   */
  readonly keepAliveTimeout?: Duration.DurationInput | undefined
  /**
   * The proxy to go through: the one at this address, none, or, by default, that of the `"environment"`:
   * `HTTPS_PROXY`, `HTTP_PROXY` (for https too where the other is not set) and `NO_PROXY`; in lower case they take
   * precedence. A proxy is asked for a tunnel (CONNECT), for http as well as for https.
   */
  readonly proxy?: "environment" | false | string | URL | Redacted.Redacted | undefined
}

// Bears two lost SYNs (1 s + 2 s), and leaves time for a retry within TokenEndpoint's 10 seconds
const defaultConnectTimeout = Duration.seconds(5)
// Node's own servers close after 5 seconds: a client that keeps longer runs into the reset
const defaultKeepAliveTimeout = Duration.seconds(4)
// Timers know no longer one
const maxTimeout = Duration.millis(2 ** 31 - 1)

/**
 * The pool of connections, closed with its scope: what is under way then fails.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeDispatcher: (
  options?: Options | undefined
) => Effect.Effect<Undici.Dispatcher, InvalidOptions, Scope.Scope> = Effect.fnUntraced(function*(options) {
  const connections = options?.connections === undefined
    ? undefined
    : yield* Check.positiveInteger("NodeHttp.connections", options.connections)
  const connectTimeout = yield* timeout("connectTimeout", options?.connectTimeout ?? defaultConnectTimeout)
  const keepAliveTimeout = yield* timeout("keepAliveTimeout", options?.keepAliveTimeout ?? defaultKeepAliveTimeout)
  const proxies = yield* checkProxy(options?.proxy ?? "environment")
  const agent: Undici.Agent.Options = {
    connectTimeout,
    keepAliveTimeout,
    ...(connections === undefined ? {} : { connections })
  }
  const dispatcher = yield* Effect.acquireRelease(
    Effect.sync((): Undici.Dispatcher =>
      proxies === undefined ? new Undici.Agent(agent) : new Undici.EnvHttpProxyAgent({
        ...agent,
        ...proxies,
        proxyTls: { timeout: connectTimeout },
        requestTls: { timeout: connectTimeout },
        // A proxy that takes the connection and never answers to CONNECT
        clientFactory: (origin, options) => new Undici.Pool(origin, { ...options, headersTimeout: connectTimeout })
      })
    ),
    (dispatcher) => Effect.promise(() => dispatcher.destroy())
  )
  return dispatcher.compose(acceptFormBodies)
})

/**
 * An `HttpClient` with a pool of connections of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<HttpClient.HttpClient, InvalidOptions> =>
  Layer.provide(
    NodeHttpClient.layerUndiciWithoutDispatcher,
    Layer.scoped(NodeHttpClient.Dispatcher, makeDispatcher(options))
  )

const timeout = (name: "connectTimeout" | "keepAliveTimeout", value: Duration.DurationInput) =>
  Effect.map(
    Check.positiveDuration(`NodeHttp.${name}`, value),
    (duration) => Duration.toMillis(Duration.min(duration, maxTimeout))
  )

// -----------------------------------------------------------------------------
// proxy
// -----------------------------------------------------------------------------

/** All three are always given, so that undici does not read the environment past `Config`. */
type Proxies = Required<Pick<Undici.EnvHttpProxyAgent.Options, "httpProxy" | "httpsProxy" | "noProxy">>

const checkProxy = (
  proxy: Exclude<Options["proxy"], undefined>
): Effect.Effect<Proxies | undefined, InvalidOptions> => {
  if (proxy === false) return Effect.succeed(undefined)
  if (proxy === "environment") return proxiesOfEnvironment
  const given = Redacted.isRedacted(proxy) ? Redacted.value(proxy) : proxy instanceof URL ? proxy.href : proxy
  return Check.text("NodeHttp.proxy", given).pipe(
    Effect.flatMap((given) => checkProxyUrl(given, "")),
    Effect.map((uri) => ({ httpProxy: uri, httpsProxy: uri, noProxy: "" }))
  )
}

const proxiesOfEnvironment: Effect.Effect<Proxies | undefined, InvalidOptions> = Effect.gen(function*() {
  const httpProxy = yield* proxyVariable("HTTP_PROXY")
  const httpsProxy = yield* proxyVariable("HTTPS_PROXY")
  if (httpProxy === "" && httpsProxy === "") return undefined
  return { httpProxy, httpsProxy, noProxy: yield* variable("NO_PROXY") }
})

const variable = (name: string): Effect.Effect<string, InvalidOptions> =>
  Config.string(name.toLowerCase()).pipe(
    Config.orElse(() => Config.string(name)),
    Config.withDefault(""),
    Effect.mapBoth({
      onFailure: () => new InvalidOptions({ option: "NodeHttp.proxy", description: `from ${name} cannot be read` }),
      onSuccess: (value) => value.trim()
    })
  )

const proxyVariable = (name: string): Effect.Effect<string, InvalidOptions> =>
  Effect.flatMap(variable(name), (value) => value === "" ? Effect.succeed("") : checkProxyUrl(value, ` from ${name}`))

/** The address may hold a password: no description shows any part of it. */
const checkProxyUrl = (given: string, source: string): Effect.Effect<string, InvalidOptions> => {
  // Many write host:port, as curl takes it
  const url = /^\w+:\/\//.test(given) ? given : `http://${given}`
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
    ? Effect.succeed(url)
    : Check.invalid(`NodeHttp.proxy${source}`, "is not an http or https URL")
}

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

/** What fetch takes as a body and undici's `request` does not. */
const acceptFormBodies: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const body: unknown = options.body
  if (body instanceof URLSearchParams) {
    const headers = { "content-type": "application/x-www-form-urlencoded;charset=UTF-8", ...options.headers }
    return dispatch({ ...options, headers, body: body.toString() }, handler)
  }
  return dispatch(isGlobalFormData(body) ? { ...options, body: convertFormData(body) } : options, handler)
}

// undici knows only its own FormData, not that of the copy which is built into Node
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
