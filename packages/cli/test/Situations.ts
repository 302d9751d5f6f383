/**
 * What goes wrong with a client's set-up, one after the other, each against real servers on loopback; and the terminal
 * session that shows how `alf doctor` tells it.
 */
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Clock, Effect } from "effect"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Certificates from "../../node/test/Certificates.js"
import * as Tunnel from "../../node/test/Tunnel.js"
import { type Alf, type Environment, here, isLate, type Outcome } from "./Alf.js"
import * as ClientServer from "./ClientServer.js"

export interface Situation {
  readonly title: string
  /** What the environment says otherwise than in the first situation. */
  readonly env: Environment
  readonly args: ReadonlyArray<string>
  readonly outcome: Outcome
}

export interface Session {
  readonly situations: Readonly<Record<Name, Situation>>
  /** Every secret that the situations use. */
  readonly secrets: ReadonlyArray<string>
  /** The session as the guide shows it: with ports and times that are always the same. */
  readonly transcript: string
}

// Nobody listens on it, nor is it given to a server that asks for any port, as a free one may be meanwhile
const closedPort = 6399

export type Name =
  | "good"
  | "wrongSecret"
  | "wrongIssuer"
  | "clockOff"
  | "redisDown"
  | "plainHttp"
  | "proxyNeeded"
  | "proxyUsed"

const corporate = { auth: "auth.corp.test", api: "api.corp.test" }

/** Each is played in this process, but for the one that needs an authority that Node reads when it starts. */
export const play = (alf: Alf) =>
  Effect.scoped(Effect.gen(function*() {
    const redis = yield* RedisServer.make()
    const server = yield* ClientServer.make()
    const late = yield* ClientServer.make({ ahead: 600 })
    const authority = yield* Certificates.make
    const { certificate, key } = yield* authority.issue("corporate", ...Object.values(corporate))
    const ca = join(authority.directory, "authority.pem")
    yield* Effect.promise(() => writeFile(ca, authority.ca))
    const hidden = yield* Effect.withClock(ClientServer.make({ tls: { cert: certificate, key } }), Clock.make())
    const { proxy } = yield* Tunnel.makeProxyAt("127.0.0.1", {
      [`${corporate.auth}:443`]: `127.0.0.1:${hidden.port}`,
      [`${corporate.api}:443`]: `127.0.0.1:${hidden.port}`
    })

    const base: Environment = { ...server.env, ALF_STORE_URL: redis.url }
    const behindProxy: Environment = {
      ALF_TOKEN_ENDPOINT: `https://${corporate.auth}/token`,
      ALF_BASE_URL: `https://${corporate.api}`,
      NODE_EXTRA_CA_CERTS: ca
    }
    const plans: Readonly<Record<Name, Omit<Situation, "outcome">>> = {
      good: { title: "Everything works", env: base, args: ["--api", "/orders"] },
      wrongSecret: { title: "A wrong secret", env: { ALF_CLIENT_SECRET: "an older one" }, args: [] },
      wrongIssuer: {
        title: "A wrong issuer",
        env: {},
        args: ["--issuer", `${server.url}/`]
      },
      clockOff: {
        title: "The clock is wrong",
        env: { ALF_TOKEN_ENDPOINT: late.tokenEndpoint, ALF_BASE_URL: late.apiUrl },
        args: []
      },
      redisDown: {
        title: "Redis is down",
        env: { ALF_STORE_URL: `redis://127.0.0.1:${closedPort}` },
        args: []
      },
      plainHttp: { title: "An http address", env: { ALF_TOKEN_ENDPOINT: "http://auth.example.com/token" }, args: [] },
      proxyNeeded: { title: "A proxy is needed", env: behindProxy, args: [] },
      proxyUsed: {
        title: "The proxy is used",
        env: { ...behindProxy, HTTPS_PROXY: proxy.url },
        args: ["--api", "/orders"]
      }
    }
    const outcomes = yield* Effect.all(
      mapValues(plans, ({ args, env }, name) =>
        (name === "proxyUsed" ? alf : here).run(["doctor", ...args], { env: { ...base, ...env } }).pipe(
          Effect.repeat({ while: isLate })
        )),
      { concurrency: "unbounded" }
    )
    const situations = mapValues(plans, (plan, name): Situation => ({ ...plan, outcome: outcomes[name] }))

    const ports = new Map([
      [`${server.port}`, 8080],
      [new URL(server.apiUrl).port, 8081],
      [`${late.port}`, 8090],
      [new URL(late.apiUrl).port, 8091],
      [`${redis.port}`, 6379],
      [`${closedPort}`, 6380],
      [new URL(proxy.url).port, 3128]
    ])
    const normalize = (text: string) => {
      let normal = text
      for (const [port, shown] of ports) {
        normal = normal.replaceAll(`:${port}`, `:${shown}`)
      }
      return normal
        .replaceAll(ca, "/etc/ssl/corp.pem")
        .replaceAll(/in \d+ ms each/g, "in 1 ms each")
        .replaceAll(/\d+ s from that of/g, "as that of")
        .replaceAll("EAI_AGAIN", "ENOTFOUND")
        .replaceAll(/valid until [^\n]*/g, "valid until Nov 26 12:00:00 2027 GMT")
        .replaceAll(/ +$/gm, "")
    }
    return {
      situations,
      secrets: [...server.secrets, ...late.secrets, ...hidden.secrets, "an older one"],
      transcript: normalize(
        [
          ...shown.map((name) =>
            show(situations[name], base)
          ),
          table(Object.values(situations).filter((situation) => !shown.some((name) => situations[name] === situation)))
        ].join("\n\n")
      )
    }
  }))

/** The one whose whole session the guide shows; of the others it shows the first line. */
const shown: ReadonlyArray<Name> = ["good"]

const table = (situations: ReadonlyArray<Situation>): string =>
  [
    "| situation | first line of `alf doctor` | exit code |",
    "| --- | --- | --- |",
    ...situations.map(({ outcome, title }) =>
      `| ${title} | \`${outcome.stdout.split("\n")[0]}\` | ${outcome.exitCode} |`
    )
  ].join("\n")

const mapValues = <A, B>(record: Readonly<Record<Name, A>>, map: (value: A, name: Name) => B): Record<Name, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name as Name)])) as Record<Name, B>

/** What is set for this one call stands before it, as a shell takes it; the secret is only hinted at. */
const show = ({ args, env, outcome }: Situation, base: Environment): string => {
  const isFirst = env === base
  const settings = Object.entries(env).map(([name, value]) => `${name}=${name === "ALF_CLIENT_SECRET" ? "..." : value}`)
  const call = ["alf", "doctor", ...args].join(" ")
  const lines = isFirst
    ? [...settings.map((setting) => `$ export ${setting}`), `$ ${call}`]
    : [`$ ${[...settings, call].join(" ")}`]
  return [
    "```console",
    ...lines,
    outcome.stdout.trimEnd(),
    "$ echo $?",
    String(outcome.exitCode),
    "```"
  ].join("\n")
}
