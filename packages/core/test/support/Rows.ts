/** Tables of rows that need no set-up of their own: one test judges them all, and its failure names each wrong row. */
import { Cause, Effect, type Scope } from "effect"

interface Wrong {
  readonly name: string
  readonly error: unknown
}

const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error)

const report = (wrong: ReadonlyArray<Wrong>, count: number) => {
  if (wrong.length === 0) return
  const [{ error, name }] = wrong
  const message = wrong.length === 1
    ? `${name}: ${messageOf(error)}`
    : [`${wrong.length} of ${count} rows`, ...wrong.map(({ error, name }) => `${name}: ${messageOf(error)}`)].join("\n")
  // The first one's own error keeps what was expected, and where; the message of some is a getter
  throw error instanceof Error ? Object.defineProperty(error, "message", { value: message }) : new Error(message)
}

/** Fails with the names of all rows for which `judge` throws. */
export const rows = <Row>(
  table: Iterable<Row>,
  nameOf: (row: Row) => string,
  judge: (row: Row) => void
): void => {
  const all = [...table]
  report(
    all.flatMap((row): ReadonlyArray<Wrong> => {
      try {
        judge(row)
        return []
      } catch (error) {
        return [{ name: nameOf(row), error }]
      }
    }),
    all.length
  )
}

/** The same for rows that are judged by an Effect, each with a scope of its own: one after the other unless told. */
export const rowsEffect = <Row, E, R>(
  table: Iterable<Row>,
  nameOf: (row: Row) => string,
  judge: (row: Row) => Effect.Effect<unknown, E, R>,
  options: { readonly concurrency?: number } = {}
): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    const all = [...table]
    return Effect.forEach(all, (row) =>
      Effect.suspend(() => judge(row)).pipe(
        Effect.scoped,
        Effect.as<ReadonlyArray<Wrong>>([]),
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause)
            ? Effect.interrupt
            : Effect.succeed<ReadonlyArray<Wrong>>([{ name: nameOf(row), error: Cause.squash(cause) }])
        )
      ), options).pipe(
        Effect.map((wrong) => report(wrong.flat(), all.length))
      )
  })
