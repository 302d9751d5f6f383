import { AuthedFetch, AuthedHttpClient, OAuthError, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as LocalServer from "./LocalServer.js"

/** A server that answers as the address says, and by default reports what it received. */
const respond = async (request: IncomingMessage, response: ServerResponse) => {
  const body = await LocalServer.readBody(request)
  const url = new URL(request.url ?? "/", "http://server.test")
  const status = Number(url.searchParams.get("status") ?? 200)
  for (const [name, value] of url.searchParams.entries()) {
    if (name.startsWith("header.")) response.appendHeader(name.slice("header.".length), value)
  }
  switch (url.pathname) {
    case "/break":
      response.writeHead(200, { "content-length": 100 })
      return response.write("part", () => response.destroy())
    case "/reset":
      return request.socket.destroy()
    case "/to":
      response.setHeader("location", url.searchParams.get("to") ?? "")
      return response.writeHead(status).end("moved")
    default:
      response.writeHead(status, { "content-type": "application/json" })
      return response.end(
        JSON.stringify({
          method: request.method,
          url: request.url,
          headers: reported(request.rawHeaders),
          body: body.toString("latin1")
        }).replaceAll(/formdata-undici-\d+/g, "boundary")
      )
  }
}

/**
 * The headers but for those that say who asks, over which connection and in
 * which trace, and `Pragma`, which fetch adds to `Cache-Control: no-cache` for
 * the caches of HTTP/1.0.
 */
const unreported =
  /^(accept|accept-encoding|accept-language|authorization|b3|connection|host|pragma|sec-fetch-mode|traceparent|user-agent)$/

const reported = (raw: ReadonlyArray<string>) => {
  const headers: Array<string> = []
  for (let index = 0; index < raw.length; index += 2) {
    const name = String(raw[index]).toLowerCase()
    if (!unreported.test(name)) headers.push(`${name}: ${raw[index + 1]}`)
  }
  return headers.sort()
}

const form = () => {
  const form = new FormData()
  form.append("a", "1")
  form.append("a", "2")
  form.append("file", new Blob(["the file"], { type: "text/css" }), "file.css")
  return form
}

const stream = () => new Blob(["streamed"]).stream()

type Call = readonly [path: string, init?: () => RequestInit & { readonly duplex?: "half" }]

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "post", "delete"]
const statuses = [200, 201, 202, 203, 204, 205, 206, 226, 300, 304, 400, 403, 404, 409, 418, 429, 500, 503, 599]
const bodies: Record<string, () => BodyInit | null> = {
  none: () => null,
  text: () => "the text",
  "no text": () => "",
  bytes: () => new Uint8Array([0, 1, 128, 255]),
  buffer: () => new ArrayBuffer(3),
  blob: () => new Blob(["the blob"], { type: "text/css" }),
  "blob without a type": () => new Blob(["the blob"]),
  parameters: () => new URLSearchParams([["a", "ä b"], ["a", "&"]]),
  form,
  stream
}
const headers: Record<string, HeadersInit> = {
  "a content type": { "content-type": "application/vnd.api+json" },
  several: [["x-a", "1"], ["X-A", "2"], ["x-b", ""]],
  blanks: { "x-a": "  1  ", "x-latin": "é" },
  cookie: { cookie: "a=b" },
  accept: { accept: "text/plain", "accept-language": "de", "user-agent": "mine", referer: "http://mine.test/" },
  conditional: { "if-none-match": "\"a\"", range: "bytes=0-1", "cache-control": "no-cache" }
}

const query = (parameters: ReadonlyArray<readonly [string, string]>) =>
  `?${new URLSearchParams(parameters.map(([name, value]) => [name, value]))}`

