import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import * as Secrets from "../../core/test/Secrets.js"
import type { Behaviour } from "../src/Behaviour.js"
import * as Catalogue from "../src/Catalogue.js"
import * as Certificates from "../src/Certificates.js"
import * as HostileServer from "../src/HostileServer.js"
import { metadataOf } from "../src/Metadata.js"
import { writings } from "../src/Refusals.js"
import * as Token from "../src/Token.js"

import * as ClientProcess from "./ClientProcess.js"
import { assertion, clientSecret, type Consumer, type HttpName, type Job, type Outcome, type Result } from "./Job.js"

const https: ReadonlyArray<HttpName> = ["fetch", "undici"]

interface Row {
  readonly id: string
  readonly consumer: Consumer
  readonly group: string
  readonly behaviour: Behaviour
}

const consumers: ReadonlyArray<Consumer> = ["tokenEndpoint", "discovery"]

const rows: ReadonlyArray<Row> = consumers.flatMap((consumer) =>
  Object.entries(Catalogue[consumer]).flatMap(([group, behaviours]) =>
    behaviours.map((behaviour) => ({ id: `${consumer}, ${behaviour.name}`, consumer, group, behaviour }))
  )
)

const maxMemory = 16 * 1024 * 1024
// One that waits does so on purpose; another is given more time than it will ever take
const timeouts = { idle: 1000, flooded: 500 }
const timeoutOf = ({ waits }: Behaviour) => waits === undefined ? 5000 : timeouts[waits]
const batchSize = 16
/** Rows that could take much memory run alone, those that wait do so together. */
const batchOf = ({ behaviour, consumer, group, id }: Row, index: number) =>
  behaviour.waits === "idle"
    ? `idle ${consumer}`
    : behaviour.waits === "flooded" || group === "size"
    ? id
    : `batch ${Math.floor(index / batchSize)}`
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

// In CI both clients meet every behaviour; else they share them
const isThorough = process.env.THOROUGH !== undefined
const rowsOf = (http: HttpName) =>
  isThorough ? rows : rows.filter((_, index) => index % https.length === https.indexOf(http))

const runAll = (program: string, http: HttpName) =>
  Effect.gen(function*() {
    const own = rowsOf(http)
    const certificates = yield* Certificates.make
    const trap = yield* HostileServer.trap
    const surroundings = { certificates, document: () => Token.document, elsewhere: trap.origin }
    const honest = yield* HostileServer.listen(Catalogue.honest, surroundings)
    const honestTls = yield* HostileServer.listen(
      { ...Catalogue.honest, scheme: "https", certificate: "trusted" },
      surroundings
    )
    const document: Record<Consumer, (origin: string) => string> = {
      tokenEndpoint: () => Token.document,
      discovery: (origin) => metadataOf(origin, `${(origin.startsWith("https:") ? honestTls : honest).origin}/token`)
    }
    const servers = yield* Effect.forEach(
      own,
      ({ behaviour, consumer }) => HostileServer.listen(behaviour, { ...surroundings, document: document[consumer] })
    )
    const warmUp: Job = {
      name: "warm-up",
      consumer: "tokenEndpoint",
      origin: honest.origin,
      timeout: 5000,
      asks: 1,
      batch: "warm-up",
      collects: false
    }
    const jobs = servers.map(({ behaviour, origin }, index): Job => ({
      name: own[index].id,
      consumer: own[index].consumer,
      origin,
      timeout: timeoutOf(behaviour),
      asks: behaviour.asks ?? 1,
      batch: batchOf(own[index], index),
      collects: behaviour.waits === "flooded"
    }))
    const plant: Job = { ...warmUp, name: "planted", batch: "planted", planted }
    const finished = yield* ClientProcess.run(program, http, [warmUp, ...jobs, plant], {
      NODE_EXTRA_CA_CERTS: certificates.authorityFile
    })
    const results = new Map(finished.results.map((result) => [result.name, result]))
    const run: Run = {
      ...finished,
      result: (name) => results.get(name),
      visits: new Map(servers.map(({ visits }, index) => [own[index].id, visits()])),
      elsewhere: trap.visits()
    }
    return run
  }).pipe(Effect.scoped)

