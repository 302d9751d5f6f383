/**
 * What a fleet promises, whatever happens to it: each broken promise is a line.
 * What cannot be kept is said here too, with the reason.
 */
import type { Fault, Scenario } from "./Scenario.js"
import * as Scenarios from "./Scenario.js"
import type { Failure, Report } from "./Simulation.js"

interface Span {
  readonly from: number
  readonly to: number
}

const overlaps = (a: Span, b: Span) => a.from <= b.to && b.from <= a.to

const spanOf = (fault: Fault): Span => ({ from: fault.at, to: fault.at + ("for" in fault ? fault.for : 0) })

const of = <Kind extends Fault["kind"]>(faults: ReadonlyArray<Fault>, kind: Kind) =>
  faults.filter((fault): fault is Extract<Fault, { readonly kind: Kind }> => fault.kind === kind)

/** A timer is set when the clock shows a later time than the wait began at. */
const promptness = 50

/** After the endpoint is back: the longest pace, its one and a half, and the longest cool-down. */
const recovery = 5_000 * 1.5 + 5_000

/**
 * Times in which a call may fail although its API is good. No token can be had
 * while the endpoint is away. A revocation may hit the old token and the next,
 * which is on its way; then whoever shows that one first replaces it.
 */
const excuses = (scenario: Scenario): ReadonlyArray<Span> => {
  const { endpoint, faults, interval } = scenario
  return [
    ...of(faults, "endpoint").map((fault) => ({ from: fault.at, to: spanOf(fault).to + endpoint.timeout + recovery })),
    ...of(faults, "revoke").map(({ at }) => ({ from: at, to: at + 2 * (slowest(scenario) + interval) }))
  ]
}

/** From the request of a token to its answer. */
const slowest = ({ endpoint, faults }: Scenario) =>
  endpoint.latency[1] + Math.max(0, ...of(faults, "slow").map(({ delay }) => delay)) + promptness

/**
 * A write that comes late makes its entry outlive the token by as much. A server
 * that gives away what little remains of a token may see it end on its way.
 */
const lateness = (scenario: Scenario) => {
  const { endpoint, faults, store } = scenario
  return store.latency[1] +
    (of(faults, "late").length > 0 ? store.lateness[1] : 0) +
    (endpoint.issue === "same" ? slowest(scenario) : 0)
}

/** A fleet whose endpoint is away tries by the default Schedule, and after that every 5 s; a fifth is jitter. */
const attemptsOfFleet = (millis: number) => 6 + Math.ceil(millis / 4_000)

/** A process that is alone fails in the end, and begins again after a second. */
const attemptsAlone = (millis: number) => 6 + Math.ceil(millis / 1_000)

/** A definite answer is each process's own: one for its callers, one ahead of expiry. */
const denials = 2

/** Renewals for an origin that refuses are paused for 1 s, doubled each time. */
const pausesWithin = (millis: number) => 2 + Math.ceil(Math.log2(1 + millis / 1_000))

/** A server that keeps to its token is asked again at half of what remains, down to a second or so. */
const halvings = 3

/** A store that failed is left alone for so long. */
const storeCooldown = 5_000

/** A renewal comes no earlier than after this share of a lifetime. */
const quietShare = 0.75

/**
 * How many token requests a history may cost. Each renewal that is due costs one,
 * or some more if the server keeps to its token. Beyond that, for each scope:
 *
 * - a holder that crashes, stalls or loses its lease with the store's memory may
 *   have asked in vain, and so may one whose token is revoked on its way: one each;
 * - an endpoint that is away is asked by the pace of the fleet, as if by one, but
 *   every process learns for itself that it is denied;
 * - an origin that refuses costs a request for each pause;
 * - without its store each process pays all of this for itself.
 */
export const requestBound = (scenario: Scenario, report: Report): number => {
  const { endpoint, faults, processes, targets } = scenario
  const scopes = new Set(targets.map(({ scope }) => scope)).size
  const perRenewal = endpoint.issue === "same" ? halvings : 1

  /** What a fault costs the fleet, or a process that is alone. */
  const cost = (fault: Fault, isAlone: boolean): number => {
    switch (fault.kind) {
      case "crash":
      case "stall":
      case "revoke":
      case "failover":
        return perRenewal
      case "endpoint":
        if (isAlone) return attemptsAlone(fault.for + endpoint.timeout)
        return fault.condition === "denies" ? processes * denials : attemptsOfFleet(fault.for)
      case "refuse":
        return pausesWithin(fault.for)
      case "join":
      case "late":
      case "notices":
      case "slow":
      case "store":
        return 0
    }
  }

  /** What a process may ask for by itself while its store is away. */
  const alone = (fault: Fault): number => {
    const span = { from: fault.at, to: spanOf(fault).to + storeCooldown }
    const renewals = 1 + Math.floor((span.to - span.from) / (quietShare * endpoint.lifetime))
    return renewals * perRenewal +
      sum(faults.filter((other) => overlaps(spanOf(other), span)), (other) => cost(other, true))
  }

  const away = sum(of(faults, "store"), (fault) => (fault.who === "one" ? 1 : processes) * alone(fault))
  const late = report.storeDisturbances * Math.max(0, ...of(faults, "late").map(alone))
  const extra = sum(faults, (fault) => cost(fault, false)) + away + late
  return report.renewalsDue * perRenewal + scopes * extra
}

const sum = <A>(items: ReadonlyArray<A>, value: (item: A) => number) =>
  items.reduce((sum, item) => sum + value(item), 0)

const isExcused = (failure: Failure, spans: ReadonlyArray<Span>) =>
  spans.some((span) => overlaps({ from: failure.startedAt, to: failure.endedAt }, span))

/** The promises that this run broke. */
export const broken = (scenario: Scenario, report: Report): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { maxWait } = scenario.provider
  const mixed = (report.answers.get("mixed") ?? 0) + (report.answers.get("unknown") ?? 0)
  if (mixed > 0) problems.push(`scopes mixed: ${mixed} requests carried a token of another scope`)
  if (report.longestWait > maxWait + promptness) problems.push(`wait: somebody waited ${report.longestWait} ms`)
  if (report.unanswered > 0) problems.push(`wait: ${report.unanswered} calls never ended`)
  if (report.latestHandout > lateness(scenario)) {
    problems.push(`dead token: handed out ${report.latestHandout} ms after its end`)
  }
  const spans = excuses(scenario)
  const failed = report.failures.filter((failure) => failure.origin === Scenarios.good && !isExcused(failure, spans))
  if (failed.length > 0) {
    const [{ endedAt, outcome, startedAt }] = failed
    problems.push(`good API: ${failed.length} calls without a 200, the first ${outcome}, ${startedAt}-${endedAt} ms`)
  }
  for (const [scope, count] of Object.entries(report.tokensAtEnd)) {
    if (count !== 1) problems.push(`convergence: ${count} tokens of scope ${scope} at the end`)
  }
  if (report.blindWrites > 0) problems.push(`going backwards: ${report.blindWrites} writes replaced an unseen entry`)
  const bound = requestBound(scenario, report)
  if (report.tokenRequests > bound) problems.push(`requests: ${report.tokenRequests}, at most ${bound} are needed`)
  return problems
}
