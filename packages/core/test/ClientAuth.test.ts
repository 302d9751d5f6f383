import { ClientAuth, LayerOptions, OAuthError } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Equal, Redacted, Ref } from "effect"
import { inspect } from "node:util"
import { anyString } from "./support/anyString.js"
import { rows, rowsEffect } from "./support/Rows.js"
import { leaks } from "./support/Secrets.js"

const context = (clientId: string, attempt = 1): ClientAuth.Context => ({
  clientId,
  endpoint: "https://auth.example.com/token",
  issuer: undefined,
  attempt
})

const authenticate = <R>(auth: ClientAuth.ClientAuth<R>, clientId = "app") => auth.authenticate(context(clientId))

const header = (credentials: ClientAuth.Credentials) =>
  Redacted.value(credentials.headers?.authorization ?? Redacted.make(""))

/** What a server does with the header: RFC 7617 §2, then RFC 6749 §2.3.1. */
const serverDecodes = (header: string, options?: { readonly raw: boolean }) => {
  const pair = Buffer.from(header.replace(/^Basic /, ""), "base64").toString("utf8")
  const colon = pair.indexOf(":")
  const decode = (text: string) => options?.raw === true ? text : new URLSearchParams(`x=${text}`).get("x")
  return [decode(pair.slice(0, colon)), decode(pair.slice(colon + 1))]
}

// A lone surrogate has no UTF-8 form, so no server can be sent one
const text = anyString({ maxLength: 20 })
// RFC 6749 A.2
const secretText = text.filter((text) => !LayerOptions.hasControlCharacters(text))

