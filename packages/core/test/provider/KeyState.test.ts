import { AccessToken, OAuthError, type OAuthMetrics } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Duration, Effect, FastCheck as fc, Option, Redacted } from "effect"
import { constVoid } from "effect/Function"
import * as Cooldown from "../../src/provider/Cooldown.js"
import * as HeldToken from "../../src/provider/HeldToken.js"
import * as KeyState from "../../src/provider/KeyState.js"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import { ruleTable } from "../support/ruleTable.js"
import { runs } from "../support/Runs.js"

const { invalidClient, unavailable } = TestTokenEndpoint
const defect = new OAuthError.TokenProviderError({ reason: "Defect" })

const api = "https://api.example.com"
const other = "https://other.example.com"
const cooldown = 1000

const token = (name: string, obtainedAt = 0) =>
  AccessToken.make({
    value: Redacted.make(name),
    obtainedAt: DateTime.unsafeMake(obtainedAt),
    expiresIn: "1000 seconds"
  })

/** A token that lives for 1000 s: due from 800 s on, in its leeway from 900 s on. */
const hold = (name: string, isOwn = true, obtainedAt = 0) =>
  HeldToken.make(token(name, obtainedAt), {
    refreshAhead: Duration.seconds(200),
    expiryLeeway: Duration.seconds(100),
    defaultLifetime: Duration.hours(1),
    jitter: 0,
    isOwn
  })

const taking: KeyState.Taking = { isShared: true, defaultLifetime: 3_600_000 }

const makeFlight = (reason: OAuthMetrics.RenewalReason = "expiry", origin = api) =>
  KeyState.makeFlight(reason, origin, { wait: () => Effect.never, nothingBefore: constVoid, tell: constVoid })

const after = (...transitions: ReadonlyArray<KeyState.Transition>): KeyState.KeyState =>
  transitions.reduce((state, transition) => transition(state), KeyState.initial)

const failing = (
  error: Cooldown.Failure = unavailable,
  reason: OAuthMetrics.RenewalReason = "expiry",
  at = 0
): KeyState.Failing => ({ error, reason, at, cooldown })

const held = KeyState.obtained(hold("a"), taking, 0)
const flight = makeFlight()
const start = KeyState.started(flight, cooldown, 0)

const idle = (notBefore = 0): KeyState.Idle => ({ _tag: "Idle", notBefore })

const failed = (change: Partial<KeyState.Failed> = {}): KeyState.Failed => ({
  _tag: "Failed",
  error: unavailable,
  at: 0,
  answer: undefined,
  definite: 0,
  background: 0,
  notBefore: 0,
  ...change
})

const answer = (error: Cooldown.Failure, from: number, until: number): KeyState.Answer => ({
  error,
  from,
  until,
  lookAt: from + cooldown,
  credentials: Option.none()
})

const running = (before: KeyState.Rest): KeyState.Running => ({ _tag: "Running", flight, before })

/** The rows of the table in RULES.md: a state, what happens, and the state after it. */
const rows: ReadonlyArray<
  readonly [row: string, before: KeyState.KeyState, transition: KeyState.Transition, after: KeyState.RenewalState]
