import { AuthedHttpClient, ClientAuth, Grant, RetryPolicy, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Cause, ConfigProvider, Context, Effect, Layer, Logger, Option, Redacted, Schedule } from "effect"
import type { Scope } from "effect"
import { build } from "esbuild"
import { Redis } from "ioredis"
import { execFile } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { rowsEffect } from "../../core/test/support/Rows.js"
import { isThorough } from "../../core/test/support/Runs.js"
import { shared } from "../../core/test/support/shared.js"
import * as OAuthServer from "./OAuthServer.js"
import { makeSocket, Shared } from "./RedisBench.js"
import { unhurried, unhurriedRedis } from "./unhurried.js"

const clientSecret = Redacted.make("the-client-secret")

const optionsFor = (server: OAuthServer.OAuthServer) => ({
  ...unhurried,
  tokenEndpoint: server.tokenEndpoint,
  clientId: "the-client",
  clientSecret,
  baseUrl: server.url
})

/** Builds the layer as another process would, and closes it with the scope. */
const makeClient = <R = never, ES = never, RS = never>(options: NodeAuthedHttpClient.Options<R, ES, RS>) =>
  Effect.map(
    Layer.build(NodeAuthedHttpClient.layer(options)),
    (context) => Context.get(context, AuthedHttpClient.AuthedHttpClient)
  )

const statusOf = (client: AuthedHttpClient.AuthedHttpClient["Type"], path = "/resource") =>
  Effect.map(client.get(path), (response) => response.status)

/** The Redis of a group of tests, with keys that no other test uses. */
const ownRedis = Effect.map(Shared, ({ prefix, url }) => ({
  url,
  prefix: `${prefix}${crypto.randomUUID()}:`,
  ...unhurriedRedis
}))

/** The logs at Warning or above while an effect runs. */
const loggedBy = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const messages: Array<string> = []
  const logger = Logger.make(({ message }) => messages.push(Arr.ensure(message).join(" ")))
  return Effect.map(
    Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)),
    (result) => [messages, result] as const
  )
}

