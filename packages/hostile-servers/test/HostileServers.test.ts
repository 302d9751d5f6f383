import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { Behaviour } from "../src/Behaviour.js"
import * as Catalogue from "../src/Catalogue.js"
import * as Certificates from "../src/Certificates.js"
import * as HostileServer from "../src/HostileServer.js"
import * as Token from "../src/Token.js"
import * as Secrets from "../../core/test/Secrets.js"

import { assertion, clientSecret, type HttpName, type Job, type Result } from "./Job.js"
import * as ClientProcess from "./ClientProcess.js"

const https: ReadonlyArray<HttpName> = ["fetch", "undici"]

const behaviours = Object.values(Catalogue.tokenEndpoint).flat()

const maxMemory = 16 * 1024 * 1024
// One that waits does so on purpose; another is given more time than it will ever take
const timeouts = { idle: 1000, flooded: 500 }
const timeoutOf = ({ waits }: Behaviour) => waits === undefined ? 5000 : timeouts[waits]
const batchSize = 16
/** Rows that could take much memory run alone, those that wait do so together. */
const batchOf = (behaviour: Behaviour) =>
  behaviour.waits === "idle"
    ? "idle"
    : behaviour.waits === "flooded" || Catalogue.tokenEndpoint.size!.includes(behaviour)
    ? behaviour.name
    : `batch ${Math.floor(behaviours.indexOf(behaviour) / batchSize)}`
// Two attempts, and what a busy machine adds
const maxTime = (behaviour: Behaviour) => (behaviour.asks ?? 1) * 2 * timeoutOf(behaviour) + 3000

const planted = "pl4nted/where+it=must&not ä be"
const secrets = [clientSecret, assertion, Token.issued].flatMap((secret) => [
  secret,
  secret.slice(0, 12),
  secret.slice(-12)
])

interface Run extends ClientProcess.Finished {
  readonly result: (name: string) => Result | undefined
  readonly visits: ReadonlyMap<string, number>
  readonly elsewhere: number
}

const runAll = (http: HttpName) =>
  Effect.gen(function*() {
    const certificates = yield* Certificates.make
    const trap = yield* HostileServer.trap
    const surroundings = { certificates, document: Token.document, elsewhere: trap.origin }
    const servers = yield* Effect.forEach([Catalogue.honest, ...behaviours], (behaviour) => HostileServer.listen(behaviour, surroundings))
    const jobs = servers.map(({ behaviour, origin }): Job => ({
      name: behaviour.name,
      url: `${origin}/token`,
      timeout: timeoutOf(behaviour),
      asks: behaviour.asks ?? 1,
      batch: batchOf(behaviour),
      collects: behaviour.waits === "flooded"
    }))
    const finished = yield* ClientProcess.run(http, [...jobs, { ...jobs[0]!, name: "planted", batch: "planted", planted }], {
      NODE_EXTRA_CA_CERTS: certificates.authorityFile
    })
    const results = new Map(finished.results.map((result) => [result.name, result]))
    const run: Run = {
      ...finished,
      result: (name) => results.get(name),
      visits: new Map(servers.map(({ behaviour, visits }) => [behaviour.name, visits()])),
      elsewhere: trap.visits()
    }
    return run
  }).pipe(Effect.scoped)

const runs = {} as Record<HttpName, Run>

beforeAll(async () => {
  const [fetch, undici] = await Effect.runPromise(Effect.all([runAll("fetch"), runAll("undici")], { concurrency: 2 }))
  Object.assign(runs, { fetch, undici })
})

