import * as Heap from "../Heap.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import { estimate } from "../Statistics.js"
import { makeRuntime, visit } from "../Tenants.js"

const residents = [
  { name: "in the provider alone", shareTokens: false, renewals: 0 },
  { name: "in the provider and the store in memory", shareTokens: true, renewals: 0 },
  { name: "in both, after ten renewals", shareTokens: true, renewals: 10 }
]

// What a client keeps for all tenants that follow
const warmUp = 200

/**
 * What a process has once, however many keys it holds: compiled code, and the weak tables in which Effect finds the
 * scheduler of a fiber and what is redacted. They grow by doubling, whenever the engine collects late, and never
 * shrink: with room for four times as many keys they are large enough, whenever that is.
 */
const rehearse = async (count: number) => {
  const runtime = makeRuntime(count, true)
  await visit(runtime, 0, count)
  await runtime.dispose()
}

const measureResidents = async (count: number, rounds: number) => {
  await rehearse(4 * (warmUp + count))
  return Rounds.measure(
    residents.map(({ name, renewals, shareTokens }) => ({
      name,
      sample: async () => {
        let lasts = renewals === 0
        const runtime = makeRuntime(warmUp + count, shareTokens, () => lasts ? "1 day" : "1 milli")
        await visit(runtime, 0, warmUp)
        const before = await Heap.used()
        const timers = Heap.timers()
        for (let renewal = 0; renewal < renewals; renewal++) await visit(runtime, warmUp, warmUp + count)
        lasts = true
        await visit(runtime, warmUp, warmUp + count)
        const bytes = (await Heap.used() - before) / count
        const more = Heap.timers() - timers
        await runtime.dispose()
        return { bytes, timers: more }
      }
    })),
    { rounds, warmUps: 0 }
  )
}

const turnovers = [2, 11, 20] as const

const measureEviction = (capacity: number, rounds: number) =>
  Rounds.measure([{
    name: `${(capacity * turnovers[2]).toLocaleString("en")} tenants in turn`,
    sample: async () => {
      const runtime = makeRuntime(capacity, true)
      const held: Array<number> = []
      let visited = 0
      for (const turnover of turnovers) {
        await visit(runtime, visited, turnover * capacity)
        visited = turnover * capacity
        held.push(await Heap.used())
      }
      await runtime.dispose()
      const [early, middle, late] = held
      // Until the middle, the engine still compiles for good what runs most
      return { early, middle, late, evicted: (late - middle) / ((turnovers[2] - turnovers[1]) * capacity) }
    }
  }], { rounds, warmUps: 0 })

export const memory: Scenario = {
  name: "memory",
  title: "Memory",
  nodeOptions: ["--expose-gc"],
  run: async ({ smoke }) => {
    // The heap is the same every time, and to fill it takes a while
    const fills = 1
    const residing = smoke ? 200 : 10_000
    const capacity = smoke ? 20 : 250
    const resident = await measureResidents(residing, fills)
    const eviction = await measureEviction(capacity, fills)
    const [turn] = eviction.keys()
    return {
      method: "Tokens of 40 characters for as many tenants, each with a scope of its own. What is held is read from " +
        "the heap when full collections find no more that could go, once for each line. Four times as many were held by " +
        "another client before, and let go: what a process has once is not counted.",
      tables: [
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
            { key: "early", title: "heap after two turnovers", unit: "bytes" },
            { key: "middle", title: "after eleven", unit: "bytes" },
            { key: "late", title: "after twenty", unit: "bytes" }
          ]
        }
      ],
      goals: [
        ...residents.map(({ name }) => ({
          what: `heap per resident key, ${name}`,
          figure: estimate(Rounds.values(resident, name, "bytes")),
          bound: "at most" as const,
          limit: 1_500,
          unit: "bytes"
        })),
        {
          what: "what an evicted key leaves in the heap",
          figure: estimate(Rounds.values(eviction, turn, "evicted")),
          bound: "at most",
          // Less than the heap moves by itself
          limit: 16,
          unit: "bytes"
        }
      ]
    }
  }
}
