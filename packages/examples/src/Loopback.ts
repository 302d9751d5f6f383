/** Free loopback ports and servers on them. */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"

const address = "127.0.0.1"

/** Listens until the scope ends; gives the origin. */
export const listen = (server: Net.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(bind(server), (port) => `http://${address}:${port}`)

/** A port that was free a moment ago. */
export const freePort: Effect.Effect<number> = Effect.scoped(Effect.suspend(() => bind(Net.createServer())))

const bind = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(0, address, () => resume(Effect.sync(() => (server.address() as Net.AddressInfo).port)))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        if (server instanceof Http.Server) server.closeAllConnections()
      })
  )
