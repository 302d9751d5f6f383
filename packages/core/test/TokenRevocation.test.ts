import { AccessToken, AuthorizationServer, OAuthError, TokenRevocation } from "@effect-alf/core"
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, Exit, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { leaks } from "./support/Secrets.js"

const token = "t0k3n-value"
const secret = "cl13nt-s3cret"

const fetchOf = (answer: (form: URLSearchParams, url: string) => Response) => {
  const sent: Array<{ readonly url: string; readonly authorization: string | null; readonly form: string }> = []
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const { body } = init
    const form = new URLSearchParams(body instanceof Uint8Array ? new TextDecoder().decode(body) : String(body ?? ""))
    const url = String(input)
    sent.push({ url, authorization: new Headers(init.headers).get("authorization"), form: `${form}` })
    return answer(form, url)
  }
  return { sent, layer: Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch)) }
}

const options = { clientId: "app", clientSecret: Redacted.make(secret) }

const accessToken = AccessToken.make({ value: Redacted.make(token), obtainedAt: DateTime.unsafeMake(0) })

describe("TokenRevocation (RFC 7009)", () => {
  const url = "https://auth.example.com/revoke"

  it.effect("sends the token and the hint with the client's credentials", () => {
    const { layer, sent } = fetchOf(() => new Response(null))
    return Effect.gen(function*() {
      const revoke = yield* TokenRevocation.make({ ...options, revocationEndpoint: url })
      yield* revoke(accessToken)
      yield* revoke(Redacted.make("r3fresh"), "refresh_token")
      const authorization = `Basic ${btoa(`app:${secret}`)}`
      deepStrictEqual(sent, [
        { url, authorization, form: `token=${token}` },
        { url, authorization, form: "token=r3fresh&token_type_hint=refresh_token" }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("finds the endpoint in the metadata of the server", () => {
    const issuer = "https://auth.example.com"
    const { layer, sent } = fetchOf((_, asked) =>
      asked.includes(".well-known") ? Response.json({ issuer, revocation_endpoint: url }) : new Response(null)
    )
    return Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({ issuer })
      const revoke = yield* TokenRevocation.make({
        ...options,
        revocationEndpoint: server.endpoint("revocation_endpoint")
      })
      yield* revoke(accessToken)
      deepStrictEqual(sent.map(({ url }) => url), [`${issuer}/.well-known/oauth-authorization-server`, url])
    }).pipe(Effect.provide(layer), Effect.scoped)
  })

  it.effect("rule 9: a failure names the endpoint and shows neither the token nor the secret", () => {
    const { layer } = fetchOf((form) =>
      Response.json({ error: "unsupported_token_type", error_description: `${form} ${secret}` }, { status: 400 })
    )
    return Effect.gen(function*() {
      const revoke = yield* TokenRevocation.make({ ...options, revocationEndpoint: url })
      const error = yield* Effect.flip(revoke(accessToken))
      assert.instanceOf(error, OAuthError.TokenRevocationError)
      assert.strictEqual(
        error.message,
        `Revocation endpoint ${url} answered 400 unsupported_token_type: <redacted> <redacted>`
      )
      deepStrictEqual(leaks(error, [token, secret]), [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("its time limit holds in a finalizer, where nothing can be interrupted", () => {
    const fetch = () => new Promise<Response>(() => {})
    return Effect.gen(function*() {
      const revoke = yield* TokenRevocation.make({ ...options, revocationEndpoint: url })
      const fiber = yield* Effect.forkDaemon(Effect.uninterruptible(Effect.flip(revoke(accessToken))))
      yield* TestClock.adjust("10 seconds")
      const error = Option.map(yield* Fiber.poll(fiber), Exit.map(({ reason }) => reason))
      deepStrictEqual(error, Option.some(Exit.succeed("Timeout")))
    }).pipe(
      Effect.provide(Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch)))
    )
  })

  it.effect("checks its options", () =>
    Effect.gen(function*() {
      const message = (given: TokenRevocation.Options) =>
        Effect.map(Effect.flip(TokenRevocation.make(given)), ({ message }) => message)
      assert.strictEqual(
        yield* message({ ...options, revocationEndpoint: "x" }),
        "TokenRevocation.revocationEndpoint is not an absolute URL"
      )
      assert.strictEqual(
        yield* message({ clientId: "app", revocationEndpoint: url }),
        "TokenRevocation.clientSecret is missing"
      )
      assert.strictEqual(
        yield* message({ ...options, clientId: "", revocationEndpoint: url }),
        "TokenRevocation.clientId is empty"
      )
    }).pipe(Effect.provide(fetchOf(() => new Response(null)).layer)))
})
