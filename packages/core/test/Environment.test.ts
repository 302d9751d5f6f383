import { AuthedHttpClient, Environment, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Config, ConfigError, ConfigProvider, Duration, Effect, Redacted } from "effect"
import { rowsEffect } from "./support/Rows.js"

const from = (variables: Readonly<Record<string, string>>) =>
  ConfigProvider.fromMap(new Map(Object.entries(variables)), { pathDelim: "_" })

const read = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(Environment.read, from(variables))

describe("Environment.read", () => {
  it.effect("reads every kind of variable, without the spaces around it", () =>
    Effect.gen(function*() {
      const environment = yield* read({
        ALF_TOKEN_ENDPOINT: " https://auth.example.com/token\n",
        ALF_CLIENT_SECRET: "the-client-secret ",
        ALF_ORIGINS: "https://a.example.com, https://b.example.com  https://c.example.com",
        ALF_TOKEN_REQUEST_TIMEOUT: "500 millis",
        ALF_CLIENT_AUTH: "client_secret_post",
        ALF_ALLOW_INSECURE: "TRUE"
      })
      assert.strictEqual(environment.tokenEndpoint, "https://auth.example.com/token")
      assert.strictEqual(environment.clientSecret && Redacted.value(environment.clientSecret), "the-client-secret ")
      deepStrictEqual(environment.origins, ["https://a.example.com", "https://b.example.com", "https://c.example.com"])
      deepStrictEqual(environment.timeout, Duration.millis(500))
      assert.strictEqual(environment.clientAuth, "client_secret_post")
      assert.isTrue(environment.allowInsecure)
      assert.isUndefined(environment.issuer)
    }))

  it.effect("a secret is read unchanged, without line breaks at its end", () =>
    rowsEffect(["s3cr3t\n", "s3cr3t\r\n", "s3cr3t\n\n"], JSON.stringify, (secret) =>
      Effect.gen(function*() {
        const { clientSecret } = yield* read({ ALF_CLIENT_SECRET: secret })
        assert.strictEqual(clientSecret && Redacted.value(clientSecret), "s3cr3t")
      })))

  it.effect("an empty variable counts as absent", () =>
    Effect.gen(function*() {
      const { maxWait, names, origins, scope } = yield* read({ ALF_SCOPE: " ", ALF_ORIGINS: "", ALF_MAX_WAIT: "" })
      deepStrictEqual([scope, origins, maxWait], [undefined, undefined, undefined])
      deepStrictEqual([names.scope, names.baseUrl], [
        { name: "ALF_SCOPE", isSet: true },
        { name: "ALF_BASE_URL", isSet: false }
      ])
    }))

  const wrong: ReadonlyArray<readonly [Readonly<Record<string, string>>, message: string]> = [
    [
      { ALF_TOKEN_REQUEST_TIMEOUT: "10" },
      "ALF_TOKEN_REQUEST_TIMEOUT is not a duration, such as \"10 seconds\" or \"500 millis\""
    ],
    [{ ALF_MAX_WAIT: "-1 second" }, "ALF_MAX_WAIT is not a duration, such as \"10 seconds\" or \"500 millis\""],
    [{ ALF_ALLOW_INSECURE: "yes" }, "ALF_ALLOW_INSECURE is neither true nor false"],
    [
      { ALF_CLIENT_AUTH: "basic" },
      "ALF_CLIENT_AUTH is not one of client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, none"
    ],
    [
      { ALF_CLIENT_SECRET: "hunter2", ALF_CLIENT_SECRET_FILE: "/run/secrets/client" },
      "ALF_CLIENT_SECRET and ALF_CLIENT_SECRET_FILE are both set: the client authenticates with one of them"
    ],
    [
      { ALF_CLIENT_SECRET_FILE: "/run/secrets/client", ALF_CLIENT_KEY_FILE: "/run/secrets/client.pem" },
      "ALF_CLIENT_SECRET_FILE and ALF_CLIENT_KEY_FILE are both set: the client authenticates with one of them"
    ],
    [
      { ALF_CLIENT_AUTH: "none", ALF_CLIENT_SECRET: "hunter2" },
      "ALF_CLIENT_AUTH is none, which contradicts ALF_CLIENT_SECRET"
    ],
    [
      { ALF_CLIENT_AUTH: "private_key_jwt", ALF_CLIENT_SECRET: "hunter2" },
      "ALF_CLIENT_AUTH is private_key_jwt, which contradicts ALF_CLIENT_SECRET"
    ],
    [
      { ALF_CLIENT_AUTH: "client_secret_post", ALF_CLIENT_KEY_FILE: "/run/secrets/client.pem" },
      "ALF_CLIENT_AUTH is client_secret_post, which contradicts ALF_CLIENT_KEY_FILE"
    ],
    [{ ALF_CLIENT_AUTH: "private_key_jwt" }, "ALF_CLIENT_AUTH is private_key_jwt, which needs ALF_CLIENT_KEY_FILE"],
    [
      { ALF_CLIENT_KEY_ID: "2026-11", ALF_CLIENT_SECRET: "hunter2" },
      "ALF_CLIENT_KEY_ID is set without ALF_CLIENT_KEY_FILE: a secret has no key id"
    ]
  ]
  it.effect("an error names the variable, with its prefix", () =>
    rowsEffect(
      wrong,
      ([variables, message]) => `${JSON.stringify(variables)}: ${message}`,
      ([variables, message]) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* Effect.flip(read(variables))).message, message)
          const billing = Object.fromEntries(
            Object.entries(variables).map(([name, value]) => [name.replace("ALF", "BILLING"), value])
          )
          const instead = ConfigProvider.mapInputPath(
            from(billing),
            (name) => name.replace(/^ALF\b|^ALF(?=_)/, "BILLING")
          )
          const error = yield* Effect.flip(Effect.withConfigProvider(Environment.read, instead))
          assert.strictEqual(error.message, message.replaceAll("ALF_", "BILLING_"))
          const before = Object.fromEntries(
            Object.entries(variables).map(([name, value]) => [`BILLING_${name}`, value])
          )
          const nested = ConfigProvider.nested(from(before), "BILLING")
          const nestedError = yield* Effect.flip(Effect.withConfigProvider(Environment.read, nested))
          assert.strictEqual(nestedError.message, message.replaceAll("ALF_", "BILLING_ALF_"))
        })
    ))
})

