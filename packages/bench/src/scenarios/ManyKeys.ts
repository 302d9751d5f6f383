import {
  AccessToken,
  AuthedHttpClient,
  TokenEndpoint,
  TokenProvider,
  type TokenRequest,
  TokenStore
} from "@effect-alf/core"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { DateTime, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { constVoid } from "effect/Function"
import { path } from "../Client.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import { difference, ratio } from "../Statistics.js"

const url = "http://127.0.0.1:8080"

const transport = Layer.sync(HttpClient.HttpClient, () => {
  const response = new Response("{}")
  return HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, response)))
})

let issued = 0

/** Issues without a request: what is measured begins where a token has arrived. */
const endpoint = Layer.effect(
  TokenEndpoint.TokenEndpoint,
  Effect.map(TokenEndpoint.TokenEndpoint, (endpoint) =>
    TokenEndpoint.TokenEndpoint.of({
      ...endpoint,
      attempt: () =>
        Effect.map(DateTime.now, (obtainedAt) =>
          AccessToken.make({
            value: Redacted.make(`${++issued}`.padStart(40, "x")),
            obtainedAt,
            expiresIn: "1 day"
          }))
    }))
).pipe(
  Layer.provide(TokenEndpoint.layer({ url: `${url}/token`, clientId: "id", clientSecret: Redacted.make("secret") })),
  Layer.provide(transport)
)

const makeRuntime = (capacity: number, shareTokens: boolean) =>
  ManagedRuntime.make(
    AuthedHttpClient.layer({ baseUrl: url, capacity, shareTokens }).pipe(
      Layer.provide(endpoint),
      Layer.provide(TokenStore.layerMemory({ capacity })),
      Layer.provide(transport)
    )
  )

type Runtime = ReturnType<typeof makeRuntime>

const tenant = (index: number): TokenRequest.TokenRequest => ({ scope: `tenant-${index}` })

/** Uses the tenants in turn. */
const visit = (runtime: Runtime, from: number, to: number) => {
  let index = from
  return runtime.runPromise(
    Effect.flatMap(TokenProvider.TokenProvider, (provider) =>
      Effect.whileLoop({
        while: () => index < to,
        body: () => provider.get(tenant(index++)),
        step: constVoid
      }))
  )
}

const repeat = (runtime: Runtime, times: number, call: (turn: number) => Effect.Effect<unknown, unknown>) => {
  let turn = 0
  return runtime.runPromise(
    Effect.withTracerEnabled(
      Effect.whileLoop({ while: () => turn < times, body: () => call(turn++), step: constVoid }),
      false
    )
  )
}

const micros = async (times: number, run: () => Promise<unknown>) => {
  const start = process.cpuUsage()
  await run()
  const { system, user } = process.cpuUsage(start)
  return (system + user) / times
}

