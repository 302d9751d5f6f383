/** What tests of a store over a real server share, whatever server it is. */
import { type OAuthError, TokenStore } from "@effect-alf/core"
import { TokenStoreContract } from "@effect-alf/core/testing"
import { assert, vi } from "@effect/vitest"
import { Cause, Duration, Effect, Option, Schedule, Stream } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { createConnection, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"

export type Store = TokenStore.TokenStore["Type"]

/** For a server that is well: limits that only a hang reaches. */
export const patient = { connectTimeout: hang, commandTimeout: hang } as const

let keys = 0
export const newKey = () => `key-${keys++}`

export const entry = (
  version: string,
  payload = `payload of ${version}`,
  timeToLive: Duration.DurationInput = "1 hour"
) => ({
  version,
  payload,
  timeToLive: Duration.decode(timeToLive)
})

export const versionIn = (store: Store, key: string) => Effect.map(store.get(key), Option.map((found) => found.version))

export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

/** Every text that an error could end up in a log with. */
const shown = (error: unknown) =>
  [
    inspect(error, { depth: null, showHidden: true }),
    JSON.stringify(error),
    String(error),
    error instanceof Error ? `${error.message}${error.stack}${inspect(error.cause)}` : "",
    Cause.pretty(Cause.fail(error))
  ].join("\n")

export const assertHides = (error: unknown, ...secrets: ReadonlyArray<string>) => {
  for (const secret of secrets) assert.notInclude(shown(error), secret)
}

/** Tries until the store works: it comes back by itself, at a moment that only it knows. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.retry(effect, Schedule.spaced("20 millis"))

/** A folder that is gone with the scope. */
export const makeDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "socket of ü-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** Whatever is printed past Effect's logger while the scope lasts. */
export const spyOnConsole = Effect.acquireRelease(
  Effect.sync(() => {
    const printed: Array<ReadonlyArray<unknown>> = []
    const spies = (["error", "warn", "log"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args))
    )
    return { printed, spies }
  }),
  ({ spies }) => Effect.sync(() => spies.forEach((spy) => spy.mockRestore()))
).pipe(Effect.map(({ printed }) => printed))

/**
 * Timers that only `vi.advanceTimersByTime` moves; all else goes on, so whoever waits for it counts turns of the event
 * loop. For tests that run alone.
 */
