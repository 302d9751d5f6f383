import { AccessToken } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, FastCheck as fc, Redacted } from "effect"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import { nthPause, type Pause } from "../../src/store/FleetNotes.js"
import { ruleTable } from "../support/ruleTable.js"
import { runs } from "../support/Runs.js"

const api = "https://api.example.com"
const other = "https://other.example.com"
const never = Infinity

/** The verdicts of origins about the tokens of one key, one after the other. */
const make = () => {
  let verdicts = OriginVerdicts.none
  const hear = (verdict: OriginVerdicts.Transition, origin = api): Pause | undefined => {
    const before = verdicts
    verdicts = verdict(before)
    return OriginVerdicts.newPause(before, verdicts, origin)
  }
  return {
    reject: (token: string, origin: string, expiresAt: number, now: number) =>
      hear(OriginVerdicts.rejected(token, origin, expiresAt, now)),
    accept: (token: string, origin: string) => hear(OriginVerdicts.accepted(token, origin)),
    spend: (origin: string, now: number) => hear(OriginVerdicts.asked(origin, now)),
    fruitless: (token: string, origin: string, now: number) =>
      hear(OriginVerdicts.fruitless(token, origin, now), origin),
    unchanged: (origin: string, now: number) => hear(OriginVerdicts.unchanged(origin, now), origin),
    renewed: (token: string, origin: string, now: number) => hear(OriginVerdicts.renewed(token, origin, now), origin),
    has: (token: string, origin?: string) => OriginVerdicts.has(verdicts, token, origin),
    mayRenew: (origin: string, now: number) => OriginVerdicts.mayRenew(verdicts, origin, now)
  }
}

/** When a 401 of the origin may cost a token request again, to the millisecond. */
const nextRenewal = (rejected: ReturnType<typeof make>, from: number, origin = api): number => {
  let now = from
  while (!rejected.mayRenew(origin, now)) {
    now++
    if (now > from + 200_000) return Infinity
  }
  return now
}

const after = (...verdicts: ReadonlyArray<OriginVerdicts.Transition>): OriginVerdicts.OriginVerdicts =>
  verdicts.reduce((state, verdict) => verdict(state), OriginVerdicts.none)

const trusted: OriginVerdicts.Trusted = { _tag: "Trusted" }
const doubtful: OriginVerdicts.Doubtful = { _tag: "Doubtful" }
const paused = (count: number, from: number, until: number): OriginVerdicts.Paused => ({
  _tag: "Paused",
  count,
  from,
  until
})

const reject = OriginVerdicts.rejected("a", api, never, 0)
const accept = OriginVerdicts.accepted("a", api)
const pause = OriginVerdicts.unchanged(api, 0)

/** The rows of the table in RULES.md: what was said before, what is said, and how the origin stands after it. */
const rows: ReadonlyArray<
  readonly [
    row: string,
    before: OriginVerdicts.OriginVerdicts,
    verdict: OriginVerdicts.Transition,
    after: OriginVerdicts.Standing
  ]
> = [
  ["Trusted rejected Doubtful", after(), reject, doubtful],
  ["Doubtful accepted Trusted", after(reject), accept, trusted],
  ["Paused accepted Trusted", after(reject, pause), accept, trusted],
  ["Doubtful fruitless Paused", after(reject), OriginVerdicts.fruitless("a", api, 5), paused(1, 5, 1005)],
  ["Paused fruitless Paused", after(reject, pause), OriginVerdicts.fruitless("a", api, 1000), paused(2, 1000, 3000)],
  ["Trusted unchanged Paused", after(), pause, paused(1, 0, 1000)],
  ["Doubtful unchanged Paused", after(reject), pause, paused(1, 0, 1000)],
  ["Paused unchanged Paused", after(pause), OriginVerdicts.unchanged(api, 1000), paused(2, 1000, 3000)],
  ["Paused renewed Paused", after(pause), OriginVerdicts.renewed("b", api, 1000), paused(2, 1000, 3000)],
  ["Trusted paused Paused", after(), pausedElsewhere(7), paused(3, 7, 4007)],
  ["Doubtful paused Paused", after(reject), pausedElsewhere(7), paused(3, 7, 4007)],
  ["Paused paused Paused", after(pause), pausedElsewhere(7), paused(3, 7, 4007)]
]

