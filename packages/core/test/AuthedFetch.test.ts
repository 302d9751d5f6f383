import { AuthedFetch, AuthedHttpClient, OAuthError } from "@effect-alf/core"
import { FetchHttpClient, HttpClient, HttpClientError } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Deferred, Effect, Fiber, Layer, Stream, TestClock } from "effect"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"
import * as Secrets from "./support/Secrets.js"

interface Arrived {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly token: string | undefined
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly init: RequestInit | undefined
}

const baseUrl = "https://api.test"

/** The fetch under test over platform's fetch client, and that over a server of web requests. */
const over = (
  respond: (arrived: Arrived) => Response | Promise<Response> = () => new Response("answer"),
  options: AuthedHttpClient.Options = { baseUrl }
) =>
  Effect.gen(function*() {
    const arrived: Array<Arrived> = []
    const server: typeof globalThis.fetch = async (input, init) => {
      const request = new Request(input, init)
      const one = {
        url: request.url,
        method: request.method,
        headers: request.headers,
        token: request.headers.get("authorization")?.replace("Bearer ", ""),
        bytes: new Uint8Array(await request.arrayBuffer()),
        init
      }
      arrived.push(one)
      return respond(one)
    }
    const http = yield* Layer.build(
      FetchHttpClient.layer.pipe(Layer.provide(Layer.succeed(FetchHttpClient.Fetch, server)))
    )
    const world = yield* Resource.over(yield* Effect.provide(HttpClient.HttpClient, http), options)
    const fetch = yield* Effect.provideService(AuthedFetch.make, AuthedHttpClient.AuthedHttpClient, world.client)
    return { ...world, arrived, fetch }
  })

/** The same over a scripted resource. */
const overResource = (respond?: Resource.Respond, options: AuthedHttpClient.Options = { baseUrl }) =>
  Effect.map(
    Resource.over(Resource.make(respond), options),
    (world) => ({ ...world, fetch: AuthedFetch.toFetch(world.client) })
  )

const rejectionOf = (promise: Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: () => promise, catch: (e) => e }))

const only = (token: string) => (arrived: Arrived) =>
  new Response(null, { status: arrived.token === token ? 200 : 401 })

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const streamOf = (...chunks: ReadonlyArray<string>) =>
  Stream.toReadableStream(Stream.encodeText(Stream.make(...chunks)))

