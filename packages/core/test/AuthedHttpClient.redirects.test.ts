import { AuthedHttpClient, OAuthError } from "@effect-alf/core"
import { FetchHttpClient, Headers, HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Option, Scope, Stream, TestClock } from "effect"
import * as Resource from "./support/Resource.js"
import * as Secrets from "./support/Secrets.js"

const redirect = (location: string, status = 302) => new Response("moved", { status, headers: { location } })

/** `/old` redirects to the location; `otherwise` answers every other request. */
const moved = (location: string, status?: number, otherwise: Resource.Respond = () => 200) =>
  Resource.make((sent) => sent.url.pathname === "/old" ? redirect(location, status) : otherwise(sent))

const seen = (sent: ReadonlyArray<Resource.Sent>) => sent.map(({ token, url }) => [url.href, token])

describe("AuthedHttpClient, followRedirects", () => {
  it.scoped("without it a redirect is returned", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("/new"))
      assert.strictEqual((yield* client.get("/old")).status, 302)
      assert.strictEqual(sent.length, 1)
    }))

  it.scoped("rule 10: redirects to allowed origins carry the token, others do not", () =>
    Effect.gen(function*() {
      const resource = Resource.make(({ url }) =>
        ({
          "https://api.test/1": redirect("/2"),
          "https://api.test/2": redirect("https://b.test/3"),
          "https://b.test/3": redirect("https://other.test/4")
        })[url.href] ?? 200
      )
      const { client, sent, tokens } = yield* Resource.over(resource, {
        baseUrl: "https://api.test",
        origins: ["https://b.test"]
      })
      const response = yield* AuthedHttpClient.followRedirects(client).get("/1", { headers: { cookie: "a=b" } })
      assert.strictEqual(yield* response.text, "answer 3")
      deepStrictEqual(seen(sent), [
        ["https://api.test/1", "token-1"],
        ["https://api.test/2", "token-1"],
        ["https://b.test/3", "token-1"],
        ["https://other.test/4", undefined]
      ])
      deepStrictEqual(sent.map(({ headers }) => headers.cookie), ["a=b", "a=b", undefined, undefined])
      assert.strictEqual(response.request.url, "https://other.test/4")
      assert.strictEqual((yield* tokens.requests).length, 1)
    }))

  it.scoped("a redirect that the underlying client reports as a failure is followed too", () =>
    Effect.gen(function*() {
      const resource = Resource.make(({ url }) =>
        ({
          "https://api.test/1": redirect("https://other.test/2"),
          "https://other.test/2": redirect("/3"),
          "https://other.test/4": redirect("")
        })[url.href] ?? 200
      )
      const { client, sent } = yield* Resource.over({
        ...resource,
        client: HttpClient.filterStatusOk(resource.client)
      })
      const following = AuthedHttpClient.followRedirects(client)
      assert.strictEqual(yield* Effect.flatMap(following.get("/1"), ({ text }) => text), "answer 2")
      const error = yield* Effect.flip(AuthedHttpClient.withoutToken(following.get("https://other.test/4")))
      assert(error._tag === "ResponseError")
      deepStrictEqual([error.reason, error.response.status], ["StatusCode", 302])
      deepStrictEqual(seen(sent), [
        ["https://api.test/1", "token-1"],
        ["https://other.test/2", undefined],
        ["https://other.test/3", undefined],
        ["https://other.test/4", undefined]
      ])
    }))

  it.scoped("rule 10: where any origin is allowed, redirects carry the token to the origin of the first request only", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("https://b.test/new"), { origins: "any" })
      yield* AuthedHttpClient.followRedirects(client).get("https://a.test/old")
      deepStrictEqual(seen(sent), [["https://a.test/old", "token-1"], ["https://b.test/new", undefined]])
    }))

  it.scoped("rule 10: the first request is sent to an allowed origin only", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("https://api.test/new"))
      const error = yield* Effect.flip(AuthedHttpClient.followRedirects(client).get("https://evil.test/old"))
      deepStrictEqual([error._tag, sent.length], ["OriginNotAllowed", 0])
    }))

  it.scoped("withoutToken: no redirect carries a token, and credentials of the caller stay at their origin", () =>
    Effect.gen(function*() {
      const { client, sent, tokens } = yield* Resource.over(moved("https://api.test/new"))
      yield* AuthedHttpClient.followRedirects(client).get("https://login.test/old", {
        headers: { authorization: "Basic own" }
      }).pipe(AuthedHttpClient.withoutToken)
      deepStrictEqual(sent.map(({ authorization }) => authorization), ["Basic own", undefined])
      assert.strictEqual((yield* tokens.requests).length, 0)
    }))

  it.scoped("rule 10: redacted headers stay at their origin", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("https://b.test/new"))
      yield* AuthedHttpClient.followRedirects(client).get("/old", {
        headers: { "x-key": "1", "x-api-key": "2", a: "b" }
      })
        .pipe(Effect.locally(Headers.currentRedactedNames, ["x-key", "x-api-key"]))
      deepStrictEqual(sent[1].headers, { a: "b" })
    }))

  it.scoped("rule 5: a 401 after a redirect leads to a new token and one replay", () =>
    Effect.gen(function*() {
      const { client, sent, tokens } = yield* Resource.over(moved("/new", 307, Resource.accepts("token-2")))
      const post = AuthedHttpClient.followRedirects(client).post("/old", { body: HttpBody.text("the order") })
      assert.strictEqual((yield* post).status, 200)
      deepStrictEqual(seen(sent), [
        ["https://api.test/old", "token-1"],
        ["https://api.test/new", "token-1"],
        ["https://api.test/new", "token-2"]
      ])
      deepStrictEqual(sent.map(({ request }) => request.method), ["POST", "POST", "POST"])
      assert.strictEqual(sent[2].request.body, sent[0].request.body)
      assert.strictEqual((yield* tokens.requests).length, 2)
    }))

  it.scoped("rule 5: a redirect of the replay is followed, and a 401 after it leads to a replay", () =>
    Effect.gen(function*() {
      const resource = Resource.make(({ token, url }) =>
        url.pathname === "/old" ? token === "token-1" ? 401 : redirect("/new") : token === "token-3" ? 200 : 401
      )
      const { client, sent } = yield* Resource.over(resource)
      assert.strictEqual((yield* AuthedHttpClient.followRedirects(client).get("/old")).status, 200)
      deepStrictEqual(sent.map(({ token, url }) => [url.pathname, token]), [
        ["/old", "token-1"],
        ["/old", "token-2"],
        ["/new", "token-2"],
        ["/new", "token-3"]
      ])
    }))

  it.scoped("rule 5: a 401 of another origin is returned, and requests no token", () =>
    Effect.gen(function*() {
      const { client, sent, tokens } = yield* Resource.over(moved("https://b.test/new", 302, () => 401))
      assert.strictEqual((yield* AuthedHttpClient.followRedirects(client).get("/old")).status, 401)
      deepStrictEqual([sent.length, (yield* tokens.requests).length], [2, 1])
    }))

  it.scoped("with a body that cannot be sent again, the redirect is returned completely", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("/new", 307))
      const body = HttpBody.stream(Stream.make(new TextEncoder().encode("once")))
      const following = AuthedHttpClient.followRedirects(client)
      const response = yield* following.post("/old", { body })
      deepStrictEqual([response.status, yield* response.text, sent.length], [307, "moved", 1])
      assert.strictEqual((yield* AuthedHttpClient.withReplayableBodies(following).post("/old", { body })).status, 200)
      assert.strictEqual(sent.length, 3)
    }))

  for (
    const [location, reason] of [["http://api.test/new", "Insecure"], ["/old", "TooMany"], ["x:y", "InvalidLocation"]]
  ) {
    it.scoped(`a redirect that is refused is a typed error: ${reason}`, () =>
      Effect.gen(function*() {
        const { client, sent } = yield* Resource.over(moved(location))
        const error = yield* Effect.flip(AuthedHttpClient.followRedirects(client).get("/old"))
        assert(error._tag === "RedirectError")
        deepStrictEqual([error.reason, error.status, error.origin], [reason, 302, "https://api.test"])
        assert.strictEqual(sent.length, reason === "TooMany" ? 11 : 1)
        deepStrictEqual(Secrets.leaks(error, ["token-1"]), [])
        // And behind platform's client it is found again
        const platform = AuthedHttpClient.followRedirects(AuthedHttpClient.toHttpClient(client))
        const wrapped = yield* Effect.flip(platform.get("/old"))
        deepStrictEqual(Option.map(OAuthError.find(wrapped), ({ _tag }) => _tag), Option.some("RedirectError"))
      }))
  }

  it.scoped("max limits the number of redirects, in both forms", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("/old"))
      for (
        const [max, following] of [
          [2, AuthedHttpClient.followRedirects(client, 2)],
          [3, client.pipe(AuthedHttpClient.followRedirects(3))],
          [10, client.pipe(AuthedHttpClient.followRedirects())]
        ] as const
      ) {
        sent.length = 0
        yield* Effect.flip(following.get("/old"))
        assert.strictEqual(sent.length, max + 1)
      }
    }))

  it.scoped("request transformations run once, and filterStatusOk sees the last response", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("/new"))
      const consumer = client.pipe(
        HttpClient.filterStatusOk,
        AuthedHttpClient.followRedirects(),
        HttpClient.mapRequest(HttpClientRequest.setUrlParam("a", "b"))
      )
      assert.strictEqual((yield* consumer.get("/old")).status, 200)
      deepStrictEqual(seen(sent), [["https://api.test/old?a=b", "token-1"], ["https://api.test/new", "token-1"]])
    }))

  it.scoped("withScope: each request is aborted when the scope closes", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* Resource.over(moved("https://b.test/new"))
      const scope = yield* Scope.make()
      yield* Scope.extend(HttpClient.withScope(AuthedHttpClient.followRedirects(client)).get("/old"), scope)
      yield* TestClock.adjust("2 seconds")
      deepStrictEqual(sent.map(({ signal }) => signal.aborted), [false, false])
      yield* Scope.close(scope, Exit.void)
      deepStrictEqual(sent.map(({ signal }) => signal.aborted), [true, true])
    }))

  it.scoped("rule 9: the last response shows no token", () =>
    Effect.gen(function*() {
      const { client } = yield* Resource.over(moved("/new"))
      const response = yield* AuthedHttpClient.followRedirects(client).get("/old")
      deepStrictEqual(Secrets.leaks(response, ["token-1"]), [])
    }))

  it.scoped("fetch is told not to follow redirects, and keeps the options of the app", () =>
    Effect.gen(function*() {
      const inits: Array<RequestInit | undefined> = []
      const fetch: typeof globalThis.fetch = (url, init) => {
        inits.push(init)
        return Promise.resolve(String(url).endsWith("/old") ? redirect("/new") : new Response("done"))
      }
      const { client } = yield* Effect.provide(
        Effect.flatMap(HttpClient.HttpClient, Resource.over),
        FetchHttpClient.layer
      ).pipe(Effect.provideService(FetchHttpClient.RequestInit, { cache: "no-store", keepalive: true }))
      const get = Effect.provideService(
        AuthedHttpClient.followRedirects(client).get("/old"),
        FetchHttpClient.Fetch,
        fetch
      )
      yield* Effect.provideService(get, FetchHttpClient.RequestInit, { cache: "reload" })
      deepStrictEqual(
        inits.map((init) => [init?.redirect, init?.cache, init?.keepalive]),
        Array(2).fill(["manual", "reload", true])
      )
    }))

  it.scoped("manualRedirects: fetch is told not to follow redirects, and the redirect is returned", () =>
    Effect.gen(function*() {
      const inits: Array<RequestInit | undefined> = []
      const fetch: typeof globalThis.fetch = (_, init) => {
        inits.push(init)
        return Promise.resolve(redirect("/new"))
      }
      const { client } = yield* Effect.provide(
        Effect.flatMap(HttpClient.HttpClient, Resource.over),
        FetchHttpClient.layer
      )
      const response = yield* Effect.provideService(
        AuthedHttpClient.manualRedirects(client).get("/old"),
        FetchHttpClient.Fetch,
        fetch
      )
      deepStrictEqual([response.status, inits.map((init) => init?.redirect)], [302, ["manual"]])
    }))
})
