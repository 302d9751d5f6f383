import { RequestScope } from "@effect-alf/core"
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Resource from "./Resource.js"

describe("RequestScope", () => {
  it.live("HttpClient.withScope aborts a request that took the place of another", () =>
    Effect.gen(function*() {
      const { client, sent } = Resource.make()
      const replaced = HttpClient.transform(
        client,
        (_, request) => client.execute(RequestScope.carry(request, HttpClientRequest.setHeader(request, "x-a", "1")))
      )
      const scope = yield* Scope.make()
      yield* Scope.extend(HttpClient.withScope(replaced).get("https://api.test/"), scope)
      assert.isFalse(sent[0].signal.aborted)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(sent[0].signal.aborted)
    }))

  it.scoped("a scope is found by the request", () =>
    Effect.gen(function*() {
      const { client, sent } = Resource.make()
      const found: Array<AbortController | undefined> = []
      const scoped = HttpClient.withScope(HttpClient.transform(client, (effect, request) => {
        found.push(RequestScope.find(request))
        return effect
      }))
      yield* scoped.get("https://api.test/")
      assert.strictEqual(found[0]?.signal, sent[0].signal)
    }))

  it("a request without a scope hands none on", () => {
    const request = HttpClientRequest.get("https://api.test/")
    assert.isUndefined(RequestScope.find(request))
    assert.strictEqual(RequestScope.carry(HttpClientRequest.get("/"), request), request)
  })
})
