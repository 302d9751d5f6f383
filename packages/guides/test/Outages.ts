/**
 * The outages of the runbook. Each is played in virtual time, with all that Prometheus would find at its scrapes; and
 * `alf doctor` looks at the same, over servers on loopback.
 */
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer, TestTokenStore } from "@effect-alf/core/testing"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import {
  Array as Arr,
  Clock,
  type Duration,
  Effect,
  FiberRef,
  Layer,
  Logger,
  LogLevel,
  Metric,
  MetricLabel,
  MetricState,
  Random,
  Redacted,
  type Scope
} from "effect"
import * as Alf from "../../cli/test/Alf.js"
import * as ClientServer from "../../cli/test/ClientServer.js"
import * as VirtualClock from "../../fleet/src/VirtualClock.js"
import type { Sample, Scrape } from "./PromQl.js"

interface World {
  readonly server: TestAuthorizationServer.TestAuthorizationServer["Type"]
  readonly store: TestTokenStore.TestTokenStore["Type"]
}

interface Outage {
  /** How long tokens live. */
  readonly lifetime: Duration.DurationInput
  /** Before each call, from its beginning on. */
  readonly during: (world: World) => Effect.Effect<unknown>
  /** The environment in which the doctor is asked. */
  readonly environment: Effect.Effect<Alf.Environment, unknown, Scope.Scope>
}

const down = () => ({ status: 503 })

const environmentOf = (options?: ClientServer.Options) => Effect.map(ClientServer.make(options), ({ env }) => env)

const answering503 = environmentOf({ onToken: (response) => response.writeHead(503).end() })

const rejecting = (rejects: boolean) => ({ server }: World) =>
  server.rejectOrigin(TestAuthorizationServer.apiUrl, rejects)

/** An API whose clock is so far behind finds tokens of that age not valid yet. */
const behind = 600_000

export const outages: Readonly<Record<string, Outage>> = {
  "endpoint down, the token is live": {
    lifetime: "15 minutes",
    during: ({ server }) => server.setTokenResponse(down),
    environment: answering503
  },
  "endpoint down, the token is revoked": {
    lifetime: "1 hour",
    during: ({ server }) => Effect.zipRight(server.setTokenResponse(down), server.revoke()),
    environment: answering503
  },
  "secret rotated, the app has the old one": {
    lifetime: "15 minutes",
    during: ({ server }) => server.rotateSecret(Redacted.make("the new secret")),
    environment: Effect.map(environmentOf(), (env) => ({ ...env, ALF_CLIENT_SECRET: "the old secret" }))
  },
  "the API rejects every token": {
    lifetime: "1 hour",
    during: rejecting(true),
    environment: Effect.gen(function*() {
      const { apiUrl } = yield* ClientServer.make()
      return { ...(yield* environmentOf({ opaque: true })), ALF_BASE_URL: apiUrl }
    })
  },
  // With one renewal in it
  "Redis is down": {
    lifetime: "10 minutes",
    during: ({ store }) => store.fail("Redis is not connected: connect ECONNREFUSED 127.0.0.1:6379"),
    environment: Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      yield* redis.kill
      return { ...(yield* environmentOf()), ALF_REDIS_URL: redis.url }
    })
  },
  "a clock is off by ten minutes": {
    lifetime: "6 minutes",
    during: (world) =>
      Effect.gen(function*() {
        const newest = (yield* world.server.issued).at(-1)
        const now = yield* Clock.currentTimeMillis
        yield* rejecting(newest !== undefined && now - newest.issuedAt < behind)(world)
      }),
    environment: environmentOf({ ahead: behind / 1000 })
  },
  "tokens of 60 s, an endpoint of 2 s": {
    lifetime: "1 minute",
    during: ({ server }) => server.setTokenDelay("2 seconds"),
    environment: environmentOf({ lifetime: 60 })
  }
}

export interface Played {
  readonly scrapes: ReadonlyArray<Scrape>
  /** The first line of the log. */
  readonly log: string | undefined
  /** What callers saw. */
  readonly seen: ReadonlyArray<string>
}

const interval = 30
const [healthySteps, outageSteps] = [10, 19]

/** The minute in which an outage begins. */
export const beginning = healthySteps * interval / 60

