import { AuthedHttpClient, OAuthMetrics, TokenProvider } from "@effect-alf/core"
import { TestAuthorizationServer, TestTokenEndpoint } from "@effect-alf/core/testing"
import { Headers, HttpBody, HttpClient, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Metric, Option, Redacted, Ref, Stream, TestClock } from "effect"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"

const utf8 = new TextEncoder()

/** A body under the test's control, and what happened to it in which order. */
const watchedBody = (pull: (controller: ReadableStreamDefaultController<Uint8Array>) => "end" | "more" | "hang") => {
  const events: Array<"end" | "cancel" | "abort"> = []
  let pulled = 0
  let tell: () => void = () => {}
  const released = new Promise<void>((resolve) => {
    tell = resolve
  })
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++
      const result = pull(controller)
      if (result === "end") {
        events.push("end")
        controller.close()
        tell()
      }
      return result === "hang" ? new Promise(() => {}) : undefined
    },
    cancel() {
      events.push("cancel")
      tell()
    }
  }, { highWaterMark: 0 })
  return {
    events,
    pulled: () => pulled,
    /** The body was read to its end, or given up. */
    released: Effect.promise(() => released),
    answer: ({ signal }: Resource.Sent) => {
      signal.addEventListener("abort", () => events.push("abort"))
      return new Response(stream, { status: 401 })
    }
  }
}

/** Answers 401 with this body to the first token, 200 to any other. */
const rejectsFirst = (body: { readonly answer: (sent: Resource.Sent) => Response }) =>
  Resource.make((sent) => sent.token === "token-1" ? body.answer(sent) : 200)

/** Whether a thing happened, once all that is ready has run. */
const settled = Effect.forEach(Array(20), () => Effect.promise(() => new Promise((resolve) => setImmediate(resolve))))

