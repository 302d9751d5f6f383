import { ClientAuth, type JwtSigner, OAuthError } from "@effect-alf/core"
import { Error as PlatformError, FileSystem } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Equal, Layer, Redacted, Ref, TestClock } from "effect"
import * as jose from "jose"
import { createSecretKey, randomUUID } from "node:crypto"
import { rowsEffect } from "./support/Rows.js"
import { leaks } from "./support/Secrets.js"
import { algorithms, certificatePem, keyOf, kinds, make, pemOf, publicOf, secretsOf } from "./support/SigningKeys.js"

const context: ClientAuth.Context = {
  clientId: "app",
  endpoint: "https://auth.example.com/token",
  issuer: undefined,
  attempt: 1
}
const known: ClientAuth.Context = { ...context, issuer: "https://auth.example.com" }

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const assertionOf = (credentials: ClientAuth.Credentials): string => {
  const assertion = credentials.params?.client_assertion
  assert(Redacted.isRedacted(assertion))
  return Redacted.value(assertion)
}

const claimsOf = (credentials: ClientAuth.Credentials) => jose.decodeJwt(assertionOf(credentials))

const verify = (credentials: ClientAuth.Credentials, key: Parameters<typeof jose.jwtVerify>[1]) =>
  Effect.promise(() =>
    jose.jwtVerify(assertionOf(credentials), key, {
      issuer: "app",
      subject: "app",
      requiredClaims: ["aud", "jti", "iat", "exp"],
      currentDate: new Date(0)
    })
  )

const secret = "a client secret that is long enough, for HS512 as well as for HS256"
const pem = pemOf(keyOf("P-256"))
const secrets = [secret, ...kinds.flatMap((kind) => secretsOf(keyOf(kind)))]

const signing: Record<string, (options?: ClientAuth.SignedAssertionOptions) => ClientAuth.ClientAuth> = {
  client_secret_jwt: (options) => ClientAuth.clientSecretJwt(Redacted.make(secret), options),
  private_key_jwt: (options) => ClientAuth.privateKeyJwt({ key: Redacted.make(pem), ...options })
}

