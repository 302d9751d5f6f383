/**
 * The proxy that requests go through: one that is named, or that of the
 * environment.
 *
 * @since 0.1.0
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import { InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Undici from "@effect/platform-node/Undici"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * The proxy at this address, none, or that of the `"environment"`.
 *
 * @since 0.1.0
 * @category options
 */
export type Options = "environment" | false | string | URL | Redacted.Redacted

/**
 * What undici is told. All three are always given, so that it does not read
 * the environment past `Config`.
 *
 * @since 0.1.0
 * @category models
 */
export type Proxies = Required<Pick<Undici.EnvHttpProxyAgent.Options, "httpProxy" | "httpsProxy" | "noProxy">>

/**
 * Finds out which proxies there are, if any, and checks their addresses.
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
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    return LayerOptions.invalid(`NodeHttp.proxy${source}`, "is not an http or https URL")
  }
  const { password, username } = new URL(url)
  return Effect.try({
    try: () => [username, password].map(decodeURIComponent),
    catch: () =>
      new InvalidOptions({
        option: `NodeHttp.proxy${source}`,
        description: "has credentials that are not percent-encoded"
      })
  }).pipe(Effect.as(url))
}
