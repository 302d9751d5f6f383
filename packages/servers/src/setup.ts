import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Executable from "./Executable.js"

const servers = [
  { names: Executable.redis, load: () => import("./redis/RedisServer.js") },
  { names: Executable.memcached, load: () => import("./memcached/MemcachedServer.js") }
]

/**
 * Before the first test: there are servers to start, or one sentence says how to get what is missing. There is a folder
 * for what servers share until the last test.
 */
export default async (): Promise<() => Promise<void>> => {
  for (const { load, names } of servers) {
    if (Executable.find(names, process.env.PATH) !== undefined) continue
    // What takes as long to load as the tests of a file to run
    const [{ Effect, Either }, server] = await Promise.all([import("effect"), load()])
    const installed = await Effect.runPromise(Effect.either(server.install))
    if (Either.isRight(installed)) continue
    const error = new Error(installed.left.message)
    // Where it comes from is of no use to who has no server
    error.stack = `The tests cannot start. ${error.message}`
    throw error
  }
  const templates = await mkdtemp(join(tmpdir(), "templates-"))
  // The users of servers read what is theirs there
  await chmod(templates, 0o711)
  process.env.SERVER_TEMPLATES = templates
  return () => rm(templates, { recursive: true, force: true })
}