const runs = {} as Record<HttpName, Run>

beforeAll(() =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const program = yield* ClientProcess.program
    const all = yield* Effect.forEach(https, (http) => runAll(program, http), { concurrency: "unbounded" })
    https.forEach((http, index) => runs[http] = all[index]!)
  })))
)

const isUnanswered = (outcome: Outcome) =>
  outcome._tag === "Error" && (outcome.reason === "Transport" || outcome.reason === "Timeout")

/** What is not as the catalogue says. */
const problems = ({ behaviour, consumer, id }: Row, run: Run): ReadonlyArray<string> => {
  const result = run.result(id)
  if (result === undefined) return ["no result"]
  const { expected } = behaviour
  const { leaks, memory, outcome, time } = result
  const found: Array<string> = leaks.map((leak) => `a secret is seen: ${leak}`)
  const say = (isWrong: boolean, what: string) => isWrong && found.push(what)
  say(time > maxTime(behaviour), `took ${time} ms`)
  say(memory > maxMemory, `took ${megabytes(memory)} MB`)
  const visits = run.visits.get(id)!
  const visitsExpected = expected.visits ?? (isUnanswered(outcome) ? 2 : 1)
  say(
    // What was wrong with the metadata is kept for a second
    consumer === "discovery" ? visits > visitsExpected : visits !== visitsExpected,
    `${visits} visits instead of ${visitsExpected}`
  )
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

describe("the catalogue", () => {
  it("names at least 80 behaviours of a token endpoint, each once", () => {
    assert.isAtLeast(rows.filter(({ consumer }) => consumer === "tokenEndpoint").length, 80)
    assert.strictEqual(new Set(rows.map(({ id }) => id)).size, rows.length)
  })
})

describe("the scan for secrets", () => {
  it.each(Object.entries(writings))("finds one %s", (_, write) => {
    const has = Secrets.finder([clientSecret])
    assert.isTrue(has(`before ${write(clientSecret)} after`))
    assert.isFalse(has(`before ${write("something else & it is long enough")} after`))
  })
})

describe.each(https)("hostile servers, asked with %s", (http) => {
  it.each(rowsOf(http).map((row) => [row.id, row] as const))("%s", (_, row) => {
    const found = problems(row, runs[http])
    assert.strictEqual(found.length, 0, found.join("\n"))
  })

  it("the process lives to the end, and nothing is left uncaught", () => {
    assert.strictEqual(runs[http].exitCode, 0)
    deepStrictEqual(runs[http].uncaught, [])
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
  const outcomeOf = ({ outcome }: Result) => outcome._tag === "Error" ? outcome.reason : outcome._tag
  const cells = (id: string) =>
    https.flatMap((http) => {
      const result = runs[http].result(id)
      if (result === undefined) return [" ".repeat(33)]
      return [
        outcomeOf(result).padEnd(15),
        `${Math.round(result.time)} ms`.padStart(8),
        `${megabytes(result.memory)} MB`.padStart(8)
      ]
    })
  const width = Math.max(...rows.map(({ behaviour }) => behaviour.name.length))
  const head = (
    consumer: Consumer,
    group: string
  ) => ["", `${consumer}, ${group}`.padEnd(width) + https.map((http) => ` ${http.padEnd(33)}`).join("").trimEnd()]
  const lines = rows.flatMap(({ behaviour, consumer, group, id }, index) => [
    ...rows[index - 1]?.group === group ? [] : head(consumer, group),
    [behaviour.name.padEnd(width), ...cells(id)].join(" ")
  ])
  process.stdout.write(`${lines.join("\n")}\n\n${rows.length} hostile behaviours\n`)
})
