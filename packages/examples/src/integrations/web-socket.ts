/**
 * A WebSocket that takes its token from the `TokenProvider`. When the server
 * ends the connection because of the token (here by close code 4401), there is
 * another connection with another token.
 */
import { AccessToken, TokenProvider } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Config, Data, Effect, Stream } from "effect"
import WebSocket from "ws"

class Closed extends Data.TaggedError("Closed")<{ readonly code: number; readonly message: string }> {}

const unauthorized = 4401

/** What one connection brings, until it is closed by either side. */
const connect = (url: URL, token: AccessToken.AccessToken): Stream.Stream<string, Closed> =>
  Stream.asyncPush<string, Closed>((emit) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = new WebSocket(url, { headers: { authorization: AccessToken.authorization(token) } })
        socket.on("message", (data) => emit.single(String(data)))
        socket.on("error", ({ message }) => emit.fail(new Closed({ code: 1006, message })))
        socket.on("close", (code, reason) =>
          code === 1000 ? emit.end() : emit.fail(new Closed({ code, message: `${code} ${String(reason)}` })))
        return socket
      }),
      (socket) =>
        Effect.sync(() =>
          socket.terminate()
        )
    )
  )

/** What the server says, over as many connections as its tokens need. */
const messages = (url: URL) => {
  const connected = (
    provider: TokenProvider.TokenProvider["Type"],
    token: AccessToken.AccessToken
  ): Stream.Stream<string, Closed | Effect.Effect.Error<ReturnType<typeof provider.renew>>> =>
    connect(url, token).pipe(
      Stream.zipWithIndex,
      // The first word says that the token was good
      Stream.tap(([_, index]) => index === 0 ? provider.settle(token, "accepted", undefined, url.origin) : Effect.void),
      Stream.map(([message]) => message),
      Stream.catchTag("Closed", (closed) =>
        closed.code !== unauthorized
          ? Stream.fail(closed)
          : Stream.unwrap(Effect.map(
            provider.renew(token, undefined, url.origin),
            // The same one: there is no other at present
            (renewed) => renewed === token ? Stream.fail(closed) : connected(provider, renewed)
          )))
    )
  return Stream.unwrap(Effect.gen(function*() {
    const provider = yield* TokenProvider.TokenProvider
    return connected(provider, yield* provider.get(undefined, url.origin))
  }))
}

export const main = Effect.gen(function*() {
  const url = yield* Config.url("EVENTS_URL")
  const first = yield* messages(url).pipe(Stream.take(4), Stream.runCollect)
  return Array.from(first)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerConfig()))