describe("NodeAuthedHttpClient.layer", () => {
  it.scopedLive("requests a token once and sends it", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const client = yield* makeClient(optionsFor(server))
      const statuses = yield* Effect.all(Arr.makeBy(50, () => statusOf(client)), { concurrency: "unbounded" })
      deepStrictEqual(statuses, Arr.replicate(200, 50))
      assert.lengthOf(server.tokenRequests, 1)
      const [{ form, headers }] = server.tokenRequests
      deepStrictEqual(form, { grant_type: "client_credentials" })
      assert.strictEqual(
        headers.authorization,
        `Basic ${Buffer.from("the-client:the-client-secret").toString("base64")}`
      )
    }))

  it.scopedLive("finds the token endpoint of an issuer", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { tokenEndpoint: _, ...options } = optionsFor(server)
      const client = yield* makeClient({ ...options, issuer: server.url, grant: Grant.jwtBearer(clientSecret) })
      assert.strictEqual(yield* statusOf(client), 200)
      deepStrictEqual(server.tokenRequests.map(({ form }) => form), [{
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: "the-client-secret"
      }])
    }))

  it.scopedLive("if both are set, the issuer is the audience of assertions", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const client = yield* makeClient({
        ...optionsFor(server),
        issuer: "https://issuer.example.com",
        clientAuth: ClientAuth.clientSecretJwt(Redacted.make("s".repeat(32)))
      })
      assert.strictEqual(yield* statusOf(client), 200)
      const [, claims] = server.tokenRequests[0].form.client_assertion.split(".")
      assert.strictEqual(JSON.parse(Buffer.from(claims, "base64url").toString()).aud, "https://issuer.example.com")
    }))

  it.scopedLive("replaces a revoked token", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const client = yield* makeClient(optionsFor(server))
      assert.strictEqual(yield* statusOf(client), 200)
      server.revokeAll()
      assert.strictEqual(yield* statusOf(client), 200)
      assert.lengthOf(server.tokenRequests, 2)
    }))

  it.scopedLive("passes on the token request and the client authentication", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const client = yield* makeClient({
        ...optionsFor(server),
        clientAuth: ClientAuth.clientSecretPost(clientSecret),
        grant: Grant.jwtBearer(Redacted.make("an-assertion")),
        scope: ["write", "read"],
        resource: "https://api.example.com",
        audience: "the-audience",
        tokenRequest: { ...unhurried.tokenRequest, params: { tenant: "t1" }, headers: { "x-tenant": "t1" } }
      })
      assert.strictEqual(yield* statusOf(client), 200)
      const [{ form, headers }] = server.tokenRequests
      deepStrictEqual(form, {
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: "an-assertion",
        scope: "read write",
        resource: "https://api.example.com",
        audience: "the-audience",
        tenant: "t1",
        client_id: "the-client",
        client_secret: "the-client-secret"
      })
      assert.strictEqual(headers["x-tenant"], "t1")
      assert.isUndefined(headers.authorization)
    }))

  it.scopedLive("retries like alf's Retry(total=5, status_forcelist=[500])", () =>
    Effect.gen(function*() {
      let failures = 2
      const server = yield* OAuthServer.make({
        onTokenRequest: (_, response) =>
          failures-- > 0
            ? response.writeHead(500).end()
            : response.end(JSON.stringify({ access_token: "t", token_type: "bearer" }))
      })
      const layer = NodeAuthedHttpClient.layer({
        ...optionsFor(server),
        tokenRequest: {
          ...unhurried.tokenRequest,
          retry: RetryPolicy.exponential({ base: "1 millis", times: 5 }),
          retryWhile: RetryPolicy.statuses([500])
        }
      })
      const token = yield* Effect.provide(Effect.flatMap(TokenProvider.TokenProvider, (tokens) => tokens.get()), layer)
      assert.strictEqual(Redacted.value(token.value), "t")
      assert.lengthOf(server.tokenRequests, 3)
    }))

  it.scopedLive("a failed token request is a typed error, and nothing is sent to the resource", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make({
        onTokenRequest: (_, response) =>
          response.writeHead(401, { "content-type": "application/json" }).end(`{"error":"invalid_client"}`)
      })
      const client = yield* makeClient(optionsFor(server))
      const error = yield* Effect.flip(client.get("/resource"))
      assert.strictEqual(error._tag, "TokenEndpointError")
      assert.strictEqual(error.message, `Token endpoint ${server.tokenEndpoint} answered 401 invalid_client`)
      deepStrictEqual(server.presented, [])
      const shown = inspect(error, { depth: null }) + JSON.stringify(error) + Cause.pretty(Cause.fail(error))
      assert.notInclude(shown, "the-client-secret")
      assert.notInclude(shown, Buffer.from("the-client:the-client-secret").toString("base64"))
    }))

  it.scopedLive("a secret may be an effect with requirements", () =>
    Effect.gen(function*() {
      class Vault extends Context.Tag("Vault")<Vault, { readonly read: Effect.Effect<Redacted.Redacted> }>() {}
      const server = yield* OAuthServer.make()
      const layer = NodeAuthedHttpClient.layer({
        ...optionsFor(server),
        clientSecret: Effect.flatMap(Vault, (vault) => vault.read)
      })
      const status = yield* AuthedHttpClient.AuthedHttpClient.pipe(
        Effect.flatMap((client) => statusOf(client)),
        Effect.provide(layer),
        Effect.provideService(Vault, { read: Effect.succeed(Redacted.make("from-the-vault")) })
      )
      assert.strictEqual(status, 200)
      assert.strictEqual(
        server.tokenRequests[0].headers.authorization,
        `Basic ${Buffer.from("the-client:from-the-vault").toString("base64")}`
      )
    }))

  it.scopedLive("a custom store keeps the tokens", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const values = new Map<string, string>()
      const tokenStore = Layer.sync(TokenStore.TokenStore, () => TokenStore.make(values))
      for (let process = 0; process < 2; process++) {
        yield* Effect.scoped(
          Effect.flatMap(makeClient({ ...optionsFor(server), tokenStore }), (client) => statusOf(client))
        )
      }
      assert.lengthOf(server.tokenRequests, 1)
      assert.strictEqual(values.size, 1)
    }))

  it.scopedLive("the error of a custom store is the layer's error", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const tokenStore = Layer.fail("no store" as const)
      const error = yield* Effect.flip(makeClient({ ...optionsFor(server), tokenStore }))
      assert.strictEqual(error, "no store")
    }))

  const valid = {
    tokenEndpoint: "https://auth.example.com/token",
    clientId: "id",
    clientSecret,
    baseUrl: "https://api.example.com"
  }

  it.scoped("an HTTP client and a store shared by several clients are built once", () =>
    Effect.gen(function*() {
      const built: Array<string> = []
      const tell = (what: string) => Effect.sync(() => built.push(what))
      const options = {
        tokenEndpoint: "https://auth.test/token",
        clientSecret,
        baseUrl: "https://api.test",
        http: Layer.effect(HttpClient.HttpClient, Effect.as(tell("http"), HttpClient.make(() => Effect.never))),
        tokenStore: Layer.effect(TokenStore.TokenStore, Effect.zipRight(tell("store"), TokenStore.makeMemory()))
      }
      class One extends AuthedHttpClient.Tag("One")<One>() {}
      class Two extends AuthedHttpClient.Tag("Two")<Two>() {}
      yield* Layer.build(Layer.mergeAll(
        One.layer(NodeAuthedHttpClient.layer({ ...options, clientId: "one" })),
        Two.layer(NodeAuthedHttpClient.layer({ ...options, clientId: "two" })),
        options.http
      ))
      deepStrictEqual(built.sort(), ["http", "store"])
    }))

  it.live("one error names all options that are missing or wrong", () =>
    rowsEffect<readonly [options: object, ReadonlyArray<string>], unknown, Scope.Scope>(
      [
        [{ clientId: "c" }, [
          "tokenEndpoint is missing, and issuer as well: give one of them",
          "clientSecret is missing",
          "origins is missing: say where tokens may go, or give a baseUrl"
        ]],
        [{ ...valid, clientId: undefined, bearerTypes: "mac", tokenField: "", scope: 5 }, [
          "clientId is missing",
          "scope is not a string or a list of strings",
          "bearerTypes is not a list of strings",
          "tokenField is empty"
        ]],
        [
          {
            ...valid,
            maxWait: 0,
            redis: { url: "localhost", connectTimeout: 0 },
            tokenStore: TokenStore.layerMemory(),
            http: { connections: 0, ca: "none" },
            tokenRequest: { timeout: 0, retry: 3 }
          },
          [
            "tokenRequest.timeout must be longer than zero",
            "tokenRequest.retry is not a Schedule",
            "maxWait must be longer than zero",
            "http.connections must be a whole number above zero",
            "http.ca contains no PEM certificate",
            "redis.url is not a URL",
            "redis.connectTimeout must be longer than zero",
            "tokenStore and redis are both given: one of them holds the tokens"
          ]
        ]
      ],
      ([, [first]]) => first,
      ([options, problems]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(makeClient(options as NodeAuthedHttpClient.Options))
          assert.strictEqual(error.message, problems.map((problem) => `NodeAuthedHttpClient.${problem}`).join("; "))
        })
    ))

  it.live("a wrong option is an InvalidOptions with the name of the option", () =>
    rowsEffect<readonly [string, object], unknown, Scope.Scope>(
      [
        ["tokenEndpoint is missing, and issuer as well: give one of them", { tokenEndpoint: undefined }],
        ["tokenEndpoint is empty", { tokenEndpoint: "" }],
        ["tokenEndpoint is not an absolute URL", { tokenEndpoint: "/token" }],
        [
          "tokenEndpoint is http to auth.example.com: use https, or set allowInsecure",
          { tokenEndpoint: "http://auth.example.com/token" }
        ],
        [
          "metadataUrl and tokenEndpoint are both given: with an endpoint no metadata is read",
          { metadataUrl: "https://auth.example.com/metadata" }
        ],
        ["issuer is not an absolute URL", { tokenEndpoint: undefined, issuer: "auth" }],
        ["clientId is empty", { clientId: "" }],
        ["clientSecret is missing", { clientSecret: undefined }],
        ["clientSecret is empty", { clientSecret: Redacted.make("") }],
        ["origins is missing: say where tokens may go, or give a baseUrl", { baseUrl: undefined }],
        ["baseUrl is not an absolute URL", { baseUrl: "api" }],
        ["tokenRequest.timeout is negative", { tokenRequest: { timeout: -1 } }],
        ["tokenRequest.params.tenant is missing", { tokenRequest: { params: { tenant: undefined } } }],
        ["refreshAhead is negative", { refreshAhead: -1 }],
        ["redis.url is not a URL", { redis: { url: "localhost" } }],
        ["redis.url is missing", { redis: {} }],
        ["http.connections must be a whole number above zero", { http: { connections: 0 } }],
        [
          "tokenStore and redis are both given: one of them holds the tokens",
          { redis: { url: "redis://localhost" }, tokenStore: TokenStore.layerMemory() }
        ]
      ],
      ([message]) => message,
      ([message, wrong]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(makeClient({ ...valid, ...wrong }))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.message, `NodeAuthedHttpClient.${message}`)
        })
    ))
})