describe("AuthedFetch", () => {
  it.scoped("accepts strings, URLs and Requests", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      yield* Effect.promise(async () => {
        await fetch("/1?a=b%20c")
        await fetch("https://api.test/2", { method: "delete", headers: { "X-A": "1" } })
        await fetch(new URL("https://api.test/3#part"), { headers: [["x-a", "1"], ["x-a", "2"]] })
        await fetch(new Request("https://api.test/4", { method: "PUT", headers: { "x-a": "1" } }))
        await fetch(new Request("https://api.test/5", { method: "PUT", headers: { "x-a": "1" } }), {
          method: "PATCH",
          headers: { "x-a": "2" }
        })
      })
      deepStrictEqual(
        arrived.map(({ headers, method, token, url }) => [method, url, headers.get("x-a"), token]),
        [
          ["GET", "https://api.test/1?a=b%20c", null, "token-1"],
          ["DELETE", "https://api.test/2", "1", "token-1"],
          ["GET", "https://api.test/3#part", "1, 2", "token-1"],
          ["PUT", "https://api.test/4", "1", "token-1"],
          ["PATCH", "https://api.test/5", "2", "token-1"]
        ]
      )
    }))

  it.scoped("rejects what fetch rejects, and sends nothing", () =>
    Effect.gen(function*() {
      const { arrived, fetch, tokens } = yield* over()
      const stream = streamOf("a")
      for (
        const promise of [
          fetch("https://user:password@api.test/"),
          fetch("/", { method: "a b" }),
          fetch("/", { headers: { "a b": "c" } }),
          fetch("/", { body: "a" }),
          fetch("/", { method: "POST", body: stream }),
          fetch("/", { method: "PURGE" })
        ]
      ) {
        assert.instanceOf(yield* rejectionOf(promise), TypeError)
      }
      deepStrictEqual([arrived.length, (yield* tokens.requests).length], [0, 0])
    }))

  const bytes = new TextEncoder().encode("the body")
  const form = new FormData()
  form.set("a", "b")
  form.set("file", new Blob(["c"], { type: "text/css" }), "file.css")
  const bodies: Record<string, readonly [BodyInit, type: string | null, content: RegExp]> = {
    "a string": ["the body", "text/plain;charset=UTF-8", /^the body$/],
    "an empty string": ["", "text/plain;charset=UTF-8", /^$/],
    "a view": [bytes.subarray(4), null, /^body$/],
    "an ArrayBuffer": [bytes.slice().buffer, null, /^the body$/],
    "a Blob": [new Blob(["the ", "body"], { type: "text/css" }), "text/css", /^the body$/],
    "parameters": [new URLSearchParams({ a: "b c" }), "application/x-www-form-urlencoded;charset=UTF-8", /^a=b\+c$/]
  }
  it.scoped("rule 5: a body is sent as fetch does, and once more after a 401", () =>
    rowsEffect(Object.entries(bodies), ([name]) => name, ([, [body, type, content]]) =>
      Effect.gen(function*() {
        const { arrived, fetch } = yield* over(only("token-2"))
        const response = yield* Effect.promise(() => fetch("/", { method: "POST", body }))
        assert.strictEqual(response.status, 200)
        deepStrictEqual(arrived.map(({ token }) => token), ["token-1", "token-2"])
        for (const { bytes, headers } of arrived) {
          assert.match(text(bytes), content)
          assert.strictEqual(headers.get("content-type"), type)
        }
      })))

  it.scoped("rule 5: the body of a Request is sent as fetch does, and once more after a 401", () =>
    rowsEffect(Object.entries(bodies), ([name]) => name, ([, [body, type, content]]) =>
      Effect.gen(function*() {
        const { arrived, fetch } = yield* over(only("token-2"))
        const request = new Request("https://api.test/", { method: "POST", body })
        assert.strictEqual((yield* Effect.promise(() => fetch(request))).status, 200)
        assert.isTrue(request.bodyUsed)
        deepStrictEqual(arrived.map(({ token }) => token), ["token-1", "token-2"])
        for (const { bytes, headers } of arrived) {
          assert.match(text(bytes), content)
          assert.strictEqual(headers.get("content-type"), type)
        }
      })))

  it.scoped("rule 5: a form is sent as fetch does, and once more after a 401", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over(only("token-2"))
      yield* Effect.promise(() => fetch("/", { method: "POST", body: form }))
      yield* Effect.promise(() => fetch(new Request("https://api.test/", { method: "POST", body: form })))
      assert.strictEqual(arrived.length, 3)
      for (const { bytes, headers } of arrived) {
        const received = yield* Effect.promise(() => new Response(bytes, { headers }).formData())
        assert.strictEqual(received.get("a"), "b")
        const file = received.get("file")
        assert.instanceOf(file, File)
        deepStrictEqual([file.name, file.type], ["file.css", "text/css"])
      }
    }))

  it.scoped("a body that is changed later is sent as it was", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      const body = new TextEncoder().encode("before")
      const response = fetch("/", { method: "POST", body })
      body.fill(0)
      yield* Effect.promise(() => response)
      assert.strictEqual(text(arrived[0].bytes), "before")
    }))

  it.scoped("a form that is changed later is sent as it was", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      const form = new FormData()
      form.set("file", new File(["the file"], "file.css", { type: "text/css" }))
      const responses: Array<Promise<Response>> = []
      for (const page of ["1", "2"]) {
        form.set("page", page)
        responses.push(fetch("/", { method: "POST", body: form }))
      }
      yield* Effect.promise(() => Promise.all(responses))
      const received = yield* Effect.forEach(arrived, ({ bytes, headers }) =>
        Effect.promise(() => new Response(bytes, { headers }).formData()))
      deepStrictEqual(
        received.map((form) =>
          form.get("page")
        ),
        ["1", "2"]
      )
      for (const { name, type } of received.map((form) => form.get("file") as File)) {
        deepStrictEqual([name, type], ["file.css", "text/css"])
      }
    }))

  it.scoped("rule 5: a stream is sent once: its 401 is returned", () =>
    Effect.gen(function*() {
      const { arrived, fetch, tokens } = yield* over(only("token-2"))
      const init = { method: "POST", body: streamOf("a", "b"), duplex: "half" }
      const response = yield* Effect.promise(() => fetch("/", init))
      assert.strictEqual(response.status, 401)
      deepStrictEqual(arrived.map(({ bytes }) => text(bytes)), ["ab"])
      // The next request has the new token
      assert.strictEqual((yield* tokens.requests).length, 2)
    }))

  it.scoped("rule 5: a Request's stream of 1 MiB is sent again, a longer one not; either arrives as it is", () =>
    Effect.gen(function*() {
      const chunk = "0123456789abcdef".repeat(4096)
      const sizes: Array<number> = []
      for (const parts of [16, 17]) {
        const { arrived: sent, fetch } = yield* over(only("token-2"))
        const init = { method: "POST", body: streamOf(...Array.from({ length: parts }, () => chunk)), duplex: "half" }
        yield* Effect.promise(() => fetch(new Request("https://api.test/", init)))
        for (const { bytes } of sent) assert.strictEqual(text(bytes), chunk.repeat(parts))
        sizes.push(sent.length)
      }
      deepStrictEqual(sizes, [2, 1])
    }))

  it.scoped("rule 1: a hundred calls at once need one token", () =>
    Effect.gen(function*() {
      const { arrived, fetch, tokens } = yield* over()
      const responses = yield* Effect.promise(() => Promise.all(Array.from({ length: 100 }, () => fetch("/"))))
      assert.isTrue(responses.every(({ ok }) => ok))
      deepStrictEqual([arrived.length, (yield* tokens.requests).length], [100, 1])
    }))

  it.scoped("rule 4: a hundred calls that meet a 401 need one more", () =>
    Effect.gen(function*() {
      const { arrived, fetch, tokens } = yield* over(only("token-2"))
      const responses = yield* Effect.promise(() => Promise.all(Array.from({ length: 100 }, () => fetch("/"))))
      assert.isTrue(responses.every(({ ok }) => ok))
      deepStrictEqual([arrived.length, (yield* tokens.requests).length], [200, 2])
    }))
})

