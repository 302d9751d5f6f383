/**
 * A WebSocket that takes its token from the `TokenProvider`. When the server
 * ends the connection because of the token (here by close code 4401), there is
 * another connection with another token.
 */
import { AccessToken, type OAuthError, TokenProvider } from "@effect-alf/core"
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
const messages = (url: URL) =>
  Stream.unwrap(Effect.gen(function*() {
    const provider = yield* TokenProvider.TokenProvider
    const settle = (token: AccessToken.AccessToken, outcome: "accepted" | "rejected") =>
      provider.report(token, outcome, undefined, url.origin)

    const connected = (
      token: AccessToken.AccessToken,
      isRenewed: boolean
    ): Stream.Stream<string, Closed | OAuthError.TokenRequestError | OAuthError.TokenProviderError> =>
      Stream.suspend(() => {
        let isAccepted = false
        const accept = Effect.suspend(() => {
          if (isAccepted) return Effect.void
          isAccepted = true
          return settle(token, "accepted")
        })
        return connect(url, token).pipe(
          Stream.tap(() => accept),
          Stream.catchTag("Closed", (closed) => {
            if (closed.code !== unauthorized) return Stream.fail(closed)
            // The second one in a row: it is not for want of another token
            if (isRenewed && !isAccepted) return Stream.fromEffect(Effect.zipRight(settle(token, "rejected"), closed))
            return Stream.unwrap(Effect.map(
              provider.renew(token, undefined, url.origin),
              (renewed) => renewed === token ? Stream.fail(closed) : connected(renewed, true)
            ))
          })
        )
      })

    return connected(yield* provider.get(undefined, url.origin), false)
  }))

export const main = Effect.gen(function*() {
  const url = yield* Config.url("EVENTS_URL")
  const first = yield* messages(url).pipe(Stream.take(4), Stream.runCollect)
  return Array.from(first)
}).pipe(Effect.provide(NodeAuthedHttpClient.layerEnv()))