describe("NodeAuthedHttpClient.layer, several APIs", () => {
  class Payments extends AuthedHttpClient.Tag("Payments")<Payments>() {}
  class Orders extends AuthedHttpClient.Tag("Orders")<Orders>() {}

  it.scopedLive("each has its own credential and provider, over one store", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const stored = new Map<string, string>()
      const tokenStore = Layer.sync(TokenStore.TokenStore, () => TokenStore.make(stored))
      const api = (clientId: string) => NodeAuthedHttpClient.layer({ ...optionsFor(server), clientId, tokenStore })
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* Effect.flatMap(Payments, (payments) => statusOf(payments)), 200)
        const states = yield* Effect.all([Payments.status(), Orders.status()])
        deepStrictEqual(states.map(({ token }) => Option.isSome(token)), [true, false])
        assert.strictEqual(yield* Effect.flatMap(Orders, (orders) => statusOf(orders)), 200)
        yield* Effect.flatMap(Orders.provider, ({ get }) => get())
        assert.strictEqual(stored.size, 2)
        assert.lengthOf(server.tokenRequests, 2)
      }).pipe(Effect.provide(Layer.merge(Payments.layer(api("payments")), Orders.layer(api("orders")))))
    }))
})

describe("NodeAuthedHttpClient.layerHttpClient", () => {
  it.scopedLive("provides platform's HttpClient, with authorization", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const layer = NodeAuthedHttpClient.layerHttpClient(optionsFor(server))
      const { status } = yield* Effect.provide(HttpClient.get("/resource"), layer)
      assert.strictEqual(status, 200)
      assert.lengthOf(server.tokenRequests, 1)
    }))
})

