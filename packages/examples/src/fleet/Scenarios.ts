/** What the fleet protocol promises, put to the test. Each scenario has a server of its own, and so tokens of its own. */
import type { RedisServer } from "@effect-alf/redis-server"
import { Clock, Context, Duration, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { Redis } from "ioredis"
import type { Fleet } from "./Fleet.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Outcome from "./Outcome.js"
import type { Client, Pattern } from "./Traffic.js"

/** What all scenarios are played on. */
export class Stage extends Context.Tag("@effect-alf/examples/fleet/Stage")<
  Stage,
  { readonly fleet: Fleet; readonly redis: RedisServer }
>() {}

/** What was measured, beside what it should be. */
export interface Finding {
  readonly what: string
  readonly unit: string
  /** Where it is missing, nothing is judged. */
  readonly limit: Limit | undefined
  readonly fleet: number
  /** The same without leases, which is shown and not judged. */
  readonly alone: number | undefined
}

export interface Limit {
  readonly text: string
  readonly holds: (value: number) => boolean
}

export interface Scenario {
  readonly title: string
  readonly play: Effect.Effect<ReadonlyArray<Finding>, never, Stage | Scope.Scope>
}

const exactly = (n: number): Limit => ({ text: `${n}`, holds: (value) => value === n })

const atMost = (n: number): Limit => ({ text: `≤ ${n}`, holds: (value) => value <= n })

interface Cast {
  readonly fleet: Outcome.Outcome
  readonly alone: Outcome.Outcome
  readonly control: Outcome.Outcome
}

const finding = (
  what: string,
  limit: Limit | undefined,
  { alone, fleet }: Cast,
  measure: (outcome: Outcome.Outcome) => number,
  unit = ""
): Finding => ({ what, unit, limit, fleet: measure(fleet), alone: measure(alone) })

const noFailure = (cast: Cast) => finding("failed calls", exactly(0), cast, Outcome.failedCalls)

const longestCall = (cast: Cast) => finding("longest call", undefined, cast, Outcome.longestCall, "ms")

/** Has every process of some clients call until the effect ends. It says from when on what happened counts. */
const perform = Effect.fnUntraced(function*(
  clients: ReadonlyArray<Client>,
  lifetime: Duration.DurationInput,
  pattern: Pattern,
  until: (server: OAuthServer.OAuthServer) => Effect.Effect<number, never, Stage>
) {
  const { fleet, redis } = yield* Stage
  const server = yield* OAuthServer.make({ lifetime })
  const traffic = clients.map((client) => ({ client, url: server.url, redisUrl: redis.url, pattern }))
  const [since, reports] = yield* fleet.run(traffic, until(server))
  const outcome = (client: Client) => Outcome.make(client, server.seen(client), reports, since)
  return { fleet: outcome("fleet"), alone: outcome("alone"), control: outcome("control") }
})

/** Waits until it is so, or has taken so long that the figures show it. */
const until = (isSo: () => boolean, limit: Duration.DurationInput = "10 seconds") =>
  Effect.sync(isSo).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutOption(limit)
  )

/** Waits until every process of some clients has had a good answer since; gives the time. */
const answered = (server: OAuthServer.OAuthServer, clients: ReadonlyArray<Client>, since = 0) =>
  Effect.flatMap(Stage, ({ fleet }) =>
    until(() =>
      clients.every((client) => {
        const good = server.seen(client).apiRequests.filter(({ at, status }) => at >= since && status === 200)
        return new Set(good.map(({ process }) => process)).size === fleet.size
      })
    )).pipe(Effect.zipRight(Clock.currentTimeMillis))

const both: ReadonlyArray<Client> = ["fleet", "alone"]
const steady: Pattern = { every: 50 }
const longLife = Duration.hours(1)
/** In which what comes too late, and in vain, is still seen. */
const epilogue = Effect.sleep("500 millis")

// -----------------------------------------------------------------------------
// scenarios
// -----------------------------------------------------------------------------

/** Processes that have just started read code for longer than a token request takes: that is not what is measured. */
export const rehearsal = perform(both, longLife, { burst: 1 }, () => Effect.succeed(0))

const burst = 25

const coldStart: Scenario = {
  title: `All start at once, each with ${burst} calls`,
  play: Effect.map(
    perform(both, longLife, { burst }, () => Effect.succeed(0)),
    (cast) => [
      finding("token requests", exactly(1), cast, Outcome.tokenRequests),
      noFailure(cast),
      longestCall(cast)
    ]
  )
}

const expiries = 10
const shortLife = Duration.seconds(3)

/** The token requests of the first renewals, of which each replaces a token of its own. */
const ofExpiries = ({ tokenRequests }: OAuthServer.Seen): ReadonlyArray<OAuthServer.TokenRequest> => {
  const halfLife = Duration.toMillis(shortLife) / 2
  const starts: Array<number> = []
  return tokenRequests.filter(({ at }) => {
    const start = starts.at(-1)
    if (start === undefined || at > start + halfLife) starts.push(at)
    return starts.length <= expiries
  })
}

