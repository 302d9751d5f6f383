/** Uploads and downloads of any size, of which little is in memory at a time. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpBody, HttpClientResponse } from "@effect/platform"
import { Chunk, Effect, Stream } from "effect"

const chunkSize = 64 * 1024
const chunks = 256

/** The file to send. It can be read anew for each attempt, as `FileSystem.stream` can. */
const report = Stream.repeatValue(new Uint8Array(chunkSize).fill(7)).pipe(Stream.take(chunks), Stream.rechunk(1))

const upload = Effect.gen(function*() {
  const client = yield* AuthedHttpClient.AuthedHttpClient
  const response = yield* AuthedHttpClient.replayable(client).post("/report", {
    body: HttpBody.stream(report, "application/octet-stream", chunks * chunkSize)
  })
  return response.status
})

/** Reads an endless list for as long as it wants; what it does not read stays at the server. */
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

export const main = Effect.all({ status: upload, events: download }).pipe(
  Effect.provide(NodeAuthedHttpClient.layerConfig())
)
