import { setTimeout as sleep } from "node:timers/promises"
import { use } from "../Client.js"
import { effectAlf } from "../clients/effectAlf.js"
import { peers } from "../Contenders.js"
import { atMost } from "../Goal.js"
import * as Loads from "../Loads.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"

/** Milliseconds. */
const apiLatency = 200
const tokenLatency = 50

export const revocation: Scenario = {
  name: "revocation",
  title: "Revocation",
  run: async ({ goalsOnly, rounds, smoke }) => {
    const callers = smoke ? 20 : 200
    const servers = await Servers.start()
    const samples = await Rounds.measure(
      [effectAlf, ...(goalsOnly ? [] : peers)].map((contender) => ({
        name: contender.name,
        sample: async () => {
          await servers.reset({ apiLatency, tokenLatency })
          return use(contender, surroundings(servers), async (client) => {
            await client.run(callers, Loads.once(callers))
            const before = await servers.counts()
            const load = Loads.once(callers)
            const start = performance.now()
            const done = client.run(callers, load)
            await sleep(apiLatency / 2)
            await servers.revoke()
            await done
            const time = performance.now() - start
            const after = await servers.counts()
            return {
              time,
              tokenRequests: after.tokenRequests - before.tokenRequests,
              unauthorized: after.unauthorized - before.unauthorized,
              failed: load.failed()
            }
          })
        }
      })),
      { rounds, warmUps: smoke ? 0 : 1 }
    )
    servers.close()
    const own = (measure: string) => Rounds.values(samples, effectAlf.name, measure)
    const table = {
      title: "",
      samples,
      measures: [
        { key: "tokenRequests", title: "token requests", unit: "" },
        { key: "failed", title: "failed calls", unit: "" },
        { key: "unauthorized", title: "401s", unit: "" },
        { key: "time", title: "until all are done", unit: "ms" }
      ]
    }
    return {
      method:
        `The token is revoked while ${callers} requests with it are in flight, so that each of them is answered ` +
        `with 401. The API takes ${apiLatency} ms, the token endpoint ${tokenLatency} ms: with one replay, ` +
        `${2 * apiLatency + tokenLatency} ms in all.`,
      tables: [table],
      goals: [atMost("token requests", 1, own("tokenRequests")), atMost("failed calls", 0, own("failed"))],
      picture: { title: "Of 200 calls after a revocation, those that fail", table, measure: "failed", better: "less" }
    }
  }
}
