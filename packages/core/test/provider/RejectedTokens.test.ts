import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import * as RejectedTokens from "../../src/provider/RejectedTokens.js"

const api = "https://api.example.com"
const other = "https://other.example.com"
const never = Infinity

/** When a 401 of the origin may cost a token request again, to the millisecond. */
const nextRenewal = (rejected: RejectedTokens.RejectedTokens, from: number, origin = api): number => {
  let now = from
  while (!rejected.mayRenew(origin, now)) {
    now++
    if (now > from + 200_000) return Infinity
  }
  return now
}

describe("RejectedTokens", () => {
  describe("fleet rule 5: rejection is per token and origin", () => {
    it("knows which origin has rejected which token", () => {
      const rejected = RejectedTokens.make()
      rejected.reject("a", api, never, 0)
      assert.isTrue(rejected.has("a", api))
      assert.isFalse(rejected.has("a", other))
      assert.isFalse(rejected.has("b", api))
    })

    it("without an origin: whether anyone has rejected it", () => {
      const rejected = RejectedTokens.make()
      assert.isFalse(rejected.has("a"))
      rejected.reject("a", api, never, 0)
      assert.isTrue(rejected.has("a"))
    })

    it("keeps a token until it expires, and forgets it with the next rejection", () => {
      const rejected = RejectedTokens.make()
      rejected.reject("a", api, 1000, 0)
      rejected.reject("b", api, never, 999)
      assert.isTrue(rejected.has("a", api))
      rejected.reject("c", api, never, 1000)
      assert.isFalse(rejected.has("a"))
      assert.isTrue(rejected.has("b", api))
    })

    it("keeps at most 16 tokens: the oldest is forgotten first", () => {
      const rejected = RejectedTokens.make()
      for (let n = 1; n <= 16; n++) rejected.reject(`t${n}`, api, never, n)
      assert.isTrue(rejected.has("t1"))
      rejected.reject("t17", api, never, 17)
      assert.isFalse(rejected.has("t1"))
      for (let n = 2; n <= 17; n++) assert.isTrue(rejected.has(`t${n}`, api), `t${n}`)
    })

    it("a second origin's rejection of a known token takes no room", () => {
      const rejected = RejectedTokens.make()
      for (let n = 1; n <= 16; n++) rejected.reject(`t${n}`, api, never, n)
      rejected.reject("t16", other, never, 17)
      assert.isTrue(rejected.has("t1", api))
      assert.isTrue(rejected.has("t16", api))
      assert.isTrue(rejected.has("t16", other))
    })

    it("any answer but 401 clears the mark, for this token and this origin", () => {
      const rejected = RejectedTokens.make()
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

    it("an acceptance of what was never rejected changes nothing", () => {
      const rejected = RejectedTokens.make()
      rejected.accept("a", api)
      assert.isFalse(rejected.has("a"))
      assert.isTrue(rejected.mayRenew(api, 0))
    })
  })

  describe("fleet rule 6: a fruitless renewal holds", () => {
    const kinds = {
      "the replay was rejected too": (rejected: RejectedTokens.RejectedTokens, now: number, n: number) =>
        rejected.fruitless(`t${n}`, api, now),
      "the endpoint returned the same token": (rejected: RejectedTokens.RejectedTokens, now: number) =>
        rejected.unchanged(api, now)
    }

    for (const [kind, happens] of Object.entries(kinds)) {
      it(`${kind}: 1 s, doubling to 60 s`, () => {
        const rejected = RejectedTokens.make()
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

      it(`${kind}: while it holds, the same does not lengthen it`, () => {
        const rejected = RejectedTokens.make()
        happens(rejected, 0, 1)
        for (let n = 2; n < 200; n++) happens(rejected, n, n)
        assert.strictEqual(nextRenewal(rejected, 200), 1000)
        happens(rejected, 1000, 200)
        assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      })

      it(`${kind}: holds this origin and no other`, () => {
        const rejected = RejectedTokens.make()
        happens(rejected, 0, 1)
        assert.isFalse(rejected.mayRenew(api, 1))
        assert.isTrue(rejected.mayRenew(other, 1))
      })

      it(`${kind}: cleared by a replay that works, and begins again at 1 s`, () => {
        const rejected = RejectedTokens.make()
        happens(rejected, 0, 1)
        happens(rejected, 1000, 2)
        rejected.accept("t2", api)
        assert.isTrue(rejected.mayRenew(api, 1001))
        happens(rejected, 1001, 3)
        assert.strictEqual(nextRenewal(rejected, 1001), 2001)
      })

      it(`${kind}: an acceptance by another origin clears nothing here`, () => {
        const rejected = RejectedTokens.make()
        happens(rejected, 0, 1)
        rejected.accept("t1", other)
        assert.isFalse(rejected.mayRenew(api, 1))
      })
    }

    it("no longer when the clock was set back", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 3_600_000)
      assert.isFalse(rejected.mayRenew(api, 3_600_000))
      assert.isTrue(rejected.mayRenew(api, 0))
      deepStrictEqual(rejected.fruitless("b", api, 0), { count: 2, remaining: 2_000 })
      assert.strictEqual(nextRenewal(rejected, 0), 2_000)
    })

    it("is counted once per token, however many replays it cost", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 0)
      assert.strictEqual(nextRenewal(rejected, 0), 1000)
      for (const now of [1000, 5000, 90_000]) {
        rejected.fruitless("a", api, now)
        assert.isTrue(rejected.mayRenew(api, now))
      }
      rejected.fruitless("b", api, 90_000)
      assert.strictEqual(nextRenewal(rejected, 90_000), 92_000)
    })

    it("is counted once per token, also when an answer comes late and another token was fruitless since", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 0)
      rejected.fruitless("b", api, 1000)
      assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      rejected.fruitless("a", api, 3000)
      assert.isTrue(rejected.mayRenew(api, 3000))
    })
  })

  describe("fleet rule 6: while it is not known whether a renewal helped", () => {
    it("a renewal for an origin in good order holds nothing", () => {
      const rejected = RejectedTokens.make()
      rejected.renewed("a", api, 0)
      assert.isTrue(rejected.mayRenew(api, 0))
      rejected.fruitless("a", api, 0)
      assert.strictEqual(nextRenewal(rejected, 0), 1000)
    })

    it("after a fruitless one, each renewal counts as fruitless until the origin takes a token", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", api, 1000)
      assert.strictEqual(nextRenewal(rejected, 1000), 3000)
      rejected.accept("b", api)
      assert.isTrue(rejected.mayRenew(api, 1001))
      rejected.renewed("c", api, 1001)
      assert.isTrue(rejected.mayRenew(api, 1001))
    })

    it("each token doubles the hold once, and none lengthens one that is not over", () => {
      const rejected = RejectedTokens.make()
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

    it("and its token is not counted once more when it is rejected", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", api, 1000)
      rejected.fruitless("b", api, 3000)
      assert.isTrue(rejected.mayRenew(api, 3000))
    })

    it("is the origin's own", () => {
      const rejected = RejectedTokens.make()
      rejected.fruitless("a", api, 0)
      rejected.renewed("b", other, 0)
      assert.isTrue(rejected.mayRenew(other, 0))
    })
  })

  describe("fleet rule 6: the bucket, 6 token requests and one more every 5 s", () => {
    const spendAll = (rejected: RejectedTokens.RejectedTokens, now: number) => {
      let spent = 0
      while (rejected.mayRenew(api, now)) {
        rejected.spend(api, now)
        spent++
        assert.isBelow(spent, 100)
      }
      return spent
    }

    it("allows 6 at once, and then one every 5 s", () => {
      const rejected = RejectedTokens.make()
      assert.strictEqual(spendAll(rejected, 0), 6)
      for (const now of [5000, 10_000, 15_000]) {
        assert.isFalse(rejected.mayRenew(api, now - 1))
        assert.strictEqual(spendAll(rejected, now), 1)
      }
    })

    it("the wait for one more begins when the first is spent", () => {
      const rejected = RejectedTokens.make()
      assert.isTrue(rejected.mayRenew(api, 0))
      assert.strictEqual(spendAll(rejected, 4999), 6)
      assert.strictEqual(nextRenewal(rejected, 4999), 9999)
    })

    it("is full again after 30 s, and never more than full", () => {
      const rejected = RejectedTokens.make()
      spendAll(rejected, 0)
      assert.strictEqual(spendAll(rejected, 29_999), 5)
      assert.strictEqual(spendAll(rejected, 1_000_000), 6)
    })

    it("a part of 5 s that has passed is not lost by looking", () => {
      const rejected = RejectedTokens.make()
      spendAll(rejected, 0)
      for (let now = 0; now < 5000; now += 7) assert.isFalse(rejected.mayRenew(api, now))
      assert.strictEqual(spendAll(rejected, 7000), 1)
      assert.strictEqual(nextRenewal(rejected, 7000), 10_000)
    })

    it("is the origin's own", () => {
      const rejected = RejectedTokens.make()
      spendAll(rejected, 0)
      assert.isFalse(rejected.mayRenew(api, 0))
      assert.isTrue(rejected.mayRenew(other, 0))
    })

    it("is filled on when the clock was set back", () => {
      const rejected = RejectedTokens.make()
      for (let n = 0; n < 6; n++) rejected.spend(api, 3_600_000)
      assert.strictEqual(nextRenewal(rejected, 0), 5_000)
    })

    it("is not filled by an acceptance", () => {
      const rejected = RejectedTokens.make()
      spendAll(rejected, 0)
      rejected.accept("a", api)
      assert.isFalse(rejected.mayRenew(api, 1))
    })

    it.prop(
      "no window of time sees more than 6 and one for each 5 s of it",
      [fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1, maxLength: 60 })],
      ([pauses]) => {
        const rejected = RejectedTokens.make()
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

  it("remembers a bounded number of origins", () => {
    const rejected = RejectedTokens.make()
    rejected.unchanged(api, 0)
    for (let n = 0; n < 255; n++) rejected.unchanged(`https://${n}.example.com`, 0)
    assert.isFalse(rejected.mayRenew(api, 1))
    rejected.unchanged("https://one.too.many", 0)
    assert.isTrue(rejected.mayRenew(api, 1))
  })
})