/** What is not as the catalogue says. */
const problems = ({ expected, ...behaviour }: Behaviour, run: Run): ReadonlyArray<string> => {
  const result = run.result(behaviour.name)
  if (result === undefined) return ["no result"]
  const { leaks, memory, outcome, time } = result
  const found: Array<string> = leaks.map((leak) => `a secret is seen: ${leak}`)
  const visits = run.visits.get(behaviour.name)
  const say = (isWrong: boolean, what: string) => isWrong && found.push(what)
  say(time > maxTime({ expected, ...behaviour }), `took ${time} ms`)
  say(memory > maxMemory, `took ${megabytes(memory)} MB`)
  const isUnanswered = outcome._tag === "Error" && (outcome.reason === "Transport" || outcome.reason === "Timeout")
  const visitsExpected = expected.visits ?? (isUnanswered ? 2 : 1)
  say(visits !== visitsExpected, `${visits} visits instead of ${visitsExpected}`)
  if (outcome._tag === "Defect") return [...found, `failed with ${outcome.message}`]
  if (outcome._tag === "Token") {
    if (expected.outcome === "refused") return [...found, `accepted, not refused for ${expected.reason}`]
    const { lifetime = 3600, scope = null, token = Token.issued } = expected
    say(outcome.token !== token, "another token")
    say(outcome.lifetime !== lifetime, `lifetime ${outcome.lifetime} instead of ${lifetime}`)
    say("scope" in expected && outcome.scope !== scope, `scope ${outcome.scope} instead of ${scope}`)
    return found
  }
  const { error, message, reason, retryAfter } = outcome
  const told = `${reason} "${message}"`
  say(message.length > 800, `a message of ${message.length} characters`)
  if (expected.outcome === "accepted") return [...found, `refused: ${told}`]
  say(![expected.reason].flat().includes(reason), `${told} instead of ${[expected.reason].flat().join(" or ")}`)
  say(!expected.says.test(message), `${told} does not say ${expected.says}`)
  say(expected.error !== undefined && expected.error !== error, `error ${error} instead of ${expected.error}`)
  if (expected.retryAfter !== undefined) {
    const [from, to] = expected.retryAfter ?? [null, null]
    const within = from === null ? retryAfter === null : retryAfter !== null && from <= retryAfter && retryAfter <= to
    say(!within, `retry after ${retryAfter}`)
  }
  return found
}

describe.each(https)("a hostile token endpoint, asked with %s", (http) => {
  it.each(behaviours.map((behaviour) => [behaviour.name, behaviour] as const))("%s", (_, behaviour) => {
    const found = problems(behaviour, runs[http])
    assert.strictEqual(found.length, 0, found.join("\n"))
  })

  it("the process lives to the end, and nothing is left uncaught", () => {
    assert.strictEqual(runs[http].exitCode, 0)
    assert.deepStrictEqual(runs[http].uncaught, [])
  })

  it("no secret, assertion or token is printed", () => {
    const has = Secrets.finder(secrets)
    assert.isFalse(has(runs[http].stdout))
    assert.isFalse(has(runs[http].stderr))
  })

  it("nobody is led elsewhere", () => {
    assert.strictEqual(runs[http].elsewhere, 0)
  })

  it("the scan finds what is printed, logged, traced and thrown", () => {
    const { leaks } = runs[http].result("planted")!
    for (const what of ["thrown", "logged", "traced by plant", "how plant ended"]) {
      assert.isTrue(leaks.some((leak) => leak.startsWith(`${what}: `)), what)
    }
    const has = Secrets.finder([planted])
    assert.isTrue(has(runs[http].stdout))
    assert.isTrue(has(runs[http].stderr))
  })
})

const megabytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)

afterAll(() => {
  const outcome = (result: Result | undefined) =>
    result?.outcome._tag === "Error" ? result.outcome.reason : result?.outcome._tag ?? "none"
  const cells = (name: string) =>
    https.flatMap((http) => {
      const result = runs[http].result(name)
      return [
        outcome(result).padEnd(15),
        `${Math.round(result?.time ?? 0)} ms`.padStart(8),
        `${megabytes(result?.memory ?? 0)} MB`.padStart(8)
      ]
    })
  const lines = Object.entries(Catalogue.tokenEndpoint).flatMap(([group, behaviours]) => [
    "",
    `${group.padEnd(44)} ${https.map((http) => http.padEnd(33)).join(" ")}`,
    ...behaviours.map(({ name }) => [name.padEnd(44), ...cells(name)].join(" "))
  ])
  process.stdout.write(`${lines.join("\n")}\n\n${behaviours.length} behaviours\n`)
})