describe("NodeAuthedHttpClient.layerEnv", () => {
  const run = <A, E, R = never, ES = never, RS = never>(
    variables: Readonly<Record<string, string>>,
    program: Effect.Effect<A, E, AuthedHttpClient.AuthedHttpClient>,
    options?: NodeAuthedHttpClient.EnvOptions<R, ES, RS>
  ) =>
    Effect.provide(
      program,
      Layer.provide(
        NodeAuthedHttpClient.layerEnv({ ...unhurried, ...options }),
        Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
      )
    )

  const getResource = Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => statusOf(client))

  const variablesFor = (server: OAuthServer.OAuthServer) => ({
    ALF_TOKEN_ENDPOINT: server.tokenEndpoint,
    ALF_CLIENT_ID: "the-client",
    ALF_CLIENT_SECRET: "the-client-secret",
    ALF_BASE_URL: server.url
  })

  it.scopedLive("reads everything from the environment; ALF_REDIS_URL is a URL or a socket", () =>
    rowsEffect(
      [
        ["an address", RedisServer.shared],
        ["a socket", Effect.map(makeSocket, ({ url }) => ({ url, prefix: "test:" }))]
      ] as const,
      ([name]) => name,
      ([_, redisServer]) =>
        Effect.gen(function*() {
          const server = yield* OAuthServer.make()
          const { prefix, url } = yield* redisServer
          const variables = { ...variablesFor(server), ALF_SCOPE: "b a", ALF_REDIS_URL: url }
          const redis = { prefix, ...unhurriedRedis }
          for (let process = 0; process < 2; process++) {
            assert.strictEqual(yield* run(variables, getResource, { redis }), 200)
          }
          assert.lengthOf(server.tokenRequests, 1)
          assert.strictEqual(server.tokenRequests[0].form.scope, "a b")
        })
    ))

  it.scopedLive("ALF_ISSUER replaces ALF_TOKEN_ENDPOINT", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_TOKEN_ENDPOINT: _, ...variables } = variablesFor(server)
      assert.strictEqual(yield* run({ ...variables, ALF_ISSUER: server.url }, getResource), 200)
      assert.lengthOf(server.tokenRequests, 1)
    }))

  it.live("an error names ALF_ISSUER if it is wrong", () =>
    Effect.gen(function*() {
      const { ALF_TOKEN_ENDPOINT: _, ...variables } = complete
      const error = yield* Effect.flip(run({ ...variables, ALF_ISSUER: "nonsense" }, getResource))
      assert.strictEqual(error.message, "ALF_ISSUER is not an absolute URL")
    }))

  it.scopedLive("the options complete the environment", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_BASE_URL: _, ...variables } = variablesFor(server)
      const status = yield* run(variables, getResource, { baseUrl: server.url, scope: "from-options" })
      assert.strictEqual(status, 200)
      yield* run({ ...variables, ALF_SCOPE: "from-environment" }, getResource, {
        baseUrl: server.url,
        scope: "from-options"
      })
      deepStrictEqual(server.tokenRequests.map(({ form }) => form.scope), ["from-options", "from-environment"])
    }))

  it.scopedLive("needs no secret if the options contain a client authentication", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_CLIENT_SECRET: _, ...variables } = variablesFor(server)
      assert.strictEqual(yield* run(variables, getResource, { clientAuth: ClientAuth.none }), 200)
      assert.strictEqual(server.tokenRequests[0].form.client_id, "the-client")
    }))

  it.scopedLive("ignores ALF_REDIS_URL if the options contain a store", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const status = yield* run({ ...variablesFor(server), ALF_REDIS_URL: "nonsense" }, getResource, {
        tokenStore: TokenStore.layerMemory()
      })
      assert.strictEqual(status, 200)
    }))

  it.scopedLive("ALF_CLIENT_SECRET_FILE is read again after a change of the secret", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_CLIENT_SECRET: _, ...variables } = variablesFor(server)
      const file = yield* makeFile("the-client-secret\n")
      yield* run(
        { ...variables, ALF_CLIENT_SECRET_FILE: file.path },
        Effect.gen(function*() {
          assert.strictEqual(yield* getResource, 200)
          yield* file.write("the next secret")
          server.revokeAll()
          assert.strictEqual(yield* getResource, 200)
        })
      )
      deepStrictEqual(
        server.tokenRequests.map(({ headers }) => headers.authorization),
        ["the-client:the-client-secret", "the-client:the+next+secret"].map((pair) => `Basic ${btoa(pair)}`)
      )
    }))

  it.scopedLive("ALF_CLIENT_AUTH sets how the secret is sent, ALF_RESOURCE and ALF_AUDIENCE the token request", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      yield* run({
        ...variablesFor(server),
        ALF_CLIENT_AUTH: "client_secret_post",
        ALF_RESOURCE: "https://api.example.com",
        ALF_AUDIENCE: "orders",
        ALF_PROXY: "none"
      }, getResource)
      const { client_secret, ...form } = server.tokenRequests[0].form
      assert.strictEqual(client_secret, "the-client-secret")
      deepStrictEqual(form, {
        grant_type: "client_credentials",
        client_id: "the-client",
        resource: "https://api.example.com",
        audience: "orders"
      })
    }))

  it.scopedLive("ALF_CLIENT_KEY_FILE signs an assertion, with ALF_CLIENT_KEY_ID as kid", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_CLIENT_SECRET: _, ...variables } = variablesFor(server)
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
      const file = yield* makeFile(privateKey.export({ type: "pkcs8", format: "pem" }).toString())
      const status = yield* run(
        { ...variables, ALF_CLIENT_KEY_FILE: file.path, ALF_CLIENT_KEY_ID: "2026-11" },
        getResource
      )
      assert.strictEqual(status, 200)
      const header = server.tokenRequests[0].form.client_assertion.split(".")[0]
      deepStrictEqual(JSON.parse(Buffer.from(header, "base64url").toString()), {
        alg: "ES256",
        typ: "JWT",
        kid: "2026-11"
      })
    }))

  it.scopedLive("a client identified by its network needs no secret", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const { ALF_CLIENT_SECRET: _, ...variables } = variablesFor(server)
      assert.strictEqual(yield* run({ ...variables, ALF_CLIENT_AUTH: "none" }, getResource), 200)
    }))

  it.scopedLive("two clients of one app use two prefixes", () =>
    Effect.gen(function*() {
      const servers = [yield* OAuthServer.make(), yield* OAuthServer.make()] as const
      const variables = new Map([
        ...Object.entries(variablesFor(servers[0])).map(([name, value]) => [`ORDERS_${name}`, value] as const),
        ...Object.entries(variablesFor(servers[1])).map(([name, value]) =>
          [name.replace("ALF", "BILLING"), value] as const
        )
      ])
      const environment = ConfigProvider.fromMap(variables, { pathDelim: "_" })
      const providers = [
        ConfigProvider.nested(environment, "ORDERS"),
        ConfigProvider.mapInputPath(environment, (name) => name.replace(/^ALF_/, "BILLING_"))
      ]
      for (const provider of providers) {
        const layer = Layer.provide(NodeAuthedHttpClient.layerEnv(unhurried), Layer.setConfigProvider(provider))
        assert.strictEqual(yield* Effect.provide(getResource, layer), 200)
      }
      // As in the option
      const layer = Layer.provide(
        NodeAuthedHttpClient.layerEnv({ ...unhurried, prefix: "BILLING" }),
        Layer.setConfigProvider(environment)
      )
      assert.strictEqual(yield* Effect.provide(getResource, layer), 200)
      deepStrictEqual(servers.map(({ tokenRequests }) => tokenRequests.length), [1, 2])
    }))

  const complete = {
    ALF_TOKEN_ENDPOINT: "https://auth.example.com/token",
    ALF_CLIENT_ID: "id",
    ALF_CLIENT_SECRET: "the-client-secret",
    ALF_BASE_URL: "https://api.example.com"
  }

  it.live("one error names all variables that are missing or wrong, with the prefix", () =>
    Effect.gen(function*() {
      const variables = new Map([
        ["BILLING_TOKEN_ENDPOINT", "/token"],
        ["BILLING_MAX_WAIT", "soon"],
        ["BILLING_ORIGINS", "https://api.example.com/v1"],
        ["BILLING_REDIS_URL", "localhost"],
        ["ALF_CLIENT_ID", "id"]
      ])
      const error = yield* NodeAuthedHttpClient.layerEnv({ prefix: "BILLING", http: { connections: 0 } }).pipe(
        Layer.build,
        Effect.scoped,
        Effect.flip,
        Effect.withConfigProvider(ConfigProvider.fromMap(variables))
      )
      deepStrictEqual(error.message.split("; "), [
        "BILLING_MAX_WAIT is not a duration, such as \"10 seconds\" or \"500 millis\"",
        "BILLING_CLIENT_ID is not set",
        "BILLING_CLIENT_SECRET or BILLING_CLIENT_SECRET_FILE or BILLING_CLIENT_KEY_FILE is not set",
        "BILLING_TOKEN_ENDPOINT is not an absolute URL",
        "BILLING_ORIGINS takes origins, without a path: https://api.example.com",
        "NodeAuthedHttpClient.http.connections must be a whole number above zero",
        "BILLING_REDIS_URL is not a URL"
      ])
    }))

  it.live("the error includes a wrong ALF_STORE_URL or certificate", () =>
    rowsEffect(
      [
        [{ ALF_STORE_URL: "nonsense" }, /^ALF_STORE_URL must begin with one of /],
        [{ ALF_STORE_URL: "memcached://x:0" }, /^ALF_STORE_URL has a port/],
        [{ ALF_STORE_URL: "sqlite:a.db", ALF_SQL_TABLE: "a;b" }, /^ALF_SQL_TABLE /],
        [{ ALF_STORE_URL: "redis://x", ALF_REDIS_URL: "redis://x" }, /^ALF_STORE_URL and ALF_REDIS_URL are both set/]
      ] as const,
      ([_, message]) => String(message),
      ([variables, message]) =>
        Effect.gen(function*() {
          const layer = NodeAuthedHttpClient.layerEnvMutualTls({
            http: {
              certificate: { certificateFile: "/no/cert", keyFile: "/no/key" },
              gracePeriod: 0,
              refreshInterval: -1
            }
          })
          const { ALF_TOKEN_ENDPOINT, ...others } = complete
          const error = yield* Effect.flip(Effect.scoped(Layer.build(layer))).pipe(
            Effect.withConfigProvider(ConfigProvider.fromMap(
              new Map(Object.entries({ ...others, ...variables, ALF_TOKEN_ENDPIONT: ALF_TOKEN_ENDPOINT })),
              { pathDelim: "_" }
            ))
          )
          const problems = error.message.split("; ")
          deepStrictEqual(problems.slice(0, -1), [
            "ALF_TOKEN_ENDPOINT or ALF_ISSUER is not set, but ALF_TOKEN_ENDPIONT is",
            "NodeAuthedHttpClient.http.gracePeriod must be longer than zero",
            "NodeAuthedHttpClient.http.refreshInterval is negative",
            "NodeAuthedHttpClient.http.certificate.certificateFile /no/cert cannot be read: ENOENT",
            "NodeAuthedHttpClient.http.certificate.keyFile /no/key cannot be read: ENOENT"
          ])
          assert.match(problems.at(-1) ?? "", message)
        })
    ))

  it.live("an error names the missing variable", () =>
    rowsEffect(Object.keys(complete), (name) => name, (name) =>
      Effect.gen(function*() {
        const variables = new Map(Object.entries(complete))
        variables.delete(name)
        const error = yield* Effect.flip(run(Object.fromEntries(variables), getResource))
        assert.match(error.message, new RegExp(`\\b${name}\\b.* is not set$`))
      })))

  it.live("an error names the wrong variable with its prefix, without its value", () =>
    rowsEffect<readonly [Readonly<Record<string, string>>, string], unknown, never>(
      [
        [{ ALF_TOKEN_ENDPOINT: "" }, "ALF_TOKEN_ENDPOINT is empty"],
        [{ ALF_TOKEN_ENDPOINT: "nonsense" }, "ALF_TOKEN_ENDPOINT is not an absolute URL"],
        [{ ALF_CLIENT_ID: " " }, "ALF_CLIENT_ID is empty"],
        [{ ALF_CLIENT_SECRET: "" }, "ALF_CLIENT_SECRET is empty"],
        [{ ALF_BASE_URL: "ftp://api" }, "ALF_BASE_URL must be an https URL, not ftp:"],
        [{ ALF_TOKEN_FIELD: "id\ntoken" }, "ALF_TOKEN_FIELD contains a line break or another control character"],
        [
          { ALF_ORIGINS: "https://api.example.com/v1" },
          "ALF_ORIGINS takes origins, without a path: https://api.example.com"
        ],
        [{ ALF_TOKEN_REQUEST_TIMEOUT: "0 seconds" }, "ALF_TOKEN_REQUEST_TIMEOUT must be longer than zero"],
        [{ ALF_MAX_WAIT: "0 seconds" }, "ALF_MAX_WAIT must be longer than zero"],
        [
          { ALF_CONNECT_TIMEOUT: "soon" },
          "ALF_CONNECT_TIMEOUT is not a duration, such as \"10 seconds\" or \"500 millis\""
        ],
        [{ ALF_CONNECT_TIMEOUT: "0 seconds" }, "ALF_CONNECT_TIMEOUT must be longer than zero"],
        [{ ALF_PROXY: "socks5://:hunter2@proxy" }, "ALF_PROXY is not an http or https URL"],
        [
          { ALF_TOKEN_ENDPOINT: "http://auth.example.com/token" },
          "ALF_TOKEN_ENDPOINT is http to auth.example.com: use https, or set ALF_ALLOW_INSECURE"
        ],
        [{ ALF_REDIS_URL: "http://:hunter2@redis" }, "ALF_REDIS_URL must begin with redis://, rediss:// or unix:///"]
      ],
      ([_, message]) => message,
      ([wrong, message]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(run({ ...complete, ...wrong }, getResource))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.message, message)
          assert.notInclude(inspect(error), "hunter2")
          assert.notInclude(inspect(error), "the-client-secret")
          const billing = ConfigProvider.fromMap(
            new Map(Object.entries({ ...complete, ...wrong }).map(([name, value]) => [`BILLING_${name}`, value])),
            { pathDelim: "_" }
          )
          const named = yield* Effect.flip(Effect.provide(
            getResource,
            Layer.provide(
              NodeAuthedHttpClient.layerEnv(),
              Layer.setConfigProvider(ConfigProvider.nested(billing, "BILLING"))
            )
          ))
          assert.strictEqual(named.message, message.replaceAll("ALF_", "BILLING_ALF_"))
        })
    ))

  it.live("a wrong option is named as an option", () =>
    Effect.gen(function*() {
      const { ALF_BASE_URL: _, ...variables } = complete
      const wrongBase = yield* Effect.flip(run(variables, getResource, { baseUrl: "nonsense" }))
      assert.strictEqual(wrongBase.message, "NodeAuthedHttpClient.baseUrl is not an absolute URL")
      const wrongRedis = yield* Effect.flip(run(complete, getResource, { redis: { url: "nonsense" } }))
      assert.strictEqual(wrongRedis.message, "NodeAuthedHttpClient.redis.url is not a URL")
      const noRedis = yield* Effect.flip(run(complete, getResource, { redis: { prefix: "app:" } }))
      assert.strictEqual(noRedis.message, "ALF_REDIS_URL is missing")
    }))
})

