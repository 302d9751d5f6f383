import { AuthorizationServer, ClientAuth, DPoP, OAuthError, TokenEndpoint } from "@effect-alf/core"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Equal, Fiber, Layer, Option, Redacted, Schema, TestClock } from "effect"
import * as ClientAuthChoice from "../src/endpoint/ClientAuthChoice.js"
import { collectLogs, type Log } from "./support/ProviderBench.js"
import { storeKey } from "./support/StoreKey.js"

const issuer = "https://auth.example.com/realms/shop"
const metadataUrl = "https://auth.example.com/.well-known/oauth-authorization-server/realms/shop"

interface Asked {
  readonly url: string
  readonly authorization: string | undefined
  readonly form: URLSearchParams
}

/** A server with this metadata, whose token endpoint answers at the address that counts. */
const serve = (
  metadata: () => Record<string, unknown>,
  tokenPath: () => string = () => "/token",
  otherStatus = 404
) => {
  const asked: Array<Asked> = []
  const layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => {
        const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        asked.push({ url: url.href, authorization: request.headers.authorization, form: new URLSearchParams(body) })
        const answer = url.href === metadataUrl
          ? Response.json({ issuer, token_endpoint: "https://auth.example.com/token", ...metadata() })
          : url.pathname === tokenPath()
          ? Response.json({ access_token: `token-${asked.length}`, token_type: "Bearer", expires_in: 3600 })
          : new Response(null, { status: otherStatus })
        return HttpClientResponse.fromWeb(request, answer)
      })
    )
  )
  return { asked, layer, urls: () => asked.map(({ url }) => url) }
}

type Options = Partial<TokenEndpoint.DiscoveryOptions>

const make = (options?: Options) =>
  TokenEndpoint.makeDiscovery({
    issuer,
    clientId: "app",
    ...(options?.clientAuth === undefined ? { clientSecret: Redacted.make("secret") } : {}),
    ...options
  })

const attempt = (endpoint: TokenEndpoint.TokenEndpoint["Type"]) =>
  Effect.map(endpoint.attempt(endpoint.resolve()), ({ value }) => Redacted.value(value))

const certificate: ClientAuth.ClientAuth = {
  method: "tls_client_auth",
  authenticate: ({ clientId }) => Effect.succeed({ params: { client_id: clientId } }),
  binding: Effect.succeed(() => "thumbprint")
}