/** An app with a shared store, whose metrics are those of a job. */
const app = (job: string, lifetime: Duration.DurationInput) =>
  AuthedHttpClient.layer({ baseUrl: TestAuthorizationServer.apiUrl }).pipe(
    Layer.provide(TokenEndpoint.layer({
      tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
      clientId: TestAuthorizationServer.clientId,
      clientSecret: TestAuthorizationServer.clientSecret
    })),
    Layer.provideMerge(Layer.unwrapEffect(
      Effect.map(TokenStore.makeMemory({ sharing: TokenStore.byTurns }), TestTokenStore.layer)
    )),
    Layer.provideMerge(TestAuthorizationServer.layer({ lifetime })),
    Layer.locallyWith(FiberRef.currentMetricLabels, Arr.append(MetricLabel.make("job", job)))
  )

/** Five minutes in which all is well, and nine and a half of the outage, with a call at every scrape. */
const minutes = Effect.fnUntraced(function*(job: string, { during }: Outage) {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const server = yield* TestAuthorizationServer.TestAuthorizationServer
  const store = yield* TestTokenStore.TestTokenStore
  const scrapes: Array<Scrape> = []
  const seen = new Set<string>()
  for (let step = 1; step <= healthySteps + outageSteps; step++) {
    const isOutage = step > healthySteps
    if (isOutage) yield* during({ server, store })
    yield* client.get("/orders").pipe(
      Effect.match({ onSuccess: ({ status }) => `${status}`, onFailure: ({ message }) => message }),
      Effect.map((sight) => isOutage && seen.add(sight)),
      Effect.fork
    )
    yield* Effect.sleep(`${interval} seconds`)
    scrapes.push({ at: step * interval, samples: samplesOf(job) })
  }
  return { scrapes, seen: [...seen] }
})

/** Plays an outage. */
export const play = (job: string, outage: Outage): Effect.Effect<Played> => {
  const logs: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (LogLevel.greaterThan(logLevel, LogLevel.Info)) logs.push(`${logLevel.label} ${Arr.ensure(message).join(" ")}`)
  })
  const played = minutes(job, outage).pipe(
    Effect.provide(app(job, outage.lifetime)),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
    Effect.withRandom(Random.make(job)),
    Effect.withTracerEnabled(false),
    Effect.orDie
  )
  return Effect.flatMap(
    Effect.promise(() => VirtualClock.runPromise(played)),
    (exit) => Effect.map(exit, (played) => ({ ...played, log: logs[0] }))
  )
}

/** The first line of the doctor, with ports that are always the same. */
export const visit = ({ environment }: Outage): Effect.Effect<string, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const env = yield* environment
    const { stdout } = yield* Effect.repeat(Alf.here.run(["doctor", "--api", "/orders"], { env }), {
      while: Alf.isLate
    })
    const [line] = stdout.split("\n")
    return line
      .replaceAll(new URL(env.ALF_REDIS_URL ?? "redis://none").host, "127.0.0.1:6379")
      .replaceAll(new URL(env.ALF_TOKEN_ENDPOINT ?? "").host, "127.0.0.1:8080")
      .replaceAll(new URL(env.ALF_BASE_URL ?? "").host, "127.0.0.1:8081")
  })

// -----------------------------------------------------------------------------
// series
// -----------------------------------------------------------------------------

/**
 * The samples that Prometheus has of the metrics of one job: names and labels have underscores for dots, a counter ends
 * in `_total`, and a metric with a unit ends in the unit if it was exported by OTLP.
 */
export const samplesOf = (job: string, withUnit = true): ReadonlyArray<Sample> =>
  Metric.unsafeSnapshot().flatMap(({ metricKey, metricState }) => {
    // Other tests record metrics too
    if (!metricKey.tags.some(({ key, value }) => key === "job" && value === job)) return []
    const tags = Object.fromEntries(metricKey.tags.map(({ key, value }) => [key, value]))
    const labels = Object.fromEntries(
      Object.entries(tags).map(([name, value]) => [name.replaceAll(".", "_"), value])
    )
    const name = `${metricKey.name.replaceAll(".", "_")}${withUnit && tags.unit === "s" ? "_seconds" : ""}`
    const sample = (suffix: string, value: number, more = {}): Sample => ({
      labels: { __name__: `${name}${suffix}`, ...labels, ...more },
      value
    })
    if (MetricState.isHistogramState(metricState)) {
      const { buckets, count, sum } = metricState
      return [
        ...buckets.map(([le, count]) =>
          sample("_bucket", count, { le: le === Number.POSITIVE_INFINITY ? "+Inf" : String(le) })
        ),
        sample("_count", count),
        sample("_sum", sum)
      ]
    }
    if (MetricState.isGaugeState(metricState)) return [sample("", Number(metricState.value))]
    if (!MetricState.isCounterState(metricState)) return []
    return [
      sample(
        "incremental" in metricKey.keyType && metricKey.keyType.incremental ? "_total" : "",
        Number(metricState.count)
      )
    ]
  })
