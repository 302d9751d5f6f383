import { TokenStoreError } from "@effect-alf/core/OAuthError"
import { TokenStore } from "@effect-alf/core/TokenStore"
import * as TokenStores from "@effect-alf/core/TokenStore"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, Option, Record } from "effect"
import { hang } from "../../core/test/support/hang.js"
import * as LocalServer from "../../node/test/LocalServer.js"
import * as Doctor from "../src/Doctor.js"
import * as DoctorReport from "../src/DoctorReport.js"
import * as Finding from "../src/Finding.js"
import * as Problem from "../src/Problem.js"
import * as Style from "../src/Style.js"
import * as ClientServer from "./ClientServer.js"

type Environment = Readonly<Record<string, string | undefined>>

const Memory = Effect.provide(TokenStore, TokenStores.layerMemory())

const examine = (env: Environment, options: Partial<Doctor.Options> = {}) =>
  Doctor.examine({
    api: Option.none(),
    openStore: () => Memory,
    unreadProxies: [],
    ...options
  }).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(
      new Map(
        Object.entries({ ALF_CONNECT_TIMEOUT: `${hang} millis`, ...env }).flatMap(([name, value]) =>
          value === undefined ? [] : [[name, value]]
        )
      ),
      { pathDelim: "_" }
    ))
  )

const causeOf = (findings: ReadonlyArray<Finding.Finding>): Problem.Problem | undefined =>
  Option.getOrUndefined(Finding.cause(findings))

const outcomes = (findings: ReadonlyArray<Finding.Finding>) =>
  Object.fromEntries(findings.map(({ _tag, check }) => [check, _tag]))

const served = (
  options: ClientServer.Options,
  check: (server: ClientServer.ClientServer) => Effect.Effect<void>
) => Effect.scoped(Effect.flatMap(ClientServer.make(options), check))

const answering = (status: number, body: unknown): ClientServer.Options => ({
  onToken: (response) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
})