describe("TokenEndpoint.layerDiscovery", () => {
  it.scoped("requests the metadata with the first token only", () => {
    const { layer, urls } = serve(() => ({}))
    return Effect.gen(function*() {
      const endpoint = yield* make()
      deepStrictEqual(urls(), [])
      yield* attempt(endpoint)
      yield* attempt(endpoint)
      deepStrictEqual(urls(), [metadataUrl, "https://auth.example.com/token", "https://auth.example.com/token"])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("its headers reach the metadata too, and no error", () => {
    const seen: Array<unknown> = []
    const { layer } = serve(() => ({ issuer: `not ${seen.at(-1)}` }))
    const headers = { "x-tenant": "t1", "X-Api-Key": "4p1-k3y-0f-m1ne", accept: "application/json, application/jwt" }
    return Effect.gen(function*() {
      const http = HttpClient.mapRequest(yield* HttpClient.HttpClient, (request) => {
        const { accept, "x-api-key": key, "x-tenant": tenant } = request.headers
        deepStrictEqual({ accept, tenant }, { accept: headers.accept, tenant: "t1" })
        seen.push(key)
        return request
      })
      const error = yield* make({ headers, metadataUrl }).pipe(
        Effect.flatMap(attempt),
        Effect.provideService(HttpClient.HttpClient, http),
        Effect.flip
      )
      deepStrictEqual(seen, ["4p1-k3y-0f-m1ne"])
      assert.include(error.message, "issuer is not <redacted> not")
    }).pipe(Effect.provide(layer))
  })

  it.scoped("a failure of the discovery is a failure of the attempt, and may be transient", () => {
    let issuerSaid: unknown = "https://evil.example.com"
    const { layer } = serve(() => ({ issuer: issuerSaid }))
    return Effect.gen(function*() {
      const endpoint = yield* make()
      const error = yield* Effect.flip(attempt(endpoint))
      assert.instanceOf(error, OAuthError.DiscoveryError)
      assert.include(error.message, `issuer is https://evil.example.com, not ${issuer}`)
      issuerSaid = issuer
      assert.isTrue(OAuthError.isOAuthError(yield* Effect.flip(attempt(endpoint))))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("a server that never responds is reported within TokenProvider.maxWait, 10 seconds", () =>
    Effect.gen(function*() {
      const never = HttpClient.make(() => Effect.never)
      const endpoint = yield* Effect.provideService(make(), HttpClient.HttpClient, never)
      const fiber = yield* Effect.fork(Effect.flip(attempt(endpoint)))
      yield* TestClock.adjust("9 seconds")
      const exit = Option.getOrThrow(yield* Fiber.poll(fiber))
      assert.strictEqual((yield* exit).message, `Discovery endpoint ${metadataUrl}: no answer within 4s`)
    }))

  it.scoped("its time limit includes the discovery at two URLs", () =>
    Effect.gen(function*() {
      const limit = (options?: Options) => Effect.map(make(options), ({ timeout }) => Duration.toSeconds(timeout))
      assert.strictEqual(yield* limit(), 16)
      assert.strictEqual(yield* limit({ timeout: "2 seconds", metadataUrl }), 4)
      const never = HttpClient.make(() => Effect.never)
      const endpoint = yield* Effect.provideService(make(), HttpClient.HttpClient, never)
      const fiber = yield* Effect.fork(Effect.flip(attempt(endpoint)))
      yield* TestClock.adjust(endpoint.timeout)
      assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
    }).pipe(Effect.provide(serve(() => ({})).layer)))

  it.scoped("if the endpoint moved, the metadata is read again for the next attempt", () => {
    let path = "/token"
    const { layer, urls } = serve(() => ({ token_endpoint: `https://auth.example.com${path}` }), () => path)
    return Effect.gen(function*() {
      const endpoint = yield* make()
      yield* attempt(endpoint)
      path = "/v2/token"
      assert.strictEqual((yield* Effect.flip(attempt(endpoint))).status, 404)
      assert.strictEqual(yield* attempt(endpoint), "token-5")
      deepStrictEqual(urls().slice(3), [metadataUrl, "https://auth.example.com/v2/token"])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("after any other failure, the metadata is kept", () => {
    const { layer, urls } = serve(() => ({}), () => "/none", 503)
    return Effect.gen(function*() {
      const endpoint = yield* make()
      for (let count = 0; count < 2; count++) {
        assert.strictEqual((yield* Effect.flip(attempt(endpoint))).status, 503)
      }
      const tokenUrl = "https://auth.example.com/token"
      deepStrictEqual(urls(), [metadataUrl, tokenUrl, tokenUrl])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("the issuer reaches the client authentication, and the URL of the metadata", () => {
    const seen: Array<ClientAuth.Context> = []
    const { layer } = serve(() => ({}))
    return Effect.gen(function*() {
      const clientAuth: ClientAuth.ClientAuth = {
        method: "of the app",
        authenticate: (context) => Effect.as(Effect.sync(() => seen.push(context)), {})
      }
      yield* Effect.flatMap(make({ clientAuth }), attempt)
      deepStrictEqual(seen, [{ clientId: "app", endpoint: "https://auth.example.com/token", issuer, attempt: 1 }])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("rule 2: the key is that of the issuer, and known before the metadata", () => {
    const { layer } = serve(() => ({}))
    return Effect.gen(function*() {
      const one = yield* make()
      const other = yield* make({ issuer: "https://auth.example.com/realms/other" })
      const before = storeKey(one.resolve())
      yield* attempt(one)
      assert.strictEqual(storeKey(one.resolve()), before)
      assert.notStrictEqual(storeKey(other.resolve()), before)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("a client with a certificate uses the endpoint for those (RFC 8705 §5)", () => {
    const { layer, urls } = serve(
      () => ({ mtls_endpoint_aliases: { token_endpoint: "https://mtls.example.com/mtls" } }),
      () => "/mtls"
    )
    return Effect.gen(function*() {
      const endpoint = yield* make({ clientAuth: certificate })
      yield* attempt(endpoint)
      deepStrictEqual(urls(), [metadataUrl, "https://mtls.example.com/mtls"])
      assert.strictEqual(endpoint.resolve().binding, "thumbprint")
    }).pipe(Effect.provide(layer))
  })

  it.scoped("a client without a certificate does not use the endpoints for clients with one", () => {
    const { layer, urls } = serve(() => ({
      mtls_endpoint_aliases: { token_endpoint: "https://mtls.example.com/mtls" }
    }))
    return Effect.gen(function*() {
      yield* attempt(yield* make())
      deepStrictEqual(urls(), [metadataUrl, "https://auth.example.com/token"])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("errors name its options", () =>
    Effect.gen(function*() {
      const message = (options: Options) => Effect.map(Effect.flip(make(options)), ({ message }) => message)
      assert.strictEqual(yield* message({ issuer: "x" }), "TokenEndpoint.issuer is not an absolute URL")
      assert.strictEqual(
        yield* message({ refreshMetadataEvery: 0 }),
        "TokenEndpoint.refreshMetadataEvery must be longer than zero"
      )
      assert.strictEqual(yield* message({ clientAuth: [] }), "TokenEndpoint.clientAuth is an empty list")
      assert.strictEqual(yield* message({ clientId: "" }), "TokenEndpoint.clientId is empty")
      assert.strictEqual(
        yield* message({ clientSecret: Redacted.make("") }),
        "TokenEndpoint.clientSecret is empty"
      )
    }).pipe(Effect.provide(serve(() => ({})).layer)))

  describe("the authentication method", () => {
    const secret = Redacted.make("secret")

    it.scoped("is one that the server supports", () =>
      Effect.gen(function*() {
        const rows = [
          [undefined, "basic"],
          [["client_secret_basic", "client_secret_post"], "basic"],
          [["private_key_jwt", "client_secret_post"], "post"]
        ] as const
        for (const [token_endpoint_auth_methods_supported, expected] of rows) {
          const { asked, layer } = serve(() => ({ token_endpoint_auth_methods_supported }))
          yield* Effect.provide(Effect.flatMap(make(), attempt), layer)
          const { authorization, form } = asked[1]
          assert.strictEqual(authorization === undefined ? "post" : "basic", expected)
          assert.strictEqual(form.get("client_secret"), expected === "post" ? "secret" : null)
        }
      }))

    it.scoped("if there is none for a secret, the error names the methods of both sides", () => {
      const { layer, urls } = serve(() => ({ token_endpoint_auth_methods_supported: ["none", "x"] }))
      return Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatMap(make(), attempt))
        assert.instanceOf(error, OAuthError.DiscoveryError)
        assert.strictEqual(error.reason, "ClientAuth")
        assert.strictEqual(
          error.message,
          `Discovery endpoint ${issuer}: the server supports "none" (public clients), x; ` +
            "the client has client_secret_basic, client_secret_post, client_secret_jwt"
        )
        deepStrictEqual(urls(), [metadataUrl])
      }).pipe(Effect.provide(layer))
    })

    it.scoped("that the app sets is used whatever the metadata says, with one warning", () => {
      const { asked, layer } = serve(() => ({ token_endpoint_auth_methods_supported: ["none"] }))
      const logs: Array<Log> = []
      return Effect.gen(function*() {
        const endpoint = yield* make({
          clientAuth: [ClientAuth.clientSecretPost(secret), ClientAuth.clientSecretBasic(secret)]
        })
        for (let time = 0; time < 2; time++) yield* attempt(endpoint)
        deepStrictEqual(asked.slice(1).map(({ form }) => form.get("client_secret")), ["secret", "secret"])
        deepStrictEqual(logs, [{
          level: "Warning",
          text: `Discovery endpoint ${issuer}: the server supports "none" (public clients); ` +
            "the client has client_secret_post, client_secret_basic. It is used anyway"
        }])
      }).pipe(Effect.provide(layer), collectLogs(logs))
    })

    it.scoped("RFC 9449 §5.1: so is a key whose algorithm the server does not name", () => {
      const { asked, layer } = serve(() => ({ dpop_signing_alg_values_supported: ["RS256", "PS256"] }))
      const logs: Array<Log> = []
      return Effect.gen(function*() {
        // The server here knows nothing of proofs, and was asked
        yield* Effect.flip(Effect.flatMap(make({ dpop: DPoP.generate() }), attempt))
        assert.lengthOf(asked, 2)
        deepStrictEqual(logs.map(({ text }) => text), [
          `Discovery endpoint ${issuer}: the server supports DPoP proofs signed with RS256, PS256; the key signs with ES256. ` +
          "It is used anyway"
        ])
      }).pipe(Effect.provide(layer), collectLogs(logs))
    })

    const choose = (
      candidates: ClientAuthChoice.Candidates<never>,
      methods: ReadonlyArray<string> | null
    ) => {
      const { clientAuth, doubt } = ClientAuthChoice.choose(
        candidates,
        Schema.decodeUnknownSync(AuthorizationServer.Metadata)({
          issuer,
          token_endpoint_auth_methods_supported: methods
        })
      )
      return [clientAuth.method, doubt]
    }
    const basic = ClientAuth.clientSecretBasic(secret)

    it("is the client's first that the server lists, or its first where it lists none", () => {
      deepStrictEqual(
        choose([certificate, basic], ["client_secret_basic", "tls_client_auth"]),
        ["tls_client_auth", undefined]
      )
      deepStrictEqual(choose([certificate, basic], ["client_secret_basic"]), ["client_secret_basic", undefined])
      deepStrictEqual(choose([certificate, basic], null), ["tls_client_auth", undefined])
      deepStrictEqual(
        choose([basic], []),
        ["client_secret_basic", "the server supports no authentication method; the client has client_secret_basic"]
      )
    })

    it("a custom one is in no list, and is used nevertheless", () => {
      deepStrictEqual(choose([{ ...basic, method: "of the app" }], ["none"]), ["of the app", undefined])
    })

    it.scoped("of a secret that an effect reads, the version is one read", () =>
      Effect.gen(function*() {
        let reads = 0
        const endpoint = yield* make({ clientSecret: Effect.sync(() => Redacted.make(`secret-${++reads}`)) })
        deepStrictEqual(yield* endpoint.credentials, Option.some(Redacted.make("secret-1")))
        assert.strictEqual(reads, 1)
      }).pipe(Effect.provide(serve(() => ({})).layer)))

    it.effect("the candidates together have the version of all, and the binding of the one that has one", () =>
      Effect.gen(function*() {
        const rotating = (text: string) => ClientAuth.clientSecretBasic(Effect.sync(() => Redacted.make(text)))
        const { binding, method, version } = ClientAuthChoice.merge([rotating("a"), certificate])
        assert.strictEqual(method, "client_secret_basic tls_client_auth")
        assert.strictEqual((yield* binding ?? Effect.die("none"))(), "thumbprint")
        const other = ClientAuthChoice.merge([rotating("b"), certificate])
        assert.isFalse(Equal.equals(yield* version ?? Effect.die("none"), yield* other.version ?? Effect.die("none")))
        assert.isUndefined(ClientAuthChoice.merge([basic]).version)
      }))
  })
})
