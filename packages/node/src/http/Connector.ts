/**
 * Connections to a host with several addresses. Node tries them one after the
 * other and gives each a quarter of a second, be the host as far away as it may:
 * where all have failed and some only for that, they are tried once more, and these
 * share all of the time that is left.
 */
import * as Undici from "undici"

type Options = Undici.buildConnector.BuildOptions & { readonly timeout: number }

/** Makes the connector of a pool. `timeout` bounds all attempts at a connection together (milliseconds). */
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

/** How many addresses were given up for the next one, where none of them took the connection. */
const givenUp = (error: Error): number =>
  error instanceof AggregateError
    ? error.errors.filter((attempt) => attempt?.code === "ETIMEDOUT" && attempt.syscall === "connect").length
    : 0
