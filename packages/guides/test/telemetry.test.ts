/** The picture of a trace in the guide is that of real spans. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Trace from "./Trace.js"

describe("the picture of a trace", () => {
  it.live("shows the spans of a request that waits for a token", () =>
    Effect.gen(function*() {
      const picture = yield* Trace.make
      yield* Effect.promise(() => expect(picture).toMatchFileSnapshot("../telemetry/trace.svg"))
    }))
})