describe("Doctor", () => {
  it.effect("reports no problem of a working set-up, and a finding for every check", () =>
    served({}, ({ env, tokenRequests, url }) =>
      Effect.gen(function*() {
        const findings = yield* examine({
          ...env,
          ALF_TOKEN_ENDPOINT: undefined,
          ALF_ISSUER: url,
          ALF_REDIS_URL: "redis://x"
        }, {
          api: Option.some("/orders")
        })
        deepStrictEqual(findings.map(({ check }) => check), [...Finding.checks])
        deepStrictEqual(causeOf(findings), undefined)
        const skipped = findings.filter(Finding.Finding.$is("Skipped")).map(({ check }) => check)
        deepStrictEqual(skipped, ["certificate"])
        assert.strictEqual(tokenRequests(), 1)
      })))

  describe("configuration", () => {
    it.effect("names every missing variable, and misspelt names", () =>
      Effect.gen(function*() {
        const findings = yield* examine({ ALF_CLIENTID: "shop", PATH: "/bin", ALF_CLIENT_SECRET: "secret" })
        deepStrictEqual(
          causeOf(findings),
          Problem.Problem.Missing({
            variables: ["ALF_TOKEN_ENDPOINT or ALF_ISSUER", "ALF_CLIENT_ID"],
            unread: [{ name: "ALF_CLIENTID", meant: "ALF_CLIENT_ID" }]
          })
        )
        deepStrictEqual(findings.map(({ check }) => check), [...Finding.checks])
      }))

    it.effect("reports variables that nothing reads as a concern, with the likely intended names", () =>
      served({}, ({ env }) =>
        Effect.gen(function*() {
          const meant = {
            ALF_CLIENT_SECRT: "ALF_CLIENT_SECRET",
            ALF_SCOPES: "ALF_SCOPE",
            ALF_SOMETHING_ELSE: undefined,
            ALF_TOKEN_ENDPIONT: "ALF_TOKEN_ENDPOINT",
            alf_base_url: "ALF_BASE_URL"
          }
          const findings = yield* examine({ ...env, ...Record.map(meant, () => "x") })
          deepStrictEqual(
            causeOf(findings),
            Problem.Problem.Unread({ variables: Object.entries(meant).map(([name, meant]) => ({ name, meant })) })
          )
          assert.strictEqual(outcomes(findings).credentials, "Ok")
        })))

    it.effect("names a variable that is empty or not a URL", () =>
      Effect.gen(function*() {
        const env = { ALF_CLIENT_ID: "shop", ALF_CLIENT_SECRET: "secret" }
        const empty = yield* examine({ ...env, ALF_TOKEN_ENDPOINT: " " })
        deepStrictEqual(
          causeOf(empty),
          Problem.Problem.Wrong({ variable: "ALF_TOKEN_ENDPOINT", description: "is empty" })
        )
        const noAddress = yield* examine({ ...env, ALF_ISSUER: "auth.example.com" })
        deepStrictEqual(
          causeOf(noAddress),
          Problem.Problem.Wrong({ variable: "ALF_ISSUER", description: "is not an absolute URL" })
        )
        const proxy = yield* examine({
          ...env,
          ALF_TOKEN_ENDPOINT: "https://auth.test/token",
          HTTPS_PROXY: "socks5://a:1"
        })
        deepStrictEqual(
          causeOf(proxy),
          Problem.Problem.Wrong({ variable: "HTTPS_PROXY", description: "is not an http or https URL" })
        )
      }))

    it.effect("sends nothing over plain http to another machine", () =>
      Effect.gen(function*() {
        const findings = yield* examine({
          ALF_TOKEN_ENDPOINT: "http://auth.test/token",
          ALF_CLIENT_ID: "shop",
          ALF_CLIENT_SECRET: "secret"
        })
        deepStrictEqual(
          causeOf(findings),
          Problem.Problem.Insecure({ variable: "ALF_TOKEN_ENDPOINT", host: "auth.test" })
        )
        deepStrictEqual(findings.map(({ check }) => check), [...Finding.checks])
      }))
  })

  describe("discovery", () => {
    const discover = (server: ClientServer.ClientServer, issuer: string) =>
      examine({ ...server.env, ALF_TOKEN_ENDPOINT: undefined, ALF_ISSUER: issuer })

    it.effect("names the issuer that the server's metadata contains", () =>
      served({ issuer: "https://auth.example.com/" }, (server) =>
        Effect.gen(function*() {
          deepStrictEqual(
            causeOf(yield* discover(server, server.url)),
            Problem.Problem.OtherIssuer({ issuer: server.url, named: "https://auth.example.com/" })
          )
          // There is no metadata at the issuer's own path, and another issuer's at the server's root
          deepStrictEqual(
            causeOf(yield* discover(server, `${server.url}/realms/shop`)),
            Problem.Problem.OtherIssuer({ issuer: `${server.url}/realms/shop`, named: "https://auth.example.com/" })
          )
        })))

    it.effect("reports that there is no metadata", () =>
      Effect.scoped(Effect.gen(function*() {
        const { url } = yield* LocalServer.make((_, response) => response.writeHead(404).end())
        const findings = yield* examine({ ALF_ISSUER: url, ALF_CLIENT_ID: "shop", ALF_CLIENT_SECRET: "secret" })
        assert.strictEqual(causeOf(findings)?._tag, "NoMetadata")
        assert.strictEqual(outcomes(findings).credentials, "Skipped")
      })))
  })

  describe("credentials", () => {
    it.effect("reports a wrong secret, and what may be wrong with it", () =>
      served({}, ({ env, secrets, tokenRequests, url }) =>
        Effect.gen(function*() {
          const findings = yield* examine({ ...env, ALF_CLIENT_SECRET: " wrong\n" })
          deepStrictEqual(
            causeOf(findings),
            Problem.Problem.WrongSecret({
              clientId: "shop",
              variable: "ALF_CLIENT_SECRET",
              kind: "secret",
              said: `Token endpoint ${url}/token answered 401 invalid_client: client authentication failed`,
              methods: ["client_secret_basic"],
              padded: true
            })
          )
          // The other method was tried once
          assert.strictEqual(tokenRequests(), 2)
          assert.isFalse(secrets.some((secret) => JSON.stringify(findings).includes(secret)))
        })))

    it.effect("reports a correct secret that is sent by the wrong method", () =>
      served({ takes: "client_secret_post" }, ({ env, url }) =>
        Effect.gen(function*() {
          const expected = Problem.Problem.WrongMethod({
            used: "client_secret_basic",
            taken: "client_secret_post",
            methods: ["client_secret_post"]
          })
          deepStrictEqual(causeOf(yield* examine(env)), expected)
          // With an issuer, the metadata names the method
          deepStrictEqual(
            causeOf(yield* examine({ ...env, ALF_TOKEN_ENDPOINT: undefined, ALF_ISSUER: url })),
            undefined
          )
        })))

    it.effect("distinguishes the other errors of the token endpoint", () =>
      Effect.gen(function*() {
        const tagOf = (options: ClientServer.Options, more: Environment = {}) =>
          Effect.scoped(Effect.flatMap(ClientServer.make(options), ({ env }) =>
            Effect.map(examine({ ...env, ...more }), (findings) =>
              causeOf(findings)?._tag)))
        const said = yield* Effect.all({
          forbidden: tagOf(answering(400, { error: "unauthorized_client" })),
          scope: tagOf({}, { ALF_SCOPE: "admin" }),
          absent: tagOf(answering(404, {})),
          moved: tagOf({
            onToken: (response) =>
              response.writeHead(302, { location: "/login" }).end()
          }),
          page: tagOf({
            onToken: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>")
          }),
          gateway: tagOf({
            onToken: (response) => response.writeHead(502, { "content-type": "text/html" }).end("<html>")
          }),
          keycloak: tagOf(answering(401, { error: "unauthorized_client" })),
          down: tagOf(answering(503, {})),
          elsewhere: tagOf(answering(200, { id_token: "token" })),
          other: tagOf(answering(400, { error: "invalid_request" }))
        }, { concurrency: "unbounded" })
        deepStrictEqual(said, {
          forbidden: "ClientForbidden",
          scope: "WrongScope",
          absent: "NoTokenEndpoint",
          moved: "NoTokenEndpoint",
          page: "NoTokenEndpoint",
          gateway: "TokenRefused",
          keycloak: "WrongSecret",
          down: "TokenRefused",
          elsewhere: "TokenUnusable",
          other: "TokenRefused"
        })
      }))

    it.effect("names the token endpoint that the server's metadata contains", () =>
      served({}, ({ env, tokenEndpoint, url }) =>
        Effect.gen(function*() {
          const endpoint = `${url}/.well-known/nothing`
          deepStrictEqual(
            causeOf(yield* examine({ ...env, ALF_TOKEN_ENDPOINT: endpoint })),
            Problem.Problem.NoTokenEndpoint({ endpoint, status: 404, named: tokenEndpoint })
          )
        })))
  })

  describe("token", () => {
    it.effect("reports a narrower scope and a short lifetime as concerns", () =>
      served({ scope: "orders:read", lifetime: 20 }, ({ env }) =>
        Effect.gen(function*() {
          const findings = yield* examine({ ...env, ALF_SCOPE: "orders:read orders:write" })
          deepStrictEqual(
            findings.filter(Finding.Finding.$is("Concern")).map(({ problem }) => problem),
            [
              Problem.Problem.ScopeNarrowed({ missing: ["orders:write"], granted: "orders:read" }),
              Problem.Problem.LifetimeShort({ seconds: 20 })
            ]
          )
        })))

    it.effect("shows no control characters of the granted scope", () =>
      served({ scope: "orders:read \u001b[2J" }, ({ env }) =>
        Effect.gen(function*() {
          for (const ALF_SCOPE of ["orders:read", "orders:read orders:write"]) {
            const findings = yield* examine({ ...env, ALF_SCOPE })
            assert.notInclude(DoctorReport.toText(findings, Style.make(false)), "\u001b")
          }
        })))

    it.effect("reports a clock that is off, and its direction", () =>
      Effect.forEach([600, -600], (ahead) =>
        served({ ahead }, ({ env, url }) =>
          Effect.gen(function*() {
            const problem = causeOf(yield* examine(env))
            assert(problem?._tag === "ClockOff")
            assert.strictEqual(problem.aheadSeconds, -ahead)
            assert.strictEqual(problem.server, new URL(url).host)
            assert.include(Problem.describe(problem).cause, ahead > 0 ? "behind" : "ahead of")
          }))))
  })

  describe("API", () => {
    it.effect("reports why a request to the API fails", () =>
      served({}, ({ env }) =>
        Effect.gen(function*() {
          const ask = (path: string) => Effect.map(examine(env, { api: Option.some(path) }), causeOf)
          const forbidden = yield* ask("/forbidden")
          assert(forbidden?._tag === "ApiRejects")
          deepStrictEqual(
            [forbidden.status, forbidden.error, forbidden.scope],
            [403, "insufficient_scope", ["orders:write"]]
          )
          assert.strictEqual((yield* ask("/missing"))?._tag, "ApiFails")
          assert.strictEqual((yield* ask("https://api.test/orders"))?._tag, "OriginForeign")
        })))

    it.effect("explains a 401 by its WWW-Authenticate challenge", () =>
      Effect.scoped(Effect.gen(function*() {
        const server = yield* ClientServer.make({ opaque: true })
        const api = yield* ClientServer.make()
        const findings = yield* examine({ ...server.env, ALF_BASE_URL: api.url }, { api: Option.some("/orders") })
        const problem = causeOf(findings)
        assert(problem?._tag === "ApiRejects")
        deepStrictEqual([problem.status, problem.error], [401, "invalid_token"])
        assert.include(Problem.describe(problem).cause, "issued by somebody else")
        assert.strictEqual(outcomes(findings)["api network"], "Ok")
        assert.isFalse(server.secrets.some((secret) => JSON.stringify(findings).includes(secret)))
      })))
  })

  it.effect("reports a store that is down while everything else works", () =>
    served({}, ({ env }) =>
      Effect.gen(function*() {
        const down = new TokenStoreError({
          method: "get",
          reason: "Unavailable",
          description: "Redis is not connected: connect ECONNREFUSED 127.0.0.1:1"
        })
        const store = yield* Memory
        for (
          const [variable, url, scheme] of [
            ["ALF_REDIS_URL", "rediss://127.0.0.1:1", "rediss"],
            ["ALF_STORE_URL", "redis://127.0.0.1:1", "redis"],
            ["ALF_STORE_URL", " Postgres://u@127.0.0.1:1/x", "postgres"]
          ] as const
        ) {
          const findings = yield* examine({ ...env, [variable]: url }, {
            openStore: () => Effect.succeed({ ...store, get: () => Effect.fail(down) })
          })
          deepStrictEqual(
            causeOf(findings),
            Problem.Problem.StoreDown({ store: { variable, scheme }, description: down.description })
          )
          assert.strictEqual(outcomes(findings).credentials, "Ok")
        }
      })))
})
