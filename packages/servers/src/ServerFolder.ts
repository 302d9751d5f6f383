/** A folder for what a server keeps, gone with its scope; of a user of its own where whoever starts it is root. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { chown, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ServerError } from "./ServerError.js"
import type { User } from "./ServerProcess.js"

export interface ServerFolder {
  readonly path: string
  readonly user: User | undefined
  /** Runs a program to its end, as this user. */
  readonly run: (program: string, args: ReadonlyArray<string>) => Effect.Effect<void, ServerError>
}

/** Makes it for a server that refuses to be root's: for the first of some users that the system knows. */
export const make = (name: string, users: ReadonlyArray<string>): Effect.Effect<ServerFolder, never, Scope.Scope> =>
  Effect.gen(function*() {
    const user = yield* findUser(users)
    const path = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), `${name}-`))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    if (user !== undefined) yield* Effect.promise(() => chown(path, user.uid, user.gid))
    return {
      path,
      user,
      run: (program, args) =>
        Effect.async((resume) => {
          execFile(program, args, { ...user, cwd: path }, (error, _, stderr) =>
            resume(
              error === null
                ? Effect.void
                : Effect.fail(new ServerError({ message: `${program}: ${stderr.trim() || error.message}` }))
            ))
        })
    }
  })

const findUser = (users: ReadonlyArray<string>): Effect.Effect<User | undefined> =>
  Effect.promise(async () => {
    if (process.getuid?.() !== 0) return undefined
    const known = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"))
    const found = users.flatMap((user) => known.filter(([name]) => name === user))[0]
    return found && { uid: Number(found[2]), gid: Number(found[3]) }
  })
