/**
 * Connections to a host with several addresses. Node tries one after the other
 * for a quarter of a second each, however distant the host is. If all fail, and
 * some only because of this limit, they are tried once more with all the
 * remaining time.
 */
import * as Undici from "@effect/platform-node/Undici"

type Options = Undici.buildConnector.BuildOptions & { readonly timeout: number }

/** Makes the connector of a pool. `timeout` limits all attempts at a connection together (milliseconds). */
export const make = (
  options: Options,
  build: (options: Options) => Undici.buildConnector.connector = Undici.buildConnector
): Undici.buildConnector.connector => {
  const first = build(options)
  return (target, callback) => {
    const start = performance.now()
    first(target, (...[error, socket]) => {
      if (error === null) return callback(null, socket)
      const timeout = Math.floor(options.timeout - (performance.now() - start))
      const count = givenUp(error)
      if (timeout <= 0 || count === 0) return callback(error, null)
      const autoSelectFamilyAttemptTimeout = Math.ceil(timeout / count)
      build({ ...options, timeout, autoSelectFamilyAttemptTimeout })(target, callback)
    })
  }
}

/** How many addresses were abandoned for the next one, if none accepted the connection. */
const givenUp = (error: Error): number =>
  error instanceof AggregateError
    ? error.errors.filter((attempt) => attempt?.code === "ETIMEDOUT" && attempt.syscall === "connect").length
    : 0
