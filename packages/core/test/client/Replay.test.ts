import { HttpBody, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream, TestClock } from "effect"
import * as Replay from "../../src/client/Replay.js"
import { rows, rowsEffect } from "../support/Rows.js"

// Which bodies are sent again, byte for byte, is in AuthedHttpClient.replay.test.ts

describe("Replay", () => {
  const bodies: Record<string, readonly [body: HttpBody.HttpBody, canReplay: boolean]> = {
    Empty: [HttpBody.empty, true],
    Uint8Array: [HttpBody.uint8Array(new Uint8Array(1)), true],
    FormData: [HttpBody.formData(new FormData()), true],
    "Raw string": [HttpBody.raw("text"), true],
    "Raw Blob": [HttpBody.raw(new Blob(["text"])), true],
    "Raw ReadableStream": [HttpBody.raw(new ReadableStream()), false],
    "Raw object": [HttpBody.raw({ read: () => "once" }), false],
    Stream: [HttpBody.stream(Stream.empty), false]
  }
  it("rule 5: knows which bodies are repeatable, and which only if the caller says so", () =>
    rows(
      Object.entries(bodies),
      ([kind, [, canReplay]]) =>
        `rule 5: ${kind} is ${canReplay ? "" : "not "}sure to be the same again, but by the caller's word`,
      ([, [body, canReplay]]) => {
        assert.strictEqual(Replay.canReplay(body, false), canReplay)
        assert.isTrue(Replay.canReplay(body, true))
      }
    ))

  const answer = (body: ReadableStream<Uint8Array>, headers: Record<string, string> = {}) =>
    HttpClientResponse.fromWeb(HttpClientRequest.get("https://api.test"), new Response(body, { headers }))

  it.effect("rule 5: reads a response of any length", () =>
    rowsEffect(
      ["0", "4"],
      (length) => `rule 5: an answer of length ${length} is read`,
      (length) =>
        Effect.gen(function*() {
          let pulls = 0
          const body = new ReadableStream<Uint8Array>({
            pull: (controller) => {
              pulls++
              controller.close()
            }
          }, { highWaterMark: 0 })
          yield* Replay.drainLater(answer(body, { "content-length": length }))
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          assert.strictEqual(pulls, 1)
        })
    ))

  it.effect("rule 5: stops reading after 64 KiB", () =>
    Effect.gen(function*() {
      let chunks = 0
      let tell = () => {}
      const cancelled = new Promise<void>((resolve) => {
        tell = resolve
      })
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          chunks++
          controller.enqueue(new Uint8Array(16 * 1024))
        },
        cancel: () => tell()
      })
      yield* Replay.drainLater(answer(body))
      yield* Effect.promise(() => cancelled)
      assert.isAtMost(chunks, 8)
    }))

  it.effect("rule 5: stops waiting for a body after a second, in uninterruptible regions too", () =>
    Effect.gen(function*() {
      let cancelled = false
      let tell = () => {}
      const pulled = new Promise<void>((resolve) => {
        tell = resolve
      })
      const body = new ReadableStream<Uint8Array>({
        pull: () => {
          tell()
          return new Promise(() => {})
        },
        cancel: () => {
          cancelled = true
        }
      }, { highWaterMark: 0 })
      yield* Effect.uninterruptible(Replay.drainLater(answer(body)))
      yield* Effect.promise(() => pulled)
      yield* TestClock.adjust("999 millis")
      assert.isFalse(cancelled)
      yield* TestClock.adjust("1 millis")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isTrue(cancelled)
    }))
})
