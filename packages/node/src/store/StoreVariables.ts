/** The variables that say where tokens are shared, whatever the store is. */
import * as Environment from "@effect-alf/core/Environment"

export const storeUrl = Environment.secret(
  "ALF_STORE_URL",
  "Where tokens are shared: `redis://`, `rediss://`, `unix:///` or `memcached://`"
)

export const storePrefix = Environment.text("ALF_STORE_PREFIX", "What every key in that store begins with")
