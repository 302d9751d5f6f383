/** The process behind `ClientProcess`. */
import { serve } from "./Child.js"
import type { Client, Contender } from "./Client.js"
import type { Calls, Identity, Order, Run } from "./ClientProcess.js"
import * as Loads from "./Loads.js"
import * as Pauses from "./Pauses.js"
import { quantile } from "./Statistics.js"

let contender: Contender | undefined
let client: Client | undefined

const loadOf = (calls: Calls, callers: number): Loads.Recorded => {
  switch (calls.type) {
    case "count":
      return Loads.count(calls.calls)
    case "once":
      return Loads.once(callers)
    case "during":
      return Loads.during(calls.millis)
  }
}

const run = async ({ run }: Client, callers: number, calls: Calls): Promise<Run> => {
  // A full collection would also drop what the compiled code has learnt
  globalThis.gc?.({ type: "minor" })
  const load = loadOf(calls, callers)
  const pauses = Pauses.watch()
  const heap = process.memoryUsage().heapUsed
  const start = performance.now()
  const cpu = process.cpuUsage()
  await run(callers, load)
  const { system, user } = process.cpuUsage(cpu)
  const time = performance.now() - start
  const bytes = globalThis.gc === undefined ? NaN : process.memoryUsage().heapUsed - heap
  const { latencies } = load
  return {
    calls: latencies.length,
    failed: load.failed(),
    time,
    cpu: user + system,
    ...pauses(),
    bytes,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    p999: quantile(latencies, 0.999),
    max: quantile(latencies, 1)
  }
}

serve({}, async (order: Order | Identity): Promise<unknown> => {
  if ("module" in order) {
    const found: ReadonlyArray<Contender> = Object.values(await import(order.module))
    contender = found.find(({ name }) => name === order.name)
    if (contender === undefined) throw new Error(`There is no client ${order.name}`)
    return undefined
  }
  switch (order.type) {
    case "open":
      client = contender?.make(order.surroundings)
      return undefined
    case "run":
      if (client === undefined) throw new Error("There is no client")
      return run(client, order.callers, order.calls)
    case "close":
      await client?.close()
      client = undefined
      return undefined
  }
})
