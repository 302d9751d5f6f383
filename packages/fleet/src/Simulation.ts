/** Plays a scenario in virtual time and tells what came of it. The same seed gives the same report. */
import { Cause, Effect, Either, ExecutionStrategy, Exit, FiberRef, LogLevel, Option, Scope } from "effect"
import { Dice } from "./Dice.js"
import * as Machine from "./Machine.js"
import * as ModelApi from "./ModelApi.js"
import * as ModelEndpoint from "./ModelEndpoint.js"
import * as ModelStore from "./ModelStore.js"
import * as Process from "./Process.js"
import type * as Scenario from "./Scenario.js"
import * as VirtualClock from "./VirtualClock.js"

/** A call that did not get its 200. */
export interface Failure {
  readonly origin: string
  readonly scope: string
  readonly startedAt: number
  readonly endedAt: number
  readonly outcome: "rejected" | "failed"
}

export interface Report {
  /** Token requests that arrived, those included that failed. */
  readonly tokenRequests: number
  readonly requestsByScope: Readonly<Record<string, number>>
  /** Tokens that had to be issued: the one before was revoked, over, or within its window of renewal. */
  readonly renewalsDue: number
  readonly tokensIssued: number
  readonly answers: ReadonlyMap<ModelApi.Verdict, number>
  readonly calls: number
  readonly failures: ReadonlyArray<Failure>
  /** Calls that had no end long after the traffic had. */
  readonly unanswered: number
  readonly longestWait: number
  /** By how much a token was handed out after its end at most. */
  readonly latestHandout: number
  /** The fewest different tokens of a scope that were in use at one moment of the last lifetime; 0 for none ever. */
  readonly tokensAtEnd: Readonly<Record<string, number>>
  readonly storeCommands: number
  readonly storeDisturbances: number
  /** Writes that replaced what their writer had not seen. */
  readonly blindWrites: number
  readonly crashes: number
  /** Uses of a refresh token that was used before. */
  readonly refreshTokensReused: number
  /** Whether the server has ended them all, and with them the fleet. */
  readonly isLockedOut: boolean
}

/** How often it is looked, in the last lifetime, which tokens are in use. */
const looks = 40

/** A crash in mid-request waits for one so long, looking so often (ms). */
const patience = 10_000
const lookEvery = 5

