import { OAuthError } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, FastCheck as fc, Option } from "effect"
import { constVoid } from "effect/Function"
import * as Cooldown from "../../src/provider/Cooldown.js"
import * as KeyState from "../../src/provider/KeyState.js"

const { invalidClient, unavailable } = TestTokenEndpoint

/** The cool-down of a key without a token, which callers wait for. */
const make = (base: number) => {
  const key = new KeyState.Cell()
  const flight = aFlight()
  let failedAt = 0
  const fly = (now: number, ...transitions: ReadonlyArray<KeyState.Transition>) => {
    key.apply(KeyState.started(flight, base, now))
    for (const transition of [...transitions, KeyState.ended(flight)]) key.apply(transition)
  }
  return {
    failure: (now: number) => KeyState.answering(key.state, now),
    begin: (error: Cooldown.Failure, now: number, at = now) => {
      failedAt = now
      fly(now, KeyState.failedWaiting({ error, reason: "expiry", at, cooldown: base }, now))
    },
    failedWith: (credentials: Option.Option<string>) => key.apply(KeyState.failedWith(credentials, failedAt)),
    mayChange: () => KeyState.mayChange(key.state),
    /** Whether a renewal begins that looks for what ends it. */
    mayLook: (now: number) => {
      const mayLook = KeyState.decideRenewal(key.state, "expiry", { isShared: false }, now)._tag === "Start"
      if (mayLook) fly(now)
      return mayLook
    },
    look: (credentials: Option.Option<string>) => key.apply(KeyState.credentialsRead(credentials))
  }
}

const aFlight = () =>
  KeyState.makeFlight("expiry", "", { wait: () => Effect.never, nothingBefore: constVoid, tell: constVoid })

const withRetryAfter = (retryAfter: Duration.DurationInput, status = 429) =>
  new OAuthError.TokenEndpointError({
    reason: "Status",
    endpoint: "https://auth.test/token",
    status,
    description: "slow down",
    retryAfter: Duration.decode(retryAfter)
  })

const maxWait = new OAuthError.TokenProviderError({ reason: "MaxWait" })

/** For how long a cool-down that begins now answers, to the millisecond. */
const lengthOf = (cooldown: ReturnType<typeof make>, failure: Cooldown.Failure, now: number): number => {
  cooldown.begin(failure, now)
  let end = now
  while (cooldown.failure(end) === failure) end++
  return end - now
}

