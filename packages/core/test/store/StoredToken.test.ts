import { AccessToken } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, FastCheck as fc, Option, Record, Redacted } from "effect"
import * as StoredToken from "../../src/store/StoredToken.js"
import { rows } from "../support/Rows.js"

const start = 1_700_000_000_000
const hour = 3_600_000

const token = (options?: { value?: string; expiresIn?: number; scope?: string }) =>
  AccessToken.make({
    value: Redacted.make(options?.value ?? "abc.def"),
    obtainedAt: DateTime.unsafeMake(start),
    expiresIn: options?.expiresIn,
    scope: options?.scope
  })

const read = (payload: string, timeToLive: Duration.Duration, readAt: number, defaultLifetime = Duration.hours(1)) =>
  StoredToken.decode({ version: "v", payload, timeToLive }, { readAt, defaultLifetime })

const envelope = (fields: Record<string, unknown>) =>
  JSON.stringify({ v: 1, token: "abc.def", type: "Bearer", scope: null, lifetime: hour, ...fields })

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const times = (token: Option.Option<AccessToken.AccessToken>) =>
  Option.getOrThrow(Option.map(token, ({ expiresAt, obtainedAt }) => ({
    obtainedAt: obtainedAt.epochMillis - start,
    expiresAt: Option.getOrNull(Option.map(expiresAt, (end) => end.epochMillis - start))
  })))

