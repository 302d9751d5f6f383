import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { FastCheck as fc, Redacted } from "effect"
import * as ServerHabits from "../../src/provider/ServerHabits.js"
import * as TokenBinding from "../../src/store/TokenBinding.js"

const api = "https://api.example.com"
const other = "https://other.example.com"
const second = 1000
const minute = 60 * second
const hour = 60 * minute

interface Token extends TokenBinding.Token, ServerHabits.Life {
  /** The origins that took it. */
  readonly acceptedBy: Set<string>
}

const token = (value: string, obtainedAt = 0, lifetime = hour): Token => ({
  value: Redacted.make(value),
  isOwn: false,
  acceptedBy: new Set(),
  obtainedAt,
  expiresAt: obtainedAt + lifetime
})

/** A process and the events that are reported to it, in order. */
const make = () => {
  const binding = TokenBinding.make()
  const habits = ServerHabits.make(binding)
  let issued = 0
  const own = (now: number): Token => ({ ...token(`own-${++issued}`, now), isOwn: true })
  const accepted = (token: Token, origin: string, now: number) => {
    token.acceptedBy.add(origin)
    binding.accepted(token, origin, now)
  }
  const rejected = (token: Token, origin: string, now: number) =>
    habits.rejected(token, token, origin, token.acceptedBy.has(origin), now)
  return {
    accepted,
    rejected,
    paused: binding.paused.bind(binding),
    sharesTokens: binding.sharesTokens.bind(binding),
    own,
    /** Another's token fails on its first use, and the replay with one of our own works. */
    foreignFails: (value: string, now: number, replayedAfter = 100, origin = api) => {
      const habit = rejected(token(value, now), origin, now)
      accepted(own(now), origin, now + replayedAfter)
      return habit
    }
  }
}

