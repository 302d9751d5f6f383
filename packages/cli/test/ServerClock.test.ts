import * as AccessToken from "@effect-alf/core/AccessToken"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Effect, Option, Redacted, TestClock } from "effect"
import { Problem } from "../src/Problem.js"
import * as ServerClock from "../src/ServerClock.js"

const now = 1_795_694_400

const token = (claims: Readonly<Record<string, number>>, lifetime = 3600) => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
  return Option.some(AccessToken.make({
    value: Redacted.make(`${part({})}.${part(claims)}.s`),
    obtainedAt: DateTime.unsafeMake(now * 1000),
    expiresIn: `${lifetime} seconds`
  }))
}

const compare = (
  ahead: number | undefined,
  accessToken: Option.Option<AccessToken.AccessToken> = Option.none()
) =>
  ServerClock.compare(
    Option.map(Option.fromNullable(ahead), (seconds) => ({ host: "a.test", aheadMillis: seconds * 1000 + 500 })),
    accessToken,
    "a.test"
  )

const off = (
  aheadSeconds: number,
  evidence: "the Date header" | "the token's iat" | "the token's nbf" | "the token's exp"
) => Problem.ClockOff({ aheadSeconds, server: "a.test", evidence })

describe("ServerClock", () => {
  it.effect("records the time in the Date header of the last response", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const date = new Date((now + 600) * 1000).toUTCString()
      const { client, reading } = yield* ServerClock.observe(HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { headers: { date } })))
      ))
      deepStrictEqual(yield* reading, Option.none())
      yield* client.get("https://auth.example.com/token")
      deepStrictEqual(yield* reading, Option.some({ host: "auth.example.com", aheadMillis: -600_000 }))
    }))

  it.effect("compares the Date header, and tolerates a difference of a minute", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* compare(0)).says, "as that of a.test")
      assert.strictEqual((yield* compare(-30)).says, "30 s from that of a.test")
      assert.strictEqual((yield* compare(undefined)).says, "the server does not say what time it is")
      deepStrictEqual(yield* Effect.flip(compare(600)), off(600, "the Date header"))
      deepStrictEqual(yield* Effect.flip(compare(-600)), off(-600, "the Date header"))
    }))

  it.effect("compares the token's claims if there is no Date header", () =>
    Effect.gen(function*() {
      const flip = (claims: Readonly<Record<string, number>>) => Effect.flip(compare(undefined, token(claims)))
      deepStrictEqual(yield* flip({ iat: now + 600 }), off(-600, "the token's iat"))
      deepStrictEqual(yield* flip({ nbf: now + 600 }), off(-600, "the token's nbf"))
      deepStrictEqual(yield* flip({ exp: now - 600 }), off(600, "the token's exp"))
      // A new token: the server reports its whole lifetime as remaining
      deepStrictEqual(yield* flip({ iat: now - 600, exp: now + 3000 }), off(600, "the token's iat"))
      // A token that the server returns again
      yield* compare(undefined, token({ iat: now - 600, exp: now + 3000 }, 3000))
      yield* compare(undefined, token({ iat: now, nbf: now, exp: now + 3600 }))
    }))
})
