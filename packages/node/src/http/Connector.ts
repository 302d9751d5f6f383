/**
 * Connections to a host with several addresses. Node tries them one after the
 * other and gives each a quarter of a second, be the host as far away as it may:
 * where all have failed and some only for that, they are tried once more in all of
 * the time that is left.
 */
import * as Undici from "undici"

/** Makes the connector of a pool. `timeout` bounds all attempts at a connection together (milliseconds). */
export const make = (
  options: Undici.buildConnector.BuildOptions & { readonly timeout: number }
): Undici.buildConnector.connector => {
  const first = Undici.buildConnector(options)
  return (target, callback) => {
    const start = performance.now()
    first(target, (...[error, socket]) => {
      if (error === null) return callback(null, socket)
      const timeout = Math.floor(options.timeout - (performance.now() - start))
      if (timeout <= 0 || !isGivenUp(error)) return callback(error, null)
      const second = Undici.buildConnector({ ...options, timeout, autoSelectFamilyAttemptTimeout: timeout })
      second(target, callback)
    })
  }
}

/** Whether an address was given up for the next one, and none of them took the connection. */
const isGivenUp = (error: Error): boolean =>
  error instanceof AggregateError &&
  error.errors.some((attempt) => attempt?.code === "ETIMEDOUT" && attempt.syscall === "connect")
