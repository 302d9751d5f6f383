/**
 * Stores in the database of a URL. The client of that database is loaded when it
 * is needed.
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import * as OAuthError from "@effect-alf/core/OAuthError"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Options } from "../SqlTokenStore.js"

interface Database {
  /** The package of its client. */
  readonly name: string
  readonly load: (url: Redacted.Redacted) => Promise<Layer.Layer<SqlClient, unknown>>
}

// Outlasts the first retransmission of a lost SYN (1 s)
const connectTimeout = "2 seconds"

// A bundler tolerates a package that is not installed if the failure of its import is caught
const refuse = (error: unknown) => Promise.reject(error)

const postgres: Database = {
  name: "@effect/sql-pg",
  load: async (url) => {
    const { PgClient } = await import("@effect/sql-pg").catch(refuse)
    return PgClient.layer({ url, connectTimeout })
  }
}

/** By the scheme of the URL. */
export const databases = {
  postgres,
  postgresql: postgres,
  mysql: {
    name: "@effect/sql-mysql2",
    load: async (url) => {
      const { MysqlClient } = await import("@effect/sql-mysql2").catch(refuse)
      return MysqlClient.layer({ url })
    }
  },
  sqlite: {
    name: "@effect/sql-libsql",
    load: async (url) => {
      const { LibsqlClient } = await import("@effect/sql-libsql").catch(refuse)
      return LibsqlClient.layer({ url: Redacted.value(url).trim().replace(/^sqlite:/i, "file:") })
    }
  }
} satisfies Record<string, Database>

/** A store with a client of its own. */
export const layer = (
  scheme: keyof typeof databases,
  url: Redacted.Redacted,
  options: Options
): Layer.Layer<TokenStore, OAuthError.InvalidOptions> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { load, name } = databases[scheme]
    const client = yield* Effect.tryPromise({
      try: () => load(url),
      catch: (error) =>
        LayerOptions.error(
          "SqlTokenStore",
          `needs the packages @effect/sql and ${name}, which could not be loaded (npm install @effect/sql ${name}): ${
            OAuthError.describe(error)
          }`
        )
    })
    const SqlTokenStore = yield* Effect.promise(() => import("../SqlTokenStore.js"))
    return SqlTokenStore.layerWithClient(client, options)
  }))