describe.concurrent("AuthedHttpClient, after a 401", () => {
  describe("the one replay", () => {
    it.scoped("rule 5: a 401 causes a new token and one replay of the same request", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
        const response = yield* client.put("/orders/1", {
          body: HttpBody.text("the order"),
          headers: { "x-mine": "1" },
          urlParams: { a: "b" },
          hash: "part"
        })
        assert.strictEqual(response.status, 200)
        assert.strictEqual(yield* response.text, "answer 1")
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2"])
        const [first, second] = sent.map(({ headers: { authorization: _, ...headers }, request, url }) => ({
          method: request.method,
          url: url.href,
          headers,
          body: request.body
        }))
        deepStrictEqual(second, first)
        assert.strictEqual(second.url, "https://api.test/orders/1?a=b#part")
        assert.strictEqual((yield* tokens.requests).length, 2)
      }))

    it.scoped("rule 5: the replay has no delay", () =>
      Effect.gen(function*() {
        const { client } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
        // The clock stands still
        assert.strictEqual((yield* client.get("/")).status, 200)
      }))

    it.scoped("rule 5: any other status is not a 401: it is returned, and the token stays", () =>
      rowsEffect([400, 403, 404, 407, 419, 500, 503], String, (status) =>
        Effect.gen(function*() {
          const { client, sent, tokens } = yield* Resource.over(Resource.make(() => status))
          assert.strictEqual((yield* client.get("/")).status, status)
          assert.strictEqual((yield* client.get("/")).status, status)
          deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-1"])
          assert.strictEqual((yield* tokens.requests).length, 1)
        })))

    it.scoped("rule 5: a second 401 is returned as it is", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(({ index }) =>
          new Response(`no ${index}`, { status: 401, headers: { "www-authenticate": `Bearer realm="${index}"` } })
        ))
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 401)
        assert.strictEqual(response.headers["www-authenticate"], "Bearer realm=\"1\"")
        assert.strictEqual(yield* response.text, "no 1")
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [2, 2])
      }))

    it.scoped("with retryOn401: false the 401 is returned and the token kept", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(Resource.accepts("token-2")), {
          baseUrl: "https://api.test",
          retryOn401: false
        })
        for (const index of [0, 1]) {
          const response = yield* client.get("/")
          assert.strictEqual(response.status, 401)
          assert.strictEqual(yield* response.text, `answer ${index}`)
        }
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [2, 1])
      }))

    it.scoped("rule 5: a 401 that the client below reports as a failure is replayed like any other", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ index, token }) => token !== "token-2" ? 401 : index < 2 ? 200 : 500)
        const { client, sent, tokens } = yield* Resource.over({
          ...resource,
          client: HttpClient.filterStatusOk(resource.client)
        })
        assert.strictEqual((yield* client.get("/")).status, 200)
        const error = yield* Effect.flip(client.get("/"))
        assert(HttpClientError.isHttpClientError(error) && error._tag === "ResponseError")
        deepStrictEqual([error.reason, error.response.status], ["StatusCode", 500])
        deepStrictEqual(error.response.request.headers, Headers.empty)
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2", "token-2"])
        assert.strictEqual((yield* tokens.requests).length, 2)
      }))

    it.scoped("rule 5: a second 401 is the same failure, and is counted once", () =>
      Effect.gen(function*() {
        const resource = Resource.make(() => 401)
        const { client, sent } = yield* Effect.tagMetrics(
          Resource.over({ ...resource, client: HttpClient.filterStatusOk(resource.client) }),
          "test",
          "a second failure"
        )
        const error = yield* Effect.flip(client.get("/"))
        assert(HttpClientError.isHttpClientError(error) && error._tag === "ResponseError")
        assert.strictEqual(yield* error.response.text, "answer 1")
        assert.strictEqual(sent.length, 2)
        const counts = yield* Effect.forEach(
          ["accepted", "failed", "rejected"] as const,
          (outcome) => Metric.value(Metric.tagged(OAuthMetrics.tokenReplays(outcome), "test", "a second failure"))
        )
        deepStrictEqual(counts.map(({ count }) => count), [0, 0, 1])
      }))

    it.scoped("rule 5: a replay without a response fails the call, and is counted once", () =>
      Effect.gen(function*() {
        const resource = Resource.make(() => 401)
        let sent = 0
        const { client } = yield* Effect.tagMetrics(
          Resource.over({
            ...resource,
            client: HttpClient.transform(resource.client, (response, request) =>
              ++sent === 1
                ? response
                : Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport" })))
          }),
          "test",
          "no response"
        )
        const error = yield* Effect.flip(client.get("/"))
        assert(HttpClientError.isHttpClientError(error) && error._tag === "RequestError")
        assert.strictEqual(sent, 2)
        const counts = yield* Effect.forEach(
          ["accepted", "failed", "rejected"] as const,
          (outcome) => Metric.value(Metric.tagged(OAuthMetrics.tokenReplays(outcome), "test", "no response"))
        )
        deepStrictEqual(counts.map(({ count }) => count), [0, 1, 0])
      }))

    it.scoped("rule 4: if the renewal fails, the caller gets the resource's 401, unread", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(() => 401))
        yield* tokens.respondNext({})
        yield* tokens.failNext(1)
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 401)
        assert.strictEqual(yield* response.text, "answer 0")
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [1, 2])
      }))

    it.scoped("rule 4: if the endpoint returns the rejected token, the caller gets the 401, without a replay", () =>
      Effect.gen(function*() {
        const { client, sent, tokens } = yield* Resource.over(Resource.make(() => 401))
        yield* tokens.returnSameToken(true)
        assert.strictEqual((yield* client.get("/")).status, 401)
        deepStrictEqual([sent.length, (yield* tokens.requests).length], [1, 2])
      }))

    it.scoped("rule 4: a request sent with the old token is replayed with the new one", () =>
      Effect.gen(function*() {
        const slow = yield* Ref.make(true)
        const resource = Resource.make((sent) =>
          Effect.gen(function*() {
            if (sent.url.pathname === "/slow" && (yield* Ref.getAndSet(slow, false))) yield* Effect.sleep("1 minute")
            return sent.token === "token-1" ? 401 : 200
          })
        )
        const { client, sent, tokens } = yield* Resource.over(resource)
        const under = yield* Effect.fork(client.get("/slow"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* client.get("/fast")).status, 200)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(under)).status, 200)
        deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-1", "token-2", "token-2"])
        assert.strictEqual((yield* tokens.requests).length, 2)
      }))

    it.scoped("rule 1: interrupting one caller that waits for the renewal disturbs no other", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer({ tokenDelay: "1 second" })
        const warm = yield* Effect.fork(client.get("/"))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(warm)
        yield* server.revoke()
        const [first, ...others] = yield* Effect.forEach(Array(10), () => Effect.fork(client.get("/")))
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("500 millis")
        for (const other of others) assert.strictEqual((yield* Fiber.join(other)).status, 200)
        assert.strictEqual((yield* server.tokenRequests).length, 2)
      }))
  })

  describe("many callers", () => {
    it.scoped("rule 4: 50 requests rejected at once cost one token request, and all succeed", () =>
      Effect.gen(function*() {
        const gate = yield* Effect.makeLatch(false)
        const resource = Resource.make(({ token }) => token === "token-1" ? gate.whenOpen(Effect.succeed(401)) : 200)
        const { client, sent, tokens } = yield* Resource.over(resource, undefined, { delay: "50 millis" })
        const calls = yield* Effect.forEach(Array(50), () => Effect.fork(client.get("/")))
        yield* TestClock.adjust("50 millis")
        assert.strictEqual(sent.length, 50)
        yield* gate.open
        yield* TestClock.adjust("50 millis")
        const statuses = yield* Effect.forEach(calls, (call) => Effect.map(Fiber.join(call), ({ status }) => status))
        deepStrictEqual(statuses, Array(50).fill(200))
        assert.strictEqual(sent.length, 100)
        assert.strictEqual((yield* tokens.requests).length, 2)
      }))

    it.scoped("rule 4: repeated revocations under traffic cost one token request each, and no failure", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer({ apiDelay: "40 millis", tokenDelay: "30 millis" })
        const statuses: Array<number> = []
        const traffic = yield* client.get("/").pipe(
          Effect.tap(({ status }) => Effect.sync(() => statuses.push(status))),
          Effect.forkScoped,
          Effect.delay("20 millis"),
          Effect.repeatN(24),
          Effect.fork
        )
        for (let revoked = 0; revoked < 2; revoked++) {
          yield* TestClock.adjust("210 millis")
          yield* server.revoke()
        }
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(traffic)
        deepStrictEqual(statuses, Array(25).fill(200))
        assert.strictEqual((yield* server.tokenRequests).length, 3)
      }))

    it.scoped("rule 5: a resource that rejects every token costs few token requests, whatever the traffic", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer()
        yield* server.rejectOrigin(TestAuthorizationServer.apiUrl, true)
        for (let second = 0; second < 16; second++) {
          const responses = yield* Effect.forEach(Array(5), () => client.get("/"), { concurrency: 5 })
          deepStrictEqual(responses.map(({ status }) => status), Array(5).fill(401))
          yield* TestClock.adjust("1 second")
        }
        // The first token, its replacement, and one whenever a pause ends: these last 1, 2, 4, ... seconds
        assert.isAtMost((yield* server.tokenRequests).length, 6)
        // And it is over as soon as the resource is in order again
        yield* server.rejectOrigin(TestAuthorizationServer.apiUrl, false)
        assert.strictEqual((yield* client.get("/")).status, 200)
        const before = (yield* server.tokenRequests).length
        yield* server.revoke()
        assert.strictEqual((yield* client.get("/")).status, 200)
        assert.strictEqual((yield* server.tokenRequests).length, before + 1)
      }))

    for (const sameToken of [false, true]) {
      it.scoped(
        `rule 5: one bad origin beside a good one${
          sameToken ? ", and an endpoint that repeats its token" : ""
        }: the good one never fails`,
        () =>
          Effect.gen(function*() {
            const { client, server } = yield* Resource.overServer({
              client: { origins: ["https://good.test", "https://bad.test"] }
            })
            yield* server.returnSameToken(sameToken)
            yield* server.rejectOrigin("https://bad.test", true)
            for (let second = 0; second < 16; second++) {
              const [good, bad, again] = yield* Effect.all([
                client.get("https://good.test/"),
                client.get("https://bad.test/"),
                client.get("https://good.test/")
              ], { concurrency: 3 })
              deepStrictEqual([good.status, bad.status, again.status], [200, 401, 200])
              yield* TestClock.adjust("1 second")
            }
            assert.isAtMost((yield* server.tokenRequests).length, 6)
            const good = (yield* server.apiRequests).filter(({ url }) => url.startsWith("https://good.test"))
            assert.strictEqual(good.length, 32, "the good origin was never asked twice")
          })
      )
    }

    it.scoped("rule 4: a response to any client of the provider clears the mark of a 401", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ url }) =>
          url.pathname === "/bad" ? 401 : url.pathname === "/slow" ? Effect.delay(Effect.succeed(200), "1 second") : 200
        )
        const { client, provider, tokens } = yield* Resource.over(resource)
        const other = yield* AuthedHttpClient.make({ baseUrl: "https://api.test" }).pipe(
          Effect.provideService(TokenProvider.TokenProvider, provider),
          Effect.provideService(HttpClient.HttpClient, resource.client)
        )
        assert.strictEqual((yield* other.get("/")).status, 200)
        const slow = yield* Effect.fork(other.get("/slow"))
        yield* TestClock.adjust(0)
        yield* tokens.fail(TestTokenEndpoint.unavailable)
        assert.strictEqual((yield* client.get("/bad")).status, 401)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(slow)).status, 200)
        assert.strictEqual((yield* other.get("/")).status, 200)
      }))

    it.scoped("rule 4: an origin that accepts a token again clears its mark, even if others accepted it in between", () =>
      Effect.gen(function*() {
        const rejects = yield* Ref.make(true)
        const resource = Resource.make(({ url }) =>
          Effect.map(Ref.get(rejects), (rejects) => rejects && url.hostname === "a.test" ? 401 : 200)
        )
        const { client, tokens } = yield* Resource.over(resource, { origins: ["https://a.test", "https://b.test"] })
        yield* tokens.returnSameToken(true)
        assert.strictEqual((yield* client.get("https://a.test/")).status, 401)
        assert.strictEqual((yield* client.get("https://b.test/")).status, 200)
        yield* Ref.set(rejects, false)
        assert.strictEqual((yield* client.get("https://a.test/")).status, 200)
        const before = (yield* tokens.requests).length
        for (let call = 0; call < 5; call++) {
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual((yield* client.get("https://a.test/")).status, 200)
        }
        assert.strictEqual((yield* tokens.requests).length, before)
      }))
  })

  describe("bodies", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    const form = () => {
      const form = new FormData()
      form.append("field", "välue")
      form.append("file", new Blob([bytes], { type: "application/x-bytes" }), "file.bin")
      return form
    }

    const sentAgain: Record<string, HttpBody.HttpBody> = {
      Empty: HttpBody.empty,
      Uint8Array: HttpBody.uint8Array(bytes),
      "Uint8Array over a part of its buffer": HttpBody.uint8Array(bytes.subarray(10, 20)),
      "Uint8Array without bytes": HttpBody.uint8Array(new Uint8Array()),
      string: HttpBody.text("hé 🙂"),
      JSON: HttpBody.unsafeJson({ order: "hé 🙂", lines: [1, 2] }),
      urlParams: HttpBody.urlParams([["a", "1 &"], ["b", "é"]]),
      "Raw string": HttpBody.raw("hé 🙂"),
      "Raw ArrayBuffer": HttpBody.raw(bytes.slice().buffer),
      "Raw Uint16Array over a part of its buffer": HttpBody.raw(new Uint16Array(bytes.slice().buffer, 4, 3)),
      "Raw DataView": HttpBody.raw(new DataView(bytes.slice().buffer, 5, 7)),
      "Raw Blob": HttpBody.raw(new Blob([bytes])),
      "Raw URLSearchParams": HttpBody.raw(new URLSearchParams([["a", "1 &"]])),
      "Raw undefined": HttpBody.raw(undefined),
      "Raw null": HttpBody.raw(null)
    }

    const post = (client: Resource.Client, body: HttpBody.HttpBody) =>
      client.execute(HttpClientRequest.setBody(HttpClientRequest.post("/orders"), body))

    it.scoped("rule 5: a repeatable body is sent again, byte for byte", () =>
      rowsEffect(Object.entries(sentAgain), ([kind]) => kind, ([kind, body]) =>
        Effect.gen(function*() {
          const { client, server } = yield* Resource.overServer()
          yield* client.get("/")
          yield* server.revoke()
          yield* server.resetRecords
          assert.strictEqual((yield* post(client, body)).status, 200)
          const [first, second, ...more] = yield* server.apiRequests
          deepStrictEqual([first.status, second.status, more.length], [401, 200, 0])
          deepStrictEqual(second.body, first.body)
          assert.strictEqual(second.headers["content-type"], first.headers["content-type"])
          if (!/Empty|without|undefined|null/.test(kind)) assert.isAbove(second.body.length, 0)
          assert.strictEqual((yield* server.tokenRequests).length, 1)
        })))

    it.scoped("rule 5: FormData is sent again with the same fields and files", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer()
        yield* client.get("/")
        yield* server.revoke()
        yield* server.resetRecords
        assert.strictEqual((yield* post(client, HttpBody.formData(form()))).status, 200)
        const requests = yield* server.apiRequests
        deepStrictEqual(requests.map(({ status }) => status), [401, 200])
        for (const { body, headers } of requests) {
          const sent = yield* Effect.promise(() =>
            new Response(body.slice(), { headers: { "content-type": headers["content-type"] } }).formData()
          )
          assert.strictEqual(sent.get("field"), "välue")
          const file = sent.get("file")
          assert(file instanceof Blob)
          deepStrictEqual(new Uint8Array(yield* Effect.promise(() => file.arrayBuffer())), bytes)
        }
      }))

    const consumed = () => {
      const chunks = [utf8.encode("once")]
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          const chunk = chunks.shift()
          if (chunk === undefined) controller.close()
          else controller.enqueue(chunk)
        }
      })
    }

    async function* generate() {
      yield utf8.encode("once")
    }

    const sentOnce: Record<string, () => HttpBody.HttpBody> = {
      Stream: () => HttpBody.stream(Stream.make(utf8.encode("once"))),
      "Stream of a consumed source": () => HttpBody.stream(Stream.fromReadableStream(consumed, (error) => error)),
      "Raw ReadableStream": () => HttpBody.raw(consumed()),
      "Raw generator": () => HttpBody.raw(generate()),
      "Raw object": () => HttpBody.raw({ read: () => "once" })
    }

    it.scoped("rule 5: a consumed body is not sent again: the 401 is returned, and the next call has the new token", () =>
      rowsEffect(Object.entries(sentOnce), ([kind]) => kind, ([, body]) =>
        Effect.gen(function*() {
          const { client, sent, tokens } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
          const response = yield* post(client, body())
          assert.strictEqual(response.status, 401)
          assert.strictEqual(yield* response.text, "answer 0")
          assert.strictEqual(sent.length, 1)
          assert.strictEqual((yield* tokens.requests).length, 2)
          assert.strictEqual((yield* post(client, body())).status, 200)
          deepStrictEqual(sent.map(({ token }) => token), ["token-1", "token-2"])
        })))

    it.scoped("rule 5: another body is sent again if the caller says that it is replayable", () =>
      rowsEffect(Object.entries(sentOnce), ([kind]) => kind, ([, body]) =>
        Effect.gen(function*() {
          const { client, sent } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
          const same = body()
          assert.strictEqual((yield* post(AuthedHttpClient.withReplayableBodies(client), same)).status, 200)
          assert.sameOrderedMembers(sent.map(({ request }) => request.body), [same, same])
        })))

    it.scoped("replayable: a stream that can be read twice arrives twice, whole", () =>
      Effect.gen(function*() {
        const { client, server } = yield* Resource.overServer()
        yield* client.get("/")
        yield* server.revoke()
        yield* server.resetRecords
        const body = HttpBody.stream(Stream.make(utf8.encode("one"), utf8.encode("two")))
        assert.strictEqual((yield* post(AuthedHttpClient.withReplayableBodies(client), body)).status, 200)
        const requests = yield* server.apiRequests
        deepStrictEqual(requests.map(({ body }) => Buffer.from(body).toString()), ["onetwo", "onetwo"])
      }))

    it.scoped("replayable applies to one client, not to the one it was made from", () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(Resource.make(() => 401))
        const both = AuthedHttpClient.withReplayableBodies(client).pipe(HttpClient.mapRequest((request) => request))
        yield* post(both, sentOnce.Stream())
        assert.strictEqual(sent.length, 2)
        yield* TestClock.adjust("5 minutes")
        yield* post(client, sentOnce.Stream())
        assert.strictEqual(sent.length, 3)
      }))
  })

  describe("the first response", () => {
    it.scoped("rule 5: a small body is read in the background, and its connection is kept", () =>
      Effect.gen(function*() {
        const chunks = ["one", "two", "three"]
        const body = watchedBody((controller) => {
          const chunk = chunks.shift()
          if (chunk === undefined) return "end"
          controller.enqueue(utf8.encode(chunk))
          return "more"
        })
        const { client, sent } = yield* Resource.over(rejectsFirst(body))
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 200)
        yield* body.released
        yield* settled
        // Platform aborts the signal of every body that was read to its end; then there is nothing left to abort
        assert.strictEqual(body.events[0], "end")
        assert.notInclude(body.events, "cancel")
        assert.strictEqual(sent[1].signal.aborted, false)
        assert.strictEqual(yield* response.text, "answer 1")
      }))

    it.scoped("rule 5: an endless body does not delay the replay, and is dropped after a second", () =>
      Effect.gen(function*() {
        const body = watchedBody(() => "hang")
        const { client, sent } = yield* Resource.over(rejectsFirst(body))
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 200)
        yield* TestClock.adjust("999 millis")
        yield* settled
        deepStrictEqual(body.events, [])
        yield* TestClock.adjust("1 millis")
        yield* body.released
        yield* settled
        assert.sameMembers(body.events, ["cancel", "abort"])
        assert.strictEqual(sent[1].signal.aborted, false)
        assert.strictEqual(yield* response.text, "answer 1")
      }))

    it.scoped("rule 5: an endless body is dropped also if the caller is uninterruptible", () =>
      Effect.gen(function*() {
        const body = watchedBody(() => "hang")
        const { client } = yield* Resource.over(rejectsFirst(body))
        const response = yield* Effect.acquireRelease(client.get("/"), () => Effect.void)
        assert.strictEqual(response.status, 200)
        yield* TestClock.adjust("1 second")
        yield* body.released
        assert.include(body.events, "cancel")
      }))

    it.scoped("rule 5: a large body is dropped after 64 KiB", () =>
      Effect.gen(function*() {
        const chunk = new Uint8Array(4_096)
        const body = watchedBody((controller) => {
          controller.enqueue(chunk)
          return "more"
        })
        const { client, sent } = yield* Resource.over(rejectsFirst(body))
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 200)
        yield* body.released
        yield* settled
        assert.sameMembers(body.events, ["cancel", "abort"])
        assert.strictEqual(body.pulled() * chunk.length, 64 * 1024)
        assert.strictEqual(sent[1].signal.aborted, false)
        // Platform aborts a response that is not referenced any more
        assert.strictEqual(yield* response.text, "answer 1")
      }))

    it.scoped("rule 5: a body that breaks off does not affect the replay", () =>
      Effect.gen(function*() {
        const body = watchedBody(() => {
          throw new Error("connection reset")
        })
        const { client } = yield* Resource.over(rejectsFirst(body))
        assert.strictEqual((yield* client.get("/")).status, 200)
        yield* settled
        assert.strictEqual(body.pulled(), 1)
      }))

    it.scoped("rule 5: a response without a body does not affect the replay", () =>
      Effect.gen(function*() {
        const resource = Resource.make(({ token }) => token === "token-1" ? new Response(null, { status: 401 }) : 200)
        const { client, sent } = yield* Resource.over(resource)
        const response = yield* client.get("/")
        deepStrictEqual(sent.map(({ signal }) => signal.aborted), [false, false])
        assert.strictEqual(response.status, 200)
      }))

    it.scoped("rule 5: the body is not read if the caller gets the response", () =>
      Effect.gen(function*() {
        const body = watchedBody((controller) => {
          controller.enqueue(utf8.encode("why"))
          return "more"
        })
        const { client, tokens } = yield* Resource.over(Resource.make(body.answer))
        yield* tokens.returnSameToken(true)
        const response = yield* client.get("/")
        assert.strictEqual(response.status, 401)
        yield* TestClock.adjust("10 seconds")
        yield* settled
        deepStrictEqual([body.pulled(), body.events], [0, []])
        const first = yield* Stream.runHead(response.stream)
        deepStrictEqual(Option.map(first, (chunk) => Buffer.from(chunk).toString()), Option.some("why"))
      }))

    it.scoped("rule 5: the response does not keep its connection if the caller is interrupted during the renewal", () =>
      Effect.gen(function*() {
        const body = watchedBody(() => "hang")
        const { client, provider, tokens } = yield* Resource.over(rejectsFirst(body))
        yield* provider.get()
        yield* tokens.setDelay("10 seconds")
        const caller = yield* Effect.fork(client.get("/"))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* tokens.requests).length, 2)
        deepStrictEqual(body.events, [])
        yield* Fiber.interrupt(caller)
        yield* TestClock.adjust("1 second")
        yield* body.released
        assert.include(body.events, "cancel")
      }))
  })

  it.scoped("the provider's token after a replay is the one that was accepted", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* Resource.over(Resource.make(Resource.accepts("token-2")))
      yield* client.get("/")
      assert.strictEqual(Redacted.value((yield* provider.get()).value), "token-2")
    }))
})