const expiry: Scenario = {
  title: `A token of ${Duration.format(shortLife)} expires ${expiries} times under load`,
  play: Effect.map(
    perform([...both, "control"], shortLife, steady, (server) =>
      Effect.gen(function*() {
        const since = yield* answered(server, both)
        const end = since + Duration.toMillis(shortLife) * expiries
        yield* until(() =>
          both.every((client) => {
            const renewals = server.seen(client).tokenRequests.filter(({ at }) => at >= since)
            return ofExpiries({ tokenRequests: renewals, apiRequests: [] }).length < renewals.length
          }), Duration.millis(end - since))
        return since
      })),
    (cast) => {
      const { length } = cast.control.calls
      return [
        finding("token requests", exactly(expiries), cast, (outcome) => ofExpiries(outcome).length),
        finding("answers 401", exactly(0), cast, Outcome.rejections),
        noFailure(cast),
        finding(
          "longest wait for a token",
          atMost(Duration.toMillis(OAuthServer.latency) / 2),
          cast,
          Outcome.longestWait,
          "ms"
        ),
        longestCall(cast),
        {
          what: `longest of ${length} calls that need no token`,
          unit: "ms",
          limit: undefined,
          fleet: Outcome.longestCall(cast.control),
          alone: undefined
        }
      ]
    }
  )
}

const revocation: Scenario = {
  title: "The token is revoked under load",
  play: Effect.gen(function*() {
    const { fleet } = yield* Stage
    const cast = yield* perform(both, longLife, steady, (server) =>
      Effect.gen(function*() {
        yield* answered(server, both)
        yield* Effect.sleep("200 millis")
        const since = yield* Clock.currentTimeMillis
        yield* server.revokeAll
        yield* answered(server, both, since)
        yield* epilogue
        return since
      }))
    return [
      finding("token requests", exactly(1), cast, Outcome.tokenRequests),
      noFailure(cast),
      finding("from its issue until all have the new token", atMost(250), cast, Outcome.spread(fleet.size), "ms"),
      longestCall(cast)
    ]
  })
}

const requests = 10_000
const heartbeat = "ping"

/** How often each command was called so far, those of this question aside. */
const commands = (client: Redis) =>
  Effect.map(Effect.promise(() => client.info("commandstats")), (text) =>
    new Map(
      Array.from(text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm), ([, name, calls]) => [name, Number(calls)] as const)
        .filter(([name]) => name !== "info")
    ))

const quiet: Scenario = {
  title: `${requests.toLocaleString("en")} requests while the token lives`,
  play: Effect.gen(function*() {
    const { redis } = yield* Stage
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new Redis(redis.url)),
      (client) => Effect.sync(() => client.disconnect())
    )
    let sent = new Map<string, number>()
    let answers = 0
    const cast = yield* perform(["fleet"], longLife, { callers: 4 }, (server) =>
      Effect.gen(function*() {
        yield* answered(server, ["fleet"])
        yield* epilogue
        const { apiRequests } = server.seen("fleet")
        const before = yield* commands(client)
        const first = apiRequests.length
        const since = yield* Clock.currentTimeMillis
        yield* until(() => apiRequests.length >= first + requests, "30 seconds")
        answers = apiRequests.length - first
        sent = new Map(Array.from(yield* commands(client), ([name, calls]) => [name, calls - (before.get(name) ?? 0)]))
        return since
      }))
    const alone = undefined
    const total = Array.from(sent.values()).reduce((a, b) => a + b, 0)
    const beats = sent.get(heartbeat) ?? 0
    return [
      {
        what: "requests",
        unit: "",
        limit: { text: `≥ ${requests}`, holds: (n) => n >= requests },
        fleet: answers,
        alone
      },
      { what: "Redis commands for them", unit: "", limit: exactly(0), fleet: total - beats, alone },
      { what: "pings of those who listen for notices", unit: "", limit: undefined, fleet: beats, alone },
      { ...noFailure(cast), alone }
    ]
  })
}

/** TokenProvider's default `leaseDuration`. */
const lease = Duration.seconds(3)
/** The next look at the store, the token request and the calls. */
const afterLease = Duration.seconds(1)

const crash: Scenario = {
  title: "Whoever asks for the token is killed while it asks",
  play: Effect.gen(function*() {
    const { fleet } = yield* Stage
    const cast = yield* perform(both, longLife, { burst }, (server) =>
      Effect.gen(function*() {
        const { tokenRequests } = server.seen("fleet")
        yield* until(() => tokenRequests.length > 0)
        yield* Effect.sleep(Duration.times(OAuthServer.latency, 0.5))
        for (const { process } of tokenRequests.slice(0, 1)) yield* fleet.kill(process)
        return 0
      }))
    const served = burst * (fleet.size - 1)
    return [
      finding("token requests", atMost(2), cast, Outcome.tokenRequests),
      finding(
        "calls of the others served",
        exactly(served),
        cast,
        ({ calls }) => calls.filter(({ status }) => status === 200).length
      ),
      finding(
        "longest call",
        atMost(Duration.toMillis(Duration.sum(lease, afterLease))),
        cast,
        Outcome.longestCall,
        "ms"
      )
    ]
  })
}

/** By name, in the order in which they are played: the last one costs a process. */
export const all: Readonly<Record<string, Scenario>> = { coldStart, expiry, revocation, quiet, crash }
