/** The variables that say where tokens are shared, whatever the store is. */
import * as Environment from "@effect-alf/core/Environment"

export const storeUrl = Environment.secret(
  "ALF_STORE_URL",
  "Where tokens are shared: `redis://`, `rediss://`, `unix:///`, `memcached://`, `postgres://`, `mysql://` or `sqlite:`"
)

export const storePrefix = Environment.text("ALF_STORE_PREFIX", "What every key in that store begins with")

export const sqlTable = Environment.text("ALF_SQL_TABLE", "The table of a database that keeps the tokens")

export const sqlCreateTable = Environment.flag(
  "ALF_SQL_CREATE_TABLE",
  "`true` makes that table where it is not there"
)
