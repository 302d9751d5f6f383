/**
 * The client of a store: that of the app, or the store's own. The store makes
 * its own again if it could not be made, stops answering or stays broken.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

/** No answer came in time. */
export class Silence extends Data.TaggedError("Silence")<{ readonly limit: Duration.Duration }> {}

/** How a store uses a client. */
export interface SqlConnection {
  readonly client: Effect.Effect<SqlClient, unknown>
  /** Asks the client. */
  readonly use: <A>(ask: (sql: SqlClient) => Effect.Effect<A, unknown>) => Effect.Effect<A, unknown>
  /** Drops a client that is of no more use. */
  readonly giveUp: (sql: SqlClient) => Effect.Effect<void>
}

/** The tag of `@effect/sql`, an optional package: a bundler tolerates its absence because the failure is caught. */
export const Tag = Effect.promise(async () => {
  const { SqlClient } = await import("@effect/sql/SqlClient").catch((error: unknown) => Promise.reject(error))
  return SqlClient
})

/** Over the app's client, which the app itself makes and closes. */
export const fromClient = (sql: SqlClient): SqlConnection => ({
  client: Effect.succeed(sql),
  use: (ask) => ask(sql),
  giveUp: () => Effect.void
})

// If SQLite's file is locked, libSQL fails at once and leaves the statement open; until that is garbage collected, the
// connection commits nothing (tursodatabase/libsql-client-ts#352). So the driver waits for the file
const waitForFile = (limit: Duration.Duration) => (sql: SqlClient) =>
  sql.onDialectOrElse({
    sqlite: () => Effect.ignore(sql.unsafe(`PRAGMA busy_timeout = ${Math.ceil(Duration.toMillis(limit))}`).raw),
    orElse: () => Effect.void
  })

// A client of SQLite that failed may have left a statement open, or keep a file that has been replaced or was unreadable
const staysBroken = (sql: SqlClient): boolean => sql.onDialectOrElse({ sqlite: () => true, orElse: () => false })

interface Attempt {
  readonly scope: Scope.CloseableScope
  readonly client: Deferred.Deferred<SqlClient, unknown>
  sql?: SqlClient
}

// After a pause of the process its timers run before it reads answers that arrived long ago: it reads between the steps
const steps = 4

/** Fails after the limit, even if the effect cannot be interrupted. */
const answerWithin = (limit: Duration.Duration) => <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Silence> =>
  Effect.interruptible(Effect.raceFirst(
    Effect.disconnect(effect),
    Effect.repeatN(Effect.sleep(Duration.times(limit, 1 / steps)), steps - 1).pipe(
      Effect.zipRight(Effect.fail(new Silence({ limit })))
    )
  ))

/** A client of the store's own: made at once, and again when it is needed after a loss. */
export const make = Effect.fnUntraced(function*<E, R>(
  layer: Layer.Layer<SqlClient, E, R>,
  { commandTimeout, connectTimeout }: {
    readonly commandTimeout: Duration.Duration
    readonly connectTimeout: Duration.Duration
  }
): Effect.fn.Return<SqlConnection, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  const ownScope = yield* Effect.scope
  const oneAtATime = yield* Effect.makeSemaphore(1)
  let current: Attempt | undefined

  const end = (attempt: Attempt) =>
    Effect.suspend(() => {
      if (current === attempt) current = undefined
      // Closing the connection to a silent server takes long
      return Effect.forkDaemon(Scope.close(attempt.scope, Exit.void))
    })

  const begin = Effect.gen(function*() {
    if (current !== undefined) return current
    const attempt: Attempt = { scope: yield* Scope.make(), client: yield* Deferred.make<SqlClient, unknown>() }
    current = attempt
    yield* Layer.buildWithScope(layer, attempt.scope).pipe(
      Effect.zipWith(Tag, (built, tag) => Context.get(built, tag)),
      Effect.tap(waitForFile(Duration.times(commandTimeout, 0.5))),
      Effect.provide(context),
      answerWithin(connectTimeout),
      Effect.tap((sql) => {
        attempt.sql = sql
      }),
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : end(attempt)),
      Effect.intoDeferred(attempt.client),
      Effect.forkIn(ownScope)
    )
    return attempt
  }).pipe(oneAtATime.withPermits(1), Effect.uninterruptible)

  yield* Effect.addFinalizer(() => current === undefined ? Effect.void : Scope.close(current.scope, Exit.void))
  yield* begin

  const client = Effect.flatMap(begin, (attempt) => Deferred.await(attempt.client))
  const giveUp = (sql: SqlClient) => Effect.suspend(() => current?.sql === sql ? end(current) : Effect.void)

  return {
    client,
    // The query continues when its caller has left: otherwise a silent client would not be noticed
    use: (ask) =>
      Effect.flatMap(client, (sql) =>
        answerWithin(commandTimeout)(ask(sql)).pipe(
          Effect.tapError((error) => error instanceof Silence || staysBroken(sql) ? giveUp(sql) : Effect.void),
          // Effect logs the cause of a failed fiber, which may contain a token
          Effect.exit,
          Effect.forkIn(ownScope),
          Effect.flatMap(Fiber.join),
          Effect.flatten
        )),
    giveUp
  }
})
