import type { Client, Contender } from "../Client.js"
import { effectAlf, effectAlfTraced } from "../clients/effectAlf.js"
import { nodeHttp, nodeHttpTraced, platformUndici, platformUndiciTraced } from "../clients/platform.js"
import { constantHeaders, peers } from "../Contenders.js"
import * as Loads from "../Loads.js"
import * as Pauses from "../Pauses.js"
import type { Table } from "../Report.js"
import * as Rounds from "../Rounds.js"
import type { Scenario, Settings } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { quantile, ratio } from "../Statistics.js"

const measureLoad = async (client: Client, callers: number, calls: number): Promise<Rounds.Sample> => {
  const load = Loads.count(calls)
  const pauses = Pauses.watch()
  const cpu = process.cpuUsage()
  const start = performance.now()
  await client.run(callers, load)
  const millis = performance.now() - start
  const { system, user } = process.cpuUsage(cpu)
  const { collection, delay } = pauses()
  return {
    rate: calls / millis * 1000,
    cpu: (user + system) / calls,
    collection: collection * 1000 / calls,
    tail: quantile(load.latencies, 0.999),
    delay
  }
}

// As an app has it that does nothing about it, traced; then without
const contenders: ReadonlyArray<Contender> = [
  effectAlfTraced,
  effectAlf,
  ...constantHeaders,
  ...peers,
  nodeHttpTraced,
  platformUndiciTraced
]

const rate = (table: Table, contender: Contender) => Rounds.values(table.samples, contender.name, "rate")

const measure = async (
  clients: ReadonlyArray<readonly [Contender, Client]>,
  callers: number,
  calls: number,
  { rounds, smoke }: Settings
): Promise<Table> => ({
  title: callers === 1 ? "1 caller" : `${callers} callers`,
  samples: await Rounds.measure(
    clients.map(([{ name }, client]) => ({ name, sample: () => measureLoad(client, callers, calls) })),
    { rounds, warmUps: smoke ? 0 : 2 }
  ),
  measures: [
    { key: "rate", title: "requests", unit: "per s", against: effectAlf.name },
    { key: "cpu", title: "CPU per request", unit: "µs", against: effectAlf.name },
    { key: "collection", title: "held up by collections", unit: "µs" },
    { key: "tail", title: "99.9% of the calls within", unit: "ms" },
    { key: "delay", title: "event loop late by", unit: "ms" }
  ]
})

export const steadyState: Scenario = {
  name: "steady-state",
  title: "Steady state",
  run: async (settings) => {
    const servers = await Servers.start()
    const clients = contenders.map((contender) => [contender, contender.make(surroundings(servers))] as const)
    const many = await measure(clients, 64, settings.smoke ? 128 : 2_000, settings)
    const one = await measure(clients, 1, settings.smoke ? 16 : 400, settings)
    await Promise.all(clients.map(([, client]) => client.close()))
    servers.close()
    return {
      method: "Callers that each send a GET as soon as the one before is answered, and read its small JSON body. The " +
        "token was there before. What is not said to be traced has tracing off. The processor time is that of the " +
        "client's process; the event loop is late by so much at most for 99% of " +
        "its timers.",
      tables: [many, one],
      goals: [
        {
          what: "64 callers: against NodeHttp with a constant header",
          figure: ratio(rate(many, effectAlf), rate(many, nodeHttp)),
          bound: "at least",
          limit: 0.97,
          unit: "×"
        },
        {
          what: "64 callers: against platform's undici layer with a constant header",
          figure: ratio(rate(many, effectAlf), rate(many, platformUndici)),
          bound: "at least",
          limit: 1.5,
          unit: "×"
        },
        ...peers.map((peer) => ({
          what: `64 callers: against ${peer.name}`,
          figure: ratio(rate(many, effectAlf), rate(many, peer)),
          bound: "at least" as const,
          limit: 1,
          unit: "×"
        }))
      ],
      picture: { title: "Requests per second, 64 callers", table: many, measure: "rate", better: "more" }
    }
  }
}