describe("Cooldown", () => {
  it("rule 7: no answer before a failure", () => {
    const cooldown = make(1000)
    assert.isUndefined(cooldown.failure(0))
    assert.isFalse(cooldown.mayChange())
  })

  it("a clock set back ends it", () => {
    const cooldown = make(1000)
    cooldown.begin(unavailable, 5000)
    assert.strictEqual(cooldown.failure(5000), unavailable)
    assert.isUndefined(cooldown.failure(4999))
  })

  it("rule 7: the answer is the failure itself, until a later one replaces it", () => {
    const cooldown = make(1000)
    cooldown.begin(unavailable, 0)
    assert.strictEqual(cooldown.failure(999), unavailable)
    cooldown.begin(maxWait, 999)
    assert.strictEqual(cooldown.failure(1998), maxWait)
    assert.isUndefined(cooldown.failure(1999))
  })

  it("fleet rule 9: a transient failure answers for the base, each time", () => {
    for (const failure of [unavailable, maxWait, withRetryAfter(0)]) {
      const cooldown = make(1000)
      for (const now of [0, 5000, 5500, 7000]) assert.strictEqual(lengthOf(cooldown, failure, now), 1000)
    }
  })

  it("fleet rule 9: a definite failure answers five times as long, doubling to sixty times", () => {
    const cooldown = make(100)
    const lengths: Array<number> = []
    let now = 0
    for (let i = 0; i < 7; i++) {
      lengths.push(lengthOf(cooldown, invalidClient, now))
      now += 1_000_000
    }
    deepStrictEqual(lengths, [500, 1000, 2000, 4000, 6000, 6000, 6000])
  })

  it("fleet rule 9: the doubling continues over transient failures, and other credentials end it", () => {
    const cooldown = make(1)
    assert.strictEqual(lengthOf(cooldown, invalidClient, 0), 5)
    assert.strictEqual(lengthOf(cooldown, unavailable, 100), 1)
    assert.strictEqual(lengthOf(cooldown, invalidClient, 200), 10)
    cooldown.failedWith(Option.some("a"))
    cooldown.look(Option.some("a"))
    assert.strictEqual(lengthOf(cooldown, invalidClient, 300), 20)
    cooldown.failedWith(Option.some("a"))
    cooldown.look(Option.some("b"))
    assert.strictEqual(lengthOf(cooldown, invalidClient, 400), 5)
  })

  it("rule 7: an earlier failure answers from its own time on, at least for the base from now on", () => {
    const cooldown = make(1000)
    const failure = withRetryAfter("20 seconds")
    cooldown.begin(failure, 10_000, 0)
    assert.strictEqual(cooldown.failure(19_999), failure)
    assert.isUndefined(cooldown.failure(20_000))
    cooldown.begin(failure, 19_500, 0)
    assert.strictEqual(cooldown.failure(20_499), failure)
    assert.isUndefined(cooldown.failure(20_500))
  })

  it("rule 7: status and code decide what is transient; the provider's errors and missing credentials always are", () => {
    const status = (status: number, error?: string) =>
      new OAuthError.TokenEndpointError({
        reason: error === undefined ? "Status" : "OAuth",
        endpoint: "https://auth.test/token",
        status,
        error,
        description: ""
      })
    const credentials = new OAuthError.TokenEndpointError({
      reason: "ClientAuth",
      endpoint: "https://auth.test/token",
      description: "the vault is away"
    })
    const passing = [
      maxWait,
      unavailable,
      credentials,
      status(429),
      status(408),
      status(400, "temporarily_unavailable")
    ]
    deepStrictEqual(passing.map(Cooldown.isPassing), passing.map(() => true))
    const definite = [invalidClient, status(400), status(404), status(400, "invalid_scope")]
    deepStrictEqual(definite.map(Cooldown.isPassing), definite.map(() => false))
  })

  it.prop(
    "rule 7: Retry-After makes a passing failure last longer, up to a minute, and never shorter",
    [fc.integer({ min: 1, max: 120_000 }), fc.oneof(fc.nat(120_000), fc.constant(Infinity), fc.constant(undefined))],
    ([base, asked]) => {
      const failure = asked === undefined ? unavailable : withRetryAfter(Duration.millis(asked))
      const expected = Math.max(base, Math.min(60_000, asked ?? 0))
      assert.strictEqual(Cooldown.waitAfter(failure, base), expected)
      const cooldown = make(base)
      cooldown.begin(failure, 7)
      assert.strictEqual(cooldown.failure(7 + expected - 1), failure)
      assert.isUndefined(cooldown.failure(7 + expected))
    }
  )

  it("fleet rule 9: Retry-After does not change how long a definite failure answers", () => {
    assert.strictEqual(lengthOf(make(10), withRetryAfter("1 second", 403), 0), 50)
  })

  it("rule 7: with a base of 0 no failure answers", () => {
    const cooldown = make(0)
    for (let i = 0; i < 2000; i++) {
      cooldown.begin(invalidClient, i)
      assert.isUndefined(cooldown.failure(i))
    }
  })

  describe("fleet rule 9: changed credentials end it early", () => {
    /** In the cool-down of a definite failure that began at 0. */
    const failedWith = (credentials: Option.Option<string>) => {
      const cooldown = make(1000)
      cooldown.begin(invalidClient, 0)
      cooldown.failedWith(credentials)
      return cooldown
    }

    it("other credentials end it; equal or unknown ones do not", () => {
      for (
        const [next, failure] of [
          [Option.some("b"), undefined],
          [Option.some("a"), invalidClient],
          [Option.none(), invalidClient]
        ] as const
      ) {
        const cooldown = failedWith(Option.some("a"))
        cooldown.look(next)
        assert.strictEqual(cooldown.failure(1000), failure)
      }
    })

    it("credentials of a transient failure, or of none, end nothing", () => {
      const cooldown = make(1000)
      cooldown.begin(unavailable, 0)
      cooldown.look(Option.some("b"))
      assert.strictEqual(cooldown.failure(0), unavailable)
    })

    it("credentials are read once in the base, first after it", () => {
      const cooldown = failedWith(Option.some("a"))
      const looks: Array<number> = []
      for (let now = 0; now < 4000; now += 50) {
        if (cooldown.mayLook(now)) looks.push(now)
      }
      deepStrictEqual(looks, [1000, 2000, 3000])
    })

    it("a late read does not bring the next one forward", () => {
      const cooldown = failedWith(Option.some("a"))
      assert.isTrue(cooldown.mayLook(1900))
      assert.isFalse(cooldown.mayLook(2899))
      assert.isTrue(cooldown.mayLook(2900))
    })

    it("credentials are not read if it is unknown which failed", () => {
      assert.isFalse(failedWith(Option.none()).mayChange())
      assert.isTrue(failedWith(Option.some("a")).mayChange())
    })

    it("the next failure forgets the credentials of the one before", () => {
      const cooldown = failedWith(Option.some("a"))
      cooldown.begin(unavailable, 5000)
      assert.isFalse(cooldown.mayChange())
      cooldown.begin(invalidClient, 7000)
      cooldown.failedWith(Option.some("a"))
      assert.isFalse(cooldown.mayLook(7999))
      assert.isTrue(cooldown.mayLook(8000))
    })
  })
})
