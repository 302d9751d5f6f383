import { AccessToken, DPoP } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, Equal, FastCheck as fc, Option, Redacted } from "effect"
import { inspect } from "node:util"
import { rows } from "./support/Rows.js"

const start = 1_700_000_000_000
const at = (millis: number) => DateTime.unsafeMake(start + millis)

const token = (expiresIn?: Duration.DurationInput) =>
  AccessToken.make({ value: Redacted.make("the-token-value"), obtainedAt: at(0), expiresIn })

const defaults = {
  refreshAhead: Duration.minutes(5),
  expiryLeeway: Duration.seconds(10),
  defaultLifetime: Duration.hours(1),
  jitter: 0
}

/** The windows as milliseconds from the start of the token request. */
const windows = (
  expiresIn: Duration.DurationInput | undefined,
  options?: Partial<Parameters<typeof AccessToken.windows>[1]>
) => {
  const { expiresAt, freshUntil, refreshAt } = AccessToken.windows(token(expiresIn), { ...defaults, ...options })
  return { refreshAt: refreshAt - start, freshUntil: freshUntil - start, expiresAt: expiresAt - start }
}

describe("AccessToken", () => {
  describe("make", () => {
    it("is a Bearer token by default, and its expiry counts from obtainedAt", () => {
      const made = token("1 hour")
      assert.strictEqual(made.tokenType, "Bearer")
      deepStrictEqual(made.expiresAt, Option.some(at(3_600_000)))
      deepStrictEqual(made.scope, Option.none())
    })

    it("RFC 9449 §7.1: is never a Bearer token if it is bound to a key", () =>
      Effect.gen(function*() {
        const proofKey = yield* DPoP.generate()
        const made = AccessToken.make({ value: Redacted.make("v"), tokenType: "Bearer", obtainedAt: at(0), proofKey })
        assert.strictEqual(AccessToken.authorization(made), "DPoP v")
      }).pipe(Effect.runPromise))

    it("has no expiry if the server sent none", () => {
      deepStrictEqual(token().expiresAt, Option.none())
    })

    const claims: ReadonlyArray<Duration.DurationInput> = [Infinity, Duration.infinity, Duration.seconds(1e18)]
    it("limits a lifetime to what a date can hold", () =>
      rows(
        claims,
        (claim) => `bounds a claimed lifetime of ${Duration.format(claim)} by what a date can hold`,
        (claim) => {
          deepStrictEqual(token(claim).expiresAt, Option.some(at(Duration.toMillis(AccessToken.maxLifetime))))
        }
      ))

    it("is a value: equal if all its fields are", () => {
      const value = Redacted.make("a")
      const make = (scope: string) => AccessToken.make({ value, obtainedAt: at(0), expiresIn: 1000, scope })
      assert.isTrue(Equal.equals(make("read"), make("read")))
      assert.isFalse(Equal.equals(make("read"), make("write")))
    })

    it.effect("RFC 9449 §7.1: a token that is bound to a key is a DPoP token, and another value", () =>
      Effect.gen(function*() {
        const proofKey = yield* DPoP.generate()
        const bound = AccessToken.make({ value: token().value, obtainedAt: at(0), proofKey })
        assert.strictEqual(AccessToken.authorization(bound), "DPoP the-token-value")
        assert.strictEqual(bound.proofKey, proofKey)
        assert.isFalse(Equal.equals(bound, token()))
        const { expiresAt, obtainedAt, scope, tokenType, value } = token()
        const built = new AccessToken.AccessToken({ expiresAt, obtainedAt, scope, tokenType, value })
        assert.isTrue(Equal.equals(AccessToken.make({ value, obtainedAt, proofKey: undefined }), built))
      }))

    it("RFC 6750 §2.1: the Authorization header is the type and the value", () => {
      assert.strictEqual(AccessToken.authorization(token()), "Bearer the-token-value")
    })

    it("rule 9: never shows its value", () => {
      const shown = [
        String(token(1000)),
        JSON.stringify(token(1000)),
        inspect(token(1000), { depth: 20 }),
        inspect(token(1000), { depth: 20, showHidden: true, showProxy: true })
      ]
      for (const text of shown) assert.notInclude(text, "the-token-value")
    })
  })

  describe("remaining and isExpired", () => {
    const table: ReadonlyArray<readonly [elapsed: number, remaining: number, isExpired: boolean]> = [
      [-1000, 6000, false],
      [0, 5000, false],
      [4999, 1, false],
      [5000, 0, true],
      [5001, 0, true],
      [1e9, 0, true]
    ]
    it("the remaining time of a token of 5 s decreases to zero", () =>
      rows(
        table,
        ([elapsed, remaining]) => `a token of 5 s after ${elapsed} ms: ${remaining} ms remain`,
        ([elapsed, remaining, isExpired]) => {
          deepStrictEqual(
            Option.map(AccessToken.remaining(token("5 seconds"), at(elapsed)), Duration.toMillis),
            Option.some(remaining)
          )
          assert.strictEqual(AccessToken.isExpired(token("5 seconds"), at(elapsed)), isExpired)
        }
      ))

    it("a token of unknown lifetime never expires", () => {
      deepStrictEqual(AccessToken.remaining(token(), at(1e12)), Option.none())
      assert.isFalse(AccessToken.isExpired(token(), at(1e12)))
    })

    it("a token with a lifetime of zero is expired at once", () => {
      assert.isTrue(AccessToken.isExpired(token(0), at(0)))
    })
  })

  describe("windows", () => {
    it("rule 3: a token of an hour is renewed 5 minutes ahead, and waited for in its last 10 seconds", () => {
      deepStrictEqual(windows("1 hour"), {
        refreshAt: 3_300_000,
        freshUntil: 3_590_000,
        expiresAt: 3_600_000
      })
    })

    it("rule 3: the windows of a 5-second token are shares of its lifetime", () => {
      deepStrictEqual(windows("5 seconds"), { refreshAt: 4000, freshUntil: 4500, expiresAt: 5000 })
    })

    it("rule 3: a 1-second token is served for most of its lifetime", () => {
      deepStrictEqual(windows("1 seconds"), { refreshAt: 800, freshUntil: 900, expiresAt: 1000 })
    })

    it("fleet rule 8: a token of unknown lifetime is renewed by defaultLifetime and never expires", () => {
      deepStrictEqual(windows(undefined), {
        refreshAt: 3_300_000,
        freshUntil: 3_590_000,
        expiresAt: Infinity
      })
    })

    it("with an infinite defaultLifetime it is never renewed", () => {
      deepStrictEqual(windows(undefined, { defaultLifetime: Duration.infinity }), {
        refreshAt: Infinity,
        freshUntil: Infinity,
        expiresAt: Infinity
      })
    })

    it("a token without any lifetime has no window at all", () => {
      deepStrictEqual(windows(0), { refreshAt: 0, freshUntil: 0, expiresAt: 0 })
    })

    it("jitter delays the renewal by up to a quarter of the window", () => {
      assert.strictEqual(windows("1 hour", { jitter: 1 }).refreshAt, 3_600_000 - 225_000)
      assert.strictEqual(windows("1 hour", { jitter: 0.5 }).refreshAt, 3_600_000 - 262_500)
    })

    it("rule 3: there is time to renew in the background, however short the window and long the leeway", () => {
      const ahead = (lifetime: Duration.DurationInput, options: Parameters<typeof windows>[1]) => {
        const { expiresAt, refreshAt } = windows(lifetime, options)
        return expiresAt - refreshAt
      }
      const refreshAhead = Duration.seconds(3)
      assert.strictEqual(ahead("1 hour", { refreshAhead, jitter: 1 }), 20_000)
      assert.strictEqual(ahead("1 hour", { refreshAhead, jitter: 0 }), 22_500)
      assert.strictEqual(ahead("1 hour", { refreshAhead, jitter: 1, expiryLeeway: Duration.seconds(60) }), 70_000)
      assert.strictEqual(ahead("30 seconds", { refreshAhead, jitter: 1 }), 4500)
    })

    it("rule 3: the time to renew in the background is 1.5 times the last requests, and half of the lifetime at most", () => {
      const at = (requestDuration: Duration.DurationInput, jitter: number) =>
        windows("2 seconds", { requestDuration: Duration.decode(requestDuration), jitter })
      deepStrictEqual(at("200 millis", 1), { refreshAt: 1500, freshUntil: 1800, expiresAt: 2000 })
      deepStrictEqual(at("200 millis", 0), { refreshAt: 1425, freshUntil: 1800, expiresAt: 2000 })
      deepStrictEqual(at("1 minute", 0), { refreshAt: 1000, freshUntil: 1800, expiresAt: 2000 })
    })

    const millis = (max: number) => fc.integer({ min: 0, max })
    const configured = fc.record({
      refreshAhead: millis(1e9),
      expiryLeeway: millis(1e9),
      defaultLifetime: millis(1e9),
      jitter: fc.double({ min: 0, max: 1, noNaN: true })
    })

    it.prop(
      "obtainedAt <= refreshAt <= freshUntil <= expiresAt, whatever is configured",
      [fc.option(millis(1e10), { nil: undefined }), configured],
      ([lifetime, options]) => {
        const { expiresAt, freshUntil, refreshAt } = AccessToken.windows(token(lifetime), {
          refreshAhead: Duration.millis(options.refreshAhead),
          expiryLeeway: Duration.millis(options.expiryLeeway),
          defaultLifetime: Duration.millis(options.defaultLifetime),
          jitter: options.jitter
        })
        assert.isAtLeast(refreshAt, start)
        assert.isAtMost(refreshAt, freshUntil)
        assert.isAtMost(freshUntil, expiresAt)
      }
    )

    it.prop(
      "whatever is configured, a token is not renewed in the first four fifths of its lifetime",
      [fc.integer({ min: 1, max: 1e10 }), configured],
      ([lifetime, options]) => {
        const { freshUntil, refreshAt } = AccessToken.windows(token(lifetime), {
          refreshAhead: Duration.millis(options.refreshAhead),
          expiryLeeway: Duration.millis(options.expiryLeeway),
          defaultLifetime: Duration.millis(options.defaultLifetime),
          jitter: options.jitter
        })
        // A date holds whole milliseconds, a double of this size quarters of them
        assert.isAtLeast(refreshAt - start, lifetime * 0.8 - 0.001)
        assert.isAtLeast(freshUntil - start, lifetime * 0.9 - 0.001)
      }
    )

    it.prop(
      "jitter stays in the first quarter of the refresh window, and more of it is never earlier",
      [
        fc.integer({ min: 1, max: 1e9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({
          min: 0,
          max: 1,
          noNaN: true
        })
      ],
      ([lifetime, one, other]) => {
        const refreshAt = (jitter: number) => windows(lifetime, { expiryLeeway: Duration.zero, jitter }).refreshAt
        const ahead = Math.min(300_000, lifetime * 0.2)
        for (const jitter of [one, other]) {
          assert.isAtLeast(refreshAt(jitter), lifetime - ahead - 0.001)
          assert.isAtMost(refreshAt(jitter), lifetime - ahead * 0.75 + 0.001)
        }
        assert.isAtMost(refreshAt(Math.min(one, other)), refreshAt(Math.max(one, other)))
      }
    )
  })
})
