import type { Contender } from "../Client.js"
import * as ClientProcess from "../ClientProcess.js"
import { azurePipeline } from "../clients/azurePipeline.js"
import { effectAlf, effectAlfTraced } from "../clients/effectAlf.js"
import { oidcInterceptor } from "../clients/oidcInterceptor.js"
import { nodeHttp, nodeHttpTraced, platformUndici, platformUndiciTraced } from "../clients/platform.js"
import { undici } from "../clients/undici.js"
import { constantHeaders, peers } from "../Contenders.js"
import { relate, type Relative } from "../Goal.js"
import type { Table } from "../Report.js"
import * as Rounds from "../Rounds.js"
import type { Scenario, Settings } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { estimate } from "../Statistics.js"

// As an app has it that does nothing about it, traced; then without
const contenders: ReadonlyArray<Contender> = [
  effectAlfTraced,
  effectAlf,
  ...constantHeaders,
  ...peers,
  nodeHttpTraced,
  platformUndiciTraced
]

/** How heap per request is measured: a few callers, so that a collection finds little that is alive. */
const heapContenders = [effectAlfTraced, effectAlf, undici, oidcInterceptor, platformUndici, platformUndiciTraced]
const heapCallers = 8

const manyGoals: ReadonlyArray<Relative> = [
  { what: "off, CPU", measure: "cpu", of: effectAlf.name, against: oidcInterceptor.name, limit: 1 },
  { what: "off, CPU (the aim)", measure: "cpu", of: effectAlf.name, against: undici.name, limit: 1.25 },
  { what: "default, CPU", measure: "cpu", of: effectAlfTraced.name, against: azurePipeline.name, limit: 1 },
  { what: "off, collections", measure: "collection", of: effectAlf.name, against: undici.name, limit: 2 },
  { what: "default, collections", measure: "collection", of: effectAlfTraced.name, against: undici.name, limit: 2 },
  ...["p99", "p999"].flatMap((measure) => {
    const share = measure === "p99" ? "99%" : "99.9%"
    return [
      { what: `off, ${share} within`, measure, of: effectAlf.name, against: undici.name, limit: 1.25 },
      { what: `default, ${share} within`, measure, of: effectAlfTraced.name, against: undici.name, limit: 1.5 }
    ]
  }),
  {
    what: "off, requests per second",
    measure: "rate",
    of: effectAlf.name,
    against: nodeHttp.name,
    bound: "at least",
    limit: 0.97
  },
  {
    what: "off, requests per second",
    measure: "rate",
    of: effectAlf.name,
    against: platformUndici.name,
    bound: "at least",
    limit: 1.5
  },
  ...peers.map(({ name }) => ({
    what: "off, requests per second",
    measure: "rate",
    of: effectAlf.name,
    against: name,
    bound: "at least" as const,
    limit: 1
  }))
]

const oneGoals: ReadonlyArray<Relative> = [
  { what: "off, CPU", measure: "cpu", of: effectAlf.name, against: oidcInterceptor.name, limit: 1 },
  { what: "default, CPU", measure: "cpu", of: effectAlfTraced.name, against: azurePipeline.name, limit: 1 }
]

/** In kB: undici itself allocates 13. */
const heapLimits = [{ of: effectAlf, limit: 15 }, { of: effectAlfTraced, limit: 30 }]

const related = new Set([...manyGoals, ...oneGoals].flatMap(({ against, of }) => [against, of]))
const withGoals = contenders.filter(({ name }) => related.has(name))

const relateAll = (title: string, samples: Rounds.Samples, goals: ReadonlyArray<Relative>) =>
  relate(samples, goals.map((goal) => ({ ...goal, what: `${title}: ${goal.what}, against ${goal.against}` })))

const titleOf = (callers: number) => callers === 1 ? "1 caller" : `${callers} callers`

