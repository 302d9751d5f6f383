import { Effect, Either } from "effect"
import * as RedisServer from "./RedisServer.js"

/** Before the first test: there is a server to start, or one sentence says how to get it. */
export default async (): Promise<void> => {
  const installed = await Effect.runPromise(Effect.either(RedisServer.install))
  if (Either.isRight(installed)) return
  const error = new Error(installed.left.message)
  // Where it comes from is of no use to who has no server
  error.stack = `The tests cannot start. ${error.message}`
  throw error
}