describe("AuthedFetch, errors", () => {
  it.scoped("rule 10: an origin that is not allowed is a typed error, unsent", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      for (const input of ["https://evil.test/", new URL("https://evil.test"), new Request("https://evil.test")]) {
        assert.instanceOf(yield* rejectionOf(fetch(input)), OAuthError.OriginNotAllowed)
      }
      yield* Effect.promise(() => fetch("//evil.test/"))
      deepStrictEqual(arrived.map(({ url }) => url), ["https://api.test//evil.test/"])
    }))

  it.scoped("rule 6: the token endpoint's error is a typed error, unsent", () =>
    Effect.gen(function*() {
      const { fetch, sent, tokens } = yield* overResource()
      yield* tokens.failNext(
        1,
        new OAuthError.TokenEndpointError({
          reason: "OAuth",
          endpoint: "https://auth.test/token",
          description: "refused",
          status: 401,
          error: "invalid_client"
        })
      )
      const error = yield* rejectionOf(fetch("/"))
      assert.instanceOf(error, OAuthError.TokenEndpointError)
      assert.strictEqual(error.error, "invalid_client")
      assert.strictEqual(sent.length, 0)
    }))

  it.scoped("an OAuthError is found behind platform's client too", () =>
    Effect.gen(function*() {
      const { client } = yield* overResource()
      const fetch = AuthedFetch.toFetch(AuthedHttpClient.toHttpClient(client))
      assert.instanceOf(yield* rejectionOf(fetch("https://evil.test/")), OAuthError.OriginNotAllowed)
    }))

  it.scoped("a failed request is a TypeError as in Node, with platform's error as its cause", () =>
    Effect.gen(function*() {
      const reset = new Error("reset")
      const { fetch } = yield* over(() => Promise.reject(reset))
      const error = yield* rejectionOf(fetch("/orders"))
      assert.instanceOf(error, TypeError)
      assert.strictEqual(error.message, "fetch failed")
      assert.instanceOf(error.cause, HttpClientError.RequestError)
      assert.strictEqual(error.cause.cause, reset)
    }))

  it.scoped("a status that no Response can have is a TypeError", () =>
    Effect.gen(function*() {
      const { fetch } = yield* over(() => Response.error())
      assert.instanceOf(yield* rejectionOf(fetch("/")), TypeError)
    }))

  it.scoped("rule 9: neither errors nor responses contain the token", () =>
    Effect.gen(function*() {
      const tokenPrefix = "acc3ss/t0ken+"
      const { client, server } = yield* Resource.overServer({ tokenPrefix })
      const fetch = AuthedFetch.toFetch(client)
      const response = yield* Effect.promise(() => fetch("/orders"))
      const hidden = (value: unknown) => deepStrictEqual(Secrets.leaks(value, [tokenPrefix]), [])
      hidden([response.url, [...response.headers], yield* Effect.promise(() => response.clone().text())])
      yield* server.failApiNext(1, "reset")
      hidden(yield* rejectionOf(fetch("/orders")))
      yield* server.failApiNext(1, "cut")
      const cut = yield* Effect.promise(() => fetch("/orders"))
      const error = yield* rejectionOf(cut.text())
      assert.instanceOf(error, TypeError)
      hidden(error)
    }))
})

