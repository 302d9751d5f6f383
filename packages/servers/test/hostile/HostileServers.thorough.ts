import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect } from "effect"
import { beforeAll } from "vitest"
import { hang } from "../../../core/test/support/hang.js"
import { rows } from "../../../core/test/support/Rows.js"
import * as Secrets from "../../../core/test/support/Secrets.js"
import type { Behaviour } from "../../src/hostile/Behaviour.js"
import * as Catalogue from "../../src/hostile/Catalogue.js"
import * as Certificates from "../../src/hostile/Certificates.js"
import * as HostileServer from "../../src/hostile/HostileServer.js"
import { metadataOf } from "../../src/hostile/Metadata.js"
import { writings } from "../../src/hostile/Refusals.js"
import * as Token from "../../src/hostile/Token.js"

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

const all: ReadonlyArray<Row> = consumers.flatMap((consumer) =>
  Object.entries(Catalogue[consumer]).flatMap(([group, behaviours]) =>
    behaviours.map((behaviour) => ({ id: `${consumer}, ${behaviour.name}`, consumer, group, behaviour }))
  )
)

const maxMemory = 16 * 1024 * 1024
// The server does not respond, and so does not let time pass
const droppedTimeout = 100

/** Rows that could take much memory have little company, or none. */
const batchesOf = (rows: ReadonlyArray<Row>): ReadonlyArray<ReadonlyArray<Row>> => {
  const [few, floods] = Arr.partition(rows, ({ behaviour }) => behaviour.floods === true)
  const [others, size] = Arr.partition(few, ({ group }) => group === "size")
  return [...Arr.chunksOf(others, 16), ...Arr.chunksOf(size, 4), ...Arr.chunksOf(floods, 1)]
}

const planted = "pl4nted/where+it=must&not ä be"
const secrets = [clientSecret, assertion, Token.issued].flatMap((secret) => [
  secret,
  secret.slice(0, 12),
  secret.slice(-12)
])

/** A row, asked with one of the clients. */
interface Asked extends Row {
  readonly result: Result | undefined
  readonly visits: number
}

/** The results of a process. */
interface Run extends ClientProcess.Finished {
  readonly asked: ReadonlyArray<Asked>
  readonly planted: Result | undefined
  /** The number of requests to a server that the client must not contact. */
  readonly elsewhere: number
}

interface Surroundings {
  readonly program: string
  readonly certificates: Certificates.Certificates
}

const runOne = (http: HttpName, { certificates, program }: Surroundings): Effect.Effect<Run> =>
  Effect.gen(function*() {
    const client = yield* ClientProcess.start(program, { NODE_EXTRA_CA_CERTS: certificates.authorityFile })
    const trap = yield* HostileServer.trap
    const surroundings = { certificates, document: () => Token.document, elsewhere: trap.origin, letPass: () => {} }
    const honest = yield* HostileServer.listen(Catalogue.honest, surroundings)
    const honestTls = yield* HostileServer.listen(
      { ...Catalogue.honest, scheme: "https", certificate: "trusted" },
      surroundings
    )
    const document: Record<Consumer, (origin: string) => string> = {
      tokenEndpoint: () => Token.document,
      discovery: (origin) => metadataOf(origin, `${(origin.startsWith("https:") ? honestTls : honest).origin}/token`)
    }
    const jobOf = (name: string): Job => ({
      name,
      http,
      consumer: "tokenEndpoint",
      origin: honest.origin,
      asks: 1,
      batch: name,
      collects: false
    })
    const own = batchesOf(all).flatMap((batch, index) => batch.map((row) => ({ row, batch: `batch ${index}` })))
    const served = yield* Effect.forEach(own, ({ batch, row }) => {
      const { behaviour, consumer, id } = row
      const job: Job = { ...jobOf(id), consumer, batch }
      return HostileServer.listen(behaviour, {
        ...surroundings,
        document: document[consumer],
        letPass: (millis) => client.letPass(job.name, millis)
      }).pipe(Effect.map((server) => ({
        row,
        server,
        job: {
          ...job,
          origin: server.origin,
          asks: behaviour.asks ?? 1,
          collects: behaviour.floods === true,
          ...behaviour.port === "dropping" && { realTimeout: droppedTimeout }
        }
      })))
    })
    // What is loaded and compiled once is not the first row's: the first server is an honest one
    const warmUps = [1, 2].map((number) => jobOf(`warm-up ${number}`))
    const plant: Job = { ...jobOf("planted"), planted }
    const finished = yield* client.work([...warmUps, ...served.map(({ job }) => job), plant])
    const results = new Map(finished.results.map((result) => [result.name, result]))
    return {
      ...finished,
      asked: served.map(({ job, row, server }) => ({
        ...row,
        result: results.get(job.name),
        visits: server.visits()
      })),
      planted: results.get(plant.name),
      elsewhere: trap.visits()
    }
  }).pipe(Effect.scoped)

