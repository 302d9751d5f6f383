import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { HttpClient, type HttpClientError, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Clock, Effect, Layer, Logger, LogLevel, ManagedRuntime, Redacted } from "effect"
import { constVoid } from "effect/Function"
import { path } from "../Client.js"
import { atMost } from "../Goal.js"
import * as Heap from "../Heap.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"

const url = "http://127.0.0.1:8080"

// Seconds
const lifetime = 60
// Milliseconds between two requests, so that a token serves a thousand of them at the most
const pace = 60
// Every so many requests the token has been revoked
const revocation = 10_000

/** Its time goes on with the requests, and a million of them take 16 hours. */
const makeClock = () => {
  const real = Clock.make()
  let now = Date.now()
  const unsafeCurrentTimeMillis = () => now
  const unsafeCurrentTimeNanos = () => BigInt(now) * 1_000_000n
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis,
    unsafeCurrentTimeNanos,
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    currentTimeNanos: Effect.sync(unsafeCurrentTimeNanos),
    sleep: (duration) => real.sleep(duration)
  }
  const advance = (millis: number) => {
    now += millis
  }
  return { clock, advance }
}

/** The API and the token endpoint, which answer at once. */
const makeServers = () => {
  let issued = 0
  let rejected = 0
  let revoked: string | undefined
  const answer = new Response("{}")
  const answerTo = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.sync(() => {
      if (request.url.endsWith("/token")) {
        const body = { access_token: `${++issued}`.padStart(40, "x"), token_type: "Bearer", expires_in: lifetime }
        return HttpClientResponse.fromWeb(request, Response.json(body))
      }
      if (request.headers.authorization !== revoked) return HttpClientResponse.fromWeb(request, answer)
      rejected++
      const headers = { "www-authenticate": "Bearer error=\"invalid_token\"" }
      return HttpClientResponse.fromWeb(request, new Response(null, { status: 401, headers }))
    })
  // One by HttpClient.make registers each response for its finalization, in a table that stays as large as it once was
  const client = HttpClient.makeWith<HttpClientError.HttpClientError, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap(answerTo),
    Effect.succeed
  )
  return {
    layer: Layer.succeed(HttpClient.HttpClient, client),
    revoke: () => {
      revoked = `Bearer ${`${issued}`.padStart(40, "x")}`
    },
    counts: () => ({ issued, rejected })
  }
}

const sample = async (warmUp: number, requests: number) => {
  const { advance, clock } = makeClock()
  const servers = makeServers()
  const runtime = ManagedRuntime.make(
    AuthedHttpClient.layer({ baseUrl: url }).pipe(
      Layer.provide(
        TokenEndpoint.layer({ tokenEndpoint: `${url}/token`, clientId: "id", clientSecret: Redacted.make("secret") })
      ),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(servers.layer),
      Layer.provideMerge(Layer.setClock(clock)),
      Layer.provide(Logger.minimumLogLevel(LogLevel.None))
    )
  )
  const client = await runtime.runPromise(AuthedHttpClient.AuthedHttpClient)
  let sent = 0
  let failed = 0
  const call = Effect.suspend(() => {
    advance(pace)
    if (++sent % revocation === 0) servers.revoke()
    return Effect.match(client.get(path), {
      onFailure: () => {
        failed++
      },
      onSuccess: ({ status }) => {
        if (status !== 200) failed++
      }
    })
  })
  const send = async (count: number) => {
    const end = sent + count
    await runtime.runPromise(
      Effect.withTracerEnabled(
        Effect.whileLoop({ while: () => sent < end, body: () => call, step: constVoid }),
        false
      )
    )
  }
  await send(warmUp)
  const timers = Heap.timers()
  const before = await Heap.used()
  await send(requests)
  const after = await Heap.used()
  const more = Heap.timers() - timers
  await runtime.dispose()
  const { issued, rejected } = servers.counts()
  return {
    before,
    after,
    bytes: (after - before) / requests,
    timers: more,
    tokens: issued,
    rejected,
    failed
  }
}

export const leak: Scenario = {
  name: "leak",
  title: "A million requests",
  nodeOptions: ["--expose-gc"],
  run: async ({ smoke }) => {
    const warmUp = smoke ? 1_000 : 100_000
    const requests = smoke ? 1_000 : 1_000_000
    const name = `${requests.toLocaleString("en")} requests`
    const samples = await Rounds.measure(
      [{ name, sample: () => sample(warmUp, requests) }],
      // What it leaves after so many is the same every time
      { rounds: 1, warmUps: 0 }
    )
    const values = (measure: string) => Rounds.values(samples, name, measure)
    return {
      method: `Requests of one fiber over a transport that answers at once, after ${warmUp.toLocaleString("en")} ` +
        `others. A token lives for ${lifetime} seconds of a clock that each request moves by ${pace} ms, and every ` +
        `${revocation.toLocaleString("en")}th request finds its token revoked.`,
      tables: [{
        title: "",
        samples,
        measures: [
          { key: "before", title: "heap before", unit: "bytes" },
          { key: "after", title: "heap after", unit: "bytes" },
          { key: "tokens", title: "token requests", unit: "" },
          { key: "rejected", title: "401s", unit: "" },
          { key: "failed", title: "failed calls", unit: "" }
        ]
      }],
      goals: [
        {
          what: "what a request leaves in the heap",
          figure: { value: Math.max(...values("bytes")), noise: 0 },
          bound: "at most",
          // What is kept of every fourth of them would be more; the engine itself compiles on
          limit: 4,
          unit: "bytes"
        },
        atMost("timers that are left", 0, values("timers")),
        atMost("failed calls", 0, values("failed"))
      ]
    }
  }
}
