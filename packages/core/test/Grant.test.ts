import { type ClientAuth, Grant, RefreshTokenGrant, TokenRequest } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Predicate, Record, Redacted } from "effect"
import { decodeJwt } from "jose"
import { storeKey } from "./support/StoreKey.js"

const context: ClientAuth.Context = {
  clientId: "app",
  endpoint: "https://auth.example.com/token",
  issuer: undefined,
  attempt: 2
}

const shown = (grant: Grant.Grant) =>
  Effect.map(
    grant.params(context),
    Record.map((value) => Redacted.isRedacted(value) ? `secret ${Redacted.value(value)}` : value)
  )

const resolve = (grant: Grant.Grant | undefined) =>
  TokenRequest.resolve(
    { endpoint: context.endpoint, clientId: context.clientId, authMethod: "none" },
    { grant, scope: "read" }
  )

const secret = (text: string) => Redacted.make(text)

describe("Grant", () => {
  it.effect("client credentials (RFC 6749 §4.4) need nothing more, and are the default", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* shown(Grant.clientCredentials), {})
      assert.strictEqual(storeKey(resolve(Grant.clientCredentials)), storeKey(resolve(undefined)))
      deepStrictEqual(resolve(undefined).params, [["grant_type", "client_credentials"], ["scope", "read"]])
    }))

  it.effect("jwtBearer sends the assertion (RFC 7523 §2.1)", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* shown(Grant.jwtBearer(secret("a.b.c"))), { assertion: "secret a.b.c" })
      assert.strictEqual(Grant.jwtBearer(secret("a")).type, "urn:ietf:params:oauth:grant-type:jwt-bearer")
    }))

  it.effect("an assertion that is an effect is read for each attempt, with its context", () =>
    Effect.gen(function*() {
      const seen: Array<ClientAuth.Context> = []
      const grant = Grant.jwtBearer({
        id: "bob",
        read: (context) => Effect.sync(() => secret(`a${seen.push(context)}`))
      })
      deepStrictEqual(yield* shown(grant), { assertion: "secret a1" })
      deepStrictEqual(yield* shown(grant), { assertion: "secret a2" })
      deepStrictEqual(seen, [context, context])
    }))

  it.effect("tokenExchange sends the subject (RFC 8693 §2.1)", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* shown(Grant.tokenExchange({ subjectToken: secret("s") })), {
        subject_token: "secret s",
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token"
      })
    }))

  it.effect("tokenExchange sends the actor and the requested token type", () =>
    Effect.gen(function*() {
      const grant = Grant.tokenExchange({
        subjectToken: secret("s"),
        subjectTokenType: Grant.TokenType.jwt,
        actorToken: { id: "me", read: () => Effect.succeed(secret("a")) },
        requestedTokenType: Grant.TokenType.accessToken
      })
      deepStrictEqual(yield* shown(grant), {
        subject_token: "secret s",
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        actor_token: "secret a",
        actor_token_type: "urn:ietf:params:oauth:token-type:access_token",
        requested_token_type: "urn:ietf:params:oauth:token-type:access_token"
      })
    }))

  it.effect("refreshToken sends the token (RFC 6749 §6), and is identified by the first one", () =>
    Effect.gen(function*() {
      const grant = RefreshTokenGrant.make(secret("s3cr3t"))
      assert.strictEqual(grant.type, "refresh_token")
      deepStrictEqual(yield* shown(grant), { refresh_token: "secret s3cr3t" })
      assert.strictEqual(storeKey(resolve(grant)), storeKey(resolve(RefreshTokenGrant.make(secret("s3cr3t")))))
      assert.notInclude(JSON.stringify([grant, resolve(grant)]), "s3cr3t")
    }))

  describe("signedJwt (RFC 7523 §3)", () => {
    const claimsOf = (source: Grant.Source) =>
      Effect.map(
        Grant.jwtBearer(source).params(context),
        ({ assertion }) => decodeJwt(Redacted.value(assertion as Redacted.Redacted))
      )
    const key = Redacted.make("0123456789abcdef0123456789abcdef")

    it.effect("has the client as iss and sub and the token endpoint as aud by default", () =>
      Effect.gen(function*() {
        const { jti, ...claims } = yield* claimsOf(Grant.signedJwt({ key, algorithm: "HS256" }))
        assert.isString(jti)
        deepStrictEqual(claims, { iss: "app", sub: "app", aud: "https://auth.example.com/token", iat: 0, exp: 60 })
      }))

    it.effect("has the claims of a Google service account", () =>
      Effect.gen(function*() {
        const { iss, scope, sub } = yield* claimsOf(Grant.signedJwt({
          key,
          algorithm: "HS256",
          issuer: "robot@example.com",
          claims: { scope: "a b" }
        }))
        deepStrictEqual({ iss, scope, sub }, { iss: "robot@example.com", scope: "a b", sub: "robot@example.com" })
      }))

    it.effect("is new for each attempt", () =>
      Effect.gen(function*() {
        const source = Grant.signedJwt({ key, algorithm: "HS256" })
        assert.notStrictEqual((yield* claimsOf(source)).jti, (yield* claimsOf(source)).jti)
      }))

    it("rule 2: claims of the subject are part of the key; the signing key is not", () => {
      const keyOf = (options: Partial<Grant.SignedJwtOptions>) =>
        storeKey(resolve(Grant.jwtBearer(Grant.signedJwt({ key, algorithm: "HS256", ...options }))))
      const keys = [{}, { issuer: "a" }, { subject: "a" }, { audience: "a" }, { claims: { scope: "a" } }].map(keyOf)
      assert.strictEqual(new Set(keys).size, keys.length)
      assert.strictEqual(keyOf({ key: Redacted.make("f".repeat(32)) }), keyOf({}))
    })
  })

  it("rule 2: grants with different tokens have different keys", () => {
    const subject = secret("s")
    const read = () => Effect.succeed(subject)
    const grants = [
      undefined,
      Grant.jwtBearer(secret("s")),
      Grant.jwtBearer(secret("t")),
      Grant.jwtBearer({ id: "s", read }),
      Grant.jwtBearer({ id: "t", read }),
      Grant.tokenExchange({ subjectToken: subject }),
      Grant.tokenExchange({ subjectToken: secret("t") }),
      Grant.tokenExchange({ subjectToken: { id: "s", read } }),
      Grant.tokenExchange({ subjectToken: subject, subjectTokenType: Grant.TokenType.jwt }),
      Grant.tokenExchange({ subjectToken: subject, requestedTokenType: Grant.TokenType.jwt }),
      Grant.tokenExchange({ subjectToken: subject, actorToken: subject }),
      Grant.tokenExchange({ subjectToken: subject, actorToken: secret("t") }),
      Grant.tokenExchange({ subjectToken: subject, actorToken: subject, actorTokenType: Grant.TokenType.jwt }),
      RefreshTokenGrant.make(secret("s")),
      RefreshTokenGrant.make(secret("t")),
      { type: "urn:example:custom", id: "", params: () => Effect.succeed({}) },
      { type: "urn:example:custom", id: "1", params: () => Effect.succeed({}) }
    ]
    assert.strictEqual(new Set(grants.map((grant) => storeKey(resolve(grant)))).size, grants.length)
  })

  it("rule 2: a custom grant must identify its subject, or have none", () => {
    // @ts-expect-error Two users would share a token
    const grant: Grant.Grant = { type: "urn:example:custom", params: () => Effect.succeed({}) }
    assert.strictEqual(storeKey(resolve(grant)), storeKey(resolve({ ...grant, id: "" })))
  })

  it("rule 9: neither the key nor its parts show a token", () => {
    const grant = Grant.tokenExchange({ subjectToken: secret("s3cr3t"), actorToken: secret("s3cr3t") })
    const { key, params } = resolve(grant)
    assert.notInclude(JSON.stringify([key, params, grant.id]), "s3cr3t")
    assert.isTrue(Predicate.isString(grant.id))
  })
})
