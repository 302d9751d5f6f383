import { HttpTransport } from "@effect-alf/core"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, TestClock } from "effect"
import * as Resource from "./support/Resource.js"

/** A client that takes the authorization apart from the request, and records both. */
const makeTransport = (statuses: ReadonlyArray<number> = [200]) => {
  const sent: Array<readonly [header: string | undefined, authorization: string | undefined]> = []
  const responses: Array<HttpClientResponse.HttpClientResponse> = []
  const answer = (request: HttpClientRequest.HttpClientRequest, authorization?: string) =>
    Effect.sync(() => {
      sent.push([request.headers["authorization"], authorization])
      const status = statuses[sent.length - 1] ?? 200
      const response = HttpClientResponse.fromWeb(request, new Response("{}", { status }))
      responses.push(response)
      return response
    })
  const connected: Array<string> = []
  const client = HttpTransport.make(
    HttpClient.make((request) => answer(request)),
    answer,
    (origin) => connected.push(origin)
  )
  return { client, connected, responses, sent }
}

describe("HttpTransport under AuthedHttpClient", () => {
  it.scoped("receives the authorization apart from the request; its response is returned unchanged", () =>
    Effect.gen(function*() {
      const { client: transport, responses, sent } = makeTransport()
      const { client } = yield* Resource.over(transport)
      const response = yield* client.get("/orders")
      deepStrictEqual(sent, [[undefined, "Bearer token-1"]])
      assert.strictEqual(response, responses[0])
      assert.strictEqual(response.request.url, "https://api.test/orders")
    }))

  it.scoped("rule 5: after a 401 it receives the new authorization", () =>
    Effect.gen(function*() {
      const { client: transport, sent } = makeTransport([401])
      const { client } = yield* Resource.over(transport)
      assert.strictEqual((yield* client.get("/orders")).status, 200)
      deepStrictEqual(sent.map(([_, authorization]) => authorization), ["Bearer token-1", "Bearer token-2"])
    }))

  it.scoped("connects while a request waits for its token, and not when there is one", () =>
    Effect.gen(function*() {
      const { client: transport, connected, sent } = makeTransport([200, 200, 401])
      const { client, tokens } = yield* Resource.over(transport)
      yield* tokens.setDelay("1 second")
      const call = yield* Effect.fork(client.get("/orders"))
      yield* TestClock.adjust("500 millis")
      deepStrictEqual(connected, ["https://api.test"])
      assert.lengthOf(sent, 0)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(call)
      yield* client.get("/orders")
      yield* tokens.setDelay(0)
      // A 401: the request has a connection
      yield* client.get("/orders")
      deepStrictEqual(connected, ["https://api.test"])
    }))

  it.scoped("under another client the authorization is a header of the request", () =>
    Effect.gen(function*() {
      const { client: transport, sent } = makeTransport()
      for (const other of [HttpClient.mapRequest(transport, HttpClientRequest.acceptJson), { ...transport }]) {
        const { client } = yield* Resource.over(other)
        yield* client.get("/orders")
        deepStrictEqual(sent.splice(0), [["Bearer token-1", undefined]])
      }
    }))
})