describe("AuthedFetch, AbortSignal", () => {
  it.scoped("the stream of a request that is never sent is cancelled", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      const cancelled: Array<unknown> = []
      const body = () => new ReadableStream<Uint8Array>({ cancel: (reason) => void cancelled.push(reason) })
      const reason = new Error("too late")
      const init = { method: "POST", duplex: "half" }
      const signal = AbortSignal.abort(reason)
      yield* rejectionOf(fetch("/", { ...init, body: body(), signal }))
      yield* rejectionOf(fetch(new Request(baseUrl, { ...init, body: body(), signal })))
      const error = yield* rejectionOf(fetch("https://evil.test", { ...init, body: body() }))
      deepStrictEqual(cancelled, [reason, reason, error])
      assert.strictEqual(arrived.length, 0)
    }))

  it.scoped("with a signal that is aborted already nothing is sent", () =>
    Effect.gen(function*() {
      const { arrived, fetch, tokens } = yield* over()
      const reason = new Error("too late")
      assert.strictEqual(yield* rejectionOf(fetch("/", { signal: AbortSignal.abort(reason) })), reason)
      const request = new Request("https://api.test/", { signal: AbortSignal.abort() })
      assert.propertyVal(yield* rejectionOf(fetch(request)), "name", "AbortError")
      deepStrictEqual([arrived.length, (yield* tokens.requests).length], [0, 0])
    }))

  it.scoped("a signal that is aborted at once aborts the request", () =>
    Effect.gen(function*() {
      const { fetch } = yield* overResource(() => Effect.never)
      const controller = new AbortController()
      const response = fetch("/", { signal: controller.signal })
      controller.abort("enough")
      assert.strictEqual(yield* rejectionOf(response), "enough")
    }))

  it.scoped("rule 1: a caller that stops waiting for a token disturbs nobody", () =>
    Effect.gen(function*() {
      const { fetch, sent, tokens } = yield* overResource()
      yield* tokens.setDelay("1 second")
      const controller = new AbortController()
      const [one, other] = [fetch("/1", { signal: controller.signal }), fetch("/2")]
      yield* Effect.yieldNow()
      controller.abort()
      assert.propertyVal(yield* rejectionOf(one), "name", "AbortError")
      const awaited = yield* Effect.fork(Effect.promise(() => other))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(awaited)).status, 200)
      deepStrictEqual([sent.length, (yield* tokens.requests).length], [1, 1])
    }))

  it.scoped("a request in progress is aborted by the signal", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<AbortSignal>()
      const { fetch } = yield* overResource(({ signal }) =>
        Effect.zipRight(Deferred.succeed(arrived, signal), Effect.never)
      )
      const controller = new AbortController()
      const response = fetch(new Request("https://api.test/", { signal: controller.signal }))
      const signal = yield* Deferred.await(arrived)
      controller.abort("enough")
      assert.strictEqual(yield* rejectionOf(response), "enough")
      yield* until(signal)
    }))

  for (const read of [true, false]) {
    it.scoped(`a body that ${read ? "is being read" : "is not read"} is aborted by the signal, and its connection is closed`, () =>
      Effect.gen(function*() {
        const { fetch, sent } = yield* overResource(() => new Response(endless().body))
        const controller = new AbortController()
        const response = yield* Effect.promise(() => fetch("/", { signal: controller.signal }))
        if (read) {
          const reader = response.body!.getReader()
          assert.strictEqual((yield* Effect.promise(() => reader.read())).value?.byteLength, 3)
          const next = reader.read()
          controller.abort()
          assert.propertyVal(yield* rejectionOf(next), "name", "AbortError")
        } else {
          controller.abort()
          assert.propertyVal(yield* rejectionOf(response.text()), "name", "AbortError")
        }
        yield* until(sent[0].signal)
      }))
  }
})