describe("Environment.requireEach", () => {
  const groups: ReadonlyArray<Environment.Alternatives> = [["clientId"], ["tokenEndpoint", "issuer"]]

  it.effect("names all variables that are missing, or the one that is empty", () =>
    Effect.gen(function*() {
      const require = (variables: Record<string, string>) =>
        Effect.withConfigProvider(
          Effect.flatMap(Environment.read, (environment) => Environment.requireEach(environment, groups)),
          from(variables)
        )
      const missing = yield* Effect.flip(require({}))
      assert.strictEqual(missing.message, "ALF_CLIENT_ID is not set; ALF_TOKEN_ENDPOINT or ALF_ISSUER is not set")
      const empty = yield* Effect.flip(require({ ALF_ISSUER: "", ALF_TOKEN_ENDPIONT: "https://a" }))
      assert.strictEqual(empty.message, "ALF_CLIENT_ID is not set; ALF_ISSUER is empty")
      const misspelt = yield* Effect.flip(
        require({ ALF_TOKEN_ENDPIONT: "https://a", ALF_CLIENTID: "shop", ALF_X: "x" })
      )
      assert.strictEqual(
        misspelt.message,
        "ALF_CLIENT_ID is not set, but ALF_CLIENTID is; " +
          "ALF_TOKEN_ENDPOINT or ALF_ISSUER is not set, but ALF_TOKEN_ENDPIONT is"
      )
      yield* require({ ALF_CLIENT_ID: "shop", ALF_ISSUER: "https://a" })
    }))
})

describe("Environment.findUnread", () => {
  const set = {
    ALF_CLIENT_ID: "shop",
    ALF_CLIENT_SECRT: "x",
    ALF_SOMETHING_ELSE: "x",
    ALF_TOKEN: "x",
    ALF_TOKEN_ENDPIONT: "x",
    ALFRED: "x",
    BILLING_SCOPES: "x",
    PATH: "x",
    alf_base_url: "x"
  }
  const find = (provider: ConfigProvider.ConfigProvider, options?: Environment.Options) =>
    Effect.withConfigProvider(Effect.flatMap(Environment.readWith({}, options), Environment.findUnread), provider)

  const unread = [
    { name: "ALF_CLIENT_SECRT", meant: "ALF_CLIENT_SECRET" },
    { name: "ALF_SOMETHING_ELSE", meant: undefined },
    { name: "ALF_TOKEN", meant: undefined },
    { name: "ALF_TOKEN_ENDPIONT", meant: "ALF_TOKEN_ENDPOINT" },
    { name: "alf_base_url", meant: "ALF_BASE_URL" }
  ]

  it.effect("lists set variables with the prefix that nothing reads, and the likely one, however names are split", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* find(from(set)), unread)
      deepStrictEqual(yield* find(ConfigProvider.fromMap(new Map(Object.entries(set)))), unread)
      deepStrictEqual(yield* find(from(set), { prefix: "BILLING" }), [
        { name: "BILLING_SCOPES", meant: "BILLING_SCOPE" }
      ])
    }))

  it.effect("lists none if the ConfigProvider cannot list its names", () =>
    Effect.gen(function*() {
      const { flattened } = from(set)
      const silent = ConfigProvider.fromFlat(ConfigProvider.makeFlat({
        load: (path, primitive, split) => flattened.load(path, primitive, split),
        enumerateChildren: () => Effect.fail(ConfigError.Unsupported([], "no names")),
        patch: flattened.patch
      }))
      deepStrictEqual(yield* find(silent), [])
    }))
})