describe("ClientAuth", () => {
  describe("formEncode (RFC 6749 Appendix B)", () => {
    const table: ReadonlyArray<readonly [text: string, encoded: string]> = [
      ["", ""],
      ["plain-id_1.2*", "plain-id_1.2*"],
      ["a b", "a+b"],
      ["a:b", "a%3Ab"],
      ["100%", "100%25"],
      ["a+b", "a%2Bb"],
      ["a&b=c", "a%26b%3Dc"],
      ["\"quoted\"", "%22quoted%22"],
      ["it's", "it%27s"],
      ["tilde~!()", "tilde%7E%21%28%29"],
      // The example of RFC 6749 Appendix B
      [" %&+£€", "+%25%26%2B%C2%A3%E2%82%AC"],
      ["💥", "%F0%9F%92%A5"],
      ["line\nfeed", "line%0Afeed"]
    ]
    it("encodes a text by the form encoding", () =>
      rows(table, ([text, encoded]) => `${JSON.stringify(text)} is ${encoded}`, ([text, encoded]) => {
        assert.strictEqual(ClientAuth.formEncode(text), encoded)
      }))

    it.prop("a server that decodes forms reads the same text", [text], ([text]) => {
      assert.strictEqual(new URLSearchParams(`x=${ClientAuth.formEncode(text)}`).get("x"), text)
    })

    it.prop("contains only characters that a header may have", [text], ([text]) => {
      assert.match(ClientAuth.formEncode(text), /^[A-Za-z0-9*\-._+%]*$/)
    })
  })

  it.effect("RFC 6749 A.2: a secret with a line break is not sent, whatever its source", () =>
    rowsEffect(
      [ClientAuth.clientSecretBasic, ClientAuth.clientSecretPost].flatMap((method) =>
        [Redacted.make("s3cr3t\n"), Effect.succeed(Redacted.make("s3\u0000cr3t"))].map((secret) => method(secret))
      ),
      ({ method }) => method,
      (auth) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(authenticate(auth))
          assert.strictEqual(
            OAuthError.describe(error),
            "the client secret contains a line break or another control character"
          )
        })
    ))

  describe("clientSecretBasic (RFC 6749 §2.3.1)", () => {
    const table: ReadonlyArray<readonly [id: string, secret: string, pair: string]> = [
      ["app", "secret", "app:secret"],
      ["my app", "p@ss word", "my+app:p%40ss+word"],
      ["urn:app", "a:b", "urn%3Aapp:a%3Ab"],
      ["100%", "50%25", "100%25:50%2525"],
      ["a+b", "c+d", "a%2Bb:c%2Bd"],
      ["ключ", "пароль", "%D0%BA%D0%BB%D1%8E%D1%87:%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C"],
      ["\"a\"", "'b'", "%22a%22:%27b%27"]
    ]
    it.live("sends id and secret, each encoded separately", () =>
      rowsEffect(
        table,
        ([id, secret, pair]) => `${id} and ${secret} are sent as ${pair}`,
        ([id, secret, pair]) =>
          Effect.gen(function*() {
            const credentials = yield* authenticate(ClientAuth.clientSecretBasic(Redacted.make(secret)), id)
            assert.strictEqual(header(credentials), `Basic ${Buffer.from(pair).toString("base64")}`)
            assert.isUndefined(credentials.params)
          })
      ))

    it.prop("a server that decodes reads the same id and secret", [text, secretText], ([id, secret]) => {
      const credentials = Effect.runSync(authenticate(ClientAuth.clientSecretBasic(Redacted.make(secret)), id))
      deepStrictEqual(serverDecodes(header(credentials)), [id, secret])
    })

    it.prop(
      "raw: a server that does not decode reads the same id and secret",
      [text.filter((id) => !id.includes(":")), secretText],
      ([id, secret]) => {
        const auth = ClientAuth.clientSecretBasic(Redacted.make(secret), { raw: true })
        const credentials = Effect.runSync(authenticate(auth, id))
        deepStrictEqual(serverDecodes(header(credentials), { raw: true }), [id, secret])
      }
    )

    it.live("raw: an id with a colon is rejected, as servers would read another id (RFC 7617 §2)", () =>
      Effect.gen(function*() {
        const auth = ClientAuth.clientSecretBasic(Redacted.make("secret"), { raw: true })
        const error = yield* Effect.flip(authenticate(auth, "urn:app"))
        assert.isTrue(OAuthError.isCredentialsError(error))
        assert.include(String(error), "the client id contains a colon")
      }))

    it.live("returns the secret, to redact a response that echoes it", () =>
      Effect.gen(function*() {
        const secret = Redacted.make("p@ss")
        const credentials = yield* authenticate(ClientAuth.clientSecretBasic(secret))
        deepStrictEqual(credentials.secrets?.map(Redacted.value), ["p@ss"])
      }))
  })

  describe("clientSecretPost (RFC 6749 §2.3.1)", () => {
    it.live("sends id and secret as parameters, not yet encoded, and no header", () =>
      Effect.gen(function*() {
        const secret = Redacted.make("p@ss word&x=y")
        const credentials = yield* authenticate(ClientAuth.clientSecretPost(secret), "my app")
        const { version, ...sent } = credentials
        deepStrictEqual(sent, { params: { client_id: "my app", client_secret: secret } })
        assert.isDefined(version)
        // To node every Redacted equals every other
        assert.strictEqual(credentials.params?.client_secret, secret)
      }))
  })

  describe("none", () => {
    it.live("sends only the client id", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* authenticate(ClientAuth.none), { params: { client_id: "app" } })
        assert.isUndefined(ClientAuth.none.version)
      }))
  })

  describe("omitted", () => {
    it.live("adds nothing, not even the client's id", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* authenticate(ClientAuth.omitted), {})
      }))
  })

  const methods: ReadonlyArray<
    readonly [
      method: string,
      make: (secret: ClientAuth.Secret) => ClientAuth.ClientAuth,
      read: (c: ClientAuth.Credentials) => unknown
    ]
  > = [
    ["client_secret_basic", ClientAuth.clientSecretBasic, (credentials) => serverDecodes(header(credentials))[1]],
    [
      "client_secret_post",
      ClientAuth.clientSecretPost,
      (credentials) => {
        const secret = credentials.params?.client_secret
        return Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
      }
    ]
  ]

  for (const [method, make, read] of methods) {
    describe(method, () => {
      it("has its name in the IANA registry", () => {
        assert.strictEqual(make(Redacted.make("s")).method, method)
      })

      it.live("reads a secret that is an Effect at every attempt", () =>
        Effect.gen(function*() {
          const reads = yield* Ref.make(0)
          const secret = Effect.map(Ref.updateAndGet(reads, (n) => n + 1), (n) => Redacted.make(`secret-${n}`))
          const auth = make(secret)
          assert.strictEqual(yield* Ref.get(reads), 0)
          assert.strictEqual(read(yield* auth.authenticate(context("app", 1))), "secret-1")
          assert.strictEqual(read(yield* auth.authenticate(context("app", 2))), "secret-2")
        }))

      it.live("fails with the error of the secret's Effect", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* Effect.flip(authenticate(make(Effect.fail("vault is sealed")))), "vault is sealed")
        }))

      it("a secret that cannot change has no version", () => {
        assert.isUndefined(make(Redacted.make("s")).version)
      })

      it.live("the version changes with the secret, and only with it", () =>
        Effect.gen(function*() {
          const current = yield* Ref.make("one")
          const version = make(Effect.map(Ref.get(current), Redacted.make)).version ?? Effect.die("no version")
          const first = yield* version
          assert.isTrue(Equal.equals(yield* version, first))
          yield* Ref.set(current, "two")
          const second = yield* version
          assert.isFalse(Equal.equals(second, first))
          deepStrictEqual(leaks(second, ["two"]), [])
          yield* Ref.set(current, "one")
          assert.isTrue(Equal.equals(yield* version, first))
        }))

      it.live("the credentials have the version of the secret that they were made with", () =>
        Effect.gen(function*() {
          const auth = make(Effect.succeed(Redacted.make("one")))
          assert.isTrue(
            Equal.equals((yield* authenticate(auth)).version, yield* auth.version ?? Effect.die("no version"))
          )
          const fixed = yield* authenticate(make(Redacted.make("one")))
          assert.isTrue(Equal.equals(fixed.version, (yield* authenticate(auth)).version))
        }))

      it.live("rule 9: neither the value nor its credentials show the secret", () =>
        Effect.gen(function*() {
          const auth = make(Redacted.make("s3cr3t value"))
          const credentials = yield* authenticate(auth)
          for (const value of [auth, credentials]) {
            for (
              const shown of [String(value), JSON.stringify(value), inspect(value, { depth: 20, showHidden: true })]
            ) {
              assert.notMatch(shown, /s3cr3t/)
              assert.notInclude(shown, Buffer.from("app:s3cr3t").toString("base64").slice(6, 14))
            }
          }
        }))
    })
  }
})
