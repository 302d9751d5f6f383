import { AuthedHttpClient, ClientAuth, ClientCertificate, type OAuthError, type TokenProvider } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, ConfigProvider, Context, Effect, Layer, Redacted, Ref } from "effect"
import * as Certificates from "./Certificates.js"
import * as LocalServer from "./LocalServer.js"
import * as MutualTlsServer from "./MutualTlsServer.js"
import { unhurried } from "./unhurried.js"

/** A token endpoint and a resource that require a certificate, and accept a token only over its client's connections. */
const makeServer = (authority: Certificates.Authority) => {
  const tokens = new Map<string, string>()
  const forms: Array<Record<string, string>> = []
  const presented: Array<string> = []
  const server = MutualTlsServer.make(authority, (request, response) => {
    LocalServer.readBody(request).then((body) => {
      const thumbprint = MutualTlsServer.thumbprintOf(request)
      response.setHeader("content-type", "application/json")
      if (request.url === "/token") {
        forms.push(Object.fromEntries(new URLSearchParams(body.toString())))
        const token = `token-${forms.length}`
        tokens.set(token, thumbprint)
        return response.end(JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 3600 }))
      }
      presented.push(thumbprint)
      const bound = tokens.get(request.headers.authorization?.replace("Bearer ", "") ?? "")
      return response.writeHead(bound === thumbprint ? 200 : 401).end("{}")
    }, () => response.destroy())
  })
  return Effect.map(server, ({ url }) => ({ url, tokens, forms, presented }))
}

const pem = ({ certificate, key }: Certificates.Certificate) => ({ certificate, key: Redacted.make(key) })

type Client = AuthedHttpClient.AuthedHttpClient | TokenProvider.TokenProvider

describe("NodeAuthedHttpClient with a client certificate", () => {
  it.scopedLive("authenticates with it and presents it to the resource; no call fails after a rotation", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* makeServer(authority)
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const current = yield* Ref.make(pem(one))
      // By its type the layer requires nothing
      const layer: Layer.Layer<Client, OAuthError.InvalidOptions> = NodeAuthedHttpClient.layerMutualTls({
        ...unhurried,
        tokenEndpoint: `${server.url}/token`,
        clientId: "the-client",
        clientAuth: ClientAuth.tlsClientAuth,
        baseUrl: server.url,
        http: { ...unhurried.http, certificate: Ref.get(current), ca: authority.ca, proxy: false }
      })
      const client = Context.get(yield* Layer.build(layer), AuthedHttpClient.AuthedHttpClient)
      const statuses = Effect.forEach(
        Arr.range(1, 20),
        () => Effect.map(client.get("/resource"), ({ status }) => status),
        { concurrency: "unbounded" }
      )
      deepStrictEqual(yield* statuses, Arr.replicate(200, 20))
      deepStrictEqual(server.forms, [{ grant_type: "client_credentials", client_id: "the-client" }])
      deepStrictEqual([...server.tokens.values()], [one.thumbprint])

      yield* Ref.set(current, pem(two))
      // The server revokes the tokens of the previous certificate
      server.tokens.clear()
      deepStrictEqual(yield* statuses, Arr.replicate(200, 20))
      // The request that found the new certificate, and one under its key
      deepStrictEqual(Arr.dedupe(server.tokens.values()), [two.thumbprint])
      assert.isAtMost(server.tokens.size, 2)
      assert.strictEqual(server.presented.at(-1), two.thumbprint)
    }))

  it.scopedLive("reads the other options from the environment", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* makeServer(authority)
      const one = yield* authority.issue("one")
      const variables = { ALF_TOKEN_ENDPOINT: `${server.url}/token`, ALF_CLIENT_ID: "c", ALF_BASE_URL: server.url }
      const layer: Layer.Layer<Client, unknown> = NodeAuthedHttpClient.layerEnvMutualTls({
        ...unhurried,
        clientAuth: ClientAuth.tlsClientAuth,
        http: { ...unhurried.http, certificate: pem(one), ca: authority.ca }
      })
      const status = yield* AuthedHttpClient.AuthedHttpClient.pipe(
        Effect.flatMap((client) => client.get("/resource")),
        Effect.map((response) => response.status),
        Effect.provide(layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
      )
      assert.strictEqual(status, 200)
    }))

  it.live("errors name the missing option or variable of the certificate", () =>
    Effect.gen(function*() {
      const layer = NodeAuthedHttpClient.layerMutualTls({
        tokenEndpoint: "https://auth.example.com/token",
        clientId: "the-client",
        clientAuth: ClientAuth.tlsClientAuth,
        baseUrl: "https://api.example.com",
        http: { certificate: { certificateFile: "/no/cert", keyFile: "/no/key" } }
      })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(
        error.message,
        "NodeAuthedHttpClient.http.certificate.certificateFile /no/cert cannot be read: ENOENT; " +
          "NodeAuthedHttpClient.http.certificate.keyFile /no/key cannot be read: ENOENT"
      )
    }))

  it.live("without a certificate in `http` the layer requires one", () => {
    // The type requires it too: this does not compile without the certificate
    const layer: Layer.Layer<Client, OAuthError.InvalidOptions, ClientCertificate.ClientCertificate> =
      NodeAuthedHttpClient.layer({
        tokenEndpoint: "https://auth.example.com/token",
        clientId: "the-client",
        clientAuth: ClientAuth.tlsClientAuth,
        baseUrl: "https://api.example.com"
      })
    const certificate = Layer.succeed(ClientCertificate.ClientCertificate, {
      thumbprint: () => "",
      refresh: Effect.void
    })
    return Effect.scoped(Layer.build(Layer.provide(layer, certificate)))
  })
})