const makeFile = Effect.fnUntraced(function*(text: string) {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "alf-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true }))
  )
  const path = join(directory, "file")
  const write = (text: string) => Effect.promise(() => writeFile(path, text))
  yield* write(text)
  return { path, write }
})

/** Waits until the token is in Redis: it is stored after its callers have it. */
const stored = (redis: { readonly url: string; readonly prefix: string }, token = "") =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Redis(redis.url)),
    (client) =>
      Effect.promise(async () => {
        const keys = await client.keys(`${redis.prefix}*`)
        return keys.length === 0 ? [] : await client.mget(keys)
      }).pipe(
        Effect.filterOrFail((values) => values.some((value) => value?.includes(token))),
        Effect.retry(Schedule.spaced("5 millis"))
      ),
    (client) => Effect.sync(() => client.disconnect())
  )

shared(Shared.layer)("NodeAuthedHttpClient, tokens in Redis", (it) => {
  it.scopedLive("other processes use the token of the first", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const redis = yield* ownRedis
      assert.strictEqual(yield* statusOf(yield* makeClient({ ...optionsFor(server), redis })), 200)
      yield* stored(redis)
      const others = yield* Effect.all(Arr.makeBy(5, () => makeClient({ ...optionsFor(server), redis })))
      const statuses = yield* Effect.forEach(
        Arr.makeBy(50, (index) => others[index % 5]),
        (client) => statusOf(client),
        {
          concurrency: "unbounded"
        }
      )
      deepStrictEqual(statuses, Arr.replicate(200, 50))
      assert.lengthOf(server.tokenRequests, 1)
      assert.strictEqual(new Set(server.presented).size, 1)
    }))

  it.scopedLive("a token is stored before its layer closes", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const redis = yield* ownRedis
      for (let process = 0; process < 3; process++) {
        yield* Effect.scoped(Effect.flatMap(makeClient({ ...optionsFor(server), redis }), (client) => statusOf(client)))
      }
      assert.lengthOf(server.tokenRequests, 1)
    }))

  // Its program is bundled
  if (isThorough) {
    it.scopedLive("another operating system process uses the token of this one", () =>
      Effect.gen(function*() {
        const server = yield* OAuthServer.make()
        const redis = yield* ownRedis
        yield* Effect.scoped(Effect.flatMap(makeClient({ ...optionsFor(server), redis }), (client) => statusOf(client)))
        const output = yield* runProcess("./secondProcess.ts", {
          ALF_TOKEN_ENDPOINT: server.tokenEndpoint,
          ALF_CLIENT_ID: "the-client",
          ALF_CLIENT_SECRET: "the-client-secret",
          ALF_BASE_URL: server.url,
          ALF_REDIS_URL: redis.url,
          REDIS_PREFIX: redis.prefix
        })
        assert.strictEqual(output, `200 {"path":"/resource"}`)
        assert.lengthOf(server.tokenRequests, 1)
        deepStrictEqual(server.presented, Arr.replicate(server.presented[0], 2))
      }))
  }

  it.scopedLive("after a revocation, others adopt the new token of one", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const redis = yield* ownRedis
      const first = yield* makeClient({ ...optionsFor(server), redis })
      yield* statusOf(first)
      yield* stored(redis)
      const second = yield* makeClient({ ...optionsFor(server), redis })
      yield* statusOf(second)
      server.revokeAll()
      assert.strictEqual(yield* statusOf(first), 200)
      const fresh = server.presented.at(-1)
      yield* stored(redis, fresh)
      assert.strictEqual(yield* statusOf(second), 200)
      assert.strictEqual(server.presented.at(-1), fresh)
      assert.lengthOf(server.tokenRequests, 2)
    }))
  it.scopedLive("an entry without a token is replaced", () =>
    Effect.gen(function*() {
      const server = yield* OAuthServer.make()
      const redis = yield* ownRedis
      yield* Effect.scoped(Effect.flatMap(makeClient({ ...optionsFor(server), redis }), (client) => statusOf(client)))
      const raw = yield* Effect.acquireRelease(
        Effect.sync(() => new Redis(redis.url)),
        (client) => Effect.sync(() => client.disconnect())
      )
      const [key] = yield* Effect.promise(() => raw.keys(`${redis.prefix}*`))
      const good = yield* Effect.promise(() => raw.get(key))
      for (const garbage of ["garbage", "alf1:v\n{}", "alf1:%\n{}", `alf1:v\n${"[".repeat(10_000)}`]) {
        yield* Effect.promise(() => raw.set(key, garbage))
        const before = server.tokenRequests.length
        const [messages, statuses] = yield* loggedBy(Effect.replicateEffect(
          Effect.scoped(Effect.flatMap(makeClient({ ...optionsFor(server), redis }), (client) => statusOf(client))),
          2
        ))
        deepStrictEqual(statuses, [200, 200])
        assert.lengthOf(messages, 1)
        assert.lengthOf(server.tokenRequests, before + 1)
      }
      assert.notStrictEqual(yield* Effect.promise(() => raw.get(key)), good)
    }))
})