for (const [method, make] of Object.entries(signing)) {
  describe(`ClientAuth ${method} (RFC 7523 §3)`, () => {
    it("has its name in the IANA registry", () => {
      assert.strictEqual(make().method, method)
    })

    it.effect("sends the assertion, its type and the client's id, and no header", () =>
      Effect.gen(function*() {
        const { headers, params } = yield* make().authenticate(context)
        assert.isUndefined(headers)
        deepStrictEqual({ ...params, client_assertion: "" }, {
          client_id: "app",
          client_assertion_type: jwtBearer,
          client_assertion: ""
        })
      }))

    it.effect("omitClientId: the assertion alone names the client", () =>
      Effect.gen(function*() {
        const credentials = yield* make({ omitClientId: true }).authenticate(context)
        deepStrictEqual(Object.keys(credentials.params ?? {}).sort(), ["client_assertion", "client_assertion_type"])
        assert.strictEqual(claimsOf(credentials).sub, "app")
      }))

    it.effect("iss and sub are the client, and the assertion expires after 60 seconds", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const { jti, ...claims } = claimsOf(yield* make().authenticate(context))
        assert.isString(jti)
        deepStrictEqual(claims, {
          iss: "app",
          sub: "app",
          aud: "https://auth.example.com/token",
          iat: 1_700_000_000,
          exp: 1_700_000_060
        })
      }))

    it.effect("lifetime, nbf, kid, typ and further claims are what the options say", () =>
      Effect.gen(function*() {
        const credentials = yield* make({
          lifetime: "5 minutes",
          notBefore: "10 seconds",
          keyId: "key",
          typ: "client-authentication+jwt",
          claims: { sub: "another", tenant: { id: 7 } }
        }).authenticate(context)
        const { exp, nbf, sub, tenant } = claimsOf(credentials)
        deepStrictEqual([exp, nbf, sub, tenant], [300, -10, "another", { id: 7 }])
        const { kid, typ } = jose.decodeProtectedHeader(assertionOf(credentials))
        deepStrictEqual([kid, typ], ["key", "client-authentication+jwt"])
      }))

    it.effect("each attempt has a new assertion", () =>
      Effect.gen(function*() {
        const auth = make()
        const first = yield* auth.authenticate(context)
        yield* TestClock.adjust("1 minute")
        const second = yield* auth.authenticate({ ...context, attempt: 2 })
        assert.notStrictEqual(claimsOf(second).jti, claimsOf(first).jti)
        deepStrictEqual([claimsOf(second).iat, claimsOf(second).exp], [60, 120])
        assert.strictEqual(second.version, first.version)
      }))

    describe("audience", () => {
      const endpoint = context.endpoint
      const issuer = "https://auth.example.com"
      const table: ReadonlyArray<
        readonly [audience: ClientAuth.SignedAssertionOptions["audience"], context: ClientAuth.Context, aud: unknown]
      > = [
        [undefined, context, endpoint],
        [undefined, known, issuer],
        ["tokenEndpoint", known, endpoint],
        ["issuer", known, issuer],
        ["both", known, [issuer, endpoint]],
        ["https://other.example.com", known, "https://other.example.com"],
        [["one", "two"], known, ["one", "two"]]
      ]
      it.effect("is the issuer, the endpoint or both, by the option and by whether the issuer is known", () =>
        rowsEffect(
          table,
          ([audience, context, aud]) => `${audience ?? "by default"}, ${context.issuer ?? "no issuer known"}: ${aud}`,
          ([audience, context, aud]) =>
            Effect.gen(function*() {
              deepStrictEqual(claimsOf(yield* make({ audience }).authenticate(context)).aud, aud)
            })
        ))

      it.effect("fails if the issuer is unknown", () =>
        rowsEffect(
          ["issuer", "both"] as const,
          (audience) => `${audience}, no issuer known: says so`,
          (audience) =>
            Effect.gen(function*() {
              deepStrictEqual(
                String(yield* Effect.flip(make({ audience }).authenticate(context))),
                `CredentialsError: audience: "${audience}" needs the issuer, which is not known`
              )
            })
        ))
    })

    it.effect("rule 9: neither the value nor its credentials show the key or the assertion", () =>
      Effect.gen(function*() {
        const auth = make()
        const credentials = yield* auth.authenticate(context)
        deepStrictEqual(leaks([auth, credentials], [...secrets, assertionOf(credentials)]), [])
      }))
  })
}

describe("ClientAuth.clientSecretJwt (OpenID Connect Core §9)", () => {
  it.effect("a server that knows the secret verifies each algorithm, and HS256 by default", () =>
    rowsEffect(
      [undefined, "HS256", "HS384", "HS512"] as const,
      (algorithm) => `a server that knows the secret verifies ${algorithm ?? "the default, HS256"}`,
      (algorithm) =>
        Effect.gen(function*() {
          const credentials = yield* ClientAuth.clientSecretJwt(Redacted.make(secret), { algorithm }).authenticate(
            context
          )
          const { protectedHeader } = yield* verify(credentials, createSecretKey(Buffer.from(secret)))
          assert.strictEqual(protectedHeader.alg, algorithm ?? "HS256")
        })
    ))

  it.effect("returns the secret, to redact a response that echoes it", () =>
    Effect.gen(function*() {
      const credentials = yield* ClientAuth.clientSecretJwt(Redacted.make(secret)).authenticate(context)
      deepStrictEqual(credentials.secrets?.map(Redacted.value), [secret])
    }))

  it.effect("a secret that is an Effect is read at every attempt, and has a version", () =>
    Effect.gen(function*() {
      const current = yield* Ref.make(secret)
      const auth = ClientAuth.clientSecretJwt(Effect.map(Ref.get(current), Redacted.make))
      const version = auth.version ?? Effect.die("no version")
      const first = yield* auth.authenticate(context)
      assert.isTrue(Equal.equals(first.version, yield* version))
      yield* Ref.set(current, `${secret}!`)
      const second = yield* auth.authenticate(context)
      yield* verify(second, createSecretKey(Buffer.from(`${secret}!`)))
      assert.isTrue(Equal.equals(second.version, yield* version))
      assert.isFalse(Equal.equals(second.version, first.version))
    }))

  it("a secret that cannot change has no version", () => {
    assert.isUndefined(ClientAuth.clientSecretJwt(Redacted.make(secret)).version)
  })

  it.effect("an error says that a secret is too short", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ClientAuth.clientSecretJwt(Redacted.make("short-secret")).authenticate(context))
      assert.strictEqual(
        String(error),
        "CredentialsError: the secret is too short: HS256 needs 32 bytes, it has 12"
      )
      deepStrictEqual(leaks(error, ["short-secret"]), [])
    }))
})