const calls: Record<string, Call> = {
  ...Object.fromEntries(methods.map((method) => [`method ${method}`, ["/", () => ({ method })]])),
  ...Object.fromEntries(
    Object.entries(bodies).flatMap(([name, body]) =>
      ["POST", "PUT", "DELETE"].map((method) => [
        `${method} with a body: ${name}`,
        ["/", () => ({ method, body: body(), duplex: "half" as const })]
      ])
    )
  ),
  ...Object.fromEntries(
    Object.entries(headers).flatMap(([name, headers]) => [
      [`headers: ${name}`, ["/", () => ({ headers })]],
      [`headers with a body: ${name}`, ["/", () => ({ method: "POST", body: "x", headers })]],
      [`headers without a body: ${name}`, ["/", () => ({ method: "POST", headers })]]
    ])
  ),
  ...Object.fromEntries(
    statuses.flatMap((status) => [
      [`status ${status}`, [`/${query([["status", `${status}`]])}`]],
      [`status ${status} to HEAD`, [`/${query([["status", `${status}`]])}`, () => ({ method: "HEAD" })]]
    ])
  ),
  ...Object.fromEntries(
    [301, 302, 303, 307, 308].flatMap((status) =>
      (["follow", "manual", "error"] as const).flatMap((redirect) => [
        [`${status}, ${redirect}`, [
          `/to${query([["status", `${status}`], ["to", "/next?a=b#c"]])}`,
          () => ({ redirect })
        ]],
        [`${status} of a POST, ${redirect}`, [
          `/to${query([["status", `${status}`], ["to", "next"]])}`,
          () => ({ method: "POST", body: "the text", headers: { "x-a": "1", cookie: "a=b" }, redirect })
        ]]
      ])
    )
  ),
  "a redirect of a stream": ["/to?status=307&to=/next", () => ({ method: "POST", body: stream(), duplex: "half" })],
  "a redirect of a form": ["/to?status=307&to=/next", () => ({ method: "POST", body: form() })],
  "a redirect to nowhere": ["/to?status=302&to="],
  "a redirect without a Location": ["/?status=302"],
  "a redirect without a Location, error": ["/?status=302", () => ({ redirect: "error" })],
  "a redirect to no URL": ["/to?status=302&to=http%3A%2F%2F"],
  "a redirect to another scheme": ["/to?status=302&to=data%3A%2Cx"],
  "a redirect to itself": ["/to?status=302&to=%2Fto%3Fstatus%3D302%26to%3D%252F"],
  cookies: [
    `/${query([["header.set-cookie", "a=b; Path=/; HttpOnly"], ["header.set-cookie", "c=\"d e\"; Max-Age=1"]])}`
  ],
  "headers that are repeated": [
    `/${
      query([["header.x-a", "1"], ["header.x-a", "2"], ["header.vary", "a"], ["header.link", "<a>"], [
        "header.link",
        "<b>"
      ]])
    }`
  ],
  "a path that is odd": ["/a%2Fb/../c//d?x=%20y+z&ü=ß#hash"],
  "an answer that breaks off": ["/break"],
  "a connection that is reset": ["/reset"],
  "a method that is forbidden": ["/", () => ({ method: "TRACE" })],
  "a header that is none": ["/", () => ({ headers: { "a b": "c" } })],
  "a signal that is aborted": ["/", () => ({ signal: AbortSignal.abort(new Error("gone")) })]
}

/** What a caller sees of a call. */
const seen = async (fetch: AuthedFetch.Fetch, url: string, init: RequestInit | undefined) => {
  try {
    const response = await fetch(url, init)
    const body = await response.text().catch((error: unknown) => failure(error))
    return {
      status: response.status,
      ok: response.ok,
      url: response.url,
      redirected: response.redirected,
      bodyUsed: response.bodyUsed,
      headers: Array.from(response.headers).filter(([name]) => !/^(date|connection|keep-alive)$/.test(name)).sort(),
      cookies: response.headers.getSetCookie(),
      body
    }
  } catch (error) {
    return failure(error)
  }
}

/** A `RedirectError` says more than fetch does. */
const failure = (error: unknown) =>
  OAuthError.isOAuthError(error)
    ? `${error._tag === "RedirectError" ? "TypeError: fetch failed" : error._tag}`
    : error instanceof Error
    ? `${error.name}: ${error.message}`
    : `thrown: ${String(error)}`

const transports: Record<string, Layer.Layer<HttpClient.HttpClient, unknown>> = {
  "NodeHttp.layer": NodeHttp.layer({ proxy: false, connectTimeout: hang }),
  "FetchHttpClient.layer": FetchHttpClient.layer
}

describe.each(Object.keys(transports))("AuthedFetch over %s", (name) => {
  it.scopedLive("behaves like Node's own fetch, call by call", () =>
    Effect.gen(function*() {
      const server = yield* LocalServer.make((request, response) => {
        respond(request, response).catch(() => response.destroy())
      })
      const context = yield* Layer.build(
        AuthedHttpClient.layer({ baseUrl: server.url }).pipe(
          Layer.provide(TokenStore.layerMemory()),
          Layer.provide(TestTokenEndpoint.layer()),
          Layer.provide(transports[name])
        )
      )
      const authed = yield* Effect.provide(AuthedFetch.make, context)
      yield* rowsEffect(Object.entries(calls), ([what]) => what, ([, [path, init]]) =>
        Effect.gen(function*() {
          const url = `${server.url}${path}`
          const expected = yield* Effect.promise(() => seen(globalThis.fetch, url, init?.()))
          deepStrictEqual(yield* Effect.promise(() => seen(authed, url, init?.())), expected)
        }))
      assert.isAbove(Object.keys(calls).length, 130)
    }))
})
