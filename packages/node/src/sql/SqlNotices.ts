/**
 * Change notices over LISTEN and NOTIFY, for clients that can listen, such as
 * that of `@effect/sql-pg`. The statement that changes a row also sends the
 * notice, on one channel per table.
 */
import { TokenStoreError } from "@effect-alf/core/OAuthError"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { SqlConnection } from "./SqlConnection.js"
import * as SqlFailure from "./SqlFailure.js"
import type { Notice } from "./SqlStatements.js"

/** What `PgClient` has and other clients lack. */
interface Listener {
  readonly listen: (channel: string) => Stream.Stream<string, SqlError>
}

const canListen = (sql: SqlClient): sql is SqlClient & Listener =>
  Predicate.hasProperty(sql, "listen") && Predicate.isFunction(sql.listen)

/** Both ends of the channel. */
export interface SqlNotices {
  /** The notice that a statement sends when it changes a key. */
  readonly announce: (key: string) => Notice | undefined
  /** The notices of other processes. */
  readonly changes: TokenStore["Type"]["changes"]
}

/** Sends and receives no notices. */
export const none: SqlNotices = { announce: () => undefined, changes: Stream.never }

// The client does not report that it lost the connection on which it listens, so the store sends itself a notice at this
// interval: rare enough for a server, and a late notice does no harm
const echoPause = "5 seconds"
// The first may be sent before the server listens
const echo = { limit: "1 second", tries: 3 } as const
// Ending a subscription sends a command to the server, which may hang
const farewell = "1 second"

/** The notices of one store. It listens while somebody reads `changes`; a lost connection fails that stream. */
export const make = Effect.fnUntraced(function*(connection: SqlConnection, channel: string) {
  const sender = crypto.randomUUID()
  // A reader that is further behind misses notices, which is allowed
  const notices = yield* PubSub.sliding<string>(256)
  const echoes = yield* Queue.sliding<void>(1)

  const receive = (message: string) => {
    if (message === sender) return void echoes.unsafeOffer()
    const notice = /^([0-9a-f-]{36}) (.+)$/s.exec(message)
    if (notice !== null && notice[1] !== sender) notices.unsafeOffer(notice[2])
  }

  const hearEcho = (sql: SqlClient) =>
    Effect.zipRight(sql`SELECT pg_notify(${channel}, ${sender})`.withoutTransform, Queue.take(echoes)).pipe(
      Effect.disconnect,
      Effect.timeoutFail({ duration: echo.limit, onTimeout: () => silent }),
      Effect.retry({ times: echo.tries - 1, while: (error) => error === silent }),
      Effect.tapError((error) => error === silent ? connection.giveUp(sql) : Effect.void)
    )

  // UNLISTEN also ends newer subscriptions to the same channel, so a new one waits for the end of the last
  let last: Fiber.Fiber<unknown, unknown> = Fiber.void

  const listenOn = (sql: SqlClient & Listener) =>
    Effect.acquireUseRelease(
      Effect.tap(
        Effect.forkDaemon(Stream.runForEach(sql.listen(channel), (message) => Effect.sync(() => receive(message)))),
        (fiber) => {
          last = fiber
        }
      ),
      (fiber) => Effect.raceFirst(Fiber.join(fiber), Effect.repeat(hearEcho(sql), Schedule.spaced(echoPause))),
      Fiber.interruptFork
    )

  const listen = Effect.gen(function*() {
    const sql = yield* connection.client
    if (!canListen(sql)) return yield* Effect.never
    yield* Effect.timeoutOption(Effect.disconnect(Fiber.await(last)), farewell)
    return yield* listenOn(sql)
  })

  const listening = yield* RcRef.make({
    acquire: Effect.gen(function*() {
      const lost = yield* Deferred.make<never, TokenStoreError>()
      yield* Effect.catchAllCause(listen, (cause) => Deferred.fail(lost, toStoreError(Cause.squash(cause)))).pipe(
        Effect.interruptible,
        Effect.forkScoped
      )
      return lost
    })
  })

  const changes: SqlNotices["changes"] = Stream.unwrapScoped(Effect.gen(function*() {
    const received = yield* PubSub.subscribe(notices)
    const lost = yield* listening
    return Stream.interruptWhenDeferred(Stream.fromQueue(received), lost)
  }))

  const announce: SqlNotices["announce"] = (key) =>
    announced.test(key) ? { channel, message: `${sender} ${key}` } : undefined

  return { announce, changes }
})

// Keys with a # contain notes about a key, which do not change its token. Postgres allows no NUL in a text, and NOTIFY no
// message of 8,000 bytes or more
const announced = /^[^#\0]{1,1000}$/

const silent = new Error("what is told by NOTIFY does not come back to LISTEN")

const toStoreError = (error: unknown) =>
  new TokenStoreError({ method: "changes", reason: "Unavailable", description: SqlFailure.describe(error) })