describe("AuthedFetch, responses", () => {
  it.scoped("do not fail for any status, even if the underlying client does", () =>
    Effect.gen(function*() {
      const { client } = yield* Resource.over(Resource.make(({ url }) => Number(url.pathname.slice(1))))
      const fetch = AuthedFetch.toFetch(HttpClient.filterStatusOk(client))
      for (const status of [200, 304, 404, 500]) {
        const response = yield* Effect.promise(() => fetch(`/${status}`))
        deepStrictEqual([response.status, response.url], [status, `https://api.test/${status}`])
      }
    }))

  it.scoped("have a status, headers, each cookie and a URL, also after clone", () =>
    Effect.gen(function*() {
      const { fetch } = yield* over(() =>
        new Response("{}", {
          status: 201,
          headers: [["content-type", "application/json"], ["set-cookie", "a=b"], ["set-cookie", "c=d; Path=/"]]
        })
      )
      const response = yield* Effect.promise(() => fetch("/orders?a=b#part"))
      for (const one of [response.clone(), response]) {
        assert.instanceOf(one, Response)
        deepStrictEqual(
          [one.status, one.ok, one.url, one.redirected, one.headers.get("content-type"), one.headers.getSetCookie()],
          [201, true, "https://api.test/orders?a=b", false, "application/json", ["a=b", "c=d; Path=/"]]
        )
        deepStrictEqual(yield* Effect.promise(() => one.json()), {})
      }
    }))

  it.scoped("have a null body if there is none", () =>
    Effect.gen(function*() {
      const { fetch } = yield* overResource(({ url }) => Number(url.pathname.slice(1)))
      for (const status of [204, 205, 304]) {
        const response = yield* Effect.promise(() => fetch(`/${status}`))
        deepStrictEqual([response.status, response.body], [status, null])
      }
      const head = yield* Effect.promise(() => fetch("/200", { method: "HEAD" }))
      deepStrictEqual([head.status, head.body], [200, null])
    }))

  it.scoped("an empty body is read as an empty text", () =>
    Effect.gen(function*() {
      const { fetch } = yield* over(() => new Response(null))
      assert.strictEqual(yield* Effect.promise(async () => (await fetch("/")).text()), "")
    }))

  it.scoped("stream no faster than they are read, and cancelling one closes its connection", () =>
    Effect.gen(function*() {
      const source = endless()
      const { fetch, sent } = yield* overResource(() => new Response(source.body))
      const response = yield* Effect.promise(() => fetch("/"))
      const before = source.pulled()
      const reader = response.body!.getReader()
      for (const _ of [1, 2, 3]) yield* Effect.promise(() => reader.read())
      assert.isAtMost(source.pulled(), before + 6)
      yield* Effect.promise(() => reader.cancel())
      yield* until(sent[0].signal)
    }))
})

