/** One process of a fleet: told where and for how long, it calls the API and tells how it went. */
import type { Surroundings } from "./Client.js"
import { use } from "./Client.js"
import { alone, shared } from "./clients/fleet.js"
import * as Loads from "./Loads.js"
import { quantile } from "./Statistics.js"

export interface Orders {
  readonly surroundings: Surroundings
  readonly redis: { readonly url: string; readonly prefix: string } | undefined
  readonly callers: number
  /** Milliseconds. */
  readonly duration: number
}

export interface Account {
  readonly calls: number
  readonly failed: number
  readonly p50: number
  readonly p99: number
  /** Processor time for each call, in microseconds. */
  readonly cpu: number
}

process.on("message", (orders: Orders) => {
  const { callers, duration, redis, surroundings } = orders
  const contender = redis === undefined ? alone : shared(redis)
  use(contender, surroundings, async (client) => {
    await client.run(callers, Loads.once(callers))
    const load = Loads.during(duration)
    const start = process.cpuUsage()
    await client.run(callers, load)
    const { system, user } = process.cpuUsage(start)
    const calls = load.latencies.length
    const account: Account = {
      calls,
      failed: load.failed(),
      p50: quantile(load.latencies, 0.5),
      p99: quantile(load.latencies, 0.99),
      cpu: (system + user) / calls
    }
    return account
  }).then((account) => process.send?.(account), () => process.exit(1))
})
process.once("disconnect", () => process.exit())
process.send?.("ready")