function pausedElsewhere(now: number) {
  return OriginVerdicts.paused(api, { count: 3, remaining: 4000 }, now)
}

describe("OriginVerdicts", () => {
  describe("the standing of an origin", () => {
    it.each(rows)("%s", (row, before, verdict, expected) => {
      const [from, , to] = row.split(" ")
      const standing = OriginVerdicts.standing(verdict(before), api)
      deepStrictEqual([OriginVerdicts.standing(before, api)._tag, standing._tag], [from, to])
      deepStrictEqual(standing, expected)
    })

    it("the table of the rules has these rows and no other", () => {
      deepStrictEqual([...ruleTable("What origins have said")].sort(), rows.map(([row]) => row).sort())
    })

    it("no other transition changes it", () => {
      for (
        const [before, verdict] of [
          [after(reject), reject],
          [after(pause), reject],
          [after(), accept],
          [after(), OriginVerdicts.renewed("b", api, 1)],
          [after(reject), OriginVerdicts.renewed("b", api, 1)],
          [after(pause), OriginVerdicts.renewed("b", api, 999)],
          [after(pause), OriginVerdicts.unchanged(api, 999)],
          [after(reject), OriginVerdicts.asked(api, 1)],
          [after(pause), OriginVerdicts.asked(api, 1)],
          [after(pause), OriginVerdicts.accepted("a", other)],
          [after(pause), OriginVerdicts.rejected("a", other, never, 1)]
        ] as const
      ) {
        assert.strictEqual(OriginVerdicts.standing(verdict(before), api), OriginVerdicts.standing(before, api))
      }
    })

    it("a key without rejections keeps nothing", () => {
      assert.strictEqual(after(accept, OriginVerdicts.renewed("b", api, 1)), OriginVerdicts.none)
    })
  })

  describe("fleet rule 5: rejection is per token and origin", () => {
    it("knows which origin rejected which token", () => {
      const rejected = make()
      rejected.reject("a", api, never, 0)
      assert.isTrue(rejected.has("a", api))
      assert.isFalse(rejected.has("a", other))
      assert.isFalse(rejected.has("b", api))
    })

    it("without an origin, knows whether any rejected it", () => {
      const rejected = make()
      assert.isFalse(rejected.has("a"))
      rejected.reject("a", api, never, 0)
      assert.isTrue(rejected.has("a"))
    })

    it("keeps a rejection until the token expires, and drops it with the next rejection", () => {
      const rejected = make()
      rejected.reject("a", api, 1000, 0)
      rejected.reject("b", api, never, 999)
      assert.isTrue(rejected.has("a", api))
      rejected.reject("c", api, never, 1000)
      assert.isFalse(rejected.has("a"))
      assert.isTrue(rejected.has("b", api))
    })

    it("keeps at most 256, and drops the oldest first", () => {
      const rejected = make()
      for (let n = 1; n <= 256; n++) rejected.reject(`t${n}`, api, never, n)
      assert.isTrue(rejected.has("t1"))
      rejected.reject("t257", api, never, 257)
      assert.isFalse(rejected.has("t1"))
      for (let n = 2; n <= 257; n++) assert.isTrue(rejected.has(`t${n}`, api), `t${n}`)
    })

    it("a repeated rejection takes no room", () => {
      const rejected = make()
      for (let n = 1; n <= 256; n++) rejected.reject(`t${n}`, api, never, n)
      rejected.reject("t256", api, never, 257)
      assert.isTrue(rejected.has("t1", api))
      assert.isTrue(rejected.has("t256", api))
    })

    it("any response but 401 clears the mark, for this token and this origin", () => {
      const rejected = make()
      for (const origin of [api, other]) {
        rejected.reject("a", origin, never, 0)
        rejected.reject("b", origin, never, 0)
      }
      rejected.accept("a", api)
      assert.isFalse(rejected.has("a", api))
      assert.isTrue(rejected.has("a", other))
      assert.isTrue(rejected.has("a"))
      assert.isTrue(rejected.has("b", api))
      rejected.accept("a", other)
      assert.isFalse(rejected.has("a"))
    })

    it("accepting a token that was never rejected changes nothing", () => {
      const rejected = make()
      rejected.accept("a", api)
      assert.isFalse(rejected.has("a"))
      assert.isTrue(rejected.mayRenew(api, 0))
    })
  })

  describe("fleet rule 6: a fruitless renewal pauses", () => {
    const kinds = {
      "the replay was rejected too": (rejected: ReturnType<typeof make>, now: number, n: number) =>
        rejected.fruitless(`t${n}`, api, now),
      "the endpoint returned the same token": (rejected: ReturnType<typeof make>, now: number) =>
        rejected.unchanged(api, now)
    }

    for (const [kind, happens] of Object.entries(kinds)) {
      it(`${kind}: 1 s, doubling to 60 s`, () => {
        const rejected = make()
        const waits: Array<number> = []
        let now = 10_000
        for (let n = 0; n < 10; n++) {
          happens(rejected, now, n)
          const next = nextRenewal(rejected, now)
          waits.push(next - now)
          now = next
        }
        deepStrictEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000])
      })

      it(`${kind}: a repetition during the pause does not lengthen it`, () => {
        const rejected = make()
        happens(rejected, 0, 1)
        for (let n = 2; n < 200; n++) happens(rejected, n, n)
        assert.strictEqual(nextRenewal(rejected, 200), 1000)
        happens(rejected, 1000, 200)
        assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      })

      it(`${kind}: pauses this origin and no other`, () => {
        const rejected = make()
        happens(rejected, 0, 1)
        assert.isFalse(rejected.mayRenew(api, 1))
        assert.isTrue(rejected.mayRenew(other, 1))
      })

      it(`${kind}: a successful replay ends the pause, and the next one begins at 1 s`, () => {
        const rejected = make()
        happens(rejected, 0, 1)
        happens(rejected, 1000, 2)
        rejected.accept("t2", api)
        assert.isTrue(rejected.mayRenew(api, 1001))
        happens(rejected, 1001, 3)
        assert.strictEqual(nextRenewal(rejected, 1001), 2001)
      })

      it(`${kind}: an acceptance by another origin does not end the pause`, () => {
        const rejected = make()
        happens(rejected, 0, 1)
        rejected.accept("t1", other)
        assert.isFalse(rejected.mayRenew(api, 1))
      })
    }

    it("a clock that is set back does not lengthen the pause", () => {
      const rejected = make()
      rejected.fruitless("a", api, 3_600_000)
      assert.isFalse(rejected.mayRenew(api, 3_600_000))
      assert.isTrue(rejected.mayRenew(api, 0))
      rejected.reject("b", api, never, 0)
      assert.isTrue(rejected.mayRenew(api, 3_600_000))
      deepStrictEqual(rejected.fruitless("b", api, 0), { count: 2, remaining: 2_000 })
      assert.strictEqual(nextRenewal(rejected, 0), 2_000)
    })

    it("counts once per token, however many replays there were", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      assert.strictEqual(nextRenewal(rejected, 0), 1000)
      for (const now of [1000, 5000, 90_000]) {
        rejected.fruitless("a", api, now)
        assert.isTrue(rejected.mayRenew(api, now))
      }
      rejected.fruitless("b", api, 90_000)
      assert.strictEqual(nextRenewal(rejected, 90_000), 92_000)
    })

    it("counts once per token, also if a response comes late and another token was fruitless since", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      rejected.fruitless("b", api, 1000)
      assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      rejected.fruitless("a", api, 3000)
      assert.isTrue(rejected.mayRenew(api, 3000))
    })
  })

  describe("fleet rule 6: while it is unknown whether a renewal helped", () => {
    it("a renewal for a trusted origin pauses nothing", () => {
      const rejected = make()
      rejected.renewed("a", api, 0)
      assert.isTrue(rejected.mayRenew(api, 0))
      rejected.fruitless("a", api, 0)
      assert.strictEqual(nextRenewal(rejected, 0), 1000)
    })

    it("after a fruitless one, each renewal counts as fruitless until the origin accepts a token", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", api, 1000)
      assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      rejected.accept("b", api)
      assert.isTrue(rejected.mayRenew(api, 1001))
      rejected.renewed("c", api, 1001)
      assert.isTrue(rejected.mayRenew(api, 1001))
    })

    it("each token doubles the pause once, and none lengthens a pause in force", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", api, 500)
      assert.strictEqual(nextRenewal(rejected, 500), 1000)
      rejected.renewed("b", api, 1000)
      assert.isTrue(rejected.mayRenew(api, 1000))
      rejected.renewed("c", api, 1000)
      assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      rejected.renewed("d", api, 3000)
      assert.strictEqual(nextRenewal(rejected, 3000), 7000)
    })

    it("the token of such a renewal does not count again when it is rejected", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", api, 1000)
      rejected.fruitless("b", api, 3000)
      assert.isTrue(rejected.mayRenew(api, 3000))
    })

    it("applies to one origin", () => {
      const rejected = make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", other, 0)
      assert.isTrue(rejected.mayRenew(other, 0))
    })
  })

  describe("fleet rule 6: the bucket, 6 token requests and one more every 5 s", () => {
    const spendAll = (rejected: ReturnType<typeof make>, now: number) => {
      let spent = 0
      while (rejected.mayRenew(api, now)) {
        rejected.spend(api, now)
        spent++
        assert.isBelow(spent, 100)
      }
      return spent
    }

    it("allows 6 at once, and then one every 5 s", () => {
      const rejected = make()
      assert.strictEqual(spendAll(rejected, 0), 6)
      for (const now of [5000, 10_000, 15_000]) {
        assert.isFalse(rejected.mayRenew(api, now - 1))
        assert.strictEqual(spendAll(rejected, now), 1)
      }
    })

    it("the wait for one more begins when the first is used", () => {
      const rejected = make()
      assert.isTrue(rejected.mayRenew(api, 0))
      assert.strictEqual(spendAll(rejected, 4999), 6)
      assert.strictEqual(nextRenewal(rejected, 4999), 9999)
    })

    it("is full again after 30 s, and never more than full", () => {
      const rejected = make()
      spendAll(rejected, 0)
      assert.strictEqual(spendAll(rejected, 29_999), 5)
      assert.strictEqual(spendAll(rejected, 1_000_000), 6)
    })

    it("checking does not lose a part of the 5 s that has passed", () => {
      const rejected = make()
      spendAll(rejected, 0)
      for (let now = 0; now < 5000; now += 7) {
        rejected.reject("a", api, never, now)
        assert.isFalse(rejected.mayRenew(api, now))
      }
      assert.strictEqual(spendAll(rejected, 7000), 1)
      assert.strictEqual(nextRenewal(rejected, 7000), 10_000)
    })

    it("applies to one origin", () => {
      const rejected = make()
      spendAll(rejected, 0)
      assert.isFalse(rejected.mayRenew(api, 0))
      assert.isTrue(rejected.mayRenew(other, 0))
    })

    it("continues to fill when the clock was set back", () => {
      const rejected = make()
      for (let n = 0; n < 6; n++) rejected.spend(api, 3_600_000)
      rejected.reject("a", api, never, 0)
      assert.strictEqual(nextRenewal(rejected, 0), 5_000)
    })

    it("after requests at any times, the clock alone fills it", () => {
      const rejected = make()
      spendAll(rejected, 0)
      for (let now = 1000; now < 5000; now += 1000) {
        rejected.spend(api, now)
        rejected.unchanged(other, now)
      }
      assert.strictEqual(nextRenewal(rejected, 4000), 5000)
    })

    it("an acceptance does not fill it", () => {
      const rejected = make()
      spendAll(rejected, 0)
      rejected.accept("a", api)
      assert.isFalse(rejected.mayRenew(api, 1))
    })

    it.prop(
      "no window of time sees more than 6 and one for each 5 s of it",
      [fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1, maxLength: 60 })],
      ([pauses]) => {
        const rejected = make()
        const spent: Array<number> = []
        let now = 0
        for (const pause of pauses) {
          now += pause
          if (!rejected.mayRenew(api, now)) continue
          rejected.spend(api, now)
          spent.push(now)
        }
        for (let from = 0; from < spent.length; from++) {
          for (let to = from; to < spent.length; to++) {
            const passed = (spent[to] ?? 0) - (spent[from] ?? 0)
            assert.isAtMost(to - from + 1, 6 + Math.floor(passed / 5000))
          }
        }
      }
    )
  })

  describe("any sequence of reports", () => {
    type Said = (token: string, origin: string, now: number, remaining: number) => OriginVerdicts.Transition
    const events: Record<string, Said> = {
      rejected: (token, origin, now) => OriginVerdicts.rejected(token, origin, now + 60_000, now),
      accepted: (token, origin) => OriginVerdicts.accepted(token, origin),
      asked: (_, origin, now) => OriginVerdicts.asked(origin, now),
      fruitless: (token, origin, now) => OriginVerdicts.fruitless(token, origin, now),
      unchanged: (_, origin, now) => OriginVerdicts.unchanged(origin, now),
      renewed: (token, origin, now) => OriginVerdicts.renewed(token, origin, now),
      paused: (_, origin, now, remaining) => OriginVerdicts.paused(origin, { count: 1 + remaining % 9, remaining }, now)
    }

    const step = fc.record({
      event: fc.constantFrom(...Object.keys(events)),
      token: fc.nat(40).map((n) => `t${n}`),
      origin: fc.constantFrom(api, other),
      remaining: fc.integer({ min: 1, max: 60_000 }),
      // Clocks are set back, too
      millis: fc.oneof(fc.nat(500), fc.nat(20_000), fc.integer({ min: -10_000, max: 0 }))
    })

    const textOf = ({ origins, rejections }: OriginVerdicts.OriginVerdicts) =>
      JSON.stringify([[...origins], rejections])

    it.prop(
      "an origin stands as the table has it, no pause outlasts a minute, and what is kept is bounded",
      [fc.array(step, { maxLength: 60, size: "max" })],
      ([steps]) => {
        const table = new Set(rows.map(([row]) => row))
        let verdicts = OriginVerdicts.none
        let now = 0
        for (const { event, millis, origin, remaining, token } of steps) {
          now += millis
          // A renewal counts as fruitless only for a token that was just rejected
          if (event === "fruitless") verdicts = OriginVerdicts.rejected(token, origin, now + 60_000, now)(verdicts)
          const before = verdicts
          const text = textOf(before)
          verdicts = events[event](token, origin, now, remaining)(before)
          assert.strictEqual(textOf(before), text, "a state is a value")

          for (const each of [api, other]) {
            const [was, is] = [OriginVerdicts.standing(before, each), OriginVerdicts.standing(verdicts, each)]
            if (was === is) continue
            assert.strictEqual(each, origin, "each origin stands for itself")
            // A clock that was set back has ended it
            if (is._tag === "Paused" && is.until === is.from) {
              assert(was._tag === "Paused" && now < was.from)
              deepStrictEqual([is.count, is.until], [was.count, now])
              continue
            }
            assert.isTrue(table.has(`${was._tag} ${event} ${is._tag}`), `${was._tag} ${event} ${is._tag}`)
            if (is._tag !== "Paused") continue
            assert.strictEqual(is.from, now)
            assert.strictEqual(is.until - is.from, event === "paused" ? remaining : nthPause(is.count).remaining)
            if (event !== "paused") assert.strictEqual(is.count, was._tag === "Paused" ? was.count + 1 : 1)
            deepStrictEqual(OriginVerdicts.newPause(before, verdicts, each), {
              count: is.count,
              remaining: is.until - now
            })
          }

          if (event === "rejected") assert.isTrue(OriginVerdicts.has(verdicts, token, origin))
          if (event === "accepted") {
            assert.isFalse(OriginVerdicts.has(verdicts, token, origin))
            assert.strictEqual(OriginVerdicts.standing(verdicts, origin)._tag, "Trusted")
          }
          if (OriginVerdicts.isPaused(verdicts, origin, now)) {
            assert.isFalse(OriginVerdicts.mayRenew(verdicts, origin, now))
          }
          assert.isFalse(OriginVerdicts.isPaused(verdicts, origin, now + 60_000))
          for (const { counted, requests } of verdicts.origins.values()) {
            assert.isAtLeast(requests, 0)
            assert.isAtMost(requests, 6)
            assert.isAtMost(counted.length, 16)
            assert.strictEqual(new Set(counted).size, counted.length)
          }
          assert.isAtMost(verdicts.rejections.length, 256)
          const told = new Set(verdicts.rejections.map(({ origin, token }) => `${token} ${origin}`))
          assert.strictEqual(told.size, verdicts.rejections.length)
        }
      },
      runs(400)
    )
  })

  it("the origins that rejected one token are bounded", () => {
    const rejected = make()
    for (let i = 0; i < 2_000; i++) rejected.reject("t", `https://${i}.test`, never, 0)
    const kept = Array.from({ length: 2_000 }, (_, i) => rejected.has("t", `https://${i}.test`))
    assert.isAtMost(kept.filter(Boolean).length, 256)
    assert.isTrue(kept[1_999])
  })

  it("remembers a bounded number of origins", () => {
    const rejected = make()
    rejected.unchanged(api, 0)
    for (let n = 0; n < 255; n++) rejected.unchanged(`https://${n}.example.com`, 0)
    assert.isFalse(rejected.mayRenew(api, 1))
    rejected.unchanged("https://one.too.many", 0)
    assert.isTrue(rejected.mayRenew(api, 1))
  })
})

