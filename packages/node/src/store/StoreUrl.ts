/** The store that variables name. The scheme of its address decides which one it is. */
import type * as Environment from "@effect-alf/core/Environment"
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as RedisTokenStore from "../RedisTokenStore.js"
import * as SqlUrl from "../sql/SqlUrl.js"
import type { variables } from "./StoreVariables.js"

interface Address {
  readonly url: Redacted.Redacted
  readonly prefix: string | undefined
  /** The table of a database. */
  readonly table: string | undefined
  readonly createTable: boolean | undefined
}

type Open = (address: Address, redis?: RedisTokenStore.Options) => Layer.Layer<TokenStore, InvalidOptions>

const redis = ({ prefix, url }: Pick<RedisTokenStore.Options, "prefix" | "url">, redis?: RedisTokenStore.Options) =>
  RedisTokenStore.layer({ ...redis, url, prefix: prefix ?? redis?.prefix })

/** Loads a store other than Redis when it is used. */
const memcached: Open = ({ prefix, url }) =>
  Layer.unwrapEffect(Effect.map(
    Effect.promise(() => import("../MemcachedTokenStore.js")),
    (MemcachedTokenStore) => MemcachedTokenStore.layer({ servers: url, prefix })
  ))

const database = (scheme: keyof typeof SqlUrl.databases): Open => ({ createTable, prefix, table, url }) =>
  prefix === undefined
    ? SqlUrl.layer(scheme, url, { table, createTable })
    : Layer.fail(LayerOptions.error("SqlTokenStore.prefix", "does not apply to a database: name a table"))

/** The stores by the scheme of the address. */
const stores: Readonly<Record<string, Open>> = {
  redis,
  rediss: redis,
  unix: redis,
  memcached,
  ...Record.map(SqlUrl.databases, (_, scheme) => database(scheme))
}

const schemes = Object.keys(stores).map((scheme) => `${scheme}:`).join(", ")

/**
 * The store that the variables name; `options` are further options of Redis. An
 * error names the variable of an option at fault.
 */
export const layer = (
  { names, redisPrefix, redisUrl, sqlCreateTable, sqlTable, storePrefix, storeUrl }: Environment.Reading<
    typeof variables
  >,
  options?: RedisTokenStore.Options
): Layer.Layer<TokenStore, InvalidOptions> => {
  if (storeUrl === undefined) {
    return named(
      { url: names.redisUrl, prefix: names.redisPrefix },
      redis({ url: redisUrl, prefix: redisPrefix }, options)
    )
  }
  const fail = (description: string) => Layer.fail(LayerOptions.error(names.storeUrl.name, description))
  if (redisUrl !== undefined) return fail(`and ${names.redisUrl.name} are both set: one store holds the tokens`)
  const [, scheme = ""] = /^([a-z][a-z\d+.-]*):/i.exec(Redacted.value(storeUrl).trim()) ?? []
  const open = stores[scheme.toLowerCase()]
  return open === undefined
    ? fail(`must begin with one of ${schemes}`)
    : named(
      { url: names.storeUrl, prefix: names.storePrefix, table: names.sqlTable },
      open({ url: storeUrl, prefix: storePrefix, table: sqlTable, createTable: sqlCreateTable }, options)
    )
}

const named = (
  written: { readonly url: LayerOptions.Name; readonly [option: string]: LayerOptions.Name },
  layer: Layer.Layer<TokenStore, InvalidOptions>
): Layer.Layer<TokenStore, InvalidOptions> =>
  LayerOptions.mapInvalid(layer, ({ description, option }) => {
    const [, name = ""] = option.split(".", 2)
    // An option without a variable is one of the further options of Redis
    const { name: variable = option } = written[ofAddress.includes(name) ? "url" : name] ?? {}
    return { option: variable, description }
  })

/** The options that the address contains; an error without an option's name is about the store itself. */
const ofAddress = ["", "url", "servers", "username", "password"]