describe("ServerHabits", () => {
  it("by default tokens are shared", () => {
    assert.isTrue(make().sharesTokens())
  })

  describe("fleet rule 11: bound tokens", () => {
    it("stops sharing, with one message, after two failed tokens of others around one of our own that worked", () => {
      const { foreignFails, sharesTokens } = make()
      assert.isUndefined(foreignFails("a", 0))
      assert.isTrue(sharesTokens())
      assert.strictEqual(foreignFails("b", minute), TokenBinding.boundTokens)
      assert.isFalse(sharesTokens())
      assert.isUndefined(foreignFails("c", 2 * minute))
      assert.isFalse(sharesTokens())
    })

    it("a rejection of an own token ends that, and the count restarts", () => {
      const { foreignFails, own, rejected, sharesTokens } = make()
      foreignFails("a", 0)
      foreignFails("b", 0)
      assert.isFalse(sharesTokens())
      rejected(own(second), other, second)
      assert.isTrue(sharesTokens())
      assert.isUndefined(foreignFails("c", 6 * minute))
      assert.isTrue(sharesTokens())
      assert.strictEqual(foreignFails("d", 7 * minute), TokenBinding.boundTokens)
    })

    it("a process whose own token was rejected within 5 minutes has another problem", () => {
      for (const [after, habit] of [[5 * minute - 1, undefined], [5 * minute, TokenBinding.boundTokens]] as const) {
        const { foreignFails, own, rejected, sharesTokens } = make()
        rejected(own(0), other, 0)
        foreignFails("a", second)
        assert.strictEqual(foreignFails("b", after), habit)
        assert.strictEqual(sharesTokens(), habit === undefined)
      }
    })

    it("an own token that worked counts for 10 minutes", () => {
      for (const [after, habit] of [[10 * minute - 1, TokenBinding.boundTokens], [10 * minute, undefined]] as const) {
        const { foreignFails } = make()
        foreignFails("a", 0, second)
        assert.strictEqual(foreignFails("b", second + after), habit)
      }
    })

    it("a token of another process that works here cancels earlier failures", () => {
      const { accepted, foreignFails, sharesTokens } = make()
      for (let i = 0; i < 5; i++) {
        assert.isUndefined(foreignFails(`failed-${i}`, i * minute))
        accepted(token(`worked-${i}`), api, i * minute + second)
      }
      assert.isTrue(sharesTokens())
    })

    it("a pause that another process began for this origin cancels earlier failures too, one for another origin does not", () => {
      for (const [origin, habit] of [[api, undefined], [other, TokenBinding.boundTokens]] as const) {
        const { foreignFails, paused } = make()
        foreignFails("a", 0)
        paused(origin)
        assert.strictEqual(foreignFails("b", minute), habit)
      }
    })

    it("tokens that work or fail at other origins do not count here", () => {
      const { accepted, foreignFails, sharesTokens } = make()
      foreignFails("a", 0)
      accepted(token("b"), other, second)
      assert.isUndefined(foreignFails("c", minute, 100, other))
      assert.isTrue(sharesTokens())
      assert.strictEqual(foreignFails("d", 2 * minute), TokenBinding.boundTokens)
    })

    it("only the first use counts: a token that worked here and is rejected later was revoked", () => {
      const { accepted, own, rejected, sharesTokens } = make()
      // All of them adopted before any of them fails, so that no success comes between the failures
      const adopted = [0, 1, 2, 3, 4].map((i) => token(`t${i}`, -hour, 10 * hour))
      for (const each of adopted) accepted(each, api, 0)
      for (let i = 0; i < 5; i++) {
        rejected(adopted[i], api, i * minute + second)
        accepted(own(i * minute), api, i * minute + 2 * second)
      }
      assert.isTrue(sharesTokens())
    })

    it("several failures of others' tokens before our own works count as one", () => {
      const { accepted, own, rejected, sharesTokens } = make()
      for (let i = 0; i < 5; i++) rejected(token(`t${i}`), api, i)
      const mine = own(10)
      for (let i = 0; i < 5; i++) accepted(mine, api, 10 + i)
      assert.isTrue(sharesTokens())
      assert.strictEqual(rejected(token("next"), api, minute), TokenBinding.boundTokens)
    })

    it("our own token must work within 10 s: a resource that recovers is no evidence", () => {
      for (const [after, shares] of [[10 * second, false], [10 * second + 1, true]] as const) {
        const { foreignFails, sharesTokens } = make()
        for (const now of [0, minute]) foreignFails(`at-${now}`, now, after)
        assert.strictEqual(sharesTokens(), shares)
      }
    })

    const someOrigin = fc.constantFrom(api, other)
    const pauses = fc.integer({ min: 1, max: 20 * minute })

    it.prop(
      "an API that rejects everybody's tokens never counts, whatever another API does with them",
      [fc.array(
        fc.record({
          foreign: fc.boolean(),
          origin: someOrigin,
          pause: pauses
        }),
        { maxLength: 100, size: "max" }
      )],
      ([requests]) => {
        const { accepted, own, rejected, sharesTokens } = make()
        let now = 0
        requests.forEach(({ foreign, origin, pause }, i) => {
          now += pause
          // The good one takes every token, the other none, neither what was fetched in place of it
          const shown = foreign ? token(`t${i}`, now) : own(now)
          if (origin === api) accepted(shown, origin, now)
          else assert.notStrictEqual(rejected(shown, origin, now), TokenBinding.boundTokens)
          if (origin === other && foreign) rejected(own(now), origin, now + 1)
        })
        assert.isTrue(sharesTokens())
      }
    )

    it.prop(
      "revocations never count, though they end tokens of others that have worked and find those not yet used",
      [fc.array(fc.record({ foreign: fc.boolean(), isUsed: fc.boolean(), pause: pauses }), {
        maxLength: 100,
        size: "max"
      })],
      ([lives]) => {
        const { accepted, own, rejected, sharesTokens } = make()
        let now = 0
        lives.forEach(({ foreign, isUsed, pause }, i) => {
          now += pause
          const revoked = foreign ? token(`t${i}`, now) : own(now)
          if (isUsed) accepted(revoked, api, now)
          rejected(revoked, api, now + 1)
          accepted(own(now + 1), api, now + 2)
          // What others have fetched since works as well
          accepted(token(`new-${i}`, now + 3), api, now + 3)
        })
        assert.isTrue(sharesTokens())
      }
    )

    it.prop(
      "a resource that recovers never counts: it rejects whatever it gets until it takes whatever it gets",
      [fc.array(
        fc.record({
          uses: fc.array(fc.boolean(), { minLength: 1, maxLength: 10 }),
          outage: fc.integer({ min: 10 * second + 1, max: hour })
        }),
        { maxLength: 30, size: "max" }
      )],
      ([outages]) => {
        const { accepted, own, rejected, sharesTokens } = make()
        let now = 0
        outages.forEach(({ outage, uses }, n) => {
          uses.forEach((foreign, i) => rejected(foreign ? token(`t${n}-${i}`, now) : own(now), api, now))
          now += outage
          accepted(own(now), api, now)
        })
        assert.isTrue(sharesTokens())
      }
    )

    it("bound tokens are detected at the second one, however many origins accept our own", () => {
      const { accepted, foreignFails, own, sharesTokens } = make()
      foreignFails("a", 0)
      for (let n = 0; n < 200; n++) accepted(own(second), `https://${n}.example.com`, second)
      assert.strictEqual(foreignFails("b", minute), TokenBinding.boundTokens)
      assert.isFalse(sharesTokens())
    })
  })

  it("fleet rule 11: without shared tokens no binding is detected", () => {
    const habits = ServerHabits.make()
    for (const now of [0, minute, 2 * minute]) {
      assert.isUndefined(habits.rejected(token(`t${now}`), token("", now), api, false, now))
    }
    assert.isUndefined(habits.binding)
  })

  describe("fleet rule 12: one active token", () => {
    /** A token of our own that works, and is rejected at an age. */
    const dies = (process: ReturnType<typeof make>, now: number, age: number, lifetime = hour) => {
      const mine = { ...process.own(now), expiresAt: now + lifetime }
      process.accepted(mine, api, now)
      return process.rejected(mine, api, now + age)
    }

    it("three young tokens that worked and became invalid in 10 minutes give one message", () => {
      const process = make()
      assert.isUndefined(dies(process, 0, second))
      assert.isUndefined(dies(process, 4 * minute, second))
      assert.strictEqual(dies(process, 8 * minute, second), ServerHabits.oneActiveToken)
      for (let n = 9; n < 20; n++) assert.isUndefined(dies(process, n * minute, second))
    })

    it("older rejections do not count", () => {
      for (
        const [third, habit] of [[10 * minute - 1, ServerHabits.oneActiveToken], [10 * minute, undefined]] as const
      ) {
        const process = make()
        dies(process, 0, second)
        dies(process, minute, second)
        assert.strictEqual(dies(process, third, second), habit)
      }
    })

    it("a token is young for a quarter of its lifetime, at most a minute", () => {
      for (
        const [lifetime, age, habit] of [
          [hour, minute - 1, ServerHabits.oneActiveToken],
          [hour, minute, undefined],
          [Infinity, minute - 1, ServerHabits.oneActiveToken],
          [Infinity, minute, undefined],
          [40 * second, 10 * second - 1, ServerHabits.oneActiveToken],
          [40 * second, 10 * second, undefined]
        ] as const
      ) {
        const process = make()
        dies(process, 0, age, lifetime)
        dies(process, minute, age, lifetime)
        assert.strictEqual(dies(process, 2 * minute, age, lifetime), habit, `${lifetime} ${age}`)
      }
    })

    it("a token that never worked, or only elsewhere, does not count", () => {
      const { accepted, own, rejected } = make()
      for (let n = 0; n < 10; n++) {
        const mine = own(n * second)
        accepted(mine, other, n * second)
        assert.isUndefined(rejected(mine, api, n * second))
      }
    })

    it("tokens of others count like our own, and sharing continues", () => {
      const { accepted, rejected, sharesTokens } = make()
      const fates = [1, 2, 3].map((n) => {
        const other = token(`t${n}`, n * second)
        accepted(other, api, n * second)
        return rejected(other, api, n * second + 1)
      })
      deepStrictEqual(fates, [undefined, undefined, ServerHabits.oneActiveToken])
      assert.isTrue(sharesTokens())
    })

    it("a token counts once, however many origins reject it: one manual revocation is no habit", () => {
      const { accepted, own, rejected } = make()
      const origins = Array.from({ length: 10 }, (_, n) => `https://${n}.example.com`)
      const mine = own(0)
      for (const origin of origins) accepted(mine, origin, second)
      for (const origin of origins) assert.isUndefined(rejected(mine, origin, 2 * second))
    })
  })

  it("remembers 64 origins that rejected tokens of others; with one more all of them start again", () => {
    for (const [more, shares] of [[63, false], [64, true]] as const) {
      const { foreignFails, rejected, sharesTokens } = make()
      foreignFails("a", 0)
      for (let n = 0; n < more; n++) rejected(token(`t${n}`), `https://${n}.example.com`, 1)
      foreignFails("b", minute)
      assert.strictEqual(sharesTokens(), shares)
    }
  })
})
