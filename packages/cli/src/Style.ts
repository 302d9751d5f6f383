/**
 * Whether the output is read by a person at a terminal: colours are shown
 * there, unless `NO_COLOR` is set (no-color.org).
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import { Process } from "./Process.js"

type Paint = (text: string) => string

/** How to paint a text for the standard output. */
export class Style extends Context.Tag("@effect-alf/cli/Style")<Style, {
  /** Whether there are colours at all. */
  readonly colours: boolean
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly yellow: Paint
}>() {}

/** With colours or without. */
export const make = (colours: boolean): Style["Type"] => {
  const paint = (open: number, close: number): Paint =>
    colours ? (text) => `\u001b[${open}m${text}\u001b[${close}m` : identity
  return Style.of({
    colours,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39)
  })
}

/** Whether a stream of this process shows colours. */
export const showsColours = (stream: { readonly isTTY?: boolean | undefined }): Effect.Effect<boolean> =>
  Config.all([Config.withDefault(Config.string("NO_COLOR"), ""), Config.withDefault(Config.string("TERM"), "")]).pipe(
    Effect.map(([noColour, terminal]) => stream.isTTY === true && noColour === "" && terminal !== "dumb"),
    Effect.orElseSucceed(() => false)
  )

/** The style of this process' standard output. */
export const layer: Layer.Layer<Style> = Layer.effect(
  Style,
  Effect.map(Effect.flatMap(Process, ({ stdout }) => showsColours(stdout)), make)
)
