/**
 * The way to a host, step by step: the proxy, the name, the connection, the
 * certificate. What an HTTP client reports as one error is distinguished here.
 */
import * as HttpProxy from "@effect-alf/node/HttpProxy"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { lookup } from "node:dns/promises"
import { request } from "node:http"
import { request as secureRequest } from "node:https"
import { connect as connectSocket, isIP, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import type { Passed } from "./Finding.js"
import { type Party, Problem } from "./Problem.js"

// As the app's own client
const connectTimeout = Duration.seconds(5)

/** Where a connection to a host leads at first. */
export interface Route {
  readonly party: Party
  readonly url: URL
  /** The proxy on the way, if there is one. */
  readonly proxy: Option.Option<URL>
  /** A proxy that the environment names and that is not used for this host, and why. */
  readonly unused: Option.Option<{ readonly proxy: URL; readonly reason: string }>
}

/** The environment's variables about proxies that nothing reads, and others do. */
export interface Unread {
  readonly name: string
  readonly value: string
}

/** Finds the way that requests to an address take, as `NodeHttp` does it. */
export const route = (
  party: Party,
  url: URL,
  proxies: HttpProxy.Proxies | undefined,
  unread: ReadonlyArray<Unread> = []
): Route => {
  const { httpProxy = "", httpsProxy = "", noProxy = "" } = proxies ?? {}
  const secure = httpsProxy || httpProxy
  const named = parseProxy(url.protocol === "https:" ? secure : httpProxy)
  const excluded = named !== undefined && HttpProxy.isDirect(noProxy)(url)
  const other = unread.flatMap(({ name, value }) => {
    const proxy = parseProxy(value)
    return proxy === undefined ? [] : [{ proxy, reason: `${name} is not read` }]
  })
  return {
    party,
    url,
    proxy: named === undefined || excluded ? Option.none() : Option.some(named),
    unused: excluded
      ? Option.some({ proxy: named, reason: "NO_PROXY names this host" })
      : named === undefined
      ? Option.fromNullable(other[0])
      : Option.none()
  }
}

const parseProxy = (address: string): URL | undefined => {
  if (address === "") return undefined
  const url = /^\w+:\/\//.test(address) ? address : `http://${address}`
  const proxy = URL.canParse(url) ? new URL(url) : undefined
  return proxy !== undefined && /^https?:$/.test(proxy.protocol) && Option.isSome(credentialsOf(proxy))
    ? proxy
    : undefined
}

/** None where they are not percent-encoded. */
const credentialsOf = Option.liftThrowable(({ password, username }: URL) =>
  `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
)

const portOf = ({ port, protocol }: URL): number => port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "")

/** Its address may hold a password. */
const nameProxy = (proxy: URL): string => proxy.origin

const unreached = ({ party, url }: Route, error: unknown) => ({ party, host: url.host, description: sayError(error) })

const codeOf = (error: unknown): string =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" ? error.code : ""

const sayError = (error: unknown): string => {
  // Of several addresses that were tried each has its own
  const first = error instanceof AggregateError ? error.errors[0] : error
  const message = first instanceof Error ? first.message : ""
  return (message === "" ? codeOf(first) : message).split(/[\r\n]/)[0] || "unknown failure"
}

/** Checks the proxy on the way: it takes connections, and leads to the host. */
export const checkProxy = (route: Route): Effect.Effect<Passed<Route>, Problem> =>
  Option.match(route.proxy, {
    onNone: () =>
      Effect.succeed({
        says: Option.match(route.unused, {
          onNone: () => "none is set",
          onSome: ({ reason }) => `none is used: ${reason}`
        }),
        value: route
      }),
    onSome: (proxy) =>
      Effect.scoped(Effect.as(tunnel(proxy, route.url), {
        says: `${nameProxy(proxy)} leads to ${route.url.host}`,
        value: route
      }))
  })

/** Asks a proxy for a tunnel. */
const tunnel = (proxy: URL, url: URL): Effect.Effect<Socket, Problem, Scope.Scope> => {
  const credentials = Option.getOrElse(credentialsOf(proxy), () => ":")
  const target = `${url.hostname}:${portOf(url)}`
  return Effect.acquireRelease(
    Effect.async<Socket, Problem>((resume) => {
      const outgoing = (proxy.protocol === "https:" ? secureRequest : request)({
        host: hostOf(proxy),
        port: portOf(proxy),
        method: "CONNECT",
        path: target,
        headers: {
          host: target,
          ...(credentials === ":"
            ? {}
            : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` })
        }
      })
      const refuse = (status: number) =>
        resume(Effect.fail(Problem.ProxyRefuses({ proxy: nameProxy(proxy), host: url.host, status })))
      outgoing.once("connect", (response, socket) => {
        if (response.statusCode === 200) return resume(Effect.succeed(socket))
        socket.destroy()
        refuse(response.statusCode ?? 0)
      })
      outgoing.once("response", (response) => {
        outgoing.destroy()
        refuse(response.statusCode ?? 0)
      })
      outgoing.once("error", (error) =>
        resume(
          Effect.fail(Problem.ProxyUnreachable({ proxy: nameProxy(proxy), description: sayError(error) }))
        ))
      outgoing.end()
      return Effect.sync(() => outgoing.destroy())
    }).pipe(
      Effect.interruptible,
      Effect.timeoutFail({
        duration: connectTimeout,
        onTimeout: () => Problem.ProxyUnreachable({ proxy: nameProxy(proxy), description: silence })
      })
    ),
    (socket) => Effect.sync(() => socket.destroy())
  )
}

