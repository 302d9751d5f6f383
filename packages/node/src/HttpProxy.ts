/**
 * The proxy for requests: a given one, or that of the environment.
 *
 * @since 0.1.0
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Undici from "@effect/platform-node/Undici"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { BlockList, isIP } from "node:net"

/**
 * The URL of a proxy, no proxy (`false`), or that of the `"environment"`.
 *
 * @since 0.1.0
 * @category options
 */
export type Options = "environment" | false | string | URL | Redacted.Redacted

/**
 * The proxies for http and https, and the hosts that are reached without them,
 * as in `NO_PROXY`. Empty if there are none.
 *
 * @since 0.1.0
 * @category models
 */
export type Proxies = Required<Pick<Undici.EnvHttpProxyAgent.Options, "httpProxy" | "httpsProxy" | "noProxy">>

/**
 * Determines the proxies, if any, and checks their URLs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (proxy: Options): Effect.Effect<Proxies | undefined, InvalidOptions> => {
  if (proxy === false) return Effect.succeed(undefined)
  if (proxy === "environment") return proxiesOfEnvironment
  const given = Redacted.isRedacted(proxy) ? Redacted.value(proxy) : proxy instanceof URL ? proxy.href : proxy
  return LayerOptions.text("NodeHttp.proxy", given).pipe(
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

/**
 * Tells which requests bypass the proxy, with `NO_PROXY` as in curl and Go: a
 * name with its subdomains, an IPv4 or IPv6 address, a range of addresses
 * (CIDR), or `*` for all. A name or an address may have a port (`[::1]:8080`
 * for IPv6, as in URLs); a range may not. No name is resolved.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isDirect = (noProxy: string): (url: URL) => boolean => {
  const entries = noProxy.toLowerCase().split(/[\s,]+/).filter((entry) => entry !== "")
  const addresses = new BlockList()
  for (const entry of entries) {
    const [host = "", prefix = ""] = entry.split("/")
    const address = withoutBrackets(host)
    const family = isIP(address)
    if (family === 0) continue
    const length = family === 6 ? 128 : 32
    if (!entry.includes("/")) addresses.addAddress(address, families[family])
    else if (/^\d+$/.test(prefix) && Number(prefix) <= length) {
      addresses.addSubnet(address, Number(prefix), families[family])
    }
  }
  const names = entries.map((entry) => /^\*?\.?(.+?)(?::(\d+))?$/.exec(entry) ?? [])
  return ({ hostname, port, protocol }) => {
    const address = withoutBrackets(hostname)
    const family = isIP(address)
    return entries.includes("*") ||
      (family !== 0 && addresses.check(address, families[family])) ||
      names.some(([, name = "", only]) =>
        (only === undefined || only === (port || (protocol === "https:" ? "443" : "80"))) &&
        (hostname === name || hostname.endsWith(`.${name}`))
      )
  }
}

const families: Readonly<Record<number, "ipv4" | "ipv6">> = { 4: "ipv4", 6: "ipv6" }

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

const variable = (name: string): Effect.Effect<string, InvalidOptions> =>
  Config.string(name.toLowerCase()).pipe(
    Config.orElse(() => Config.string(name)),
    Config.withDefault(""),
    Effect.mapBoth({
      onFailure: () => LayerOptions.error("NodeHttp.proxy", `from ${name} cannot be read`),
      onSuccess: (value) => value.trim()
    })
  )

const proxyVariable = (name: string): Effect.Effect<string, InvalidOptions> =>
  Effect.flatMap(variable(name), (value) => value === "" ? Effect.succeed("") : checkProxyUrl(value, ` from ${name}`))

/** The URL may contain a password: no description shows any part of it. */
const checkProxyUrl = (given: string, source: string): Effect.Effect<string, InvalidOptions> => {
  // Many write host:port, as curl accepts
  const url = /^\w+:\/\//.test(given) ? given : `http://${given}`
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    return LayerOptions.invalid(`NodeHttp.proxy${source}`, "is not an http or https URL")
  }
  const { password, username } = new URL(url)
  return Effect.try({
    try: () => [username, password].map(decodeURIComponent),
    catch: () => LayerOptions.error(`NodeHttp.proxy${source}`, "has credentials that are not percent-encoded")
  }).pipe(Effect.as(url))
}