const measure = async (
  clients: ReadonlyArray<readonly [Contender, ClientProcess.ClientProcess]>,
  callers: number,
  calls: number,
  { rounds, smoke }: Settings
): Promise<Table> => ({
  title: titleOf(callers),
  samples: await Rounds.measure(
    clients.map(([{ name }, client]) => ({
      name,
      sample: async () => {
        const run = await client.run(callers, { type: "count", calls })
        return {
          rate: calls / run.time * 1000,
          cpu: run.cpu / calls,
          collection: run.collection * 1000 / calls,
          longest: run.longestCollection,
          p99: run.p99,
          p999: run.p999,
          delay: run.delay
        }
      }
    })),
    { rounds, warmUps: smoke ? 0 : 2 }
  ),
  measures: [
    { key: "rate", title: "requests", unit: "per s", against: effectAlf.name },
    { key: "cpu", title: "CPU per request", unit: "µs", against: undici.name },
    { key: "collection", title: "collections per request", unit: "µs" },
    { key: "longest", title: "the longest collection", unit: "ms" },
    { key: "p99", title: "99% of the calls within", unit: "ms" },
    { key: "p999", title: "99.9% within", unit: "ms" },
    { key: "delay", title: "event loop late by", unit: "ms" }
  ]
})

const measureHeap = async (
  clients: ReadonlyArray<readonly [Contender, ClientProcess.ClientProcess]>,
  calls: number,
  { rounds, smoke }: Settings
): Promise<Table> => ({
  title: `Heap, ${titleOf(heapCallers)}`,
  samples: await Rounds.measure(
    clients.map(([{ name }, client]) => ({
      name,
      sample: async () => ({ bytes: (await client.run(heapCallers, { type: "count", calls })).bytes / calls / 1000 })
    })),
    { rounds, warmUps: smoke ? 0 : 5 }
  ),
  measures: [{ key: "bytes", title: "allocated per request", unit: "kB", against: undici.name }]
})

export const steadyState: Scenario = {
  name: "steady-state",
  title: "Steady state",
  run: async (settings) => {
    const { goalsOnly, smoke } = settings
    const servers = await Servers.start()
    const inProcesses = <A>(
      contenders: ReadonlyArray<Contender>,
      f: (clients: ReadonlyArray<readonly [Contender, ClientProcess.ClientProcess]>) => Promise<A>,
      nodeOptions?: ReadonlyArray<string>
    ) =>
      ClientProcess.useAll(contenders, async (clients) => {
        for (const [, client] of clients) await client.open(surroundings(servers))
        return f(clients)
      }, nodeOptions)

    // Other scenarios show that all of them work
    const chosen = smoke ? [effectAlf, undici] : goalsOnly ? withGoals : contenders
    const [many, one] = await inProcesses(chosen, async (clients) => [
      await measure(clients, 64, smoke ? 64 : 3_000, settings),
      await measure(clients, 1, smoke ? 4 : 1_500, settings)
    ])
    const heap = await inProcesses(
      smoke ? [effectAlf] : heapContenders,
      (clients) => measureHeap(clients, smoke ? 16 : 1_000, settings),
      ClientProcess.heapOptions
    )
    servers.close()
    return {
      method: "Callers that each send a GET as soon as the one before is answered, and read its small JSON body. The " +
        "token was there before. What is not said to be traced has tracing off. Each client has a process of its own, " +
        "whose processor time this is; the event loop is late by so much at most for 99% of its timers. The heap is " +
        "that of processes whose young generation is so large that none of it is collected meanwhile.",
      tables: [many, one, heap],
      goals: [
        ...relateAll(many.title, many.samples, manyGoals),
        ...relateAll(one.title, one.samples, oneGoals),
        ...heapLimits.map(({ limit, of }) => ({
          what: `allocated per request, ${of.name}`,
          figure: estimate(Rounds.values(heap.samples, of.name, "bytes")),
          bound: "at most" as const,
          limit,
          unit: "kB"
        }))
      ],
      picture: { title: "Requests per second, 64 callers", table: many, measure: "rate", better: "more" }
    }
  }
}
