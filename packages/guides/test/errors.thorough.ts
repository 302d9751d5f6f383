/** The page "Errors" has the messages of the code; `npm run check:docs` reports missing ones. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel } from "effect"
import * as ErrorsPage from "./ErrorsPage.js"

describe("the page", () => {
  // The clock stands still unless a situation moves it, so no time limit passes here
  it.effect("has the messages of the situations", () =>
    Effect.gen(function*() {
      const page = yield* ErrorsPage.make
      yield* Effect.promise(() => expect(page).toMatchFileSnapshot("../errors.md"))
    }).pipe(
      Effect.provide(Logger.minimumLogLevel(LogLevel.None))
    ))
})
