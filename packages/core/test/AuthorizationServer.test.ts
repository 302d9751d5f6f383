import { AuthorizationServer, OAuthError } from "@effect-alf/core"
import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Exit, Fiber, Layer, Logger, Option, TestClock } from "effect"
import { rowsEffect } from "./support/Rows.js"

const issuer = "https://auth.example.com"
const rfc8414 = "/.well-known/oauth-authorization-server"
const oidc = "/.well-known/openid-configuration"

const document = (fields?: Record<string, unknown>) => ({
  issuer,
  token_endpoint: "https://auth.example.com/token",
  ...fields
})

type Answer = Response | "reset" | "hang"

/** An `HttpClient` that lives in Effect's time, and what it was asked. */
const serve = (answer: (url: URL, n: number) => Answer) => {
  const asked: Array<string> = []
  const layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.suspend(() => {
        asked.push(url.href)
        const response = answer(url, asked.length)
        if (response === "hang") return Effect.never
        return response === "reset"
          ? Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("reset") }))
          : Effect.succeed(HttpClientResponse.fromWeb(request, response))
      })
    )
  )
  return { asked, layer }
}

const good = (fields?: Record<string, unknown>) => Response.json(document(fields))
const notFound = () => new Response("<h1>no</h1>", { status: 404, headers: { "content-type": "text/html" } })

const paths = (asked: ReadonlyArray<string>) => asked.map((url) => new URL(url).pathname)

const make = (options?: Partial<AuthorizationServer.Options>) => AuthorizationServer.make({ issuer, ...options })

const fails = (answer: (url: URL, n: number) => Answer, options?: Partial<AuthorizationServer.Options>) => {
  const { asked, layer } = serve(answer)
  return Effect.gen(function*() {
    const server = yield* make(options)
    const error = yield* Effect.flip(server.endpoint("token_endpoint"))
    assert.instanceOf(error, OAuthError.DiscoveryError)
    return { error, asked }
  }).pipe(Effect.provide(layer))
}

