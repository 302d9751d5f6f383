import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import { createContext, runInContext } from "node:vm"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import type { default as Worker, Environment as Bindings } from "../../src/integrations/edge.js"
import { ProtectedApi } from "../../src/ProtectedApi.js"
import * as Shop from "../Shop.js"
import * as Environment from "./Environment.js"

/** What every runtime at the edge has beside the language, and nothing of Node. */
const web = {
  AbortController,
  AbortSignal,
  Blob,
  DOMException,
  FormData,
  Headers,
  ReadableStream,
  Request,
  Response,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  // The same as those of the classes above
  ArrayBuffer,
  Error,
  TypeError,
  Uint8Array,
  atob,
  btoa,
  clearTimeout,
  console,
  crypto,
  fetch,
  performance,
  queueMicrotask,
  setTimeout,
  structuredClone
}

/** The worker as it would be deployed; nothing in it is left to be resolved. */
const load = Effect.promise(async (): Promise<typeof Worker> => {
  const { outputFiles: [{ text }], metafile } = await build({
    entryPoints: [fileURLToPath(new URL("../../src/integrations/edge.ts", import.meta.url))],
    bundle: true,
    minify: true,
    format: "iife",
    globalName: "worker",
    platform: "browser",
    conditions: ["@effect-alf/source"],
    metafile: true,
    write: false
  })
  deepStrictEqual(Object.values(metafile.outputs).flatMap(({ imports }) => imports), [])
  return runInContext(`${text};worker.default`, createContext(web))
})

describe("edge.ts", () => {
  it.live("runs with fetch, and without any API of Node", () =>
    Effect.gen(function*() {
      const { tokenEndpoint } = yield* AuthorizationServer
      const { url } = yield* ProtectedApi
      const worker = yield* load
      const env: Bindings = {
        TOKEN_ENDPOINT: tokenEndpoint,
        CLIENT_ID: Shop.client.id,
        CLIENT_SECRET: Redacted.value(Shop.client.secret),
        API_URL: url
      }
      const responses = yield* Effect.promise(() =>
        Promise.all(
          ["/orders/1", "/orders/2"].map((path) => worker.fetch(new Request(`https://edge.test${path}`), env))
        )
      )
      deepStrictEqual(responses.map(({ status }) => status), [200, 404])
      deepStrictEqual(yield* Effect.promise(() => responses[0].json()), { item: "tea" })
      const { token } = yield* Environment.seen
      assert.strictEqual(token.length, 1)
    }).pipe(Effect.provide(Shop.layer())))
})
