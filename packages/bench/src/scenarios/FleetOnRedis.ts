import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Effect } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { atMost } from "../Goal.js"
import type { Account, Orders } from "../member.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import * as Servers from "../Servers.js"
import { surroundings } from "../Servers.js"
import { median } from "../Statistics.js"

/** Milliseconds. */
const tokenLatency = 50
/** Seconds. */
const lifetime = 3
const callers = 8

const startMember = async (): Promise<ChildProcess> => {
  const child = fork(fileURLToPath(new URL("../member.js", import.meta.url)), { execArgv: [] })
  await once(child, "message")
  return child
}

const send = async (child: ChildProcess, orders: Orders): Promise<Account> => {
  child.send(orders)
  const answered = new AbortController()
  const { signal } = answered
  try {
    const [account] = await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit", { signal }).then(() => Promise.reject(new Error("A process of the fleet has ended")))
    ])
    return account
  } finally {
    answered.abort()
  }
}

export const fleetOnRedis: Scenario = {
  name: "fleet-on-redis",
  title: "Fleet on Redis",
  run: ({ rounds, smoke }) =>
    RedisServer.shared.pipe(
      Effect.flatMap((redis) =>
        Effect.promise(async () => {
          const duration = smoke ? 500 : 5_500
          const servers = await Servers.start()
          const members = await Promise.all(Array.from({ length: smoke ? 2 : 4 }, startMember))
          let round = 0

          const sample = async (isShared: boolean) => {
            await servers.reset({ tokenLatency, expiresIn: lifetime, period: lifetime })
            // No token of the round before
            const prefix = `${redis.prefix}${round++}:`
            const orders = {
              surroundings: surroundings(servers),
              redis: isShared ? { url: redis.url, prefix } : undefined,
              callers,
              duration
            }
            const accounts = await Promise.all(members.map((member) => send(member, orders)))
            const { needless, tokenRequests, unauthorized } = await servers.counts()
            return {
              tokenRequests,
              perRenewal: tokenRequests / (tokenRequests - needless),
              unauthorized,
              failed: accounts.reduce((sum, { failed }) => sum + failed, 0),
              p50: median(accounts.map(({ p50 }) => p50)),
              p99: median(accounts.map(({ p99 }) => p99)),
              cpu: median(accounts.map(({ cpu }) => cpu))
            }
          }

          const own = "with one Redis"
          const apart = "each with a store in its memory"
          const samples = await Rounds.measure(
            [{ name: own, sample: () => sample(true) }, { name: apart, sample: () => sample(false) }],
            { rounds, warmUps: smoke ? 0 : 1 }
          )
          for (const member of members) member.disconnect()
          servers.close()
          const shared = (measure: string) => Rounds.values(samples, own, measure)
          const table = {
            title: "",
            samples,
            measures: [
              { key: "tokenRequests", title: "token requests", unit: "" },
              { key: "perRenewal", title: "for each renewal", unit: "" },
              { key: "unauthorized", title: "401s", unit: "" },
              { key: "failed", title: "failed calls", unit: "" },
              { key: "p50", title: "half of the calls within", unit: "ms", against: apart },
              { key: "p99", title: "99% within", unit: "ms" },
              { key: "cpu", title: "CPU per call", unit: "µs", against: apart }
            ]
          }
          return {
            method:
              `${members.length} processes of ${callers} callers each for ${duration / 1_000} s, from the first ` +
              `token on, with tokens of ${lifetime} s. A renewal is what brings the fleet a token that was due.`,
            tables: [table],
            goals: [
              atMost("token requests for each renewal", 1, shared("perRenewal")),
              atMost("401s", 0, shared("unauthorized")),
              atMost("failed calls", 0, shared("failed"))
            ],
            picture: {
              title: "Token requests of four processes for each renewal",
              table,
              measure: "perRenewal",
              better: "less" as const
            }
          }
        })
      ),
      Effect.scoped,
      Effect.runPromise
    )
}
