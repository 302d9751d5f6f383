/** One process of the fleet: the library as an app puts it together, and calls as the parent wants them. */
import { AuthedHttpClient, OAuthError, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Duration, Effect, Exit, FiberSet, Layer, Queue, Redacted, Schedule, Stream } from "effect"
import * as SharedStore from "../SharedStore.js"
import {
  type Call,
  type Command,
  type Pattern,
  processHeader,
  type Report,
  type Traffic,
  type Wait
} from "./Traffic.js"

const name = process.argv[2]

/** Below the token endpoint, whose own `headers` would be part of the key. */
const Http = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeader(processHeader, name)))
).pipe(Layer.provide(NodeHttp.layer({ proxy: false })))

const withoutLeases = Layer.effect(
  TokenStore.TokenStore,
  Effect.map(TokenStore.TokenStore, (store) =>
    TokenStore.TokenStore.of({
      ...store,
      sharing: TokenStore.lastWriteWins,
      acquireLease: () => Effect.succeed(true),
      extendLease: () => Effect.succeed(true),
      releaseLease: () => Effect.void,
      changes: Stream.never
    }))
)

/**
 * A machine that is busy with other work is no store that is down, and nobody who
 * waits too long: what these limits do is tested where time can be stopped.
 */
const patience = { storeTimeout: "30 seconds", maxWait: "1 minute" } as const
const storePatience = { commandTimeout: patience.storeTimeout, connectTimeout: patience.storeTimeout } as const

const Store = ({ address, client, store }: Traffic) => {
  const Shared = SharedStore.all[store].layer({ ...address, ...storePatience })
  return client === "fleet" ? Shared : Layer.provide(withoutLeases, Shared)
}

const clocked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.zipWith(
    Clock.currentTimeMillis,
    Effect.timed(Effect.exit(effect)),
    (at, [duration, exit]) => ({ at, millis: Duration.toMillis(duration), exit })
  )

/** What `peek` does not answer is what somebody may wait for. */
const timing = (waits: Array<Wait>) => {
  const timed = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.flatMap(clocked(effect), ({ exit, ...wait }) => {
      waits.push(wait)
      return exit
    })
  return Layer.effect(
    TokenProvider.TokenProvider,
    Effect.map(TokenProvider.TokenProvider, (provider) =>
      TokenProvider.TokenProvider.of({
        ...provider,
        get: (...args) => timed(provider.get(...args)),
        renew: (...args) => timed(provider.renew(...args))
      }))
  )
}

const App = (traffic: Traffic, waits: Array<Wait>) =>
  AuthedHttpClient.layerFromProvider({ baseUrl: traffic.url }).pipe(
    Layer.provide(timing(waits)),
    // The API is next door: a token that still lives for this long gets there in time
    Layer.provide(TokenProvider.layer({ ...patience, leaseDuration: traffic.lease, expiryLeeway: "100 millis" })),
    Layer.provide(TokenEndpoint.layer({
      tokenEndpoint: `${traffic.url}/token`,
      clientId: traffic.client,
      clientSecret: Redacted.make("secret"),
      timeout: patience.maxWait
    })),
    Layer.provide(Store(traffic)),
    Layer.provide(Http)
  )

const measure = <E>(client: HttpClient.HttpClient.With<E>, path: string): Effect.Effect<Call> =>
  client.get(path).pipe(
    Effect.flatMap((response) => Effect.as(response.arrayBuffer, response.status)),
    clocked,
    Effect.map(({ exit, ...times }) => ({
      ...times,
      status: Exit.isSuccess(exit) ? exit.value : undefined,
      error: Exit.isSuccess(exit) ? undefined : OAuthError.describeCause(exit.cause)
    }))
  )

/** The calls of a pattern, of which none begins once it is over. */
const drive = Effect.fnUntraced(function*(call: Effect.Effect<Call>, pattern: Pattern, isOver: () => boolean) {
  const calls: Array<Call> = []
  const noted = Effect.map(call, (call) => void calls.push(call))
  if ("every" in pattern) {
    const underWay = yield* FiberSet.make()
    yield* Effect.repeat(FiberSet.run(underWay, noted), { schedule: Schedule.fixed(pattern.every), until: isOver })
    yield* FiberSet.awaitEmpty(underWay)
  } else {
    const [times, caller] = "burst" in pattern
      ? [pattern.burst, noted]
      : [pattern.callers, Effect.repeat(noted, { until: isOver })]
    yield* Effect.replicateEffect(caller, times, { concurrency: "unbounded", discard: true })
  }
  return calls
}, Effect.scoped)

const run = (traffic: Traffic, isOver: () => boolean): Effect.Effect<Report> => {
  const { client, pattern, url } = traffic
  const waits: Array<Wait> = []
  const calls = client === "control"
    ? HttpClient.HttpClient.pipe(
      Effect.flatMap((http) => drive(measure(http, `${url}/open`), pattern, isOver)),
      Effect.provide(Http)
    )
    : AuthedHttpClient.AuthedHttpClient.pipe(
      Effect.flatMap((http) => drive(measure(http, "/orders"), pattern, isOver)),
      Effect.provide(App(traffic, waits))
    )
  return Effect.orDie(Effect.map(calls, (calls) => ({ client, calls, waits })))
}

const main = Effect.gen(function*() {
  const commands = yield* Queue.unbounded<Command>()
  process.on("message", (command: Command) => commands.unsafeOffer(command))
  // Without its parent nobody would end it
  process.once("disconnect", () => process.exit())
  const tell = (message: unknown) => Effect.sync(() => process.send?.(message))
  yield* tell("ready")
  while (true) {
    const command = yield* Queue.take(commands)
    if (command === "stop") continue
    let over = false
    const stopped = Effect.map(Queue.take(commands), () => {
      over = true
    })
    const runs = Effect.forEach(command.start, (traffic) => run(traffic, () => over), { concurrency: "unbounded" })
    const [reports] = yield* Effect.all([runs, stopped], { concurrency: "unbounded" })
    yield* tell(reports)
  }
})

NodeRuntime.runMain(main)