export const stoppedTimers = Effect.acquireRelease(
  Effect.sync(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
  () => Effect.sync(() => void vi.useRealTimers())
)

export const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** Waits until something holds, without a timer. */
export const turnsUntil = (condition: () => boolean) =>
  Effect.repeat(Effect.as(turn, condition), {
    until: (condition) => condition()
  })

/** Tries until the store works, without a timer. */
export const turnsUntilDone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.eventually(Effect.tapError(effect, () => turn))

const tcpConnections = "/proc/net/tcp"

/**
 * Whether what was sent over TCP has yet to arrive at the other end, where nobody reads now: a busy Linux delivers it
 * after the call that sends it.
 */
const isOnItsWay = ({ localPort, remotePort }: Socket): boolean => {
  if (remotePort === undefined || !existsSync(tcpConnections)) return false
  const [there, here] = [remotePort, localPort].map((port) =>
    `:${Number(port).toString(16).toUpperCase().padStart(4, "0")}`
  )
  const row = readFileSync(tcpConnections, "utf8").split("\n").map((line) => line.trim().split(/\s+/))
    .find(([, local, remote]) => local?.endsWith(there) && remote?.endsWith(here))
  return row !== undefined && /:0+$/.test(row[4])
}

/**
 * Stands between a client and a server, and can stop to pass anything on without a word to either. It listens on a
 * socket of this machine: what it has written there the client can read at once. For a client that knows no sockets it
 * listens on a port.
 */
export const makeProxy = (port: number, options?: { readonly port: number }) =>
  Effect.gen(function*() {
    const path = join(yield* makeDirectory, "proxy.sock")
    const sockets = new Set<Socket>()
    const asked: Array<string> = []
    let connections = 0
    let open = 0
    let swallows = false
    let refuses = false
    let holds: RegExp | undefined
    const held: Array<() => void> = []
    let answers = 0
    let afterAnswer: { readonly matching: RegExp; readonly act: () => void; answer: string } | undefined
    yield* Effect.acquireRelease(
      Effect.async<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((inbound) => {
          connections++
          if (refuses) return void inbound.on("error", () => {}).destroy()
          const outbound = createConnection({ host: "127.0.0.1", port })
          open++
          inbound.on("close", () => open--)
          sockets.add(inbound).add(outbound)
          for (const socket of [inbound, outbound]) socket.on("error", () => {})
          if (swallows) return void inbound.resume()
          inbound.pipe(outbound)
          inbound.on("data", (chunk) => asked.push(chunk.toString()))
          const answer = (chunk: Buffer) => {
            answers++
            inbound.write(chunk)
          }
          outbound.on("data", (chunk) => {
            if (holds?.test(`${chunk}`)) return void held.push(() => answer(chunk))
            answer(chunk)
            if (afterAnswer === undefined) return
            // It may come in parts
            afterAnswer.answer += `${chunk}`
            if (!afterAnswer.matching.test(afterAnswer.answer)) return
            const { act } = afterAnswer
            afterAnswer = undefined
            // The timers come before the client's next look at its socket
            setImmediate(() => {
              while (isOnItsWay(inbound));
              act()
            })
          }).on("end", () => inbound.end())
        })
        server.listen(options ?? { path }, () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return {
      path,
      /** What clients have sent. */
      asked,
      /** How many there have been. */
      connections: () => connections,
      /** How many the clients have not ended. */
      open: () => open,
      /** How many answers there have been. */
      answers: () => answers,
      /** Holds answers back until they are released: all, or those that match. */
      hold: (matching = /./) => {
        holds = matching
      },
      /** How many answers are held back. */
      held: () => held.length,
      release: () => {
        holds = undefined
        for (const pass of held.splice(0)) pass()
      },
      /** Acts when an answer has arrived, and before the client has read it. */
      afterAnswer: (matching: RegExp, act: () => void) => {
        afterAnswer = { matching, act, answer: "" }
      },
      /** What is sent from now on is lost, on old connections and on new ones, until `pass`. */
      swallow: () => {
        swallows = true
        for (const socket of sockets) socket.unpipe().pause()
      },
      /** Closes whatever connects from now on, until `pass`. */
      refuse: () => {
        refuses = true
      },
      /** New connections work again; those from before have been forgotten by the other side. */
      pass: () => {
        swallows = false
        refuses = false
      },
      cut: () => {
        for (const socket of sockets) socket.destroy()
      }
    }
  })

export type Proxy = Effect.Effect.Success<ReturnType<typeof makeProxy>>

export const write = (store: Store, key: string) => store.set(key, entry("v1"), Option.none())

/** Collects the notices of a store, from a moment that only the server knows. */
export const tellsOf = (store: Store) =>
  Effect.gen(function*() {
    const told: Array<string> = []
    yield* Effect.forkScoped(Stream.runForEach(store.changes, (key) => Effect.sync(() => told.push(key))))
    return told
  })

/** Waits until something holds. */
export const becomes = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (holds) => holds, schedule: Schedule.spaced("5 millis") })

/** Waits until a store fails for a reason that its description names. */
export const failsWith = <A>(call: Effect.Effect<A, OAuthError.TokenStoreError>, reason: RegExp) =>
  eventually(Effect.filterOrFail(failureOf(call), ({ description }) => reason.test(description)))

// In the contract's time this is short
const shortTime = Duration.seconds(30)

// As many times as slow is the time of a store that the contract judges: what must still be there lasts longer than any
// answer but that of a server that hangs. A power of two, so that no fraction is lost
const slowness = 64

const slowed = (store: Store): Store => ({
  ...store,
  get: (key) =>
    Effect.map(
      store.get(key),
      Option.map((entry) => ({ ...entry, timeToLive: Duration.times(entry.timeToLive, 1 / slowness) }))
    ),
  set: (key, entry, replaces) =>
    store.set(key, { ...entry, timeToLive: Duration.times(entry.timeToLive, slowness) }, replaces),
  acquireLease: (key, owner, duration) => store.acquireLease(key, owner, Duration.times(duration, slowness)),
  extendLease: (key, owner, duration) => store.extendLease(key, owner, Duration.times(duration, slowness))
})

/** The contract of a store, which another process sees as `other`: both with a prefix that nobody else uses. */
export const keepsContract = ({ advance, store, ...options }: {
  readonly store: Store
  readonly other: Store
  /** Takes time from what the server keeps. */
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  readonly notices?: boolean
}) =>
  rowsEffect(
    TokenStoreContract.make({
      ...options,
      advance: (duration) => advance(Duration.times(duration, slowness)),
      other: Effect.succeed(slowed(options.other)),
      shortTime
    }),
    ({ name }) => name,
    ({ effect }) => Effect.provideService(effect, TokenStore.TokenStore, slowed(store))
  )
