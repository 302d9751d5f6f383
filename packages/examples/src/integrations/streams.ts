/** Uploads and downloads of any size, of which little is in memory at a time. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpBody, HttpClientResponse } from "@effect/platform"
import { Chunk, Effect, Stream } from "effect"

/** Sends a stream that can be run anew, as that of a file can: `withReplayableBodies` says so, and a 401 is replayed. */
export const upload = (report: Stream.Stream<Uint8Array>, bytes: number) =>
  Effect.gen(function*() {
    const client = yield* AuthedHttpClient.AuthedHttpClient
    const body = HttpBody.stream(report, "application/octet-stream", bytes)
    const response = yield* AuthedHttpClient.withReplayableBodies(client).post("/report", { body })
    return response.status
  })

/** Reads of an endless list what it wants: the rest stays at the server. */
const download = Effect.gen(function*() {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  return yield* client.get("/events").pipe(
    HttpClientResponse.stream,
    Stream.decodeText(),
    Stream.splitLines,
    Stream.take(3),
    Stream.runCollect,
    Effect.map(Chunk.toReadonlyArray)
  )
})

const megabyte = new Uint8Array(1024 * 1024)

export const main = Effect.all({
  events: download,
  status: upload(Stream.make(megabyte, megabyte, megabyte), 3 * megabyte.byteLength)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv()))
