import { TokenUse } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, HashMap } from "effect"

const annotations = Effect.map(
  Effect.spanAnnotations,
  (annotations) => Object.fromEntries(HashMap.entries(annotations))
)

describe("TokenUse", () => {
  it.effect("annotates the spans of the effect, beside what the app says of them", () =>
    Effect.gen(function*() {
      const { after, within } = yield* Effect.all({
        within: TokenUse.annotate(annotations, "awaited", 0),
        after: annotations
      }).pipe(Effect.annotateSpans("app", 1))
      deepStrictEqual(within, { app: 1, "oauth.token.use": "awaited" })
      deepStrictEqual(after, { app: 1 })
    }))

  it.effect("says how often the request was sent before", () =>
    Effect.map(
      TokenUse.annotate(annotations, "replayed", 1),
      (annotations) => deepStrictEqual(annotations, { "oauth.token.use": "replayed", "http.request.resend_count": 1 })
    ))

  it.effect("counts the sendings of a token that was in memory too", () =>
    Effect.map(
      TokenUse.annotate(annotations, undefined, 1),
      (annotations) => deepStrictEqual(annotations, { "http.request.resend_count": 1 })
    ))

  it("leaves alone what sends a token that was in memory for the first time", () => {
    assert.strictEqual(TokenUse.annotate(annotations, undefined, 0), annotations)
  })
})