describe("ClientAuth.privateKeyJwt (RFC 7523 §2.2)", () => {
  it.effect("a server that knows the public key verifies each algorithm of each kind of key", () =>
    rowsEffect(
      kinds.flatMap((kind) => algorithms[kind].map((algorithm) => ({ kind, algorithm }))),
      ({ algorithm }) => `a server that knows the public key verifies ${algorithm}`,
      ({ algorithm, kind }) =>
        Effect.gen(function*() {
          const credentials = yield* ClientAuth.privateKeyJwt({
            key: Redacted.make(pemOf(keyOf(kind))),
            algorithm: algorithm as Exclude<JwtSigner.Algorithm, `HS${string}`>
          }).authenticate(context)
          const { protectedHeader } = yield* verify(credentials, publicOf(keyOf(kind)))
          assert.strictEqual(protectedHeader.alg, algorithm)
        })
    ))

  it.effect("a key that is an Effect is read at every attempt, and has a version", () =>
    Effect.gen(function*() {
      const [one, two] = [make("P-256"), keyOf("RSA")]
      const current = yield* Ref.make(one)
      const auth = ClientAuth.privateKeyJwt({
        key: Effect.map(Ref.get(current), (key) => Redacted.make(pemOf(key)))
      })
      const version = auth.version ?? Effect.die("no version")
      const first = yield* auth.authenticate(context)
      yield* verify(first, publicOf(one))
      assert.strictEqual(first.version, yield* version)
      yield* Ref.set(current, two)
      const second = yield* auth.authenticate(context)
      yield* verify(second, publicOf(two))
      assert.strictEqual(second.version, yield* version)
      assert.notStrictEqual(second.version, first.version)
    }))

  it.effect("a certificate that is an Effect has a version too", () =>
    Effect.gen(function*() {
      const auth = ClientAuth.privateKeyJwt({ key: Redacted.make(pem), certificate: Effect.succeed(certificatePem) })
      const { version } = yield* auth.authenticate(context)
      assert.strictEqual(yield* auth.version ?? Effect.die("no version"), version)
    }))

  it("a key that cannot change has no version", () => {
    assert.isUndefined(ClientAuth.privateKeyJwt({ key: Redacted.make(pem) }).version)
  })

  it.effect("the error of a key's Effect is not shown", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        ClientAuth.privateKeyJwt({ key: Effect.fail(new Error(pem)) }).authenticate(context)
      )
      assert.strictEqual(String(error), "CredentialsError: the key is unavailable")
      deepStrictEqual(leaks(error, secrets), [])
    }))
})

describe("ClientAuth.assertion (RFC 7521 §4.2)", () => {
  const assertion = Redacted.make("header.payload.signature")

  it.effect("sends the given assertion as a JWT", () =>
    Effect.gen(function*() {
      const auth = ClientAuth.assertion(assertion)
      assert.strictEqual(auth.method, "private_key_jwt")
      const { params } = yield* auth.authenticate(context)
      deepStrictEqual(params, { client_id: "app", client_assertion_type: jwtBearer, client_assertion: assertion })
      assert.strictEqual(params?.client_assertion, assertion)
    }))

  it.effect("can send it as SAML 2.0, by a method of another name, without client_id", () =>
    Effect.gen(function*() {
      const auth = ClientAuth.assertion(assertion, { type: "saml2", method: "saml", omitClientId: true })
      assert.strictEqual(auth.method, "saml")
      deepStrictEqual((yield* auth.authenticate(context)).params, {
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        client_assertion: assertion
      })
    }))

  it.effect("an assertion with a line break is not sent, and the error says so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ClientAuth.assertion(Redacted.make("a.b.c\n")).authenticate(context))
      assert.strictEqual(
        OAuthError.describe(error),
        "the assertion contains a line break or another control character"
      )
    }))

  it.effect("an Effect is run at every attempt, and another assertion is another version", () =>
    Effect.gen(function*() {
      const auth = ClientAuth.assertion(Effect.sync(() => Redacted.make(randomUUID())))
      const first = yield* auth.authenticate(context)
      const second = yield* auth.authenticate(context)
      assert.notStrictEqual(assertionOf(first), assertionOf(second))
      assert.isFalse(Equal.equals(first.version, second.version))
    }))

  it("has no version of its own: an Effect may return another assertion each time", () => {
    assert.isUndefined(ClientAuth.assertion(Effect.succeed(assertion)).version)
  })
})

