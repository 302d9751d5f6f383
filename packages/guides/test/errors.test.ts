/** The page "Errors" is what the code says; that no message is missing there, `npm run check:docs` tells. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel } from "effect"
import * as ErrorsPage from "./ErrorsPage.js"

describe("the page", () => {
  // By a clock that stands still where a situation does not set it: no limit ends what takes long here
  it.effect("has the messages that come about in the situations", () =>
    Effect.gen(function*() {
      const page = yield* ErrorsPage.make
      yield* Effect.promise(() => expect(page).toMatchFileSnapshot("../errors.md"))
    }).pipe(
      Effect.provide(Logger.minimumLogLevel(LogLevel.None))
    ))
})