describe("StoredToken", () => {
  it("a token that is bound to a key is not read by a client without a key (RFC 9449 §5)", () => {
    assert.isTrue(Option.isSome(read(envelope({}), Duration.hours(1), start)))
    assert.isTrue(Option.isNone(read(envelope({ type: "DPoP" }), Duration.hours(1), start)))
  })

  it.prop(
    "a token that is read at once equals the written token",
    [
      fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/),
      fc.option(fc.integer({ min: 1, max: 1e9 }), { nil: undefined }),
      fc.option(fc.string(), { nil: undefined }),
      fc.option(fc.dictionary(fc.stringMatching(/^[A-Za-z]\w{0,20}$/), fc.jsonValue()), { nil: undefined })
    ],
    ([value, expiresIn, scope, fields]) => {
      const written = AccessToken.make({
        value: Redacted.make(value),
        obtainedAt: DateTime.unsafeMake(start),
        expiresIn,
        scope,
        fields: fields && Record.map(fields, (value) => Redacted.make<unknown>(value))
      })
      const timeToLive = Duration.millis(expiresIn ?? hour)
      const found = Option.getOrThrow(read(StoredToken.encode(written), timeToLive, start))
      assert.strictEqual(Redacted.value(found.value), value)
      assert.strictEqual(found.tokenType, "Bearer")
      deepStrictEqual(found.scope, written.scope)
      deepStrictEqual(found.fields && Record.map(found.fields, Redacted.value), fields && asJson(fields))
      deepStrictEqual(found.obtainedAt, written.obtainedAt)
      deepStrictEqual(found.expiresAt, written.expiresAt)
    }
  )

  it("fleet rule 1: the payload contains no time of any clock", () => {
    deepStrictEqual(JSON.parse(StoredToken.encode(token({ expiresIn: hour, scope: "read" }))), {
      v: 1,
      token: "abc.def",
      type: "Bearer",
      scope: "read",
      lifetime: hour
    })
  })

  describe("fleet rule 1: the expiry is the store's remaining lifetime, added to the reader's clock", () => {
    const table: ReadonlyArray<
      readonly [what: string, remains: Duration.DurationInput, obtainedAt: number, expiresAt: number]
    > = [
      ["all of it remains", hour, 0, hour],
      ["half of it remains", hour / 2, -hour / 2, hour / 2],
      ["a millisecond remains", 1, 1 - hour, 1],
      ["nothing remains", 0, -hour, 0],
      ["a part of a millisecond remains", Duration.micros(1500n), 1 - hour, 1],
      ["the store claims more than the lifetime", 2 * hour, 0, hour],
      ["the store knows no expiry", Infinity, 0, hour]
    ]
    it("for any remaining lifetime", () =>
      rows(table, ([what]) => what, ([, remains, obtainedAt, expiresAt]) => {
        deepStrictEqual(times(read(envelope({}), Duration.decode(remains), start)), { obtainedAt, expiresAt })
      }))

    it.prop(
      "a reader whose clock is wrong by any amount sees the same token, shifted by that amount",
      [fc.integer({ min: -1e11, max: 1e11 }), fc.integer({ min: 1, max: hour })],
      ([skew, remains]) => {
        deepStrictEqual(times(read(envelope({}), Duration.millis(remains), start + skew)), {
          obtainedAt: skew + remains - hour,
          expiresAt: skew + remains
        })
      }
    )

    it.prop(
      "a token never appears younger than it is, nor longer-lived than the server declared",
      [fc.integer({ min: 1, max: 1e10 }), fc.double({ min: 0, max: 1e12, noNaN: true })],
      ([lifetime, remains]) => {
        const found = times(read(envelope({ lifetime }), Duration.millis(remains), start))
        assert.isAtMost(found.obtainedAt, 0)
        assert.isAtMost(found.expiresAt ?? Infinity, lifetime)
        assert.strictEqual((found.expiresAt ?? NaN) - found.obtainedAt, lifetime)
      }
    )
  })

  describe("a lifetime that the server did not send", () => {
    it("stays unknown", () => {
      const found = Option.getOrThrow(read(StoredToken.encode(token()), Duration.hours(1), start))
      deepStrictEqual(found.expiresAt, Option.none())
    })

    const table: ReadonlyArray<readonly [remains: number, obtainedAt: number]> = [
      [hour, 0],
      [hour / 4, -hour * 0.75],
      [0, -hour],
      [2 * hour, 0],
      [Infinity, 0]
    ]
    it("the remaining defaultLifetime determines when the token was obtained", () =>
      rows(
        table,
        ([remains, obtainedAt]) =>
          `${remains} ms of a defaultLifetime of ${hour} remain: it was obtained ${-obtainedAt} ms ago`,
        ([remains, obtainedAt]) => {
          deepStrictEqual(times(read(envelope({ lifetime: null }), Duration.millis(remains), start)), {
            obtainedAt,
            expiresAt: null
          })
        }
      ))

    it("an infinite defaultLifetime is accepted", () => {
      const payload = envelope({ lifetime: null })
      for (const remains of [Duration.hours(1), Duration.infinity]) {
        assert.isNull(times(read(payload, remains, start, Duration.infinity)).expiresAt)
      }
    })
  })

  describe("rule 8: an entry that is not one of ours is None, never a failure", () => {
    const garbage: ReadonlyArray<readonly [what: string, payload: string]> = [
      ["empty", ""],
      ["not JSON", "eyJhbGciOi.J9"],
      ["HTML", "<html></html>"],
      ["truncated", envelope({}).slice(0, -5)],
      ["null", "null"],
      ["an array", "[1]"],
      ["a string", "\"abc\""],
      ["a number", "1"],
      ["another version", envelope({ v: 2 })],
      ["a version as text", envelope({ v: "1" })],
      ["no version", envelope({ v: undefined })],
      ["no token", envelope({ token: undefined })],
      ["a token that is not a string", envelope({ token: 42 })],
      ["an empty token", envelope({ token: "" })],
      ["a token of spaces", envelope({ token: "  " })],
      ["a token with a line break", envelope({ token: "abc\r\nx-admin: 1" })],
      ["a token with a control character", envelope({ token: "abc\u0000" })],
      ["a token with DEL", envelope({ token: "abc\u007f" })],
      ["a token that is not ASCII", envelope({ token: "tökén" })],
      ["another type", envelope({ type: "mac" })],
      ["no type", envelope({ type: undefined })],
      ["a scope that is not a string", envelope({ scope: 1 })],
      ["a lifetime of zero", envelope({ lifetime: 0 })],
      ["a negative lifetime", envelope({ lifetime: -1 })],
      ["a lifetime as text", envelope({ lifetime: "3600" })],
      ["no lifetime", envelope({ lifetime: undefined })]
    ]
    it("is not read", () =>
      rows(garbage, ([what]) => what, ([, payload]) => {
        deepStrictEqual(read(payload, Duration.hours(1), start), Option.none())
      }))

    it.prop("any other text", [fc.oneof(fc.string(), fc.json())], ([payload]) => {
      deepStrictEqual(read(payload, Duration.hours(1), start), Option.none())
    })

    const enormous = [1e18, 1e300, Infinity]
    it("an enormous lifetime is bounded, not a failure", () =>
      rows(enormous, (lifetime) => `a lifetime of ${lifetime} ms is bounded, not a failure`, (lifetime) => {
        const payload = envelope({}).replace(String(hour), String(lifetime).replace("Infinity", "1e999"))
        const found = times(read(payload, Duration.millis(lifetime), start))
        deepStrictEqual(found, { obtainedAt: 0, expiresAt: Duration.toMillis(AccessToken.maxLifetime) })
      }))

    const times_: ReadonlyArray<unknown> = [undefined, null, "soon", {}]
    it("a driver's timeToLive that is not a duration", () =>
      rows(times_, (timeToLive) => `a driver's timeToLive of ${JSON.stringify(timeToLive)}`, (timeToLive) => {
        deepStrictEqual(read(envelope({}), timeToLive as Duration.Duration, start), Option.none())
      }))
  })
})
