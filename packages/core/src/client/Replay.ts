/**
 * What a replay needs: a response that rejects the token, a body that is
 * certain to be the same, and disposal of the first response.
 */
import type * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { AccessToken } from "../AccessToken.js"
import * as WwwAuthenticate from "../WwwAuthenticate.js"

/** The error codes of a resource that another token of the same kind would not avoid. */
const otherErrors: ReadonlyArray<string | undefined> = [
  // RFC 6750 §3.1
  "invalid_request",
  "insufficient_scope",
  // RFC 9470 §3
  "insufficient_user_authentication",
  // RFC 9449 §7.1 and §9
  "invalid_dpop_proof",
  "use_dpop_nonce"
]

/**
 * Whether a response rejects the token of its request (RFC 6750 §3.1): a 401
 * does, unless its challenge names another error, and `invalid_token` does with
 * any status.
 */
export const isRejection = (
  response: HttpClientResponse.HttpClientResponse,
  { token }: { readonly token: AccessToken }
): boolean => {
  // The hot path
  if (response.status < 400) return false
  const used = token.proofKey === undefined ? "bearer" : "dpop"
  const code = Option.getOrUndefined(WwwAuthenticate.errorCode(WwwAuthenticate.fromResponse(response), used))
  return response.status === 401 ? !otherErrors.includes(code) : code === "invalid_token"
}

/**
 * Whether a body is certain to be the same the second time.
 * `withReplayableBodies` declares this for bodies that cannot be checked.
 */
export const canReplay = (body: HttpBody.HttpBody, replayable = false): boolean => {
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
  Predicate.isNullable(body) ||
  body instanceof ArrayBuffer ||
  ArrayBuffer.isView(body) ||
  body instanceof Blob ||
  body instanceof URLSearchParams

/** At most so much of an unwanted body is read to free its connection. */
const maxDrainBytes = 64 * 1024
const maxDrainTime = "1 second"

/**
 * Reads an unwanted body in the background, within limits: unread, it would
 * keep its connection busy; aborted, it would close it. An empty body must be
 * read too, as Node's client waits for its end.
 */
export const drainLater = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<unknown> =>
  Effect.forkDaemon(
    response.headers["content-length"] === "0"
      // It arrived with the headers
      ? Effect.ignore(response.arrayBuffer)
      // A fiber inherits uninterruptibility, under which no time limit would hold
      : Effect.interruptible(Effect.ignore(Effect.timeout(drain(response), maxDrainTime)))
  )

// Running the stream takes twice as long, and hundreds may be rejected at once
const drain = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.scoped(Effect.flatMap(Stream.toPull(response.stream), (pull) => {
    let bytes = 0
    const chunks = Effect.map(pull, (chunks) => {
      for (const chunk of chunks) bytes += chunk.byteLength
    })
    return Effect.repeat(chunks, { while: () => bytes < maxDrainBytes })
  }))