describe("AuthedFetch, redirects", () => {
  const moved = ({ token, url }: Arrived) =>
    url.endsWith("/old")
      ? new Response(null, { status: 302, headers: { location: "https://other.test/new#part" } })
      : new Response(token ?? "no token")

  it.scoped("rule 10: are followed, without the token to other origins", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over(moved)
      const response = yield* Effect.promise(() => fetch("/old"))
      deepStrictEqual([response.url, response.redirected], ["https://other.test/new", true])
      assert.isTrue(response.clone().redirected)
      assert.strictEqual(yield* Effect.promise(() => response.text()), "no token")
      deepStrictEqual(arrived.map(({ init }) => init?.redirect), ["manual", "manual"])
    }))

  it.scoped("manual: are returned", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over(moved)
      const response = yield* Effect.promise(() => fetch("/old", { redirect: "manual" }))
      deepStrictEqual([response.status, response.redirected], [302, false])
      assert.strictEqual(response.headers.get("location"), "https://other.test/new#part")
      deepStrictEqual(arrived.map(({ init }) => init?.redirect), ["manual"])
    }))

  it.scoped("error: fail", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over(moved)
      const error = yield* rejectionOf(fetch(new Request("https://api.test/old", { redirect: "error" })))
      assert.instanceOf(error, OAuthError.RedirectError)
      assert.strictEqual(arrived.length, 1)
      assert.strictEqual(
        yield* Effect.promise(async () => (await fetch("/1", { redirect: "error" })).text()),
        "token-1"
      )
    }))

  it.scoped("a loop fails after 20 redirects", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over(() => new Response(null, { status: 307, headers: { location: "/" } }))
      assert.instanceOf(yield* rejectionOf(fetch("/")), OAuthError.RedirectError)
      assert.strictEqual(arrived.length, 21)
    }))

  it.scoped("other options of a call reach platform's fetch", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      yield* Effect.promise(() => fetch("/", { cache: "no-store", headers: { a: "b" } }))
      deepStrictEqual([arrived[0].init?.cache, arrived[0].headers.get("a")], ["no-store", "b"])
    }))

  it.scoped("the options of a Request reach platform's fetch too, unless the call sets them", () =>
    Effect.gen(function*() {
      const { arrived, fetch } = yield* over()
      const said = { cache: "no-store", credentials: "include", integrity: "sha256-a" } as const
      yield* Effect.promise(() => fetch(new Request(`${baseUrl}/`, said)))
      yield* Effect.promise(() => fetch(new Request(`${baseUrl}/`, said), { cache: "reload" }))
      yield* Effect.promise(() => fetch(new Request(`${baseUrl}/`)))
      deepStrictEqual(
        arrived.map(({ init }) => [init?.cache, init?.credentials, init?.integrity]),
        [
          ["no-store", "include", "sha256-a"],
          ["reload", "include", "sha256-a"],
          [undefined, undefined, undefined]
        ]
      )
      deepStrictEqual(Object.keys(arrived[2].init ?? {}).filter((key) => key === "mode" || key === "referrer"), [])
    }))
})

describe("AuthedFetch, make", () => {
  it.scoped("keeps the context of the effect", () =>
    Effect.gen(function*() {
      const { client, fetch: _, sent, tokens } = yield* overResource()
      const make = Effect.provideService(AuthedFetch.make, AuthedHttpClient.AuthedHttpClient, client)
      const parent = yield* Effect.makeSpan("the app")
      const fetch = yield* make.pipe(
        AuthedHttpClient.withTokenScope("read"),
        Effect.withParentSpan(parent)
      )
      yield* Effect.promise(() => fetch("/"))
      deepStrictEqual((yield* tokens.requests).map(({ request }) => Object.fromEntries(request.params).scope), ["read"])
      assert.include(sent[0].request.headers.traceparent, parent.traceId)
    }))
})

/** An answer that goes on for as long as it is read. */
const endless = () => {
  let pulled = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pulled++
      controller.enqueue(new Uint8Array(3))
    }
  }, { highWaterMark: 0 })
  return { body, pulled: () => pulled }
}

const until = (signal: AbortSignal) =>
  Effect.async<void>((resume) =>
    signal.aborted ? resume(Effect.void) : signal.addEventListener("abort", () => resume(Effect.void))
  )