describe("ClientAuth.assertionFile", () => {
  const path = "/var/run/secrets/tokens/app"

  /** A disk with the one file, or without it. */
  const disk = (content: Ref.Ref<string | PlatformError.PlatformError>) =>
    Layer.succeed(
      FileSystem.FileSystem,
      FileSystem.makeNoop({
        readFileString: (asked) =>
          asked === path
            ? Effect.flatMap(
              Ref.get(content),
              (text) => typeof text === "string" ? Effect.succeed(text) : Effect.fail(text)
            )
            : Effect.die(`asked for ${asked}`)
      })
    )

  it.effect("reads the file at every attempt, without the space around the assertion", () =>
    Effect.gen(function*() {
      const content = yield* Ref.make<string | PlatformError.PlatformError>("\n one.jwt.signed\r\n")
      const auth = ClientAuth.assertionFile(path)
      assert.strictEqual(auth.method, "private_key_jwt")
      const version = auth.version ?? Effect.die("no version")
      yield* Effect.gen(function*() {
        const first = yield* auth.authenticate(context)
        assert.strictEqual(assertionOf(first), "one.jwt.signed")
        assert.isTrue(Equal.equals(first.version, yield* version))
        deepStrictEqual(leaks([auth, first], ["one.jwt.signed"]), [])
        yield* Ref.set(content, "two.jwt.signed")
        const second = yield* auth.authenticate(context)
        assert.strictEqual(assertionOf(second), "two.jwt.signed")
        assert.isTrue(Equal.equals(second.version, yield* version))
        assert.isFalse(Equal.equals(second.version, first.version))
      }).pipe(Effect.provide(disk(content)))
    }))

  const failures: Record<string, readonly [content: string | PlatformError.PlatformError, message: string]> = {
    "an empty file": [" \n", `the file ${path} is empty`],
    "no file": [
      new PlatformError.SystemError({
        reason: "NotFound",
        module: "FileSystem",
        method: "readFile",
        pathOrDescriptor: path
      }),
      `the file ${path} cannot be read: NotFound`
    ],
    "a path that is none": [
      new PlatformError.BadArgument({ module: "FileSystem", method: "readFile", description: "a null byte" }),
      `the file ${path} cannot be read: BadArgument`
    ]
  }
  it.effect("an error names the file and what is wrong with it", () =>
    rowsEffect(
      Object.entries(failures),
      ([what]) => `${what}: the error says so, and names the file`,
      ([, [content, message]]) =>
        Effect.gen(function*() {
          const auth = ClientAuth.assertionFile(path)
          const error = yield* Effect.flip(auth.authenticate(context))
          assert.strictEqual(String(error), `CredentialsError: ${message}`)
        }).pipe(Effect.provide(Layer.unwrapEffect(Effect.map(Ref.make(content), disk))))
    ))

  it.effect("a secret may be in a file as well, and is read at every attempt", () =>
    Effect.gen(function*() {
      const content = yield* Ref.make<string | PlatformError.PlatformError>("one\n")
      const auth = ClientAuth.clientSecretPost(ClientAuth.secretFile(path))
      yield* Effect.gen(function*() {
        const secrets: Array<string> = []
        for (const next of ["two", ""]) {
          const { params } = yield* auth.authenticate(context)
          secrets.push(Redacted.value(params?.client_secret as Redacted.Redacted))
          yield* Ref.set(content, next)
        }
        deepStrictEqual(secrets, ["one", "two"])
        const error = yield* Effect.flip(auth.authenticate(context))
        assert.strictEqual(String(error), `CredentialsError: the file ${path} is empty`)
      }).pipe(Effect.provide(disk(content)))
    }))
})
