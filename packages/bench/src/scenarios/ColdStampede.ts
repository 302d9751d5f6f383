import * as ClientProcess from "../ClientProcess.js"
import { azurePipeline } from "../clients/azurePipeline.js"
import { badgateway } from "../clients/badgateway.js"
import { effectAlf } from "../clients/effectAlf.js"
import { googleAuth } from "../clients/googleAuth.js"
import { oidcInterceptor } from "../clients/oidcInterceptor.js"
import { nodeHttp } from "../clients/platform.js"
import { undici } from "../clients/undici.js"
import { contenders } from "../Contenders.js"
import { atMost } from "../Goal.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { median, paired, ratio } from "../Statistics.js"

/** Milliseconds. */
const tokenLatency = 100

/** Other clients that send one token request. */
const withOneFlight = [azurePipeline, badgateway, googleAuth, oidcInterceptor]

export const coldStampede: Scenario = {
  name: "cold-stampede",
  title: "Cold stampede",
  run: async ({ goalsOnly, rounds, smoke }) => {
    const callers = smoke ? 50 : 1_000
    const servers = await Servers.start()
    const burst = async (client: ClientProcess.ClientProcess) => {
      await servers.reset({ tokenLatency })
      const { cpu, failed, time } = await ClientProcess.use(
        client,
        surroundings(servers),
        () => client.run(callers, { type: "once" })
      )
      const { tokenRequests } = await servers.counts()
      return { time, cpu: cpu / callers, tokenRequests, failed }
    }
    const chosen = smoke
      ? [effectAlf, undici]
      : goalsOnly
      ? [effectAlf, undici, nodeHttp, ...withOneFlight]
      : contenders
    const samples = await ClientProcess.useAll(
      chosen,
      (clients) =>
        Rounds.measure(
          clients.map(([{ name }, client]) => ({
            name,
            sample: async () => {
              // What the client before left to be closed is over by then
              await burst(client)
              return burst(client)
            }
          })),
          { rounds, warmUps: smoke ? 0 : 4 }
        )
    )
    const first = await Rounds.measure(
      (goalsOnly ? [] : chosen).map((contender) => ({
        name: contender.name,
        sample: () => ClientProcess.useAll([contender], ([[, client]]) => burst(client))
      })),
      { rounds, warmUps: 0 }
    )
    servers.close()
    const own = (measure: string) => Rounds.values(samples, effectAlf.name, measure)
    const against = (bare: string) =>
      paired(own("time"), Rounds.values(samples, bare, "time"), (time, other) => time / (other + tokenLatency))
    const timeOf = (subject: string) => Rounds.values(samples, subject, "time")
    const fastest = withOneFlight.reduce(
      (fastest, { name }) => median(timeOf(name)) < median(timeOf(fastest)) ? name : fastest,
      azurePipeline.name
    )
    const table = {
      title: "In a process that has had such a burst",
      samples,
      measures: [
        { key: "time", title: "until all are done", unit: "ms", against: effectAlf.name },
        { key: "cpu", title: "CPU per request", unit: "µs" },
        { key: "tokenRequests", title: "token requests", unit: "" },
        { key: "failed", title: "failed calls", unit: "" }
      ]
    }
    return {
      method:
        `${callers.toLocaleString("en")} callers at once, each with one request, through a client that has neither ` +
        `a token nor a connection. The token endpoint takes ${tokenLatency} ms. Clients with a constant header wait for none. ` +
        "Each client has a process of its own.",
      tables: goalsOnly ? [table] : [table, {
        title: "In a new process",
        samples: first,
        measures: [
          { key: "time", title: "until all are done", unit: "ms", against: effectAlf.name },
          { key: "cpu", title: "CPU per request", unit: "µs" }
        ]
      }],
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
        },
        {
          what: `all done, against the fastest other client with one token request (${fastest})`,
          figure: ratio(own("time"), timeOf(fastest)),
          bound: "at most",
          limit: 1,
          unit: "×"
        }
      ],
      picture: { title: "A start with 1,000 requests at once", table, measure: "time", better: "less" }
    }
  }
}
