/**
 * The demo on paper: what the app asked beside what went over the wire for it,
 * step by step, and whether it was what it should have been. Tokens appear as a
 * letter and a few characters of their digest.
 */
import { OAuthError } from "@effect-alf/core"
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { Console, Context, Effect, Exit, Layer, Redacted, Schedule } from "effect"
import { createHash } from "node:crypto"
import { isTokenRequest } from "./AuthorizationServer.js"
import { isApiRequest } from "./ProtectedApi.js"
import * as Style from "./Style.js"
import { type Exchange, Wire } from "./Wire.js"

/** One call of the app and how it ended. */
export interface Call {
  readonly id: string
  readonly method: string
  readonly path: string
  /** `undefined` when the call failed. */
  readonly status: number | undefined
  readonly startedAt: number
  readonly endedAt: number
}

/** All that happened in a step, in the order in which it ended. */
export interface Seen {
  readonly calls: ReadonlyArray<Call>
  readonly tokenRequests: ReadonlyArray<Exchange>
  readonly apiRequests: ReadonlyArray<Exchange>
}

/** What a step claims, and whether it held. */
export interface Check {
  readonly claim: string
  readonly holds: boolean
}

export interface Step<E, R> {
  readonly title: string
  /** What it should show, in lines. */
  readonly should: ReadonlyArray<string>
  readonly run: Effect.Effect<unknown, E, R>
  readonly checks: (seen: Seen) => ReadonlyArray<Check>
}

export class Timeline extends Context.Tag("@effect-alf/examples/Timeline")<
  Timeline,
  {
    /** A client whose calls appear in the timeline. */
    readonly watch: <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R>
    /** Something that neither the app nor the library did. */
    readonly note: (text: string) => Effect.Effect<void>
    /** What a token is called in the timeline. */
    readonly nameOf: (token: Redacted.Redacted) => string
    /** Runs a step, prints and checks it. */
    readonly step: <E, R>(step: Step<E, R>) => Effect.Effect<void, never, R>
    /** Prints the sum of all steps; says whether all of them passed. */
    readonly summary: Effect.Effect<boolean>
  }
>() {}

interface Note {
  readonly text: string
  readonly startedAt: number
}

/** What stands together: a call with its exchanges, an exchange in the background, or a note. */
interface Block {
  readonly startedAt: number
  readonly call: Call | undefined
  readonly exchanges: ReadonlyArray<Exchange>
  readonly note: Note | undefined
}

interface Outcome {
  readonly title: string
  readonly seen: Seen
  readonly passed: boolean
}

