/** The situations by which the fleet's protocol was chosen, and what each of them may cost. */
import * as ModelEndpoint from "./ModelEndpoint.js"
import type { Fault, Scenario } from "./Scenario.js"
import { bad, defaults, good } from "./Scenario.js"
import type { Report } from "./Simulation.js"

export interface Measure {
  readonly name: string
  readonly of: (report: Report) => number
  /** On average over some seeds. */
  readonly atMost: number
}

export interface Situation {
  readonly name: string
  /** The sizes of fleet that it is measured with. */
  readonly fleets: ReadonlyArray<number>
  readonly scenario: Scenario
  /** What the first thing that comes to mind costs, and what was measured when the protocol was chosen. */
  readonly plain: string
  readonly chosen: string
  readonly measures: ReadonlyArray<Measure>
}

interface Changes extends Omit<Partial<Scenario>, "endpoint" | "store"> {
  readonly endpoint?: Partial<Scenario["endpoint"]>
  readonly store?: Partial<Scenario["store"]>
}

const scenario = ({ endpoint, store, ...changes }: Changes): Scenario => ({
  ...defaults,
  ...changes,
  endpoint: { ...defaults.endpoint, ...endpoint },
  store: { ...defaults.store, ...store }
})

const seconds = (n: number) => n * 1_000

const sizes = [8, 50]

const requests = (atMost: number): Measure => ({
  name: "requests",
  of: ({ tokenRequests }) => tokenRequests,
  atMost
})

const failedGood = (atMost: number): Measure => ({
  name: "failed calls",
  of: ({ failures }) => failures.filter(({ origin }) => origin === good).length,
  atMost
})

const answered401 = (report: Report) =>
  Array.from(report.answers).reduce((sum, [verdict, count]) => verdict === "accepted" ? sum : sum + count, 0)

/** Everybody needs a first token at once. */
const cold: Changes = { startWithin: 0, duration: seconds(30), interval: 1_000 }

const lockOuts: Measure = { name: "lock-outs", of: ({ isLockedOut }) => Number(isLockedOut), atMost: 0 }

/** Tokens of 20 seconds that are asked for with refresh tokens, and what may happen to the store. */
const refreshing = (grace: number, faults: ReadonlyArray<Fault>): Scenario =>
  scenario({
    skew: seconds(30),
    interval: 1_000,
    endpoint: { lifetime: seconds(20), refresh: { grace } },
    duration: seconds(150),
    faults: [
      { at: seconds(30), kind: "revoke" },
      { at: seconds(50), kind: "store", condition: "fails", who: "all", for: seconds(15) },
      { at: seconds(90), kind: "store", condition: "hangs", who: "one", for: seconds(20) },
      ...faults
    ]
  })

const revocations = [10, 20, 30, 40, 50]

const scope = ModelEndpoint.defaultScope

const halfRefused: Changes = {
  targets: [{ origin: good, scope }, { origin: bad, scope }],
  interval: 1_000,
  duration: seconds(160),
  faults: [{ at: 0, kind: "refuse", origin: bad, for: seconds(160) }]
}

const endpointAway = (at: number, condition: ModelEndpoint.Condition, duration: number): Fault => ({
  at: seconds(at),
  kind: "endpoint",
  condition,
  for: seconds(duration)
})