const silence = `no answer within ${Duration.format(connectTimeout)}`

/** Looks up the name of the host; behind a proxy that is the proxy's part. */
export const checkName = (route: Route): Effect.Effect<Passed<Route>, Problem> => {
  const host = hostOf(route.url)
  if (Option.isSome(route.proxy)) return Effect.succeed({ says: `${host} is resolved by the proxy`, value: route })
  if (isIP(host) !== 0) return Effect.succeed({ says: `${host} is an address`, value: route })
  return Effect.tryPromise({
    try: () => lookup(host, { all: true }),
    catch: (error) => Problem.HostUnknown({ ...unreached(route, error), description: codeOf(error) || sayError(error) })
  }).pipe(
    Effect.timeoutFail({
      duration: connectTimeout,
      onTimeout: () => Problem.HostUnknown({ ...unreached(route, undefined), description: silence })
    }),
    Effect.map((addresses) => ({ says: `${host} is ${addresses[0]?.address}`, value: route })),
    Effect.catchAll(triedProxy(route))
  )
}

/** Connects to the host, through the proxy where there is one. */
export const checkConnection = (route: Route): Effect.Effect<Passed<Route>, Problem> =>
  Effect.scoped(Effect.as(open(route), { says: `${route.url.host} takes connections`, value: route })).pipe(
    Effect.catchAll(triedProxy(route))
  )

const open = (route: Route): Effect.Effect<Socket, Problem, Scope.Scope> =>
  Option.match(route.proxy, {
    onNone: () =>
      Effect.acquireRelease(
        Effect.async<Socket, Problem>((resume) => {
          const socket = connectSocket({ host: hostOf(route.url), port: portOf(route.url) })
          socket.once("connect", () => resume(Effect.succeed(socket)))
          socket.once("error", (error) => resume(Effect.fail(Problem.Unreachable(unreached(route, error)))))
          return Effect.sync(() => socket.destroy())
        }).pipe(
          Effect.interruptible,
          Effect.timeoutFail({
            duration: connectTimeout,
            onTimeout: () => Problem.Unreachable({ ...unreached(route, undefined), description: silence })
          })
        ),
        (socket) => Effect.sync(() => socket.destroy())
      ),
    onSome: (proxy) => tunnel(proxy, route.url)
  })

/** A way that does not lead there by itself may do so through a proxy that the environment names all the same. */
const triedProxy = (route: Route) => (problem: Problem): Effect.Effect<never, Problem> =>
  Option.match(route.unused, {
    onNone: () => Effect.fail(problem),
    onSome: ({ proxy, reason }) =>
      Effect.matchEffect(Effect.scoped(tunnel(proxy, route.url)), {
        onFailure: () => Effect.fail(problem),
        onSuccess: () =>
          Effect.fail(
            Problem.ProxyUnused({
              ...unreached(route, undefined),
              proxy: nameProxy(proxy),
              reason,
              description: reason
            })
          )
      })
  })

/** Shakes hands: the certificate is one that Node trusts, and for this host. */
export const checkCertificate = (route: Route): Effect.Effect<Passed<Route>, Problem> => {
  const host = hostOf(route.url)
  const fail = (error: unknown) =>
    Effect.fail(Problem.Tls({ ...unreached(route, error), code: codeOf(error), description: sayTlsError(error) }))
  return open(route).pipe(
    Effect.flatMap((socket) =>
      Effect.async<Passed<Route>, Problem>((resume) => {
        const secured = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}) })
        secured.once("secureConnect", () => {
          const { valid_to } = secured.getPeerCertificate()
          const says = `${secured.getProtocol()}, valid until ${valid_to}`
          secured.destroy()
          resume(Effect.succeed({ says, value: route }))
        })
        secured.once("error", (error) => resume(fail(error)))
        secured.once("end", () => resume(fail(new Error("the connection was closed"))))
        return Effect.sync(() => secured.destroy())
      })
    ),
    Effect.timeoutFail({
      duration: connectTimeout,
      onTimeout: () => Problem.Tls({ ...unreached(route, undefined), code: "", description: silence })
    }),
    Effect.scoped
  )
}

const sayTlsError = (error: unknown): string => {
  const code = codeOf(error)
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return `its certificate has expired (${code})`
    case "CERT_NOT_YET_VALID":
      return `its certificate is not valid yet (${code})`
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is for other names (${code})`
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `its certificate is from an authority that is not trusted here (${code})`
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "EPROTO":
      return `it does not speak TLS (${code})`
    default:
      return sayError(error)
  }
}
