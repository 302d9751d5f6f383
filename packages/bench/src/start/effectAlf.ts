/** This client, imported by its modules. */
import * as AuthedHttpClient from "@effect-alf/core/AuthedHttpClient"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
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
