/** What an effect of this process says. */
import { Console, Effect } from "effect"
import { format } from "node:util"

export interface Said<A> {
  readonly result: A
  readonly stdout: string
  readonly stderr: string
}

/** All that it writes on its console, by which loggers write, too. */
export const of = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Said<A>, E, R> =>
  Console.consoleWith((console) => {
    const said = { stdout: "", stderr: "" }
    const writeTo = (stream: keyof typeof said) => (...args: ReadonlyArray<unknown>) => {
      said[stream] += `${format(...args)}\n`
    }
    const [log, error] = [writeTo("stdout"), writeTo("stderr")]
    return Effect.withConsole(effect, {
      ...console,
      log: (...args) => Effect.sync(() => log(...args)),
      error: (...args) => Effect.sync(() => error(...args)),
      unsafe: { ...console.unsafe, log, error }
    }).pipe(
      Effect.map((result) => ({ ...said, result }))
    )
  })
