import { SqlTokenStore } from "@effect-alf/node"
import { SqlClient } from "@effect/sql"
import { assert } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { shared } from "../../core/test/support/shared.js"
import {
  becomes,
  Database,
  databases,
  entry,
  hearsAgain,
  makeStore,
  newKey,
  spyOnConsole,
  tellsOf,
  write
} from "./SqlBench.js"
import { timePasses } from "./timePasses.js"

const whileTimePasses = Effect.raceFirst(timePasses("1 second"))

shared(databases.Postgres)("SqlTokenStore over Postgres, notices", (it) => {
  it.scopedLive("reports writes and removals to other processes, but no own changes, notes or leases", () =>
    Effect.gen(function*() {
      const [store, other] = yield* Effect.all([makeStore(), makeStore()])
      const [own, told] = yield* Effect.all([tellsOf(store), tellsOf(other)])
      yield* hearsAgain(told, store)
      yield* hearsAgain(own, other)
      const [key, last] = [newKey(), newKey()]
      yield* write(store, `${key}#note`)
      yield* store.acquireLease(key, "a", Duration.minutes(1))
      yield* store.set(key, entry("v1"), Option.none())
      assert.isFalse(yield* store.set(key, entry("v2"), Option.none()))
      yield* store.remove(key, "v1")
      yield* write(store, last)
      yield* becomes(() => told.includes(last))
      deepStrictEqual(told.filter((heard) => heard.startsWith(key)), [key, key])
      yield* write(other, `${last}-answer`)
      yield* becomes(() => own.includes(`${last}-answer`))
      assert.isFalse(own.includes(key) || own.includes(last))
    }))

  it.scopedLive("a store of another table gets no notices, nor does one without notices", () =>
    Effect.gen(function*() {
      const { table } = yield* Database
      const [store, other, elsewhere] = yield* Effect.all([
        makeStore(),
        makeStore(),
        makeStore({ table: `${table}_2`, createTable: true })
      ])
      const deaf = yield* makeStore({ notices: false })
      const [told, toldElsewhere, toldDeaf] = yield* Effect.all([tellsOf(other), tellsOf(elsewhere), tellsOf(deaf)])
      yield* hearsAgain(told, store)
      yield* write(elsewhere, "elsewhere")
      yield* write(deaf, "deaf")
      yield* hearsAgain(told, store)
      assert.isFalse(told.includes("elsewhere") || told.includes("deaf"))
      deepStrictEqual([toldElsewhere, toldDeaf], [[], []])
      const { sql } = yield* Database
      yield* sql`DROP TABLE ${sql(`${table}_2`)}`
    }))

  it.scopedLive("listeners that end together print nothing", () =>
    Effect.gen(function*() {
      const printed = yield* spyOnConsole
      const warnings: Array<Error> = []
      const note = (warning: Error) => void warnings.push(warning)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("warning", note)),
        () => Effect.sync(() => process.off("warning", note))
      )
      const [store, other] = yield* Effect.all([makeStore(), makeStore()])
      for (let round = 0; round < 5; round++) {
        const heard: Array<string> = []
        const listeners = yield* Effect.forEach(
          Arr.range(1, 3),
          () => Effect.fork(Stream.runForEach(other.changes, (key) => Effect.sync(() => heard.push(key))))
        )
        yield* hearsAgain(heard, store)
        yield* Fiber.interruptAll(listeners)
      }
      deepStrictEqual([printed, warnings], [[], []])
    }))

  it.scoped("a lost connection fails the stream, and a new subscription works again", () =>
    Effect.gen(function*() {
      const { sql } = yield* Database
      const [store, other] = yield* Effect.all([makeStore(), makeStore()])
      const told: Array<string> = []
      const listener = yield* Effect.fork(
        Stream.runForEach(other.changes, (key) => Effect.sync(() => told.push(key)))
      )
      yield* hearsAgain(told, store)
      yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()`
      const { description } = yield* whileTimePasses(Effect.flip(Fiber.join(listener)))
      assert.match(description, /^the database fails: /)
      const again: Array<string> = []
      // As a process does: a subscription may fail again before the server is reached
      yield* Effect.forkScoped(
        Effect.eventually(Stream.runForEach(other.changes, (key) => Effect.sync(() => again.push(key))))
      )
      yield* whileTimePasses(hearsAgain(again, store))
    }))

  it.scoped("a pooler without sessions passes no notices on, and the failure reports it", () =>
    Effect.gen(function*() {
      const { client, table } = yield* Database
      const sql = Context.get(yield* Layer.build(client), SqlClient.SqlClient)
      const store = yield* Effect.provideService(
        SqlTokenStore.make({ table }),
        SqlClient.SqlClient,
        Object.assign((...args: Parameters<typeof sql>) => sql(...args), sql, { listen: () => Stream.never })
      )
      const { description } = yield* whileTimePasses(Effect.flip(Stream.runDrain(store.changes)))
      assert.strictEqual(description, "the database fails: what is told by NOTIFY does not come back to LISTEN")
    }))
})