export const make = Effect.gen(function*() {
  const wire = yield* Wire
  const style = yield* Style.Style
  const begin = yield* wire.now
  const names = new Map<Redacted.Redacted, string>()
  const outcomes: Array<Outcome> = []
  const calls: Array<Call> = []
  const notes: Array<Note> = []
  const printed = new Set<Call | Exchange | Note>()
  let callsUnderWay = 0
  let lastId = 0

  const nameOf = (token: Redacted.Redacted) => {
    const known = names.get(token)
    if (known !== undefined) return known
    const digest = createHash("sha256").update(Redacted.value(token)).digest("base64url").replace(/[-_]/g, "")
    const name = `${String.fromCharCode(firstLetter + names.size)} ${digest.slice(0, 4)}`
    names.set(token, name)
    return name
  }

  const record = <A extends { readonly status: number }, E, R>(
    effect: Effect.Effect<A, E, R>,
    { headers, method, url }: HttpClientRequest.HttpClientRequest
  ) =>
    Effect.flatMap(wire.now, (startedAt) => {
      callsUnderWay++
      const end = (status: number | undefined) =>
        Effect.map(wire.now, (endedAt) => {
          callsUnderWay--
          calls.push({ id: headers["x-request-id"], method, path: url, status, startedAt, endedAt })
        })
      return Effect.onExit(effect, (exit) => end(Exit.isSuccess(exit) ? exit.value.status : undefined))
    })

  const seenSince = (firstExchange: number, firstCall: number): Effect.Effect<Seen> =>
    Effect.map(wire.exchanges, (exchanges) => ({
      calls: calls.slice(firstCall),
      tokenRequests: exchanges.slice(firstExchange).filter(isTokenRequest),
      apiRequests: exchanges.slice(firstExchange).filter(isApiRequest)
    }))

  // ---------------------------------------------------------------------------
  // rows
  // ---------------------------------------------------------------------------

  const at = (millis: number) => style.dim(`${((millis - begin) / 1000).toFixed(2)} s`.padStart(width.at))

  const statusOf = (status: number | undefined) => {
    const text = `${status ?? "error"}`.padStart(width.status)
    return status !== undefined && status < 400 ? style.green(text) : style.red(text)
  }

  const tokenOf = ({ issuedToken, sentToken }: Exchange) => {
    const token = issuedToken ?? sentToken
    if (token === undefined) return "".padEnd(width.token)
    const name = nameOf(token)
    const text = issuedToken === undefined ? name : `${name} new`
    return style.byIndex(name.charCodeAt(0) - firstLetter, text.padEnd(width.token))
  }

  const asked = (group: ReadonlyArray<Block>) => {
    const { call } = group[0]
    if (call === undefined) return style.dim("in the background".padEnd(width.call))
    const request = requestOf(call, group.length).padEnd(width.app)
    return `${request} ${statusOf(call.status)} ${took(group.flatMap(({ call }) => call ?? []))}`
  }

  const sent = (exchange: Exchange, group: ReadonlyArray<Exchange>) => {
    const request = requestOf(exchange, group.length).padEnd(width.wire)
    return `${request} ${statusOf(exchange.status)}   ${tokenOf(exchange)} ${style.dim(took(group))}`
  }

  const rows = (group: ReadonlyArray<Block>): ReadonlyArray<string> => {
    const { exchanges, note, startedAt } = group[0]
    if (note !== undefined) return [`${at(startedAt)}  ${style.yellow(note.text)}`]
    if (exchanges.length === 0) return [`${at(startedAt)}  ${asked(group)}   ${style.dim("nothing")}`]
    return exchanges.map((exchange, index) => {
      const left = index === 0 ? asked(group) : "".padEnd(width.call)
      const right = sent(exchange, group.map(({ exchanges }) => exchanges[index]))
      return `${at(exchange.startedAt)}  ${left}   ${right}`
    })
  }

  // ---------------------------------------------------------------------------
  // blocks and groups of them
  // ---------------------------------------------------------------------------

  const blocksOf = ({ apiRequests, calls, tokenRequests }: Seen): ReadonlyArray<Block> => {
    const isNew = (event: Call | Exchange | Note) => !printed.has(event)
    const unclaimed = new Set(tokenRequests.filter(isNew))
    const blocks: Array<Block> = []
    for (const call of calls.filter(isNew).sort(byStart)) {
      const own = apiRequests.filter(({ requestId }) => requestId === call.id)
      // What a call waited for lies within it and before its last request
      const end = own.at(-1)?.startedAt ?? call.endedAt
      const awaited = Array.from(unclaimed)
        .filter(({ endedAt, startedAt }) => call.startedAt <= startedAt && endedAt <= end)
      for (const exchange of awaited) unclaimed.delete(exchange)
      blocks.push({ startedAt: call.startedAt, call, exchanges: [...own, ...awaited].sort(byStart), note: undefined })
    }
    for (const exchange of unclaimed) {
      blocks.push({ startedAt: exchange.startedAt, call: undefined, exchanges: [exchange], note: undefined })
    }
    for (const note of notes.filter(isNew)) {
      blocks.push({ startedAt: note.startedAt, call: undefined, exchanges: [], note })
    }
    return blocks.sort(byStart)
  }

  /** Neighbours that differ in nothing but their times. */
  const groupsOf = (blocks: ReadonlyArray<Block>): ReadonlyArray<ReadonlyArray<Block>> => {
    const groups: Array<Array<Block>> = []
    for (const block of blocks) {
      const group = groups.at(-1)
      if (group !== undefined && shapeOf(group[0]) === shapeOf(block)) {
        group.push(block)
      } else {
        groups.push([block])
      }
    }
    return groups
  }

  const shapeOf = ({ call, exchanges, note }: Block): string =>
    JSON.stringify([
      call && [call.method, call.path, call.status],
      exchanges.map((exchange) => [exchange.method, exchange.path, exchange.status, tokenOf(exchange)]),
      note
    ])

  /** While a step runs, its last group may still grow, and a call under way may claim a token request. */
  const print = (seen: Seen, isOver: boolean) =>
    Effect.suspend(() => {
      if (!isOver && callsUnderWay > 0) return Effect.void
      const groups = groupsOf(blocksOf(seen)).slice(0, isOver ? undefined : -1)
      for (const { call, exchanges, note } of groups.flat()) {
        for (const event of [call ?? [], note ?? [], exchanges].flat()) printed.add(event)
      }
      return Effect.forEach(groups.flatMap(rows), (row) => Console.log(row.trimEnd()), { discard: true })
    })

  const mark = (holds: boolean) => holds ? style.green("✔") : style.red("✘")

  return Timeline.of({
    watch: (client) =>
      client.pipe(
        HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "x-request-id", `${++lastId}`)),
        HttpClient.transform(record)
      ),
    nameOf,
    note: (text) =>
      Effect.map(wire.now, (startedAt) => {
        notes.push({ text, startedAt })
      }),
    step: (step) =>
      Effect.gen(function*() {
        const seen = seenSince((yield* wire.exchanges).length, calls.length)
        yield* Console.log(`\n${style.bold(`${outcomes.length + 1}  ${step.title}`)}`)
        yield* Console.log(`${step.should.map((line) => `   ${line}`).join("\n")}\n`)
        yield* Console.log(style.dim(header))
        const live = Effect.repeat(Effect.flatMap(seen, (seen) => print(seen, false)), Schedule.spaced(printInterval))
        const exit = yield* step.run.pipe(Effect.timeout(maxStepTime), Effect.raceFirst(live), Effect.exit)
        const all = yield* seen
        yield* print(all, true)
        yield* Console.log("")
        const checks = Exit.isSuccess(exit)
          ? step.checks(all)
          : [{ claim: OAuthError.describeCause(exit.cause), holds: false }]
        for (const { claim, holds } of checks) yield* Console.log(`   ${mark(holds)} ${claim}`)
        outcomes.push({ title: step.title, seen: all, passed: checks.every(({ holds }) => holds) })
      }),
    summary: Effect.gen(function*() {
      const seconds = (((yield* wire.now) - begin) / 1000).toFixed(1)
      const failed = outcomes.filter(({ passed }) => !passed).length
      yield* Console.log(`\n${style.bold("Summary")}\n`)
      for (const [index, { passed, seen, title }] of outcomes.entries()) {
        const counts = [
          count(seen.calls.length, "call"),
          count(seen.apiRequests.length, "API request"),
          count(seen.tokenRequests.length, "token request")
        ]
        const numbers = counts.map((text) => text.padStart(width.count)).join("")
        yield* Console.log(
          `   ${mark(passed)} ${index + 1}  ${title.padEnd(width.title)}${style.dim(numbers.trimEnd())}`
        )
      }
      const verdict = failed === 0
        ? style.green(`All ${outcomes.length} steps did what they should`)
        : style.red(`${failed} of ${outcomes.length} steps did not do what they should`)
      yield* Console.log(`\n   ${verdict}, in ${seconds} seconds.`)
      return failed === 0
    })
  })
})

