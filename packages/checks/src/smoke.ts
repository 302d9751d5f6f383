// What an app does with core, with nothing but what every runtime has: run by each of them, as one file.
import { AuthedHttpClient, ClientAuth, DPoP, EncryptedTokenStore, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

const { apiUrl, clientId, clientSecret, tokenEndpoint } = TestAuthorizationServer

const app = (
  endpoint: Partial<TokenEndpoint.Options>,
  server: TestAuthorizationServer.Options = {},
  store = TokenStore.layerMemory()
) =>
  AuthedHttpClient.layer({ baseUrl: apiUrl }).pipe(
    Layer.provide(TokenEndpoint.layer({ tokenEndpoint, clientId, ...endpoint })),
    Layer.provide(store),
    Layer.provideMerge(TestAuthorizationServer.layer(server))
  )

const get = Effect.gen(function*() {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const { status } = yield* client.get("/orders")
  if (status !== 200) return yield* Effect.dieMessage(`answered ${status}`)
})

/** How many tokens the server has issued so far. */
const expectTokens = (expected: number) =>
  Effect.gen(function*() {
    const { issued } = yield* TestAuthorizationServer.TestAuthorizationServer
    const { length } = yield* issued
    if (length !== expected) return yield* Effect.dieMessage(`${length} tokens instead of ${expected}`)
  })

const bySecret = { clientSecret }

const reuse = Effect.all([get, get, expectTokens(1)]).pipe(Effect.provide(app(bySecret)))

const replay = Effect.gen(function*() {
  const server = yield* TestAuthorizationServer.TestAuthorizationServer
  yield* get
  yield* server.revoke()
  yield* get
  yield* expectTokens(2)
}).pipe(Effect.provide(app(bySecret)))

const renewal = Effect.gen(function*() {
  yield* get
  yield* Effect.sleep("1100 millis")
  yield* get
  yield* expectTokens(2)
}).pipe(Effect.provide(app(bySecret, { lifetime: "1 second" })))

const encrypted = Effect.suspend(() => {
  const key = { id: "key", key: Redacted.make(crypto.getRandomValues(new Uint8Array(32))) }
  return Effect.all([get, get, expectTokens(1)]).pipe(
    Effect.provide(app(bySecret, {}, Layer.orDie(EncryptedTokenStore.layer(TokenStore.layerMemory(), { keys: [key] }))))
  )
})

const signed = Effect.gen(function*() {
  const { privateKey, publicKey } = yield* Effect.promise(() =>
    crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"])
  )
  const [key, clientKey] = yield* Effect.promise(() =>
    Promise.all([privateKey, publicKey].map((key) => crypto.subtle.exportKey("jwk", key)))
  )
  const clientAuth = ClientAuth.privateKeyJwt({ key: Redacted.make(JSON.stringify(key)) })
  yield* Effect.all([get, expectTokens(1)]).pipe(
    Effect.provide(app({ clientAuth }, { clientKey: { ...clientKey, kty: "EC" } }))
  )
})

const bound = Effect.all([get, get, expectTokens(1)]).pipe(
  Effect.provide(app({ ...bySecret, dpop: DPoP.generate() }, { dpop: "required" }))
)

const parts: Record<string, Effect.Effect<unknown, unknown>> = {
  reuse,
  "401 replay": replay,
  renewal,
  "encrypted store": encrypted,
  private_key_jwt: signed,
  DPoP: bound
}

/** Which parts went well; it fails with the first that did not. */
export const smoke = (): Promise<string> =>
  Effect.runPromise(
    Effect.as(
      Effect.forEach(
        Object.entries(parts),
        ([name, part]) => Effect.catchAllCause(part, (cause) => Effect.dieMessage(`${name}: ${cause}`))
      ),
      Object.keys(parts).join(", ")
    )
  )
