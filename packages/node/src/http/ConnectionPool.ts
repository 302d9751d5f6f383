/** The options of connections, checked, and the pools that are made with them. */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Undici from "@effect/platform-node/Undici"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { X509Certificate } from "node:crypto"
import { createSecureContext } from "node:tls"
import * as HttpProxy from "../HttpProxy.js"
import * as ConnectionQueue from "./ConnectionQueue.js"
import * as Connector from "./Connector.js"
import * as EarlyConnections from "./EarlyConnections.js"
import * as ProxiedDispatcher from "./ProxiedDispatcher.js"
import type * as TlsIdentity from "./TlsIdentity.js"

/** `NodeHttp.Options`, as used here. */
export interface Options {
  readonly connections?: number | undefined
  readonly connectTimeout?: Duration.DurationInput | undefined
  readonly keepAliveTimeout?: Duration.DurationInput | undefined
  readonly proxy?: HttpProxy.Options | undefined
  readonly ca?: string | ReadonlyArray<string> | undefined
}

// Tolerates two lost SYNs (1 s + 2 s), and leaves time for a retry within a caller's wait of 10 seconds
const defaultConnectTimeout = Duration.seconds(5)
// Node's own servers close after 5 seconds: a client that keeps connections longer runs into the reset
const defaultKeepAliveTimeout = Duration.seconds(4)
// The longest delay of a timer
const maxTimeout = Duration.millis(2 ** 31 - 1)

/** The connections of a client. */
export interface Pool {
  readonly dispatcher: Undici.Dispatcher
  /** Opens a connection to an origin before the request that uses it. */
  readonly open: (origin: string) => void
  /** Closes all connections: requests in progress fail. */
  readonly close: () => Promise<void>
}

/** The options, and how to make a pool. */
export const make = Effect.fnUntraced(function*(options: Options | undefined) {
  const { ca, connectTimeout, connections, keepAliveTimeout, proxies } = yield* LayerOptions.collect({
    connections: options?.connections === undefined
      ? Effect.succeed(undefined)
      : LayerOptions.positiveInteger("NodeHttp.connections", options.connections),
    connectTimeout: timeout("connectTimeout", options?.connectTimeout ?? defaultConnectTimeout),
    keepAliveTimeout: timeout("keepAliveTimeout", options?.keepAliveTimeout ?? defaultKeepAliveTimeout),
    proxies: HttpProxy.make(options?.proxy ?? "environment"),
    ca: authorities(options)
  })
  // The same authorities apply to a proxy, which never sees the certificate
  const trusting = ca === undefined ? {} : { secureContext: createSecureContext({ ca: [...ca] }) }

  const makePool = (certificate?: TlsIdentity.TlsIdentity): Pool => {
    const tls = certificate === undefined ? trusting : { secureContext: certificate.context }
    const early = EarlyConnections.make(Connector.make({ ...tls, timeout: connectTimeout }), {
      limit: Math.min(connections ?? Infinity, ConnectionQueue.limit),
      unusedFor: keepAliveTimeout
    })
    const agent: Undici.Agent.Options = {
      connectTimeout,
      keepAliveTimeout,
      connect: early.connector,
      ...(connections === undefined ? {} : { connections })
    }
    const pool = (dispatcher: Undici.Dispatcher, open: Pool["open"]): Pool => ({
      dispatcher,
      open,
      close: () => {
        early.close()
        return dispatcher.destroy()
      }
    })
    const direct = new Undici.Agent(agent)
    if (proxies === undefined) return pool(direct, early.open)
    const proxied = new Undici.EnvHttpProxyAgent({
      ...agent,
      ...proxies,
      // It does not support address ranges; if nothing is set, it reads the environment, bypassing Config
      noProxy: "",
      requestTls: { ...tls, timeout: connectTimeout },
      clientFactory: (origin) =>
        new Undici.Pool(origin, {
          connect: Connector.make({ ...trusting, timeout: connectTimeout }),
          // A proxy that accepts the connection and never answers CONNECT
          headersTimeout: connectTimeout
        })
    })
    const isDirect = HttpProxy.isDirect(proxies.noProxy)
    return pool(ProxiedDispatcher.make({ direct, proxied, isDirect }), (origin) => {
      if (isDirect(new URL(origin))) early.open(origin)
    })
  }
  return { makePool }
})

/** The authorities that are trusted in place of Node's own. */
export const authorities = (
  options: Options | undefined
): Exit.Exit<ReadonlyArray<string> | undefined, InvalidOptions> => {
  const ca = options?.ca === undefined ? undefined : Arr.ensure(options.ca)
  return ca === undefined || (ca.length > 0 && ca.every(isCertificate))
    ? Exit.succeed(ca)
    : LayerOptions.invalid("NodeHttp.ca", "contains no PEM certificate")
}

// Without a certificate in it, Node trusts no server and does not say so
const isCertificate = (pem: string): boolean => Option.isSome(Option.liftThrowable(() => new X509Certificate(pem))())

/** A time limit that a timer supports. */
export const timeout = (
  name: "connectTimeout" | "keepAliveTimeout" | "refreshInterval" | "gracePeriod",
  value: Duration.DurationInput
) =>
  Exit.map(
    LayerOptions.positiveDuration(`NodeHttp.${name}`, value),
    (duration) => Duration.toMillis(Duration.min(duration, maxTimeout))
  )
