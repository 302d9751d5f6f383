import type { Contender } from "../Client.js"
import * as ClientProcess from "../ClientProcess.js"
import { effectAlf } from "../clients/effectAlf.js"
import { peers } from "../Contenders.js"
import { atMost } from "../Goal.js"
import type { Table } from "../Report.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { difference, ratio } from "../Statistics.js"

/** Milliseconds. */
const tokenLatency = 100
/** Seconds: a fifth before the end, this client renews. */
const lifetime = 3
/** Seconds: with it the others renew at about the same time. */
const margin = 0.5

const withoutRenewal = `${effectAlf.name}, nothing to renew`

export const renewalUnderLoad: Scenario = {
  name: "renewal-under-load",
  title: "Renewal under load",
  run: async ({ goalsOnly, rounds, smoke }) => {
    const servers = await Servers.start()
    const callers = 16
    // Long enough for the first token, and one renewal or two
    const duration = smoke ? 500 : 5_500

    const sample = async (contender: Contender, client: ClientProcess.ClientProcess, expiresIn: number) => {
      await servers.reset({ tokenLatency, expiresIn: expiresIn + (contender.ownMargin ?? 0), period: expiresIn })
      return ClientProcess.use(client, surroundings(servers, margin), async () => {
        // The first token is not what is measured, nor are the first connections
        await client.run(callers, { type: "once" })
        const before = await servers.counts()
        const { failed, max, p50, p99 } = await client.run(callers, { type: "during", millis: duration })
        const after = await servers.counts()
        return {
          p50,
          p99,
          max,
          tokenRequests: after.tokenRequests - before.tokenRequests,
          needless: after.needless - before.needless,
          unauthorized: after.unauthorized - before.unauthorized,
          failed
        }
      })
    }

    const samples = await ClientProcess.useAll(
      [effectAlf, ...(goalsOnly || smoke ? [] : peers)],
      (clients) =>
        Rounds.measure(
          clients.flatMap(([contender, client]) => [
            { name: contender.name, sample: () => sample(contender, client, lifetime) },
            ...(contender === effectAlf
              ? [{ name: withoutRenewal, sample: () => sample(contender, client, 3_600) }]
              : [])
          ]),
          { rounds, warmUps: smoke ? 0 : 1 }
        )
    )
    servers.close()
    const own = (measure: string) => Rounds.values(samples, effectAlf.name, measure)
    const table: Table = {
      title: "",
      samples,
      measures: [
        { key: "p50", title: "half of the calls within", unit: "ms" },
        { key: "p99", title: "99% within", unit: "ms" },
        { key: "max", title: "the longest", unit: "ms" },
        { key: "tokenRequests", title: "token requests", unit: "" },
        { key: "needless", title: "of them needless", unit: "" },
        { key: "unauthorized", title: "401s", unit: "" },
        { key: "failed", title: "failed calls", unit: "" }
      ]
    }
    return {
      method:
        `${callers} callers for ${duration / 1_000} s, with tokens of ${lifetime} s from an endpoint that takes ` +
        `${tokenLatency} ms. Every client renews a while before the end: those that can be told, ${margin} s. A token ` +
        "request is needless when another is under way, or has just brought a token. Each round begins with a token. Each " +
        "client has a process of its own.",
      tables: [table],
      goals: [
        {
          what: "renewals, at least",
          figure: { value: Math.min(...own("tokenRequests")), noise: 0 },
          bound: "at least",
          limit: 1,
          unit: ""
        },
        atMost("token requests beyond the renewals that were due", 0, own("needless")),
        atMost("401s", 0, own("unauthorized")),
        atMost("failed calls", 0, own("failed")),
        {
          what: `what renewal adds to the longest call (one that waits for the token takes ${tokenLatency} ms)`,
          figure: difference(own("max"), Rounds.values(samples, withoutRenewal, "max")),
          bound: "at most",
          limit: tokenLatency / 2,
          unit: "ms"
        },
        {
          what: "99% of the calls within, against the same without a renewal",
          figure: ratio(own("p99"), Rounds.values(samples, withoutRenewal, "p99")),
          bound: "at most",
          limit: 1,
          unit: "×"
        }
      ],
      picture: { title: "The longest call while tokens are renewed", table, measure: "max", better: "less" }
    }
  }
}