describe("OriginVerdicts, which origins accepted a token", () => {
  const token = (value: string) =>
    AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

  const [one, another] = [token("one"), token("another")]

  it("rule 4: distinguishes tokens and origins", () => {
    const acceptances = new OriginVerdicts.Acceptances()
    acceptances.accepted(one, api)
    acceptances.accepted(another, other)
    deepStrictEqual(
      [one, another].map((token) => [api, other].map((origin) => acceptances.works(token, origin))),
      [[true, false], [false, true]]
    )
  })

  it("rule 4: drops the acceptances that were rejected since, and nothing else", () => {
    const acceptances = new OriginVerdicts.Acceptances()
    acceptances.rejected(one, api)
    for (const origin of [api, other]) acceptances.accepted(one, origin)
    acceptances.rejected(one, other)
    assert.isTrue(acceptances.works(one, api))
    assert.isFalse(acceptances.works(one, other))
    acceptances.accepted(one, other)
    assert.isTrue(acceptances.works(one, other))
  })

  it("fleet rule 12: remembers that a token worked after its rejection too", () => {
    const acceptances = new OriginVerdicts.Acceptances()
    assert.isFalse(acceptances.hasWorked(one, api))
    acceptances.accepted(one, api)
    acceptances.rejected(one, api)
    assert.isTrue(acceptances.hasWorked(one, api))
    assert.isFalse(acceptances.hasWorked(one, other))
    assert.isFalse(acceptances.hasWorked(another, api))
  })

  it("fleet rule 1: the same token with other times worked where it worked", () => {
    const acceptances = new OriginVerdicts.Acceptances()
    acceptances.accepted(one, api)
    acceptances.accepted(one, other)
    acceptances.rejected(one, other)
    const again = token("one")
    acceptances.renewed(one, again)
    deepStrictEqual([api, other].map((origin) => acceptances.hasWorked(again, origin)), [true, true])
    deepStrictEqual([api, other].map((origin) => acceptances.works(again, origin)), [true, false])
  })

  it("an origin is in a list once, and a list is never changed", () => {
    const { heardFrom, nothingHeard } = OriginVerdicts
    const single = heardFrom(nothingHeard, api)
    const both = heardFrom(single, other)
    assert.strictEqual(heardFrom(both, api), both)
    const again = heardFrom({ ...both, works: [api] }, other)
    const lists = [[], [api], [api, other], [api, other]]
    deepStrictEqual([nothingHeard, single, both, again].map(({ worked }) => worked), lists)
    deepStrictEqual([nothingHeard, single, both, again].map(({ works }) => works), lists)
  })

  it("rule 12: tokens that only the same one origin accepted share one value", () => {
    const { heardFrom, nothingHeard } = OriginVerdicts
    assert.strictEqual(heardFrom(nothingHeard, api), heardFrom(nothingHeard, api))
    deepStrictEqual(heardFrom(nothingHeard, other), { worked: [other], works: [other] })
  })

  it("a list of 256 origins begins again with the next one", () => {
    const { heardFrom, nothingHeard } = OriginVerdicts
    const origins = Array.from({ length: 257 }, (_, index) => `https://${index}.test`)
    const full = origins.slice(0, 256).reduce(heardFrom, nothingHeard)
    deepStrictEqual(full, { worked: origins.slice(0, 256), works: origins.slice(0, 256) })
    deepStrictEqual(heardFrom(full, origins[256]), { worked: [origins[256]], works: [origins[256]] })
  })

  it("does not grow with the origins", () => {
    const acceptances = new OriginVerdicts.Acceptances()
    for (let index = 0; index < 1_000; index++) acceptances.accepted(one, `https://${index}.test`)
    const known = Array.from({ length: 1_000 }, (_, index) => acceptances.works(one, `https://${index}.test`))
    assert.isAtMost(known.filter(Boolean).length, 256)
    assert.isTrue(known[999])
  })
})
