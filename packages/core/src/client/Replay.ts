/**
 * What it takes to send a request a second time: a body that is sure to be the
 * same, and an end for the first answer.
 */
import type * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/**
 * Whether a body is sure to be the same the second time. `withReplayableBodies` is the
 * caller's word for those that nobody else can know about.
 */
export const canReplay = (body: HttpBody.HttpBody, replayable: boolean): boolean => {
  switch (body._tag) {
    case "Empty":
    case "Uint8Array":
    case "FormData":
      return true
    case "Raw":
      return replayable || isRepeatable(body.body)
    case "Stream":
      return replayable
  }
}

const isRepeatable = (body: unknown): boolean =>
  typeof body === "string" ||
  body === undefined ||
  body === null ||
  body instanceof ArrayBuffer ||
  ArrayBuffer.isView(body) ||
  body instanceof Blob ||
  body instanceof URLSearchParams

/** More of an answer that nobody wants is not read to free its connection. */
const maxDrainBytes = 64 * 1024
const maxDrainTime = "1 second"

/**
 * Reads an answer that nobody wants, in the background and within bounds: left
 * alone it would keep its connection busy, and aborting it would close it. An
 * empty one has an end to be read: Node's own client waits for that.
 */
export const drainLater = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<unknown> =>
  Effect.forkDaemon(
    response.headers["content-length"] === "0"
      // It has arrived with its headers
      ? Effect.ignore(response.arrayBuffer)
      // A fiber inherits whether it can be interrupted, without which no time limit would hold
      : Effect.interruptible(Effect.ignore(Effect.timeout(drain(response), maxDrainTime)))
  )

// A run of the stream takes twice as long, and hundreds may be rejected at once
const drain = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.scoped(Effect.flatMap(Stream.toPull(response.stream), (pull) => {
    let bytes = 0
    const chunks = Effect.map(pull, (chunks) => {
      for (const chunk of chunks) bytes += chunk.byteLength
    })
    return Effect.repeat(chunks, { while: () => bytes < maxDrainBytes })
  }))
