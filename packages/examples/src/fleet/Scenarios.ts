/** What the fleet protocol promises, put to the test. Each scenario has a server of its own, and so tokens of its own. */
import { Clock, Context, Duration, Effect, Option, Schedule } from "effect"
import type { Scope } from "effect"
import * as SharedStore from "../SharedStore.js"
import * as Finding from "./Finding.js"
import type { Fleet } from "./Fleet.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Outcome from "./Outcome.js"
import type { Client, Pattern } from "./Traffic.js"

/** What all scenarios are played on. */
export class Stage extends Context.Tag("@effect-alf/examples/fleet/Scenarios/Stage")<
  Stage,
  { readonly fleet: Fleet; readonly store: SharedStore.Name; readonly server: SharedStore.Running }
>() {}

export interface Scenario {
  readonly title: string
  /** A machine that stood still for longer (ms) has broken what a promise about time rests on: it is played again. */
  readonly maxPause?: number
  readonly play: Effect.Effect<Played, never, Stage | Scope.Scope>
}

export interface Played {
  readonly findings: ReadonlyArray<Finding.Finding>
  /** The longest call that needed no token (ms). */
  readonly pause: number
  /** What the first call said that failed. */
  readonly failure: string | undefined
}

export const passed = ({ findings }: Played): boolean => findings.every(Finding.holds)

/** The outcomes of all clients, and what they say together. */
interface Cast {
  readonly fleet: Outcome.Outcome
  readonly alone: Outcome.Outcome
  readonly control: Outcome.Outcome
}

const played = ({ control, fleet }: Cast, findings: ReadonlyArray<Finding.Finding>): Played => ({
  findings,
  pause: Outcome.longestCall(control),
  failure: Outcome.firstFailure(fleet)
})

/** Has every process of some clients call until the effect ends. It says from when on what happened counts. */
const perform = Effect.fnUntraced(function*(
  clients: ReadonlyArray<Client>,
  lifetime: Duration.DurationInput,
  pattern: Pattern,
  until: (server: OAuthServer.OAuthServer) => Effect.Effect<number, never, Stage>,
  // The processes of a busy machine may come too late to extend a short one
  lease: Duration.DurationInput = "30 seconds"
): Effect.fn.Return<Cast, never, Stage | Scope.Scope> {
  const { fleet, server: { address }, store } = yield* Stage
  const server = yield* OAuthServer.make({ lifetime })
  const traffic = clients.map((client) => ({
    client,
    url: server.url,
    store,
    address,
    pattern,
    lease: Duration.toMillis(lease)
  }))
  const [since, reports] = yield* fleet.run(traffic, until(server))
  const outcome = (client: Client) => Outcome.make(client, server.seen(client), reports, since)
  return { fleet: outcome("fleet"), alone: outcome("alone"), control: outcome("control") }
})

/** Waits until it is so, or has taken so long that the figures show it. */
const until = (isSo: () => boolean, limit: Duration.DurationInput = "2 minutes") =>
  Effect.sync(isSo).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutOption(limit)
  )

/** Waits until every process of some clients has had a good answer since; gives the time. */
const answered = (server: OAuthServer.OAuthServer, clients: ReadonlyArray<Client>, since = 0) =>
  Effect.flatMap(Stage, ({ fleet }) =>
    until(() =>
      clients.every((client) => {
        const good = server.seen(client).apiRequests.filter(({ at, status }) => at > since && status === 200)
        return new Set(good.map(({ process }) => process)).size === fleet.size()
      })
    )).pipe(Effect.zipRight(Clock.currentTimeMillis))

const fromTheBeginning = () => Effect.succeed(0)

const both: ReadonlyArray<Client> = ["fleet", "alone"]
const everyone: ReadonlyArray<Client> = [...both, "control"]
const load: Pattern = { every: 100 }
const longLife = Duration.hours(1)
/** In which what comes too late, and in vain, is still seen. */
const epilogue = Effect.sleep("500 millis")

const noFailure = (cast: Cast) =>
  Finding.compare("failed calls", cast, Outcome.failedCalls, { limit: Finding.exactly(0) })

const longestCall = (cast: Cast) => Finding.compare("longest call", cast, Outcome.longestCall, { unit: "ms" })

// -----------------------------------------------------------------------------
// scenarios
// -----------------------------------------------------------------------------

/** Processes that have just started read code for longer than a token request takes: that is not what is measured. */
export const rehearsal = perform(both, longLife, { burst: 1 }, fromTheBeginning)

const burst = 25

const start: Scenario = {
  title: `All processes need their first token at once, each for ${burst} calls`,
  play: Effect.map(perform(everyone, longLife, { burst }, fromTheBeginning), (cast) =>
    played(cast, [
      Finding.compare("token requests", cast, Outcome.tokenRequests, { limit: Finding.exactly(1) }),
      noFailure(cast),
      longestCall(cast)
    ]))
}

const expiries = 10
const shortLife = Duration.seconds(4)

/** The token requests of the first renewals, of which each replaces a token of its own. */
const renewals = <A extends { readonly at: number }>(tokenRequests: ReadonlyArray<A>): ReadonlyArray<A> => {
  const starts: Array<number> = []
  return tokenRequests.filter(({ at }) => {
    const start = starts.at(-1)
    if (start === undefined || at > start + Duration.toMillis(shortLife) / 2) starts.push(at)
    return starts.length <= expiries
  })
}

