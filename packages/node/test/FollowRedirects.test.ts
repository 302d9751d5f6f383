import { AuthedHttpClient, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, HttpBody, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Effect, Layer } from "effect"
import type { IncomingHttpHeaders } from "node:http"
import { hang } from "../../core/test/support/hang.js"
import * as LocalServer from "./LocalServer.js"

const transports: Record<string, Layer.Layer<HttpClient.HttpClient, unknown>> = {
  "NodeHttp.layer": NodeHttp.layer({ connectTimeout: hang }),
  "NodeHttpClient.layerUndici": NodeHttpClient.layerUndici,
  "NodeHttpClient.layer": NodeHttpClient.layer,
  "FetchHttpClient.layer": FetchHttpClient.layer,
  "FetchHttpClient.layer that would follow by itself": Layer.provide(
    FetchHttpClient.layer,
    Layer.succeed(FetchHttpClient.RequestInit, { redirect: "follow" })
  )
}

interface Arrived {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Answers `/to?status=&location=` with that redirect, and any other with 200, or with 401 to these tokens. */
const makeServer = (options: { readonly rejects: string } = { rejects: "" }) =>
  Effect.gen(function*() {
    const arrived: Array<Arrived> = []
    const server = yield* LocalServer.make((request, response) => {
      LocalServer.readBody(request).then((body) => {
        const { headers, method, url } = request
        arrived.push({ method, url, headers, body: body.toString() })
        const { pathname, searchParams } = new URL(url ?? "", "http://server")
        if (pathname === "/to") {
          response.writeHead(Number(searchParams.get("status") ?? 302), {
            location: searchParams.get("location") ?? ""
          })
        } else if (headers.authorization === `Bearer ${options.rejects}`) {
          response.writeHead(401, [["www-authenticate", "Basic"], ["www-authenticate", "Bearer error=invalid_token"]])
        }
        response.end("x".repeat(1_000))
      }, () => response.destroy())
    })
    return { ...server, arrived }
  })

const makeClient = (transport: Layer.Layer<HttpClient.HttpClient, unknown>, options: AuthedHttpClient.Options) =>
  Effect.map(
    Layer.build(
      AuthedHttpClient.layer(options).pipe(
        Layer.provide([TestTokenEndpoint.layer(), TokenStore.layerMemory(), transport])
      )
    ),
    (context) => AuthedHttpClient.followRedirects(Context.get(context, AuthedHttpClient.AuthedHttpClient))
  )

const to = (location: string, status = 302) => `/to?status=${status}&location=${encodeURIComponent(location)}`

const secrets = {
  authorization: "Basic b3duOm93bg==",
  "proxy-authorization": "Basic cHJveHk=",
  cookie: "session=1",
  dpop: "proof",
  "x-api-key": "key"
}

describe.each(Object.entries(transports))("AuthedHttpClient.followRedirects over %s", (_, transport) => {
  it.scopedLive("rule 10: no token, cookie or other credential arrives at another origin", () =>
    Effect.gen(function*() {
      const [api, other] = [yield* makeServer(), yield* makeServer()]
      const client = yield* makeClient(transport, { baseUrl: api.url })
      for (const status of [301, 302, 303, 307, 308]) {
        const response = yield* client.post(to(`${other.url}/there`, status), {
          body: HttpBody.text("the order"),
          headers: secrets
        })
        assert.strictEqual(response.status, 200)
        yield* response.text
      }
      // And not on the way back
      yield* client.get(to(`${other.url}${to(`${api.url}/back`)}`), { headers: secrets })

      deepStrictEqual(
        api.arrived.map(({ headers }) => [headers.authorization, headers.cookie]),
        [...Arr.replicate(["Bearer token-1", "session=1"], 6), [undefined, undefined]]
      )
      deepStrictEqual(
        other.arrived.map(({ body, method }) => [method, body]),
        [["GET", ""], ["GET", ""], ["GET", ""], ["POST", "the order"], ["POST", "the order"], ["GET", ""]]
      )
      for (const { headers } of [...other.arrived, ...api.arrived.slice(6)]) {
        for (const name of Object.keys(secrets)) assert.notProperty(headers, name)
      }
      for (const { headers, url } of other.arrived) assert.strictEqual(`http://${headers.host}`, other.url, url)
    }))

  it.scopedLive("rule 5: a hop to another allowed origin carries the token, which is renewed after a 401", () =>
    Effect.gen(function*() {
      const [api, other] = [yield* makeServer(), yield* makeServer({ rejects: "token-1" })]
      const client = yield* makeClient(transport, { baseUrl: api.url, origins: [other.url] })
      const body = HttpBody.text("the order")
      const response = yield* client.put(to(`${other.url}/a%20b?c=%20d#e`, 307), { body, headers: { cookie: "a=b" } })
      assert.strictEqual(response.status, 200)
      deepStrictEqual(other.arrived.map(({ body, method, url }) => [method, url, body]), [
        ["PUT", "/a%20b?c=%20d", "the order"],
        ["PUT", "/a%20b?c=%20d", "the order"]
      ])
      deepStrictEqual(other.arrived.map(({ headers }) => headers.authorization), ["Bearer token-1", "Bearer token-2"])
      deepStrictEqual(other.arrived.map(({ headers }) => headers.cookie), [undefined, undefined])
    }))

  it.scopedLive("after a refused redirect nothing more is sent", () =>
    Effect.gen(function*() {
      const api = yield* makeServer()
      const client = yield* makeClient(transport, { baseUrl: api.url })
      const error = yield* Effect.flip(client.get(to("http://api.test/")))
      assert(error._tag === "RedirectError")
      assert.strictEqual(error.reason, "Insecure")
      assert.strictEqual(
        error.message,
        `A redirect of ${api.url} (302) was not followed: it leads to http://api.test, which is not protected`
      )
      assert.lengthOf(api.arrived, 1)
    }))
})

describe("AuthedHttpClient.followRedirects", () => {
  it.scopedLive("redirect responses release the only connection", () =>
    Effect.gen(function*() {
      const api = yield* makeServer()
      const client = yield* makeClient(NodeHttp.layer({ connections: 1, connectTimeout: hang }), { baseUrl: api.url })
      for (let call = 0; call < 20; call++) yield* Effect.flatMap(client.get(to("/there")), ({ text }) => text)
      assert.lengthOf(api.arrived, 40)
      assert.lengthOf(api.sockets, 1)
    }))
})
