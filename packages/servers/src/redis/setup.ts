import * as Executable from "./Executable.js"

/** Before the first test: there is a server to start, or one sentence says how to get it. */
export default async (): Promise<void> => {
  if (Executable.find(process.env.PATH) !== undefined) return
  // What takes as long to load as the tests of a file to run
  const [{ Effect, Either }, RedisServer] = await Promise.all([import("effect"), import("./RedisServer.js")])
  const installed = await Effect.runPromise(Effect.either(RedisServer.install))
  if (Either.isRight(installed)) return
  const error = new Error(installed.left.message)
  // Where it comes from is of no use to who has no server
  error.stack = `The tests cannot start. ${error.message}`
  throw error
}