const expiry: Scenario = {
  title: `A token of ${Duration.toSeconds(shortLife)} seconds expires ${expiries} times under load`,
  // The renewal ahead of the expiry begins 0.6 s before it and takes 0.2 s; for its last 0.1 s a token is not used
  maxPause: 300,
  play: Effect.gen(function*() {
    const cast = yield* perform(everyone, shortLife, load, (server) =>
      Effect.gen(function*() {
        const since = yield* answered(server, both)
        const isOver = (client: Client) => {
          const recent = server.seen(client).tokenRequests.filter(({ at }) => at >= since)
          return renewals(recent).length < recent.length
        }
        yield* until(() => both.every(isOver), Duration.times(shortLife, expiries + 1))
        return since
      }))
    return played(cast, [
      Finding.compare("token requests", cast, ({ tokenRequests }) => renewals(tokenRequests).length, {
        limit: Finding.exactly(expiries)
      }),
      Finding.compare("answers 401", cast, Outcome.rejections, { limit: Finding.exactly(0) }),
      noFailure(cast),
      Finding.compare("longest wait for a token", cast, Outcome.longestWait, {
        limit: Finding.atMost(Duration.toMillis(OAuthServer.latency) / 2),
        unit: "ms"
      }),
      longestCall(cast),
      Finding.make("longest call that needs no token", Outcome.longestCall(cast.control), { unit: "ms" })
    ])
  })
}

/** A machine that is slow takes longer for whatever it does in a row: as a call does that needs no token. */
const slower = ({ control }: Cast) => 3 * Outcome.longestCall(control)

/** Without notices each process learns of it when it looks (`TokenProvider` looks every 100 to 300 ms). */
const maxSpread = 300

const revocation: Scenario = {
  title: "The token is revoked under load",
  play: Effect.gen(function*() {
    const { fleet } = yield* Stage
    const cast = yield* perform(everyone, longLife, load, (server) =>
      Effect.gen(function*() {
        yield* answered(server, both)
        yield* epilogue
        const since = yield* Clock.currentTimeMillis
        yield* server.revokeAll
        yield* answered(server, both, since)
        yield* epilogue
        return since
      }))
    const spread = Outcome.spread(fleet.size())
    return played(cast, [
      Finding.compare("token requests", cast, Outcome.tokenRequests, { limit: Finding.exactly(1) }),
      noFailure(cast),
      Finding.compare("from its issue until all use the new token", cast, spread, {
        limit: Finding.atMost(Math.ceil(maxSpread + spread(cast.alone) + slower(cast))),
        unit: "ms"
      }),
      longestCall(cast)
    ])
  })
}

const requests = 10_000

/** What a store was asked since; a connection that listens asks whether it still does. */
const between = (before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) => {
  let sent = 0
  let pings: number | undefined
  for (const [name, calls] of after) {
    const more = calls - (before.get(name) ?? 0)
    if (name === "ping") pings = more
    else sent += more
  }
  return { sent, pings }
}

const steady: Scenario = {
  title: `${requests.toLocaleString("en")} requests within the life of a token`,
  play: Effect.gen(function*() {
    const { server, store } = yield* Stage
    const commands = Effect.orDie(Effect.transposeOption(Option.fromNullable(server.commands)))
    let answers = 0
    let sent: number | undefined
    let pings: number | undefined
    const cast = yield* perform(["fleet"], longLife, { callers: 4 }, (server) =>
      Effect.gen(function*() {
        yield* answered(server, ["fleet"])
        yield* epilogue
        const { apiRequests } = server.seen("fleet")
        const before = yield* commands
        const first = apiRequests.length
        const since = yield* Clock.currentTimeMillis
        yield* until(() => apiRequests.length >= first + requests, "5 minutes")
        answers = apiRequests.length - first
        const after = yield* commands
        if (Option.isSome(before) && Option.isSome(after)) ({ pings, sent } = between(before.value, after.value))
        return since
      }))
    return played(cast, [
      Finding.make("requests", answers, { limit: Finding.atLeast(requests) }),
      ...(sent === undefined
        ? []
        : [Finding.make(`${SharedStore.all[store].title} commands for them`, sent, { limit: Finding.exactly(0) })]),
      ...(pings === undefined ? [] : [Finding.make("pings of the connections that listen", pings)]),
      Finding.make("failed calls", Outcome.failedCalls(cast.fleet), { limit: Finding.exactly(0) })
    ])
  })
}

/** TokenProvider's default `leaseDuration`. */
const lease = Duration.seconds(3)
/** For the next look at the store, the token request and the calls. */
const afterLease = Duration.seconds(1)

const crash: Scenario = {
  title: "The process that asks for the token is killed while it asks",
  play: Effect.gen(function*() {
    const { fleet } = yield* Stage
    const others = fleet.size() - 1
    const cast = yield* perform(everyone, longLife, { burst }, (server) =>
      Effect.gen(function*() {
        const { tokenRequests } = server.seen("fleet")
        yield* until(() => tokenRequests.length > 0)
        yield* Effect.sleep(Duration.times(OAuthServer.latency, 0.5))
        for (const { process } of tokenRequests.slice(0, 1)) yield* fleet.kill(process)
        return 0
      }), lease)
    return played(cast, [
      Finding.compare("token requests", cast, Outcome.tokenRequests, { limit: Finding.atMost(2) }),
      Finding.compare("calls of the others that were served", cast, Outcome.servedCalls, {
        limit: Finding.exactly(burst * others)
      }),
      Finding.compare("longest call", cast, Outcome.longestCall, {
        limit: Finding.atMost(Math.ceil(Duration.toMillis(Duration.sum(lease, afterLease)) + slower(cast))),
        unit: "ms"
      })
    ])
  })
}

/** By name, in the order in which they are played: the last one costs processes. */
export const all: Readonly<Record<string, Scenario>> = { start, expiry, revocation, steady, crash }
