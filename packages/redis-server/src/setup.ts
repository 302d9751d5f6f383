import { Effect } from "effect"
import * as RedisServer from "./RedisServer.js"

/** Before the first test: there is a server to start. */
export default (): Promise<void> => Effect.runPromise(RedisServer.install)
