/** The variables that say where tokens are shared, whatever the store is. */
import * as Environment from "@effect-alf/core/Environment"

export const storeUrl = Environment.secret(
  "ALF_STORE_URL",
  "Where tokens are shared: `redis://`, `rediss://`, `unix:///`, `memcached://`, `postgres://`, `mysql://` or `sqlite:`"
)

export const storePrefix = Environment.text("ALF_STORE_PREFIX", "The prefix of every key in that store")

export const sqlTable = Environment.text("ALF_SQL_TABLE", "The table of a database, for tokens")

export const sqlCreateTable = Environment.flag(
  "ALF_SQL_CREATE_TABLE",
  "`true` creates that table if it is missing"
)

const redisUrl = Environment.secret(
  "ALF_REDIS_URL",
  "Where tokens are shared: `redis://`, `rediss://` or `unix:///`"
)

const redisPrefix = Environment.text("ALF_REDIS_PREFIX", "The prefix of every key in Redis")

/** The variables for Redis only. */
export const redis = { redisUrl, redisPrefix }

/** All variables for stores. */
export const variables = { storeUrl, storePrefix, sqlTable, sqlCreateTable, ...redis }
