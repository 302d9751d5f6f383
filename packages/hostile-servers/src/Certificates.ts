/** Certificates that openssl makes: one to be trusted, and others that must not be. */
import { Effect, type Scope } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Certificates extends Record<"trusted" | "unknown" | "expired" | "other host", Certificate> {
  /** A file with the authority of all but the unknown one, for `NODE_EXTRA_CA_CERTS`. */
  readonly authorityFile: string
}

/** The files are gone with the scope. */
export const make: Effect.Effect<Certificates, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "hostile-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  return yield* Effect.promise(() => makeAll(directory))
})

const run = promisify(execFile)

const makeAll = async (directory: string): Promise<Certificates> => {
  const path = (name: string) => join(directory, name)
  const openssl = (args: string) => run("openssl", args.split(" "), { cwd: directory })
  const key = (name: string) => `-nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout ${name}.key`
  const read = async (name: string): Promise<Certificate> => ({
    cert: await readFile(path(`${name}.crt`), "utf8"),
    key: await readFile(path(`${name}.key`), "utf8")
  })
  const sign = async (name: string, days: number, subject: string, args = "") => {
    await openssl(`req -x509 ${key(name)} -out ${name}.crt -days ${days} -subj /CN=${subject} ${args}`.trim())
    return read(name)
  }
  // What `req` does not do: a certificate whose days are over
  const expire = async (name: string) => {
    await openssl(`req -new ${key(name)} -out ${name}.csr -subj /CN=server ${local}`)
    await openssl(
      `x509 -req -in ${name}.csr -CA authority.crt -CAkey authority.key -copy_extensions copy -days -1 -out ${name}.crt`
    )
    return read(name)
  }
  const issued = "-CA authority.crt -CAkey authority.key -addext basicConstraints=critical,CA:FALSE"
  const local = "-addext subjectAltName=IP:127.0.0.1"
  await sign("authority", 2, "authority")
  return {
    authorityFile: path("authority.crt"),
    trusted: await sign("trusted", 2, "server", `${issued} ${local}`),
    unknown: await sign("unknown", 2, "server", local),
    expired: await expire("expired"),
    "other host": await sign("other", 2, "server", `${issued} -addext subjectAltName=DNS:other.test`)
  }
}
