/** This client, imported from the packages as a whole. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Effect, Redacted } from "effect"
import { path } from "../Client.js"
import { report } from "./Report.js"

void report((url) =>
  AuthedHttpClient.AuthedHttpClient.pipe(
    Effect.flatMap((client) => client.get(path)),
    Effect.flatMap(({ json }) => json),
    Effect.provide(NodeAuthedHttpClient.layer({
      tokenEndpoint: `${url}/token`,
      clientId: "client-id",
      clientSecret: Redacted.make("client-secret"),
      baseUrl: url
    })),
    Effect.runPromise
  )
)
