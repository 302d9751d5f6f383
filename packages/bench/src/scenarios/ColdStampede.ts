import { type Contender, use } from "../Client.js"
import { effectAlf } from "../clients/effectAlf.js"
import { nodeHttp } from "../clients/platform.js"
import { undici } from "../clients/undici.js"
import { contenders } from "../Contenders.js"
import { atMost } from "../Goal.js"
import * as Loads from "../Loads.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { paired } from "../Statistics.js"

/** Milliseconds. */
const tokenLatency = 100

export const coldStampede: Scenario = {
  name: "cold-stampede",
  title: "Cold stampede",
  run: async ({ rounds, smoke }) => {
    const callers = smoke ? 50 : 1_000
    const servers = await Servers.start()
    const burst = async (contender: Contender) => {
      await servers.reset({ tokenLatency })
      const load = Loads.once(callers)
      const time = await use(contender, surroundings(servers), async (client) => {
        const start = performance.now()
        await client.run(callers, load)
        return performance.now() - start
      })
      const { tokenRequests } = await servers.counts()
      return { time, tokenRequests, failed: load.failed() }
    }
    const samples = await Rounds.measure(
      contenders.map((contender) => ({
        name: contender.name,
        sample: async () => {
          // What the one before has left to be collected and closed is over by then
          await burst(contender)
          return burst(contender)
        }
      })),
      { rounds, warmUps: smoke ? 0 : 2 }
    )
    servers.close()
    const own = (measure: string) => Rounds.values(samples, effectAlf.name, measure)
    const against = (bare: string) =>
      paired(own("time"), Rounds.values(samples, bare, "time"), (time, other) => time / (other + tokenLatency))
    const table = {
      title: "",
      samples,
      measures: [
        { key: "time", title: "until all are done", unit: "ms", against: effectAlf.name },
        { key: "tokenRequests", title: "token requests", unit: "" },
        { key: "failed", title: "failed calls", unit: "" }
      ]
    }
    return {
      method:
        `${callers.toLocaleString("en")} callers at once, each with one request, through a client that has neither ` +
        `a token nor a connection. The token endpoint takes ${tokenLatency} ms. Clients with a constant header wait for none. ` +
        "Each is measured right after such a burst of its own, in a client of its own: what another client leaves to " +
        "be collected and closed slows down whoever comes next.",
      tables: [table],
      goals: [
        atMost("token requests", 1, own("tokenRequests")),
        atMost("failed calls", 0, own("failed")),
        {
          what: "all done, against undici and the time of a token request",
          figure: against(undici.name),
          bound: "at most",
          limit: 1.1,
          unit: "×"
        },
        {
          what: "all done, against NodeHttp and the time of a token request",
          figure: against(nodeHttp.name),
          bound: "at most",
          limit: 1.1,
          unit: "×"
        }
      ],
      picture: { title: "A start with 1,000 requests at once", table, measure: "time", better: "less" }
    }
  }
}
