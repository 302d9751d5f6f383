/** Pictures that Vega-Lite draws, the same on every machine. */
import { parse, View } from "vega"
import { compile, type TopLevelSpec } from "vega-lite"

/** A picture in the colours that GitHub's light theme has, on white so that it can be read in the dark too. */
export const draw = (spec: TopLevelSpec): Promise<string> =>
  new View(
    parse(
      compile(spec, {
        config: {
          aria: false,
          font: "system-ui, sans-serif",
          background: "white",
          view: { stroke: "#d1d9e0" },
          axis: { grid: true }
        }
      }).spec
    ),
    { renderer: "none" }
  ).toSVG().then((svg) => `${svg}\n`)
