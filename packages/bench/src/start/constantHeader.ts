/** Effect, platform-node's undici client and a header that never changes. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import { path } from "../Client.js"
import { constantToken } from "../Token.js"
import { report } from "./Report.js"

void report((url) =>
  HttpClient.HttpClient.pipe(
    Effect.flatMap((client) => client.get(url + path, { headers: { authorization: `Bearer ${constantToken}` } })),
    Effect.flatMap(({ json }) => json),
    Effect.provide(NodeHttpClient.layerUndici),
    Effect.runPromise
  )
)