describe("AuthorizationServer", () => {
  describe("the URL of the metadata", () => {
    const places: ReadonlyArray<readonly [issuer: string, first: string, second: string]> = [
      ["https://auth.example.com", rfc8414, oidc],
      ["https://auth.example.com/", rfc8414, oidc],
      ["https://auth.example.com/realms/shop", `${rfc8414}/realms/shop`, `/realms/shop${oidc}`],
      ["https://auth.example.com/t/v2.0/", `${rfc8414}/t/v2.0`, `/t/v2.0${oidc}`]
    ]
    it.effect("first by RFC 8414 §3.1, then by OpenID Connect Discovery 1.0 §4.1", () =>
      rowsEffect(
        places,
        ([issuer]) => `of ${issuer}: first by RFC 8414 §3.1, then by OpenID Connect Discovery 1.0 §4.1`,
        ([issuer, first, second]) => {
          const { asked, layer } = serve((url) => url.pathname === second ? good({ issuer }) : notFound())
          return Effect.gen(function*() {
            const server = yield* make({ issuer })
            deepStrictEqual(asked, [])
            assert.strictEqual((yield* server.metadata).issuer, issuer)
            deepStrictEqual(paths(asked), [first, second])
          }).pipe(Effect.provide(layer))
        }
      ))

    it.scoped("only one URL is requested if the first has the metadata, or if it is given", () => {
      const { asked, layer } = serve(() => good())
      return Effect.gen(function*() {
        yield* Effect.flatMap(make(), ({ metadata }) => metadata)
        yield* Effect.flatMap(make({ metadataUrl: `${issuer}/adfs/metadata` }), ({ metadata }) => metadata)
        deepStrictEqual(paths(asked), [rfc8414, "/adfs/metadata"])
      }).pipe(Effect.provide(layer))
    })

    const useless: ReadonlyArray<readonly [what: string, answer: () => Answer]> = [
      ["a page", () => new Response("<html>", { headers: { "content-type": "text/html" } })],
      ["400", () => Response.json({ error: "invalid_request" }, { status: 400 })],
      ["500", () => new Response(null, { status: 500 })],
      ["a redirect", () => new Response(null, { status: 302, headers: { location: "https://evil.example.com" } })],
      ["another issuer", () => good({ issuer: "https://other.example.com" })],
      ["a reset", () => "reset"]
    ]
    it.effect("the second URL is requested if the first has no usable metadata", () =>
      rowsEffect(useless, ([what]) => `the second is requested if the first returns ${what}`, ([, answer]) => {
        const { asked, layer } = serve((url) => url.pathname === oidc ? good() : answer())
        return Effect.gen(function*() {
          const server = yield* make()
          assert.strictEqual((yield* server.metadata).issuer, issuer)
          deepStrictEqual(asked, [issuer + rfc8414, issuer + oidc])
        }).pipe(Effect.provide(layer))
      }))
  })

  it.scoped("an unreadable field that is not a destination counts as absent, and is logged once", () => {
    const odd = { token_endpoint_auth_methods_supported: "client_secret_basic", revocation_endpoint: 7 }
    const { asked, layer } = serve(() => good({ ...odd, grant_types_supported: ["client_credentials"] }))
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => warnings.push(String(message)))
    return Effect.gen(function*() {
      const server = yield* make()
      for (let read = 1; read <= 2; read++) {
        const metadata = yield* server.metadata
        deepStrictEqual(metadata.token_endpoint_auth_methods_supported, Option.none())
        deepStrictEqual(metadata.grant_types_supported, Option.some(["client_credentials"]))
        assert.include((yield* Effect.flip(server.endpoint("revocation_endpoint"))).message, "endpoint is missing")
        assert.strictEqual(asked.length, read)
        yield* server.forget
      }
      deepStrictEqual(warnings, [
        `Discovery of ${issuer} answers: revocation_endpoint is not a string, ` +
        "token_endpoint_auth_methods_supported is not a list of names. This is ignored"
      ])
    }).pipe(Effect.provide(layer), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  })

  describe("invalid metadata (rule 11)", () => {
    const at = `Discovery endpoint ${issuer}${rfc8414}`
    const table: ReadonlyArray<readonly [what: string, answer: () => Answer, message: string]> = [
      [
        "another issuer",
        () => good({ issuer: "https://evil.example.com" }),
        `${at} answered 200: issuer is https://evil.example.com, not ${issuer}`
      ],
      [
        "the issuer with a slash",
        () => good({ issuer: `${issuer}/` }),
        `${at} answered 200: issuer is ${issuer}/, not ${issuer}: they differ in the slash at the end`
      ],
      [
        "the issuer with a blank",
        () => good({ issuer: ` ${issuer}` }),
        `${at} answered 200: issuer is  ${issuer}, not ${issuer}: they differ in white space`
      ],
      ["no issuer", () => good({ issuer: undefined }), `${at} answered 200: issuer is missing`],
      ["an issuer of another type", () => good({ issuer: 1 }), `${at} answered 200: issuer is not a string`],
      [
        "a token_endpoint of another type",
        () => good({ token_endpoint: [] }),
        `${at} answered 200: token_endpoint is not a string`
      ],
      [
        "aliases that are no object",
        () => good({ mtls_endpoint_aliases: "x" }),
        `${at} answered 200: mtls_endpoint_aliases`
      ],
      ["a list", () => Response.json([]), `${at} answered 200: the JSON is not an object`],
      [
        "a page",
        () => new Response("<html>", { headers: { "content-type": "text/html" } }),
        `${at} answered 200: no valid JSON in a body of 6 characters (text/html)`
      ],
      [
        "too much",
        () => good({ more: "x".repeat(300_000) }),
        `${at} answered 200: the body is larger than 262144 bytes (maxResponseBytes)`
      ],
      [
        "404 at both",
        notFound,
        `Discovery endpoint ${issuer}${oidc} answered 404: no OAuth error in a body of 11 characters (text/html). No metadata was found for this issuer`
      ],
      ["503 at both", () => new Response(null, { status: 503 }), `${at} answered 503: no OAuth error in an empty body`],
      ["a reset", () => "reset", `${at}: reset`],
      [
        "no token_endpoint",
        () => good({ token_endpoint: undefined }),
        `Discovery endpoint ${issuer} answered 200: token_endpoint is missing`
      ],
      [
        "a token_endpoint that is http",
        () => good({ token_endpoint: "http://auth.example.com/token" }),
        `Discovery endpoint ${issuer} answered 200: token_endpoint is http to auth.example.com: use https, or set allowInsecure`
      ],
      [
        "a token_endpoint on the machine itself",
        () => good({ token_endpoint: "http://localhost:8080/token" }),
        `Discovery endpoint ${issuer} answered 200: token_endpoint is http, and the issuer https`
      ],
      [
        "a token_endpoint that is relative",
        () => good({ token_endpoint: "/token" }),
        `Discovery endpoint ${issuer} answered 200: token_endpoint is not an absolute URL`
      ]
    ]
    it.effect("is refused, and the message says why", () =>
      rowsEffect(table, ([what, , message]) => `${what}: ${message}`, ([, answer, message]) =>
        Effect.gen(function*() {
          const { error } = yield* fails(answer)
          assert.isTrue(error.message.startsWith(message), error.message)
        })))

    it.scoped("the error reports an unavailable server rather than a 404", () =>
      Effect.gen(function*() {
        const { error } = yield* fails((url) =>
          url.pathname === oidc ? new Response(null, { status: 503 }) : notFound()
        )
        assert.strictEqual(error.status, 503)
        const other = yield* fails((url) => url.pathname === oidc ? notFound() : new Response(null, { status: 503 }))
        assert.strictEqual(other.error.status, 503)
      }))

    it.scoped("the error reports another issuer rather than a 404", () =>
      Effect.gen(function*() {
        const { error } = yield* fails((url) =>
          url.pathname === oidc ? good({ issuer: "https://a.example.com" }) : notFound()
        )
        assert.include(error.message, "issuer is https://a.example.com")
      }))

    it.scoped("without a response: Timeout, within the time limit of each URL", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(fails(() => "hang", { timeout: "2 seconds" }))
        yield* TestClock.adjust("4 seconds")
        const { error } = yield* Fiber.join(fiber)
        assert.strictEqual(error.message, `Discovery endpoint ${issuer}${rfc8414}: no answer within 2s`)
      }))

    it.scoped("the time limit holds in a finalizer, where nothing can be interrupted", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkDaemon(Effect.uninterruptible(fails(() => "hang", { timeout: "2 seconds" })))
        yield* TestClock.adjust("4 seconds")
        assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
      }))

    it.scoped("allowInsecure applies to the endpoints of the metadata too", () => {
      const { layer } = serve(() =>
        Response.json({ issuer: "http://auth.internal", token_endpoint: "http://t.internal/t" })
      )
      return Effect.gen(function*() {
        const server = yield* make({ issuer: "http://auth.internal", allowInsecure: true })
        assert.strictEqual((yield* server.endpoint("token_endpoint")).href, "http://t.internal/t")
      }).pipe(Effect.provide(layer))
    })

    it.scoped("allowInsecure permits an http endpoint of an https issuer", () => {
      const { layer } = serve(() => good({ token_endpoint: "http://localhost:8080/token" }))
      return Effect.gen(function*() {
        const endpoint = (options: Partial<AuthorizationServer.Options>) =>
          Effect.flatMap(make(options), (server) => server.endpoint("token_endpoint"))
        assert.strictEqual((yield* endpoint({ allowInsecure: true })).href, "http://localhost:8080/token")
        assert.include((yield* Effect.flip(endpoint({}))).message, "token_endpoint is http, and the issuer https")
      }).pipe(Effect.provide(layer))
    })

    it.effect("an issuer on loopback may have endpoints on loopback and on https", () =>
      rowsEffect(["http://localhost:8080/token", "https://auth.example.com/token"], (address) => address, (address) => {
        const local = "http://localhost:8080"
        const { layer } = serve(() => Response.json({ issuer: local, token_endpoint: address }))
        return Effect.gen(function*() {
          const server = yield* make({ issuer: local })
          assert.strictEqual((yield* server.endpoint("token_endpoint")).href, address)
        }).pipe(Effect.provide(layer))
      }))

    const failures: ReadonlyArray<readonly [first: Response, second: Response, reported: "first" | "second"]> = [
      [new Response(null, { status: 400 }), good({ issuer: "https://other.example.com" }), "second"],
      [good({ issuer: "https://other.example.com" }), new Response(null, { status: 400 }), "first"],
      [new Response(null, { status: 400 }), new Response(null, { status: 403 }), "first"],
      [notFound(), new Response(null, { status: 403 }), "second"],
      [new Response(null, { status: 503 }), good({ issuer: "https://other.example.com" }), "first"],
      [new Response(null, { status: 400 }), new Response(null, { status: 503 }), "second"]
    ]
    it.effect("of the failures of both URLs the more informative one is reported", () =>
      rowsEffect(
        failures,
        ([first, second, reported]) => `${first.status}, then ${second.status}: the ${reported}`,
        ([first, second, reported]) =>
          Effect.map(fails((url) => (url.pathname === rfc8414 ? first : second).clone()), ({ error }) =>
            assert.include(error.message, reported === "first" ? rfc8414 : oidc))
      ))
  })

  describe("endpoints", () => {
    const answer = () =>
      good({
        revocation_endpoint: "https://auth.example.com/revoke",
        mtls_endpoint_aliases: { token_endpoint: "https://mtls.example.com/token" }
      })

    it.scoped("endpoints for clients with a certificate are used if there are any (RFC 8705 §5)", () =>
      Effect.gen(function*() {
        const server = yield* make()
        const address = (name: AuthorizationServer.Endpoint, mutualTls?: boolean) =>
          Effect.map(server.endpoint(name, { mutualTls }), ({ href }) => href)
        assert.strictEqual(yield* address("token_endpoint"), "https://auth.example.com/token")
        assert.strictEqual(yield* address("token_endpoint", true), "https://mtls.example.com/token")
        assert.strictEqual(yield* address("revocation_endpoint", true), "https://auth.example.com/revoke")
        assert.include(
          (yield* Effect.flip(address("introspection_endpoint"))).message,
          "introspection_endpoint is missing"
        )
      }).pipe(Effect.provide(serve(answer).layer)))
  })

  describe("caching", () => {
    const versions = (_: URL, n: number) => good({ token_endpoint: `https://auth.example.com/token/${n}` })

    const token = (server: AuthorizationServer.AuthorizationServer["Type"]) =>
      Effect.map(server.endpoint("token_endpoint"), ({ pathname }) => pathname)

    it.scoped("metadata is read once for simultaneous callers", () => {
      const { asked, layer } = serve(versions)
      return Effect.gen(function*() {
        const server = yield* make()
        const found = yield* Effect.all(Array.from({ length: 20 }, () => token(server)), { concurrency: "unbounded" })
        deepStrictEqual(new Set(found), new Set(["/token/1"]))
        assert.strictEqual(asked.length, 1)
      }).pipe(Effect.provide(layer))
    })

    it.scoped("after an hour metadata is renewed in the background, and no caller waits", () => {
      let hangs = false
      const { asked, layer } = serve((url, n) => hangs ? "hang" : versions(url, n))
      return Effect.gen(function*() {
        const server = yield* make()
        assert.strictEqual(yield* token(server), "/token/1")
        yield* TestClock.adjust(Duration.minutes(59))
        assert.strictEqual(yield* token(server), "/token/1")
        assert.strictEqual(asked.length, 1)
        yield* TestClock.adjust(Duration.minutes(1))
        assert.strictEqual(yield* token(server), "/token/1")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* token(server), "/token/2")
        hangs = true
        yield* TestClock.adjust(Duration.hours(1))
        assert.strictEqual(yield* token(server), "/token/2")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* token(server), "/token/2")
        assert.strictEqual(asked.length, 3)
      }).pipe(Effect.provide(layer))
    })

    it.scoped("metadata that cannot be renewed stays in use, is logged once a minute, and is renewed later", () => {
      let works = true
      const { asked, layer } = serve((url, n) => works ? versions(url, n) : new Response(null, { status: 503 }))
      const warnings: Array<string> = []
      const logger = Logger.make(({ message }) => {
        warnings.push(String(message))
      })
      return Effect.gen(function*() {
        const server = yield* make()
        yield* token(server)
        works = false
        yield* TestClock.adjust("1 hour")
        for (let i = 0; i < 10; i++) {
          assert.strictEqual(yield* token(server), "/token/1")
          yield* TestClock.adjust("5 seconds")
        }
        // Both addresses, once
        assert.strictEqual(asked.length, 3)
        deepStrictEqual(warnings, [
          `Discovery endpoint ${issuer}${rfc8414} answered 503: no OAuth error in an empty body. The metadata that was read before is still used`
        ])
        works = true
        yield* TestClock.adjust("10 seconds")
        yield* token(server)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* token(server), "/token/4")
        deepStrictEqual(warnings.slice(1), [`Discovery of ${issuer} works again`])
      }).pipe(Effect.provide([layer, Logger.replace(Logger.defaultLogger, logger)]))
    })

    it.scoped("a failure is cached for one second", () => {
      let works = false
      const { asked, layer } = serve((url, n) => works ? versions(url, n) : notFound())
      return Effect.gen(function*() {
        const server = yield* make()
        const exits = yield* Effect.all(Array.from({ length: 5 }, () => Effect.exit(token(server))), {
          concurrency: "unbounded"
        })
        assert.isTrue(exits.every(Exit.isFailure))
        assert.strictEqual(asked.length, 2)
        works = true
        yield* TestClock.adjust("999 millis")
        yield* Effect.flip(token(server))
        assert.strictEqual(asked.length, 2)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* token(server), "/token/3")
      }).pipe(Effect.provide(layer))
    })

    it.scoped("a clock that is set back does not lengthen a failure", () => {
      let works = false
      const { layer } = serve((url, n) => works ? versions(url, n) : notFound())
      return Effect.gen(function*() {
        yield* TestClock.setTime(Duration.toMillis("1 hour"))
        const server = yield* make()
        yield* Effect.flip(token(server))
        works = true
        yield* TestClock.setTime(0)
        assert.strictEqual(yield* token(server), "/token/3")
      }).pipe(Effect.provide(layer))
    })

    it.scoped("a clock that is set back does not keep the metadata longer", () => {
      const { layer } = serve(versions)
      return Effect.gen(function*() {
        yield* TestClock.setTime(Duration.toMillis("30 days"))
        const server = yield* make()
        yield* token(server)
        yield* TestClock.setTime(0)
        assert.strictEqual(yield* token(server), "/token/1")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* token(server), "/token/2")
      }).pipe(Effect.provide(layer))
    })

    it.scoped("forgotten metadata is read again before its next use; if that fails, the old metadata is used", () => {
      let works = true
      const { layer } = serve((url, n) => works ? versions(url, n) : notFound())
      return Effect.gen(function*() {
        const server = yield* make()
        yield* token(server)
        yield* server.forget
        assert.strictEqual(yield* token(server), "/token/2")
        works = false
        yield* server.forget
        assert.strictEqual(yield* token(server), "/token/2")
      }).pipe(Effect.provide(layer))
    })

    it.scoped("after an interrupted read the next caller reads the metadata", () => {
      const { layer } = serve((url, n) => n === 1 ? "hang" : versions(url, n))
      return Effect.gen(function*() {
        const server = yield* make()
        const first = yield* Effect.fork(token(server))
        const second = yield* Effect.fork(token(server))
        yield* TestClock.adjust("1 millis")
        yield* Fiber.interrupt(first)
        assert.strictEqual(yield* Fiber.join(second), "/token/2")
      }).pipe(Effect.provide(layer))
    })
  })

  describe("options are checked when it is made", () => {
    const table: ReadonlyArray<readonly [Partial<AuthorizationServer.Options>, message: string]> = [
      [{ issuer: "" }, "AuthorizationServer.issuer is empty"],
      [{ issuer: "auth.example.com" }, "AuthorizationServer.issuer is not an absolute URL"],
      [{ issuer: "https://a.example.com?x=1" }, "AuthorizationServer.issuer must not have a query"],
      [
        { issuer: "https://a.example.com/.well-known/openid-configuration" },
        "AuthorizationServer.issuer is the address of the metadata: give the issuer that the metadata names"
      ],
      [
        { issuer: "http://a.example.com" },
        "AuthorizationServer.issuer is http to a.example.com: use https, or set allowInsecure"
      ],
      [{ metadataUrl: "x" }, "AuthorizationServer.metadataUrl is not an absolute URL"],
      [{ refreshEvery: 0 }, "AuthorizationServer.refreshEvery must be longer than zero"],
      [{ timeout: -1 }, "AuthorizationServer.timeout is negative"],
      [{ maxResponseBytes: 0 }, "AuthorizationServer.maxResponseBytes must be a whole number above zero"]
    ]
    it.effect("wrong options are refused, and the message says why", () =>
      rowsEffect(table, ([, message]) => message, ([options, message]) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* Effect.flip(make(options))).message, message)
        }).pipe(Effect.provide(serve(() => good()).layer))))
  })
})
