/** Where the store is, without what is secret in its URL. */
import type { NodeEnvironment } from "@effect-alf/node/NodeAuthedHttpClient"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const kinds = {
  redis: "Redis",
  rediss: "Redis",
  unix: "Redis",
  memcached: "Memcached",
  postgres: "the database",
  postgresql: "the database",
  mysql: "the database",
  sqlite: "the database"
} as const

/** The variable that is set, and the scheme of its URL. */
export interface StoreAddress {
  readonly variable: string
  readonly scheme: keyof typeof kinds
}

/** What the store is, as a sentence names it. */
export const kindOf = ({ scheme }: StoreAddress): (typeof kinds)[keyof typeof kinds] => kinds[scheme]

const isScheme = (text: string): text is keyof typeof kinds => Object.hasOwn(kinds, text)

/** The address in the environment, if there is one. */
export const fromEnvironment = (
  { names, redisUrl, storeUrl }: Pick<NodeEnvironment, "names" | "redisUrl" | "storeUrl">
): Option.Option<StoreAddress> =>
  Option.map(Option.fromNullable(storeUrl ?? redisUrl), (url) => {
    const scheme = Redacted.value(url).trim().split(":", 1)[0].toLowerCase()
    return {
      variable: (storeUrl === undefined ? names.redisUrl : names.storeUrl).name,
      // A URL with any other scheme opens no store, so nothing is said of it
      scheme: isScheme(scheme) ? scheme : "redis"
    }
  })