const heap = async () => {
  // What was begun in the background is over
  await new Promise((resolve) => setTimeout(resolve, 50))
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

const measureLookups = async (sizes: ReadonlyArray<number>, { rounds, smoke }: Parameters<Scenario["run"]>[0]) => {
  const lookups = smoke ? 20 : 400
  const perRound = smoke ? 1 : 15
  const subjects = await Promise.all(sizes.map(async (size) => {
    const runtime = makeRuntime(size, false)
    const requests = Array.from({ length: size }, (_, index) => tenant(index))
    const provider = await runtime.runPromise(TokenProvider.TokenProvider)
    const client = await runtime.runPromise(AuthedHttpClient.AuthedHttpClient)
    // In the order of the kept requests, so that each of them is known
    await repeat(runtime, size, (turn) => provider.get(requests[turn]))
    // Far from each other, so that no two of them lie in the same line of the cache
    const step = Math.floor(size * 0.618) | 1
    let at = 0
    const next = () => {
      at = (at + step) % size
      return at
    }
    return {
      runtime,
      subject: {
        name: `${size.toLocaleString("en")} tenant${size === 1 ? "" : "s"}`,
        sample: async () => ({
          kept: await micros(lookups, () => repeat(runtime, lookups, () => provider.get(requests[next()]))),
          anew: await micros(lookups, () => repeat(runtime, lookups, () => provider.get(tenant(next())))),
          request: await micros(
            lookups,
            () => repeat(runtime, lookups, () => AuthedHttpClient.withTokenRequest(client.get(path), requests[next()]))
          )
        })
      }
    }
  }))
  const samples = await Rounds.measure(
    subjects.map(({ subject }) => subject),
    { rounds: rounds * perRound, warmUps: smoke ? 1 : 20 }
  )
  await Promise.all(subjects.map(({ runtime }) => runtime.dispose()))
  return Rounds.condense(samples, perRound)
}

const residents = { "in the provider alone": false, "in the provider and the store in memory": true }

const measureResidents = (count: number, rounds: number) =>
  Rounds.measure(
    Object.entries(residents).map(([name, shareTokens]) => ({
      name,
      sample: async () => {
        const runtime = makeRuntime(count, shareTokens)
        await visit(runtime, 0, 1)
        const before = await heap()
        const timersBefore = timers()
        await visit(runtime, 1, count)
        const bytes = (await heap() - before) / (count - 1)
        const more = timers() - timersBefore
        await runtime.dispose()
        return { bytes, timers: more }
      }
    })),
    { rounds, warmUps: 0 }
  )

const measureEviction = (capacity: number, turnovers: number, rounds: number) =>
  Rounds.measure([{
    name: `${(capacity * turnovers).toLocaleString("en")} tenants in turn`,
    sample: async () => {
      const runtime = makeRuntime(capacity, true)
      await visit(runtime, 0, 2 * capacity)
      const before = await heap()
      await visit(runtime, 2 * capacity, turnovers * capacity)
      const after = await heap()
      await runtime.dispose()
      return { before, after }
    }
  }], { rounds, warmUps: 0 })

export const manyKeys: Scenario = {
  name: "many-keys",
  title: "Many keys",
  nodeOptions: ["--expose-gc"],
  run: async (settings) => {
    const sizes = settings.smoke ? [1, 50, 200] : [1, 1_000, 100_000]
    const capacity = settings.smoke ? 20 : 1_000
    // The heap is the same every time, and to fill it takes a while
    const fills = 1
    const lookups = await measureLookups(sizes, settings)
    const residing = settings.smoke ? 200 : 20_000
    const resident = await measureResidents(residing, fills)
    const eviction = await measureEviction(capacity, 20, fills)

    const [first, , last] = [...lookups.keys()]
    const [turn] = eviction.keys()
    const at = (measure: string) => ({
      figure: ratio(Rounds.values(lookups, last, measure), Rounds.values(lookups, first, measure)),
      bound: "at most" as const,
      limit: 1.2,
      unit: "×"
    })
    const kilobytes = (subject: string) => ({
      figure: { value: Math.max(...Rounds.values(resident, subject, "bytes")), noise: 0 },
      bound: "at most" as const,
      limit: 1_500,
      unit: "bytes"
    })
    const evicted = 18 * capacity
    return {
      method:
        `Tokens of 40 characters for as many tenants, each with a scope of its own. Lookups are measured by their ` +
        "processor time, with tenants far from each other; what a resident key takes, by the heap after a full " +
        "collection.",
      tables: [
        {
          title: "Lookups",
          samples: lookups,
          measures: [
            { key: "kept", title: "with a kept token request", unit: "µs", against: first },
            { key: "anew", title: "made anew", unit: "µs", against: first },
            { key: "request", title: "a whole request over a transport that takes no time", unit: "µs", against: first }
          ]
        },
        {
          title: `${residing.toLocaleString("en")} resident keys`,
          samples: resident,
          measures: [
            { key: "bytes", title: "heap per key", unit: "bytes" },
            { key: "timers", title: "timers", unit: "" }
          ]
        },
        {
          title: `Room for ${capacity.toLocaleString("en")} keys`,
          samples: eviction,
          measures: [
            { key: "before", title: "heap after two turnovers", unit: "bytes" },
            { key: "after", title: "after twenty", unit: "bytes" }
          ]
        }
      ],
      goals: [
        { what: `${last} against ${first}: lookup with a kept token request`, ...at("kept") },
        { what: `${last} against ${first}: lookup with one made anew`, ...at("anew") },
        { what: `${last} against ${first}: whole request`, ...at("request") },
        ...Object.keys(residents).map((name) => ({ what: `heap per resident key, ${name}`, ...kilobytes(name) })),
        {
          what: "what an evicted key leaves in the heap",
          figure: difference(
            Rounds.values(eviction, turn, "after").map((bytes) => bytes / evicted),
            Rounds.values(eviction, turn, "before").map((bytes) => bytes / evicted)
          ),
          bound: "at most",
          // A millionth of a gigabyte for a thousand of them: less than the heap moves by itself
          limit: 16,
          unit: "bytes"
        }
      ]
    }
  }
}