export const layer: Layer.Layer<Timeline, never, Wire | Style.Style> = Layer.effect(Timeline, make)

const maxStepTime = "20 seconds"
const printInterval = "250 millis"
const firstLetter = "A".charCodeAt(0)

const width = { at: 7, app: 21, status: 5, took: 8, call: 36, wire: 21, token: 10, title: 32, count: 19 }

const header = [
  "at".padStart(width.at),
  " the app asks".padEnd(width.app + 1),
  "gets".padStart(width.status),
  "after".padStart(width.took),
  "  over the wire".padEnd(width.wire + 2),
  "gets".padStart(width.status),
  "  token".padEnd(width.token + 2),
  "took".padStart(width.took)
].join(" ")

const byStart = (a: { readonly startedAt: number }, b: { readonly startedAt: number }) => a.startedAt - b.startedAt

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? " " : "s"}`

const requestOf = ({ method, path }: Call | Exchange, times: number) =>
  `${method} ${path}${times > 1 ? ` ×${times}` : ""}`

/** How long it took; of several, the longest. */
const took = (group: ReadonlyArray<Call | Exchange>) => {
  const longest = Math.max(...group.map(({ endedAt, startedAt }) => endedAt - startedAt))
  return `${group.length > 1 ? "≤ " : ""}${Math.ceil(longest)} ms`.padStart(width.took)
}
