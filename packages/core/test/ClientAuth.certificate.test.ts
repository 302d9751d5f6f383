import { ClientAuth, ClientCertificate } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, HashMap, Layer, Logger, Option, Redacted, Ref, TestClock } from "effect"

const context: ClientAuth.Context = {
  clientId: "app",
  endpoint: "https://auth.example.com/token",
  issuer: undefined,
  attempt: 1
}

/** A certificate on a disk, and the one that connections present. */
const make = Effect.gen(function*() {
  const onDisk = yield* Ref.make<Effect.Effect<string, string>>(Effect.succeed("one"))
  let presented = "one"
  const layer = Layer.succeed(ClientCertificate.ClientCertificate, {
    thumbprint: () => presented,
    refresh: Effect.flatten(Ref.get(onDisk)).pipe(Effect.map((thumbprint) => {
      presented = thumbprint
    }))
  })
  return { onDisk, layer }
})

const binding = <R>(auth: ClientAuth.ClientAuth<R>) => auth.binding ?? Effect.die("no binding")
const version = <R>(auth: ClientAuth.ClientAuth<R>) => auth.version ?? Effect.die("no version")

const methods = {
  tls_client_auth: ClientAuth.tlsClientAuth,
  self_signed_tls_client_auth: ClientAuth.selfSignedTlsClientAuth
}

for (const [method, auth] of Object.entries(methods)) {
  describe(`ClientAuth ${method} (RFC 8705 §2)`, () => {
    it("has its name in the IANA registry", () => {
      assert.strictEqual(auth.method, method)
    })

    it.effect("sends the client's id alone, and its version is the certificate's thumbprint", () =>
      Effect.gen(function*() {
        const { layer } = yield* make
        const credentials = yield* Effect.provide(auth.authenticate(context), layer)
        deepStrictEqual(credentials, { params: { client_id: "app" }, version: "one" })
      }))

    it.effect("reads the certificate at every attempt, and binds tokens to the current one", () =>
      Effect.gen(function*() {
        const { layer, onDisk } = yield* make
        yield* Effect.gen(function*() {
          const bound = yield* binding(auth)
          assert.strictEqual(bound(), "one")
          yield* Ref.set(onDisk, Effect.succeed("two"))
          assert.strictEqual((yield* auth.authenticate(context)).version, "two")
          assert.strictEqual(bound(), "two")
          yield* Ref.set(onDisk, Effect.succeed("three"))
          assert.strictEqual(yield* version(auth), "three")
        }).pipe(Effect.provide(layer))
      }))

    it.effect("continues with the previous certificate if the new one cannot be read, and warns", () =>
      Effect.gen(function*() {
        const { layer, onDisk } = yield* make
        yield* Ref.set(onDisk, Effect.fail("secret cause"))
        const lines: Array<string> = []
        const logger = Logger.make(({ annotations, logLevel, message }) => {
          lines.push(`${logLevel.label} ${message} ${HashMap.size(annotations)}`)
        })
        const credentials = yield* auth.authenticate(context).pipe(
          Effect.provide(layer),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger))
        )
        assert.strictEqual(credentials.version, "one")
        deepStrictEqual(lines, [
          "WARN The client certificate could not be refreshed: the previous one is still presented 0"
        ])
      }))

    it.effect("continues with the previous certificate if reading the new one hangs", () =>
      Effect.gen(function*() {
        const { layer, onDisk } = yield* make
        yield* Ref.set(onDisk, Effect.uninterruptible(Effect.never))
        const fiber = yield* Effect.fork(Effect.provide(auth.authenticate(context), layer))
        yield* TestClock.adjust("3 seconds")
        deepStrictEqual(
          Option.map(yield* Fiber.poll(fiber), Exit.map(({ version }) => version)),
          Option.some(Exit.succeed("one"))
        )
      }))
  })
}

describe("ClientAuth.certificateBound (RFC 8705 §3)", () => {
  it.effect("adds the certificate's binding to another method, and changes nothing else", () =>
    Effect.gen(function*() {
      const { layer, onDisk } = yield* make
      const inner = ClientAuth.clientSecretPost(Effect.succeed(Redacted.make("secret")))
      const auth = ClientAuth.certificateBound(inner)
      assert.strictEqual(auth.method, "client_secret_post")
      yield* Effect.gen(function*() {
        const bound = yield* binding(auth)
        assert.strictEqual(bound(), "one")
        yield* Ref.set(onDisk, Effect.succeed("two"))
        deepStrictEqual(yield* auth.authenticate(context), yield* inner.authenticate(context))
        assert.strictEqual(bound(), "two")
        assert.strictEqual(yield* version(auth), yield* version(inner))
      }).pipe(Effect.provide(layer))
    }))

  it.effect("keeps the method's own binding", () =>
    Effect.gen(function*() {
      const { layer } = yield* make
      const auth = ClientAuth.certificateBound({ ...ClientAuth.none, binding: Effect.succeed(() => "key") })
      assert.strictEqual((yield* Effect.provide(binding(auth), layer))(), "key.one")
    }))
})
