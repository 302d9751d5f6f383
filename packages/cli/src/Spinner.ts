/**
 * Says on the standard error that the command waits, and for what; only at a
 * terminal, so that no log and no pipe ever holds it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Process } from "./Process.js"

/** Shows what is waited for while an effect runs. */
export class Spinner extends Context.Tag("@effect-alf/cli/Spinner")<Spinner, {
  readonly during: (label: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}>() {}

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const interval = Duration.millis(80)
// What is done by then needs no sign that it takes long
const delay = Duration.millis(200)
const eraseLine = "\r\u001b[K"

/**
 * A spinner that writes to a terminal. Its line is gone before the effect's
 * result is seen, also when the effect is interrupted.
 */
export const make = (write: (text: string) => void): Spinner["Type"] => ({
  during: (label) => (effect) => {
    const draw = Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.sync(() => {
        const frame = frames[Math.floor(now / Duration.toMillis(interval)) % frames.length]
        write(`\r${frame} ${label}`)
      }))
    const spin = draw.pipe(
      Effect.repeat(Schedule.spaced(interval)),
      Effect.ensuring(Effect.sync(() => write(eraseLine))),
      Effect.delay(delay)
    )
    return Effect.scoped(Effect.zipRight(Effect.forkScoped(Effect.interruptible(spin)), effect))
  }
})

/** Shows nothing. */
export const none: Spinner["Type"] = { during: () => identity }

/** The spinner of this process. */
export const layer: Layer.Layer<Spinner> = Layer.effect(
  Spinner,
  Effect.map(Process, ({ env, stderr }) =>
    stderr.isTTY === true && env.TERM !== "dumb"
      ? make((text) => stderr.write(text))
      : none)
)