> = [
  ["Idle started Running", after(), start, running(idle())],
  ["Failed started Running", after(start, KeyState.failed(failing(), 0)), start, running(failed())],
  ["Running obtained Idle", after(start), held, idle()],
  ["Running found Running", after(start, KeyState.failed(failing(), 0), start), found("b"), running(idle())],
  [
    "Running failed Failed",
    after(start),
    KeyState.failed(failing(unavailable, "background"), 5),
    failed({
      background: 1,
      notBefore: 1005
    })
  ],
  [
    "Running failedWaiting Failed",
    after(start),
    KeyState.failedWaiting(failing(), 0),
    failed({
      answer: answer(unavailable, 0, 1000)
    })
  ],
  ["Running failed Failed", after(start), KeyState.failed(failing(defect), 0), failed({ error: defect })],
  ["Running busyElsewhere Idle", after(start), KeyState.busyElsewhere(250, 10), idle(260)],
  [
    "Running busyElsewhere Failed",
    after(start, KeyState.failed(failing(), 0), start),
    KeyState.busyElsewhere(250, 10),
    failed({ notBefore: 260 })
  ],
  ["Running ended Idle", after(start), KeyState.ended(flight), idle()],
  ["Running ended Failed", after(start, KeyState.failed(failing(), 0), start), KeyState.ended(flight), failed()],
  ["Idle found Idle", after(), found("a"), idle()],
  ["Failed found Idle", after(start, KeyState.failedWaiting(failing(), 0)), found("a"), idle()],
  [
    "Failed failedWith Failed",
    refused(),
    KeyState.failedWith(Option.some("x"), 0),
    failed({
      error: invalidClient,
      definite: 1,
      answer: { ...answer(invalidClient, 0, 5000), credentials: Option.some("x") }
    })
  ],
  [
    "Failed credentialsRead Failed",
    KeyState.failedWith(Option.some("x"), 0)(refused()),
    KeyState.credentialsRead(Option.some("y")),
    failed({ error: invalidClient })
  ],
  [
    "Running credentialsRead Running",
    start(KeyState.failedWith(Option.some("x"), 0)(refused())),
    KeyState.credentialsRead(Option.some("y")),
    running(failed({ error: invalidClient }))
  ]
]

function found(name: string) {
  return KeyState.found(hold(name, false), taking, 0)
}

function refused() {
  return after(start, KeyState.failedWaiting(failing(invalidClient), 0))
}