const simulate = (scenario: Scenario.Scenario, seed: number, time: VirtualClock.VirtualClock) =>
  Effect.gen(function*() {
    const dice = new Dice(seed)
    const store = ModelStore.make(time, dice.split(), scenario.store)
    const endpoint = ModelEndpoint.make(time, dice.split(), scenario.endpoint)
    const api = ModelApi.make(time, dice.split(), endpoint, { latency: scenario.apiLatency })
    const world: Process.World = { time, store, endpoint, api }
    const records: Process.Records = { calls: [], longestWait: 0, latestHandout: Number.NEGATIVE_INFINITY }
    const machines: Array<Machine.Machine> = []
    const scopes = Array.from(new Set(scenario.targets.map(({ scope }) => scope)))
    const scope = yield* Scope.make(ExecutionStrategy.parallel)
    let crashes = 0

    const launch = Effect.fnUntraced(function*(delay: number) {
      const machine = Machine.make({
        id: machines.length,
        time,
        skew: dice.within([-scenario.skew, scenario.skew]),
        dice: dice.split()
      })
      machines.push(machine)
      const { duration: until, interval, provider, targets } = scenario
      yield* Process.start(machine, world, dice.split(), records, { provider, interval, targets, until })
        .pipe(Effect.delay(delay), Scope.extend(scope), Effect.forkIn(scope))
    })

    const living = () => machines.filter((machine) => machine.isAlive())

    const kill = (machine: Machine.Machine) => {
      // Somebody must be left
      if (!machine.isAlive() || living().length === 1) return
      machine.kill()
      crashes++
    }

    const crashAsking = (dice: Dice, until: number) => {
      const [victim] = Array.from(endpoint.asking).filter((machine) => machine.isAlive())
      if (victim !== undefined) {
        time.schedule(dice.within(scenario.endpoint.latency), () => kill(victim))
      } else if (time.elapsed() < until) {
        time.schedule(lookEvery, () => crashAsking(dice, until))
      }
    }

    /** Begins the fault; what it brings is what ends it. */
    const begin = (fault: Scenario.Fault, dice: Dice): (() => void) | undefined => {
      switch (fault.kind) {
        case "crash":
          if (fault.who === "any") kill(dice.pick(living()))
          else crashAsking(dice, time.elapsed() + patience)
          return
        case "join":
          return
        case "stall":
          dice.pick(living()).stall(fault.for)
          return
        case "revoke":
          endpoint.revokeAll()
          return
        case "endpoint":
          endpoint.setCondition(fault.condition)
          return () => endpoint.setCondition("works")
        case "slow":
          endpoint.setDelay(fault.delay)
          return () => endpoint.setDelay(0)
        case "store": {
          const machine = fault.who === "one" ? dice.pick(living()) : undefined
          store.setCondition(fault.condition, machine)
          return () => store.setCondition("works", machine)
        }
        case "notices":
          store.setNoticeLoss(fault.loss)
          return () => store.setNoticeLoss(scenario.store.noticeLoss)
        case "late":
          store.setLateRate(fault.rate)
          return () => store.setLateRate(0)
        case "failover":
          store.failOver(fault.lost)
          return
        case "refuse":
          api.setRefusing(fault.origin, true)
          return () => api.setRefusing(fault.origin, false)
      }
    }

    for (let i = 0; i < scenario.processes; i++) yield* launch(dice.within([0, scenario.startWithin]))
    const tokensAtEnd = new Map(scopes.map((scope) => [scope, 0]))
    const { duration, endpoint: { lifetime }, provider: { maxWait } } = scenario
    const lookFrom = Math.max(0, duration - lifetime)
    for (let i = 1; i <= looks; i++) {
      time.schedule(lookFrom + (duration - lookFrom) * i / looks, () => {
        for (const scope of scopes) {
          const { size } = api.inUse(scope, living())
          if (size > 0) tokensAtEnd.set(scope, Math.min(size, tokensAtEnd.get(scope) || size))
        }
      })
    }
    for (const fault of [...scenario.faults].sort((a, b) => a.at - b.at)) {
      yield* Effect.sleep(fault.at - time.elapsed())
      const end = begin(fault, dice.split())
      if (end !== undefined && "for" in fault) time.schedule(fault.for, end)
      if (fault.kind === "join") yield* launch(0)
    }
    // A call waits for the provider twice at most
    yield* Effect.sleep(duration - time.elapsed() + 2 * maxWait + 2_000)
    const calls = records.calls.filter(({ machine }) => machine.isAlive())
    const report: Report = {
      tokenRequests: endpoint.arrivals.length,
      requestsByScope: Object.fromEntries(
        scopes.map((scope) => [scope, endpoint.arrivals.filter((arrival) => arrival.scope === scope).length])
      ),
      renewalsDue: renewalsDue(endpoint.issued, scenario),
      tokensIssued: endpoint.issued.length,
      answers: new Map(api.counts),
      calls: calls.length,
      failures: calls.flatMap(toFailure),
      unanswered: calls.filter(({ outcome }) => outcome === undefined).length,
      longestWait: records.longestWait,
      latestHandout: records.latestHandout,
      tokensAtEnd: Object.fromEntries(tokensAtEnd),
      storeCommands: store.commands(),
      storeDisturbances: store.disturbances(),
      blindWrites: store.blindWrites(),
      crashes,
      refreshTokensReused: endpoint.refreshTokens?.reuses() ?? 0,
      isLockedOut: endpoint.refreshTokens?.isLockedOut() ?? false
    }
    // In parallel, as a process that is dead does not end; what is left of it then is forgotten
    yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
    yield* Effect.sleep("1 second")
    return report
  }).pipe(
    Effect.locally(FiberRef.currentMinimumLogLevel, LogLevel.None),
    Effect.locally(FiberRef.unhandledErrorLogLevel, Option.none()),
    Effect.withTracerEnabled(false)
  )

const toFailure = ({ endedAt, outcome, startedAt, target }: Process.Call): ReadonlyArray<Failure> =>
  endedAt === undefined || outcome === undefined || outcome === "accepted"
    ? []
    : [{ ...target, startedAt, endedAt, outcome }]

/**
 * How early a background renewal may come (rule 3): in the last fifth of a lifetime, or as early as the slowest token
 * request makes a process expect, at most a half. With a little for the way of the request.
 */
const refreshWindow = (lifetime: number, { endpoint, faults }: Scenario.Scenario): number => {
  const slowest = endpoint.latency[1] + Math.max(0, ...faults.map((fault) => fault.kind === "slow" ? fault.delay : 0))
  const expected = lifetime * 0.1 + 1.25 * Math.max(lifetime * 0.05, 1.5 * slowest)
  return Math.max(lifetime * 0.2, Math.min(lifetime * 0.5, expected)) + requestTime
}

const requestTime = 1_000

const renewalsDue = (issued: ReadonlyArray<ModelEndpoint.Issued>, scenario: Scenario.Scenario): number => {
  const current = new Map<string, ModelEndpoint.Issued>()
  let due = 0
  for (const token of issued) {
    const last = current.get(token.scope)
    const isDue = last === undefined ||
      (last.revokedAt !== undefined && last.revokedAt <= token.issuedAt) ||
      last.endsAt - token.issuedAt <= refreshWindow(last.endsAt - last.issuedAt, scenario)
    if (!isDue) continue
    due++
    current.set(token.scope, token)
  }
  return due
}

/** Runs a scenario to its end. */
export const run = (scenario: Scenario.Scenario, seed: number): Report => {
  const time = new VirtualClock.VirtualClock()
  return VirtualClock.run(simulate(scenario, seed, time), time).pipe(
    Either.getOrThrowWith(() => new Error("everybody waits and nobody sleeps")),
    Exit.getOrElse((cause) => {
      throw Cause.squash(cause)
    })
  )
}
