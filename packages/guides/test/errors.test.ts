/** The page "Errors" is what the code says; that no message is missing there, `npm run check:docs` tells. */
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Logger, LogLevel } from "effect"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as Page from "./Page.js"
import { alone, situations } from "./Situations.js"

describe("the page", () => {
  it("shows the messages of the situations, each once, and no others", () => {
    deepStrictEqual([...Page.messages].sort(), Object.keys(situations).sort())
  })

  it.scopedLive("shows whole messages that come about like this", () =>
    Effect.gen(function*() {
      const whole = yield* Effect.forEach(
        ["answered 401 invalid_client: no such client", "the key is neither PEM (PKCS#8) nor a JWK"],
        (message) => situations[message]
      )
      deepStrictEqual(Page.examples, whole)
    }))
})

describe("each message", () => {
  const concurrency = 20

  // By a clock that stands still where a situation does not set it: no limit ends what takes long here
  it.effect("comes about in its situation", () =>
    Effect.gen(function*() {
      // Most only wait, as each lets the time of a clock of its own pass
      const places = yield* Effect.makeSemaphore(concurrency)
      yield* rowsEffect(
        Object.entries(situations),
        ([message]) => message,
        ([message, situation]) =>
          Effect.map(situation, (said) => assert.match(said, Page.pattern(message, "…"))).pipe(
            places.withPermits(alone.has(situation) ? concurrency : 1)
          ),
        { concurrency }
      )
    }).pipe(
      Effect.provide(Logger.minimumLogLevel(LogLevel.None))
    ))
})
