/** Colours, where there is a terminal that shows them and nobody has asked for none (no-color.org). */
import { Config, Context, Effect, Layer } from "effect"

type Paint = (text: string) => string

export class Style extends Context.Tag("@effect-alf/examples/Style")<
  Style,
  {
    readonly bold: Paint
    readonly dim: Paint
    readonly red: Paint
    readonly green: Paint
    readonly yellow: Paint
    /** Another colour for each of the first few numbers. */
    readonly byIndex: (index: number, text: string) => string
  }
>() {}

export const make = (colours: boolean): Style["Type"] => {
  const paint = (open: number, close: number): Paint =>
    colours ? (text) => `\u001b[${open}m${text}\u001b[${close}m` : (text) => text
  const palette = [36, 35, 34, 33, 96, 95, 94, 93].map((open) => paint(open, 39))
  return Style.of({
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    byIndex: (index, text) => palette[index % palette.length](text)
  })
}

export const layer: Layer.Layer<Style> = Layer.effect(
  Style,
  Config.string("NO_COLOR").pipe(
    Config.withDefault(""),
    Effect.orDie,
    Effect.map((noColour) => make(process.stdout.isTTY === true && noColour === ""))
  )
)
