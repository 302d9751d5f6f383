import { AuthedHttpClient, TokenProvider } from "@effect-alf/core"
import { Effect } from "effect"
import { path } from "../Client.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import { ratio } from "../Statistics.js"
import { makeRuntime, repeat, tenant } from "../Tenants.js"

const micros = async (times: number, run: () => Promise<unknown>) => {
  const start = process.cpuUsage()
  await run()
  const { system, user } = process.cpuUsage(start)
  return (system + user) / times
}

const measureLookups = async (sizes: ReadonlyArray<number>, { rounds, smoke }: Parameters<Scenario["run"]>[0]) => {
  const lookups = smoke ? 20 : 400
  const perRound = smoke ? 1 : 15
  const subjects = await Promise.all(sizes.map(async (size) => {
    const runtime = makeRuntime(size, false)
    const requests = Array.from({ length: size }, (_, index) => tenant(index))
    const provider = await runtime.runPromise(TokenProvider.TokenProvider)
    const client = await runtime.runPromise(AuthedHttpClient.AuthedHttpClient)
    // In the order of the kept requests, so that each of them is known, and that its token is accepted
    await repeat(runtime, size, (turn) => AuthedHttpClient.withTokenRequest(client.get(path), requests[turn]))
    const bare = new Map(requests.map(({ scope }) => [scope, { usableUntil: Number.POSITIVE_INFINITY }]))
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
          bare: await micros(lookups, () =>
            repeat(runtime, lookups, () => {
              if (Date.now() >= (bare.get(requests[next()].scope)?.usableUntil ?? 0)) throw new Error("not found")
              return Effect.void
            })),
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

export const manyKeys: Scenario = {
  name: "many-keys",
  title: "Many keys",
  run: async (settings) => {
    const lookups = await measureLookups(settings.smoke ? [1, 50, 200] : [1, 1_000, 100_000], settings)
    const [first, , last] = [...lookups.keys()]
    const added = (measure: string) => {
      const before = Rounds.values(lookups, first, measure)
      return Rounds.values(lookups, last, measure).map((micros, round) => micros - before[round])
    }
    return {
      method:
        "Lookups of the tokens of so many tenants, each with a scope of its own, by their processor time. Those " +
        "that come after each other are far from each other. A bare Map, with the scope for its key and an end for its " +
        "value, shows what the memory of the machine takes for that: the goal is what many tenants add to a request, " +
        "against what they add to such a lookup.",
      tables: [{
        title: "",
        samples: lookups,
        measures: [
          { key: "bare", title: "a bare Map", unit: "µs", against: first },
          { key: "kept", title: "with a kept token request", unit: "µs", against: first },
          { key: "anew", title: "made anew", unit: "µs", against: first },
          { key: "request", title: "a whole request over a transport that takes no time", unit: "µs", against: first }
        ]
      }],
      goals: [{
        what: `what ${last} add to a whole request, against a bare Map`,
        figure: ratio(added("request"), added("bare")),
        bound: "at most",
        limit: 3,
        unit: "×"
      }]
    }
  }
}