/** Both clients at the same time. */
const runAll: Effect.Effect<Record<HttpName, Run>> = Effect.gen(function*() {
  const surroundings = yield* Effect.all(
    { program: ClientProcess.program, certificates: Certificates.make },
    { concurrency: "unbounded" }
  )
  return yield* Effect.all(
    { fetch: runOne("fetch", surroundings), undici: runOne("undici", surroundings) },
    { concurrency: "unbounded" }
  )
}).pipe(Effect.scoped)

let runs: Record<HttpName, Run>

// Longer than any one row may take, so that a row that hangs is reported by its name
beforeAll(async () => {
  runs = await Effect.runPromise(runAll)
  process.stdout.write(table(runs))
}, 2 * hang)

const isUnanswered = (outcome: Outcome) =>
  outcome._tag === "Error" && (outcome.reason === "Transport" || outcome.reason === "Timeout")

/** The differences from the catalogue. */
const problems = ({ behaviour, consumer, result, visits }: Asked): ReadonlyArray<string> => {
  if (result === undefined) return ["no result"]
  const { expected } = behaviour
  const { leaks, memory, outcome } = result
  const found: Array<string> = leaks.map((leak) => `a secret is seen: ${leak}`)
  const say = (isWrong: boolean, what: string) => isWrong && found.push(what)
  say(memory > maxMemory, `took ${megabytes(memory)} MB`)
  const attempts = expected.visits ?? (isUnanswered(outcome) ? 2 : 1)
  // What was wrong with the metadata is kept for a second, and less than that passes until the second attempt
  const visitsExpected = consumer === "discovery" ? Math.min(attempts, 1) : attempts
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

describe("the catalogue", () => {
  it("lists at least 80 behaviours of a token endpoint, each once", () => {
    assert.isAtLeast(all.filter(({ consumer }) => consumer === "tokenEndpoint").length, 80)
    assert.strictEqual(new Set(all.map(({ id }) => id)).size, all.length)
  })
})

describe("the scan for secrets", () => {
  it("finds a secret in every encoding", () => {
    const has = Secrets.finder([clientSecret])
    rows(Object.entries(writings), ([name]) => name, ([, write]) => {
      assert.isTrue(has(`before ${write(clientSecret)} after`))
      assert.isFalse(has(`before ${write("something else & it is long enough")} after`))
    })
  })
})

describe.each(https)("hostile servers, asked with %s", (http) => {
  for (const consumer of consumers) {
    for (const group of Object.keys(Catalogue[consumer])) {
      it(`each has the outcome in the catalogue: ${consumer}, ${group}`, () => {
        const asked = runs[http].asked.filter((row) => row.consumer === consumer && row.group === group)
        assert.isNotEmpty(asked)
        rows(asked, ({ behaviour }) => behaviour.name, (row) => {
          const found = problems(row)
          if (found.length > 0) assert.fail(found.join("\n"))
        })
      })
    }
  }
})

describe.each(https)("the client of hostile servers, %s", (http) => {
  it("exits normally, and leaves no error uncaught", () => {
    assert.strictEqual(runs[http].exitCode, 0)
    deepStrictEqual(runs[http].uncaught, [])
  })

  it("prints no secret, assertion or token", () => {
    const has = Secrets.finder(secrets)
    assert.isFalse(has(runs[http].stdout))
    assert.isFalse(has(runs[http].stderr))
  })

  it("sends no request to another server", () => {
    assert.strictEqual(runs[http].elsewhere, 0)
  })

  it("is scanned for secrets that are printed, logged, traced and thrown", () => {
    const { planted: seen, stderr, stdout } = runs[http]
    const leaks = seen?.leaks ?? []
    for (const what of ["thrown", "logged", "traced by plant", "how plant ended"]) {
      assert.isTrue(leaks.some((leak) => leak.startsWith(`${what}: `)), what)
    }
    const has = Secrets.finder([planted])
    assert.isTrue(has(stdout))
    assert.isTrue(has(stderr))
  })
})

const megabytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)

const table = (runs: Record<HttpName, Run>): string => {
  const outcomeOf = ({ outcome }: Result) => outcome._tag === "Error" ? outcome.reason : outcome._tag
  const cells = (id: string) =>
    https.flatMap((http) => {
      const result = runs[http].asked.find((row) => row.id === id)?.result
      if (result === undefined) return ["no result".padEnd(33)]
      return [
        outcomeOf(result).padEnd(15),
        `${Math.round(result.time)} ms`.padStart(8),
        `${megabytes(result.memory)} MB`.padStart(8)
      ]
    })
  const width = Math.max(...all.map(({ behaviour }) => behaviour.name.length))
  const head = (
    consumer: Consumer,
    group: string
  ) => ["", `${consumer}, ${group}`.padEnd(width) + https.map((http) => ` ${http.padEnd(33)}`).join("").trimEnd()]
  const lines = all.flatMap(({ behaviour, consumer, group, id }, index) => [
    ...all[index - 1]?.group === group ? [] : head(consumer, group),
    [behaviour.name.padEnd(width), ...cells(id)].join(" ")
  ])
  return `${lines.join("\n")}\n\n${all.length} hostile behaviours\n`
}