export const situations: ReadonlyArray<Situation> = [
  {
    name: "clocks apart: requests per revocation",
    fleets: sizes,
    scenario: scenario({
      skew: seconds(30),
      faults: revocations.map((at) => ({ at: seconds(at), kind: "revoke" }))
    }),
    plain: "1.67-1.92",
    chosen: "1.00",
    measures: [{
      name: "requests",
      of: ({ tokenRequests }) => (tokenRequests - 1) / revocations.length,
      atMost: 1.05
    }]
  },
  {
    name: "clocks apart, 20 s tokens",
    fleets: sizes,
    scenario: scenario({
      skew: seconds(30),
      endpoint: { lifetime: seconds(20) },
      duration: seconds(200),
      interval: 1_000
    }),
    plain: "13-16; 1.2-1.9",
    chosen: "0; 1.04",
    measures: [
      { name: "wrong 401s", of: answered401, atMost: 0 },
      {
        name: "requests per renewal",
        of: ({ renewalsDue, tokenRequests }) => tokenRequests / renewalsDue,
        atMost: 1.1
      }
    ]
  },
  {
    name: "cold, the holder crashes in mid-request",
    fleets: sizes,
    scenario: scenario({
      ...cold,
      endpoint: { latency: [400, 1_200] },
      faults: [{ at: 0, kind: "crash", who: "asking" }]
    }),
    plain: "38",
    chosen: "1.5",
    measures: [requests(2.1)]
  },
  {
    name: "cold, endpoint answers 503 for 20 s",
    fleets: sizes,
    scenario: scenario({ ...cold, faults: [endpointAway(0, "refuses", 20)] }),
    plain: "608",
    chosen: "10",
    measures: [requests(12)]
  },
  {
    name: "cold, endpoint hangs for 20 s",
    fleets: sizes,
    scenario: scenario({ ...cold, endpoint: { timeout: seconds(5) }, faults: [endpointAway(0, "hangs", 20)] }),
    plain: "250",
    chosen: "5",
    measures: [requests(6)]
  },
  {
    name: "cold, the first answer takes 4 s",
    fleets: sizes,
    scenario: scenario({ ...cold, faults: [{ at: 0, kind: "slow", delay: seconds(4), for: seconds(4) }] }),
    plain: "46",
    chosen: "1",
    measures: [requests(1)]
  },
  {
    name: "endpoint that returns the same token inside the refresh window: requests per renewal",
    fleets: sizes,
    scenario: scenario({
      endpoint: { issue: "same", lifetime: seconds(100), renewsWithin: seconds(5) },
      duration: seconds(110),
      interval: 1_000
    }),
    plain: "63-75",
    chosen: "3",
    measures: [{ name: "requests", of: ({ tokenRequests }) => tokenRequests - 1, atMost: 4 }]
  },
  {
    name: "one API rejects everything, another with the same token is fine",
    fleets: [20],
    scenario: scenario(halfRefused),
    plain: "537-653; 28",
    chosen: "13; 0",
    measures: [requests(15), failedGood(0)]
  },
  {
    name: "the same, with an endpoint that returns the same token",
    fleets: [20],
    scenario: scenario({ ...halfRefused, endpoint: { issue: "same" } }),
    plain: "1,752 of 1,763",
    chosen: "0",
    measures: [failedGood(0)]
  },
  {
    name: "the same, with the endpoint down for 30 s",
    fleets: [20],
    scenario: scenario({ ...halfRefused, faults: [...halfRefused.faults ?? [], endpointAway(60, "refuses", 30)] }),
    plain: "376-1,130",
    chosen: "0",
    measures: [failedGood(0)]
  },
  {
    name: "server that keeps one active token for each client",
    fleets: sizes,
    scenario: scenario({ endpoint: { issue: "single", lifetime: seconds(60) }, duration: seconds(200) }),
    plain: "-",
    chosen: "-",
    measures: [
      {
        name: "requests per renewal",
        of: ({ renewalsDue, tokenRequests }) => tokenRequests / renewalsDue,
        atMost: 1
      },
      failedGood(0)
    ]
  },
  {
    name: "tokens bound to a process that the key does not know of, of some 4,800 calls",
    fleets: [20],
    scenario: scenario({ endpoint: { issue: "bound", lifetime: seconds(60) }, duration: seconds(120) }),
    plain: "3,414",
    chosen: "35",
    measures: [failedGood(60)]
  },
  {
    name: "outage that ends near expiry",
    fleets: sizes,
    scenario: scenario({
      endpoint: { lifetime: seconds(60) },
      duration: seconds(90),
      faults: [endpointAway(40, "refuses", 18)]
    }),
    plain: "78-111",
    chosen: "0",
    measures: [failedGood(0)]
  },
  {
    name: "rotating refresh tokens, the store away, a server without grace",
    fleets: sizes,
    scenario: refreshing(0, []),
    plain: "-",
    chosen: "-",
    measures: [
      lockOuts,
      { name: "used twice", of: ({ refreshTokensReused }) => refreshTokensReused, atMost: 0 }
    ]
  },
  {
    name: "the same, with holders that crash in mid-request and a store that forgets, 60 s of grace",
    fleets: sizes,
    scenario: refreshing(seconds(60), [
      { at: seconds(15), kind: "crash", who: "asking" },
      { at: seconds(70), kind: "crash", who: "asking" },
      { at: seconds(120), kind: "crash", who: "asking" },
      { at: seconds(100), kind: "failover", lost: seconds(5) }
    ]),
    plain: "-",
    chosen: "-",
    measures: [lockOuts]
  },
  {
    name: "all change notices lost",
    fleets: sizes,
    scenario: scenario({
      store: { noticeLoss: 1 },
      endpoint: { lifetime: seconds(30) },
      duration: seconds(200),
      interval: 1_000
    }),
    plain: "-",
    chosen: "0; 0",
    measures: [
      { name: "extra requests", of: ({ renewalsDue, tokenRequests }) => tokenRequests - renewalsDue, atMost: 0 },
      { name: "401s", of: answered401, atMost: 0 }
    ]
  }
]
