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
const outage = 2_000
const tokenLatency = 20

export const outageOfTheEndpoint: Scenario = {
  name: "outage",
  title: "Outage of the token endpoint",
  run: async ({ goalsOnly, rounds, smoke }) => {
    const callers = 50
    const servers = await Servers.start()
    const samples = await Rounds.measure(
      [effectAlf, ...(goalsOnly ? [] : peers)].map((contender) => ({
        name: contender.name,
        sample: async () => {
          await servers.reset({ tokenLatency })
          const load = Loads.once(callers)
          const time = await use(contender, surroundings(servers), async (client) => {
            await servers.fail(smoke ? outage / 10 : outage)
            const start = performance.now()
            await client.run(callers, load)
            return performance.now() - start
          })
          return { time, tokenRequests: (await servers.counts()).tokenRequests, failed: load.failed() }
        }
      })),
      { rounds, warmUps: 0 }
    )
    servers.close()
    const own = (measure: string) => Rounds.values(samples, effectAlf.name, measure)
    const table = {
      title: "",
      samples,
      measures: [
        { key: "failed", title: `failed of ${callers} calls`, unit: "" },
        { key: "tokenRequests", title: "token requests", unit: "" },
        { key: "time", title: "until all are done", unit: "ms" }
      ]
    }
    return {
      method: `${callers} callers that wait for the first token, while the token endpoint answers 503 for ${
        outage / 1_000
      } s. Who does not wait fails at once.`,
      tables: [table],
      goals: [atMost("failed calls", 0, own("failed")), atMost("token requests", 6, own("tokenRequests"))],
      picture: {
        title: "Of 50 calls while the token endpoint is down, those that fail",
        table,
        measure: "failed",
        better: "less"
      }
    }
  }
}
