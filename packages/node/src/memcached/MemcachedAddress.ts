/** Reads the addresses of Memcached servers from a text. */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import type { Options } from "../MemcachedClient.js"

export interface Server {
  /** An IPv6 address has no brackets here. */
  readonly host: string
  readonly port: number
}

export interface Credentials {
  readonly username: string
  readonly password: Redacted.Redacted
}

export interface Address {
  readonly servers: ReadonlyArray<Server>
  readonly credentials: Credentials | undefined
}

/** The name of a server, the same in every process. */
export const nameOf = ({ host, port }: Server): string => `${host} ${port}`

/**
 * The server of a key: the one whose digest with the key is the highest. A server
 * that is added takes its share of the keys, and no other key moves. The result
 * does not depend on the version of the client.
 */
export const ownerOf = (key: string, names: ReadonlyArray<string>): string => {
  const digest = (name: string) => createHash("sha256").update(`${name} ${key}`).digest("hex")
  return names.reduce((best, name) => digest(name) > digest(best) ? name : best)
}

const option = "MemcachedTokenStore.servers"

const defaultPort = 11_211

/** The text may contain a password: no description shows any part of it. */
export const parse = Effect.fnUntraced(function*(
  { password, servers, username }: Pick<Options, "password" | "servers" | "username">
) {
  const given = yield* LayerOptions.text(
    option,
    Redacted.isRedacted(servers)
      ? Redacted.value(servers)
      : Array.isArray(servers)
      ? servers.join(",")
      : servers as string
  )
  const [, scheme, userInfo, hosts] = /^(?:([a-z][a-z\d+.-]*):\/\/)?(?:(.*)@)?(.*?)\/?$/is.exec(given) ?? []
  if (scheme !== undefined && scheme.toLowerCase() !== "memcached") {
    return yield* LayerOptions.invalid(option, "must begin with memcached://, or with a host")
  }
  const address: Address = {
    servers: yield* Effect.forEach(hosts.split(","), parseServer),
    credentials: userInfo === undefined
      ? yield* checkCredentials(username, password)
      : yield* parseUserInfo(userInfo)
  }
  return address
})

const parseServer = (text: string) => {
  const [, ipv6, name, port] = /^(?:\[([\da-f:.]+)\]|([^\s:/?#[\]]+))(?::(\d{1,5}))?$/i.exec(text.trim()) ?? []
  const host = ipv6 ?? name
  const number = port === undefined ? defaultPort : Number(port)
  if (host === undefined) return LayerOptions.invalid(option, "has a server that is not host or host:port")
  return number > 0 && number < 65_536
    ? Effect.succeed<Server>({ host, port: number })
    : LayerOptions.invalid(option, "has a port that is not between 1 and 65535")
}

const parseUserInfo = (userInfo: string) => {
  const colon = userInfo.indexOf(":")
  return Effect.flatMap(
    Effect.try({
      try: () => [userInfo.slice(0, colon), userInfo.slice(colon + 1)].map(decodeURIComponent),
      catch: () => LayerOptions.error(option, "has credentials that are not percent-encoded")
    }),
    ([username, password]) =>
      colon < 0
        ? LayerOptions.invalid(option, "has a user without a password")
        : checkCredentials(username, Redacted.make(password))
  )
}

const checkCredentials = (
  username: string | undefined,
  password: Redacted.Redacted | undefined
): Effect.Effect<Credentials | undefined, InvalidOptions> => {
  if (username === undefined && password === undefined) return Effect.succeed(undefined)
  // They are sent separated by a space, without quotes
  if (username === undefined || !isWord(username)) {
    return LayerOptions.invalid("MemcachedTokenStore.username", "must be a text without spaces")
  }
  return password === undefined || !isWord(Redacted.value(password))
    ? LayerOptions.invalid("MemcachedTokenStore.password", "must be a text without spaces")
    : Effect.succeed({ username, password })
}

const isWord = (text: string) => /^[^\s\p{Cc}]+$/u.test(text)
