import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Option } from "effect"
import { createServer } from "node:http"
import { createServer as createSecureServer } from "node:https"
import * as Certificates from "../../node/test/Certificates.js"
import * as LocalServer from "../../node/test/LocalServer.js"
import * as Tunnel from "../../node/test/Tunnel.js"
import * as Network from "../src/Network.js"

const none = { httpProxy: "", httpsProxy: "", noProxy: "" }

const route = (url: string, proxies: Partial<typeof none> = {}, unread: ReadonlyArray<Network.Unread> = []) =>
  Network.route("API", new URL(url), { ...none, ...proxies }, unread)

const proxyOf = (...args: Parameters<typeof route>) => Option.getOrUndefined(route(...args).proxy)?.origin

const hidden = "https://hidden.test/"

describe("Network", () => {
  it("chooses the proxy as the client does", () => {
    const proxies = { httpProxy: "proxy:1", httpsProxy: "http://user:secret@proxy:2" }
    assert.strictEqual(proxyOf("https://a.test", proxies), "http://proxy:2")
    assert.strictEqual(proxyOf("http://a.test", proxies), "http://proxy:1")
    assert.strictEqual(proxyOf("https://a.test", { httpProxy: "proxy:1" }), "http://proxy:1")
    assert.strictEqual(proxyOf("http://a.test", { httpsProxy: "proxy:2" }), undefined)
    for (const noProxy of ["*", "a.test", ".test", "*.test", "b, a.test:443", "test"]) {
      const found = route("https://a.test", { ...proxies, noProxy })
      assert.isTrue(Option.isNone(found.proxy), noProxy)
      assert.isTrue(Option.isSome(found.unused), noProxy)
    }
    for (const noProxy of ["b.test", "a.test:80", "st"]) {
      assert.strictEqual(proxyOf("https://a.test", { ...proxies, noProxy }), "http://proxy:2", noProxy)
    }
  })

  it.effect("checks the proxy, the name, the connection and the certificate", () =>
    Effect.scoped(Effect.gen(function*() {
      const authority = yield* Certificates.make
      const { certificate, key } = yield* authority.issue("hidden", "hidden.test")
      const { port, url } = yield* LocalServer.listen(createSecureServer({ cert: certificate, key }))
      const { proxy } = yield* Tunnel.makeProxyAt("127.0.0.1", { "hidden.test:443": `127.0.0.1:${port}` })
      const through = route(hidden, { httpsProxy: proxy.url })
      assert.strictEqual((yield* Network.checkProxy(through)).says, `${proxy.url} leads to hidden.test`)
      assert.strictEqual((yield* Network.checkName(through)).says, "hidden.test is resolved by the proxy")
      assert.strictEqual((yield* Network.checkConnection(through)).says, "hidden.test takes connections")
      // This machine does not trust the authority
      const untrusted = yield* Effect.flip(Network.checkCertificate(through))
      assert(untrusted._tag === "Tls")
      assert.include(untrusted.description, "not trusted here")

      const plain = yield* LocalServer.listen(createServer())
      const noTls = yield* Effect.flip(Network.checkCertificate(route(plain.url.replace("http:", "https:"))))
      assert(noTls._tag === "Tls")
      assert.include(noTls.description, "does not speak TLS")
      assert.strictEqual((yield* Network.checkName(route(url))).says, "127.0.0.1 is an address")

      // A proxy that the environment names, and that is not used
      const excluded = yield* Effect.flip(
        Network.checkName(route(hidden, { httpsProxy: proxy.url, noProxy: "hidden.test" }))
      )
      assert(excluded._tag === "ProxyUnused")
      deepStrictEqual([excluded.proxy, excluded.reason], [proxy.url, "NO_PROXY names this host"])
      const unread = yield* Effect.flip(Network.checkName(route(hidden, {}, [{ name: "ALL_PROXY", value: proxy.url }])))
      assert(unread._tag === "ProxyUnused")
      assert.strictEqual(unread.reason, "ALL_PROXY is not read")
    })))

  it.effect("distinguishes the failures of a proxy and of a connection", () =>
    Effect.scoped(Effect.gen(function*() {
      const server = createServer().on("connect", (_, socket) =>
        socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))
      const { url } = yield* LocalServer.listen(server)
      const refused = yield* Effect.flip(
        Network.checkProxy(route(hidden, { httpsProxy: url.replace("//", "//me:secret@") }))
      )
      deepStrictEqual({ ...refused }, { _tag: "ProxyRefuses", proxy: url, host: "hidden.test", status: 407 })
      const away = yield* Effect.flip(Network.checkProxy(route(hidden, { httpsProxy: "http://127.0.0.1:1" })))
      assert.strictEqual(away._tag, "ProxyUnreachable")
      const unread = [{ name: "ALL_PROXY", value: "http://user:50%@127.0.0.1:1" }]
      const alone = yield* Effect.flip(Network.checkConnection(route("http://127.0.0.1:1", {}, unread)))
      assert.strictEqual(alone._tag, "Unreachable")
      const closed = yield* Effect.flip(Network.checkConnection(route("http://127.0.0.1:1")))
      assert(closed._tag === "Unreachable")
      assert.include(closed.description, "ECONNREFUSED")
    })))
})