describe("KeyState", () => {
  describe("the renewal", () => {
    it.each(rows)("%s", (row, before, transition, expected) => {
      const [from, name, to] = row.split(" ")
      const renewal = transition(before).renewal
      deepStrictEqual([before.renewal._tag, renewal._tag], [from, to], name)
      deepStrictEqual(renewal, expected)
    })

    it("the table of the rules has these rows and no other", () => {
      const table = ruleTable("The state of a key")
      const told = new Set(rows.map(([row]) => row))
      deepStrictEqual(table.filter((row) => !told.has(row)), [])
      deepStrictEqual([...told].filter((row) => !table.includes(row)), [])
    })

    it("fleet rule 7: background failures space later attempts, doubling to sixteen times, and delay nothing else", () => {
      let state = after(held)
      const gaps: Array<number> = []
      for (let n = 0; n < 6; n++) {
        state = KeyState.failed(failing(unavailable, "background"), 0)(start(state))
        assert(state.renewal._tag === "Failed")
        gaps.push(state.renewal.notBefore)
      }
      deepStrictEqual(gaps, [1000, 2000, 4000, 8000, 16_000, 16_000])
      assert.isUndefined(KeyState.answering(state, 0))
    })

    it("rule 7: a background failure, or a bug, does not change the answer", () => {
      const failure = KeyState.failedWaiting(failing(invalidClient), 0)
      for (
        const next of [KeyState.failed(failing(unavailable, "background"), 100), KeyState.failed(failing(defect), 100)]
      ) {
        assert.strictEqual(KeyState.answering(after(start, failure, start, next), 4999), invalidClient)
      }
    })

    it("fleet rule 8: a failure that callers waited for while the token still serves also spaces later attempts", () => {
      for (const transition of [KeyState.failedWaiting, KeyState.failed]) {
        for (
          const [reason, now, background] of [
            ["expiry", 950_000, 1],
            ["expiry", 1_000_000, 0],
            ["rejection", 950_000, 0]
          ] as const
        ) {
          const { renewal } = after(held, start, transition(failing(unavailable, reason, now), now))
          assert(renewal._tag === "Failed")
          assert.strictEqual(renewal.background, background, `${reason} at ${now}`)
          assert.strictEqual(renewal.notBefore, background === 0 ? 0 : now + cooldown)
        }
      }
    })

    it("fleet rule 9: credentials of a failure that no longer answers do not matter", () => {
      const again = after(
        start,
        KeyState.failedWaiting(failing(invalidClient), 0),
        start,
        KeyState.failedWaiting(
          failing(),
          7000
        )
      )
      assert.strictEqual(KeyState.failedWith(Option.some("x"), 0)(again), again)
      assert.strictEqual(KeyState.failedWith(Option.some("x"), 0)(after()), KeyState.initial)
      assert.isFalse(KeyState.mayChange(again))
    })

    it("a flight that has ended ends no other", () => {
      const state = after(start)
      assert.strictEqual(KeyState.ended(makeFlight())(state), state)
      const landed = after(start, held)
      assert.strictEqual(KeyState.ended(flight)(landed), landed)
    })
  })

  describe("the token", () => {
    /** What an origin says of a token. */
    const rejected = (name: string, origin = api) =>
      KeyState.heard(OriginVerdicts.rejected(HeldToken.identity(hold(name)), origin, Infinity, 0))
    const accepted = (name: string, origin = api) =>
      KeyState.heard(OriginVerdicts.accepted(HeldToken.identity(hold(name)), origin))

    it("rule 4: a rejected token is checked on each use, until it is accepted everywhere", () => {
      const quiet = (...transitions: ReadonlyArray<KeyState.Transition>) => after(held, ...transitions).quietUntil
      assert.strictEqual(quiet(), 800_000)
      assert.strictEqual(quiet(rejected("a"), rejected("a", other)), -Infinity)
      assert.strictEqual(quiet(rejected("a"), rejected("a", other), accepted("a")), -Infinity)
      assert.strictEqual(quiet(rejected("a"), rejected("a", other), accepted("a"), accepted("a", other)), 800_000)
      // Known before it came
      assert.strictEqual(after(rejected("a"), held).quietUntil, -Infinity)
      assert.strictEqual(after(rejected("a")).quietUntil, -Infinity)
    })

    it("verdicts about another token do not affect the one in use", () => {
      assert.strictEqual(after(held, rejected("b")).quietUntil, 800_000)
      const state = after(held)
      assert.strictEqual(accepted("a")(state), state)
    })

    it("a token is identified by its value, while it is held and when it was just replaced", () => {
      assert.isUndefined(KeyState.known(after(), token("a")))
      const state = after(held, KeyState.obtained(hold("b"), taking, 0))
      assert.strictEqual(KeyState.known(state, token("b", 1)), state.held)
      assert.strictEqual(KeyState.known(state, token("a", 1)), state.replaced)
      assert.isUndefined(KeyState.known(state, token("c")))
    })

    it("fleet rule 7: an endpoint that returns the same token is asked again at half the remaining lifetime", () => {
      const again = (now: number, token: HeldToken.HeldToken) =>
        after(held, KeyState.obtained(token, taking, now)).renewal
      deepStrictEqual(again(800_000, hold("a")), idle(850_000))
      deepStrictEqual(again(900_000, hold("a")), idle(950_000))
      // The store has it from here, or it is another
      deepStrictEqual(again(800_000, hold("a", false)), idle())
      deepStrictEqual(again(800_000, hold("b")), idle())
    })

    it("fleet rule 10: a stored token is news if a token is held or a failure answers", () => {
      assert.isFalse(KeyState.isNews(after(), 0))
      assert.isTrue(KeyState.isNews(after(held), 0))
      assert.isTrue(KeyState.isNews(refused(), 4999))
      assert.isFalse(KeyState.isNews(refused(), 5000))
    })

    it("a closed provider holds none", () => {
      const rejected = KeyState.heard(OriginVerdicts.rejected(HeldToken.identity(hold("a")), other, Infinity, 0))
      const known = after(held, rejected, KeyState.found(hold("b"), taking, 0))
      assert.isDefined(known.replaced)
      deepStrictEqual(KeyState.closed(known), { ...KeyState.initial, renewal: known.renewal })
    })
  })

  describe("what a call does", () => {
    const key = (
      state: KeyState.KeyState,
      rejected: ReadonlyArray<readonly [token: string, origin: string]> = []
    ): KeyState.KeyState =>
      rejected.reduce(
        (state, [name, origin]) =>
          KeyState.heard(OriginVerdicts.rejected(HeldToken.identity(hold(name)), origin, Infinity, 0))(state),
        state
      )

    const decision = (key: KeyState.KeyState, now: number, call: Partial<KeyState.Call> = {}) => {
      const decided = KeyState.decide(key, { origin: api, isShared: false, ...call }, now)
      switch (decided._tag) {
        case "Serve":
          assert.strictEqual(decided.held, key.held)
          return [decided.isRenewed ? "ServeAndRenew" : "Serve", ...decided.use === undefined ? [] : [decided.use]]
            .join(" ")
        case "Start":
          return `Start ${decided.reason}`
        case "Join":
          assert.strictEqual(decided.flight, flight)
          return "Join"
        case "Answer":
          assert.strictEqual(decided.error, KeyState.answering(key, now) ?? invalidClient)
          return "Answer"
        case "Keep":
          return "Keep"
      }
    }

    const spaced = KeyState.failed(failing(unavailable, "background"), 800_000)
    const cooling = KeyState.failedWaiting(failing(invalidClient, "rejection", 800_000), 800_000)

    it.each<[string, KeyState.KeyState, ReadonlyArray<readonly [now: number, decision: string]>]>([
      ["rule 6: without a token it is asked for", after(), [[0, "Start expiry"]]],
      ["rule 1: the renewal under way is joined", after(start), [[0, "Join"]]],
      ["rule 7: a failure answers for its time", refused(), [[0, "Answer"], [4999, "Answer"], [5000, "Start expiry"]]],
      ["rule 3, fleet rule 8: a token is served, renewed ahead, then renewed first, to its end", after(held), [
        [0, "Serve"],
        [799_999, "Serve"],
        [800_000, "ServeAndRenew renewed_ahead"],
        [899_999, "ServeAndRenew renewed_ahead"],
        [900_000, "Start expiry"],
        [999_999, "Start expiry"],
        [1_000_000, "Start expiry"]
      ]],
      ["rule 3: nobody waits for a renewal while the token is good", after(held, start), [
        [800_000, "Serve"],
        [900_000, "Join"]
      ]],
      [
        "fleet rule 7: after a failure in the background the token serves, and the next try waits",
        after(held, spaced),
        [
          [800_000, "Serve stale"],
          [801_000, "ServeAndRenew stale"],
          [900_000, "ServeAndRenew stale"],
          [1_000_000, "Start expiry"]
        ]
      ],
      [
        "fleet rule 7: while another process is at it, so too",
        after(held, start, KeyState.busyElsewhere(250, 900_000)),
        [
          [900_000, "Serve"],
          [900_250, "Start expiry"]
        ]
      ],
      ["rule 7: while a failure answers, nothing is begun in the background", after(held, cooling), [
        [804_999, "Serve"],
        [805_000, "ServeAndRenew renewed_ahead"]
      ]]
    ])("%s", (_, state, steps) => {
      deepStrictEqual(steps.map(([now]) => decision(key(state), now)), steps.map(([, expected]) => expected))
    })

    it("rule 4: an origin that rejected the token gets another, and the others keep it", () => {
      const rejected = key(after(held), [["a", api]])
      assert.strictEqual(decision(rejected, 0), "Start rejection")
      assert.strictEqual(decision(rejected, 0, { origin: other }), "Serve")
      assert.strictEqual(decision(rejected, 0, { rejected: token("a") }), "Start rejection")
      // Whatever was said of it
      assert.strictEqual(decision(rejected, 1_000_000, { rejected: token("a") }), "Start expiry")
      // Another than the one that it sent is there by now
      assert.strictEqual(decision(key(after(held), [["b", api]]), 0, { rejected: token("b") }), "Serve")
    })

    it("fleet rule 6: while its renewals are paused it gets the rejected token, unless one is in progress for it", () => {
      const pause = KeyState.heard(OriginVerdicts.paused(api, { count: 1, remaining: 1000 }, 0))
      const paused = (state: KeyState.KeyState) => pause(key(state, [["a", api]]))
      assert.strictEqual(decision(paused(after(held)), 999), "Keep")
      assert.strictEqual(decision(paused(after(held)), 1000), "Start rejection")
      assert.strictEqual(decision(paused(after(held, start)), 999), "Join")
      const elsewhere = KeyState.started(makeFlight("expiry", other), cooldown, 0)
      assert.strictEqual(decision(paused(after(held, elsewhere)), 999), "Keep")
      assert.strictEqual(decision(paused(after(held)), 1_000_000), "Start expiry")
    })

    it("fleet rule 6: if the last renewal failed it gets that error, also after the cool-down", () => {
      const pause = KeyState.heard(OriginVerdicts.paused(api, { count: 4, remaining: 8000 }, 800_000))
      const paused = pause(key(after(held, cooling), [["a", api]]))
      deepStrictEqual(
        [804_999, 805_000, 807_999, 808_000].map((now) => decision(paused, now)),
        ["Answer", "Answer", "Answer", "Start rejection"]
      )
    })

    it("fleet rule 9: once in the base of a cool-down one call looks for what ends it, if anything can", () => {
      const passing = key(after(start, KeyState.failedWaiting(failing(invalidClient), 0)))
      assert.strictEqual(decision(passing, 1000), "Answer")
      assert.strictEqual(decision(passing, 999, { isShared: true }), "Answer")
      assert.strictEqual(decision(passing, 1000, { isShared: true }), "Start expiry")
      const looked = after(() => passing, KeyState.started(flight, cooldown, 1500), KeyState.ended(flight))
      assert.strictEqual(decision(key(looked), 2499, { isShared: true }), "Answer")
      assert.strictEqual(decision(key(looked), 2500, { isShared: true }), "Start expiry")
    })
  })

  describe("any sequence of events", () => {
    interface Step {
      readonly event: string
      readonly name: string
      readonly isOwn: boolean
      readonly reason: OAuthMetrics.RenewalReason
      readonly error: Cooldown.Failure
      readonly credentials: Option.Option<string>
      readonly millis: number
    }

    const flights = [flight, makeFlight("background"), makeFlight("rejection", other)]

    /** Every transition, made from a step, the state and the time. */
    const events: Record<string, (step: Step, state: KeyState.KeyState, now: number) => KeyState.Transition> = {
      obtained: ({ isOwn, name }, _, now) => KeyState.obtained(hold(name, isOwn, now), taking, now),
      found: ({ name }, _, now) => KeyState.found(hold(name, false, now), taking, now),
      rejected: ({ name }) =>
        KeyState.heard(OriginVerdicts.rejected(HeldToken.identity(hold(name)), other, Infinity, 0)),
      accepted: ({ name }) => KeyState.heard(OriginVerdicts.accepted(HeldToken.identity(hold(name)), other)),
      closed: () => KeyState.closed,
      started: ({ reason }, _, now) => KeyState.started(flights.find((f) => f.reason === reason)!, cooldown, now),
      ended: ({ reason }) => KeyState.ended(flights.find((f) => f.reason === reason)!),
      busyElsewhere: ({ millis }, _, now) => KeyState.busyElsewhere(millis, now),
      failed: ({ error, reason }, _, now) => KeyState.failed(failing(error, reason, now), now),
      failedWaiting: ({ error, reason }, _, now) => KeyState.failedWaiting(failing(error, reason, now), now),
      failedWith: ({ credentials }, { renewal }) =>
        KeyState.failedWith(credentials, (renewal._tag === "Running" ? renewal.before : renewal).answer?.from ?? 0),
      credentialsRead: ({ credentials }) => KeyState.credentialsRead(credentials)
    }

    const step: fc.Arbitrary<Step> = fc.record({
      event: fc.constantFrom(...Object.keys(events)),
      name: fc.constantFrom("a", "b", "c"),
      isOwn: fc.boolean(),
      reason: fc.constantFrom("background" as const, "expiry" as const, "rejection" as const),
      error: fc.constantFrom<Cooldown.Failure>(unavailable, invalidClient, defect),
      credentials: fc.constantFrom(Option.none(), Option.some("x"), Option.some("y")),
      // Clocks are set back, too
      millis: fc.oneof(fc.nat(5000), fc.nat(500_000), fc.integer({ min: -10_000, max: 0 }))
    })

    const isRest = (rest: KeyState.RenewalState, error: Cooldown.Failure | undefined) => {
      if (rest._tag === "Idle") {
        deepStrictEqual(Object.keys(rest).sort(), ["_tag", "notBefore"])
        assert.isUndefined(error)
        return
      }
      assert(rest._tag === "Failed", "a renewal under way is not before another")
      deepStrictEqual(
        Object.keys(rest).sort(),
        ["_tag", "answer", "at", "background", "definite", "error", "notBefore"]
      )
      assert.strictEqual(rest.error, error)
      assert.isAtLeast(rest.definite, 0)
      assert.isAtLeast(rest.background, 0)
      const { answer } = rest
      if (answer === undefined) return
      assert.isAtLeast(answer.until, answer.from + cooldown)
      assert.isAtMost(answer.until, answer.from + 60 * cooldown)
      assert.strictEqual(answer.until - answer.from > cooldown, !Cooldown.isPassing(answer.error))
    }

    it.prop(
      "the state is one of the table, and a token is quiet only while no action is due for it",
      [fc.array(step, { maxLength: 40, size: "max" })],
      ([steps]) => {
        const cell = new KeyState.Cell()
        let now = 0
        /** Why the last renewal failed, since there was a token. */
        let error: Cooldown.Failure | undefined
        const rejected = new Set<string>()
        for (const step of steps) {
          now += step.millis
          const { event } = step
          const before = cell.state
          const copy = { ...before }
          cell.apply(events[event](step, before, now))
          const { held, quietUntil, renewal } = cell.state
          deepStrictEqual(before, copy, "a state is a value")

          if (event === "obtained" || event === "found") error = undefined
          if (event === "failed" || event === "failedWaiting") error = step.error
          if (event === "started") assert.strictEqual(renewal._tag, "Running")
          if (event === "failed" || event === "failedWaiting") {
            assert.strictEqual(renewal._tag, "Failed")
          }
          if (renewal._tag === "Running") {
            assert.include(flights, renewal.flight)
            isRest(renewal.before, error)
          } else isRest(renewal, error)

          if (event === "rejected") rejected.add(HeldToken.identity(hold(step.name)))
          if (event === "closed") rejected.clear()
          if (event === "accepted") rejected.delete(HeldToken.identity(hold(step.name)))
          const isRejected = held !== undefined && rejected.has(HeldToken.identity(held))
          assert.strictEqual(quietUntil, held === undefined || isRejected ? -Infinity : held.refreshAt)

          const decided = KeyState.decide(cell.state, { origin: api, isShared: true }, now)
          if (now < quietUntil) deepStrictEqual(decided._tag, "Serve")
          if (decided._tag === "Serve") assert.isBelow(now, decided.held.expiresAt)
          if (decided._tag === "Start" || (decided._tag === "Serve" && decided.isRenewed)) {
            assert.notStrictEqual(renewal._tag, "Running")
          }
          assert.notStrictEqual(decided._tag, "Keep")
        }
      },
      runs(1000)
    )
  })
})