/** Runs a script of this folder as an app, bundled to load fast; returns its output. */
const runProcess = (script: string, variables: Readonly<Record<string, string>>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => fileURLToPath(new URL(`../build/${crypto.randomUUID()}.mjs`, import.meta.url))),
    (outfile) =>
      Effect.promise(() =>
        build({
          entryPoints: [fileURLToPath(new URL(script, import.meta.url))],
          outfile,
          bundle: true,
          platform: "node",
          format: "esm",
          conditions: ["@effect-alf/source"],
          // With unused stores it would be twice as large
          external: ["ioredis", "jose", "undici", "ws", "memcache", "@effect/sql", "@effect/sql-*"]
        })
      ).pipe(Effect.zipRight(Effect.async<string, Error>((resume, signal) => {
        execFile(
          process.execPath,
          [outfile],
          { env: { PATH: process.env.PATH, ...variables }, signal },
          (error, stdout, stderr) =>
            resume(error === null ? Effect.succeed(stdout) : Effect.fail(new Error(`${error.message}\n${stderr}`)))
        )
      }))),
    (outfile) => Effect.promise(() => rm(outfile, { force: true }))
  )

describe("NodeAuthedHttpClient over another HTTP client", () => {
  const server = TestAuthorizationServer.layer()
  const { apiUrl: baseUrl, clientId, clientSecret, tokenEndpoint } = TestAuthorizationServer
  const environment = ConfigProvider.fromMap(
    new Map(Object.entries({
      ALF_TOKEN_ENDPOINT: tokenEndpoint,
      ALF_CLIENT_ID: clientId,
      ALF_CLIENT_SECRET: Redacted.value(clientSecret),
      ALF_BASE_URL: baseUrl
    }))
  )
  const layers = [
    ["layer", NodeAuthedHttpClient.layer({ tokenEndpoint, clientId, clientSecret, baseUrl, http: server })],
    [
      "layerEnv",
      Layer.provide(NodeAuthedHttpClient.layerEnv({ http: server }), Layer.setConfigProvider(environment))
    ]
  ] as const

  it.effect("an app's layers run against the test server, which a test controls", () =>
    rowsEffect(layers, ([name]) => name, ([, layer]) =>
      Effect.gen(function*() {
        const client = yield* AuthedHttpClient.AuthedHttpClient
        const { tokenRequests } = yield* TestAuthorizationServer.TestAuthorizationServer
        assert.strictEqual(yield* statusOf(client, "/orders"), 200)
        assert.lengthOf(yield* tokenRequests, 1)
      }).pipe(Effect.provide(Layer.merge(layer, server)))))
})