describe("Environment.readWith", () => {
  it.effect("reads with a prefix, and names all wrong variables with it", () =>
    Effect.gen(function*() {
      const variables = { BILLING_CLIENT_ID: "shop", ALF_CLIENT_ID: "other", ALF_SCOPE: "other" }
      const billing = Environment.readWith({}, { prefix: "BILLING" })
      const environment = yield* Effect.withConfigProvider(billing, from(variables))
      deepStrictEqual([environment.clientId, environment.scope], ["shop", undefined])
      deepStrictEqual(environment.names.clientId, { name: "BILLING_CLIENT_ID", isSet: true })
      const wrong = from({ BILLING_MAX_WAIT: "soon", BILLING_ALLOW_INSECURE: "maybe", BILLING_CLIENT_KEY_ID: "1" })
      const error = yield* Effect.flip(Effect.withConfigProvider(billing, wrong))
      assert.strictEqual(
        error.message,
        "BILLING_MAX_WAIT is not a duration, such as \"10 seconds\" or \"500 millis\"; " +
          "BILLING_ALLOW_INSECURE is neither true nor false; " +
          "BILLING_CLIENT_KEY_ID is set without BILLING_CLIENT_KEY_FILE: a secret has no key id"
      )
    }))
})

describe("Environment.variables", () => {
  it("rule 9: values that may contain a secret are Redacted and marked as secret", () => {
    const variables: ReadonlyArray<Environment.Variable<unknown>> = Object.values(Environment.variables)
    for (const { config, isSecret, name } of variables) {
      const value = Effect.runSync(Effect.either(from({ [name]: "1 second" }).load(config)))
      assert.strictEqual(value._tag === "Right" && Redacted.isRedacted(value.right), isSecret, name)
    }
  })
})

describe("Environment, layer by layer", () => {
  it.effect("gets a token with layers of core alone", () =>
    Effect.gen(function*() {
      const variables = {
        ALF_TOKEN_ENDPOINT: "https://auth.example.com/token",
        ALF_CLIENT_ID: "client-id",
        ALF_CLIENT_SECRET: "client-secret",
        ALF_BASE_URL: "https://api.example.com",
        ALF_MAX_WAIT: "0 seconds"
      }
      const build = (variables: Readonly<Record<string, string>>) =>
        AuthedHttpClient.AuthedHttpClient.pipe(
          Effect.flatMap((client) => client.get("/orders")),
          Effect.map(({ status }) => status),
          Effect.provide(AuthedHttpClient.layerConfig(Environment.authedHttpClient)),
          Effect.provide(TokenEndpoint.layerConfig(Environment.tokenEndpoint)),
          Effect.provide(TokenStore.layerMemory()),
          Effect.provideService(
            HttpClient.HttpClient,
            HttpClient.make((request, { pathname }) =>
              Effect.succeed(HttpClientResponse.fromWeb(
                request,
                pathname === "/token"
                  ? Response.json({ access_token: "token", token_type: "Bearer", expires_in: 60 })
                  : new Response(null, { status: request.headers.authorization === "Bearer token" ? 200 : 401 })
              ))
            )
          ),
          Effect.withConfigProvider(from(variables))
        )
      assert.strictEqual(yield* build({ ...variables, ALF_MAX_WAIT: "5 seconds" }), 200)
      const error = yield* Effect.flip(build(variables))
      assert.strictEqual(error.message, "ALF_MAX_WAIT must be longer than zero")
      const missing = yield* Effect.flip(build({ ...variables, ALF_CLIENT_ID: "" }))
      assert.include(String(missing), "Invalid data at ALF_CLIENT_ID: \"is empty\"")
    }))

  it.effect("TokenProvider.layerConfig names the variable at fault", () =>
    Effect.gen(function*() {
      const error = yield* TokenProvider.TokenProvider.pipe(
        Effect.provide(TokenProvider.layerConfig({ capacity: Config.integer("CAPACITY") })),
        Effect.provide(TestTokenEndpoint.layer()),
        Effect.provide(TokenStore.layerMemory()),
        Effect.withConfigProvider(from({ CAPACITY: "0" })),
        Effect.flip
      )
      assert.strictEqual(error.message, "CAPACITY must be a whole number above zero")
    }))
})
