/** A certificate authority that openssl makes, and a certificate of it for the loopback interface. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { RedisServerError } from "./RedisServer.js"

export interface TlsCertificate {
  /** The certificate of the authority, in PEM. */
  readonly ca: string
  /** The arguments of a server that has the certificate; `--tls-port` is not among them. */
  readonly args: ReadonlyArray<string>
}

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "tls-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

const files = ["ca.crt", "server.crt", "server.key"] as const

const generate = Effect.gen(function*() {
  const folder = yield* directory
  const path = (name: string) => join(folder, name)
  const request = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
  yield* openssl(...request, "-subj", "/CN=test authority", "-keyout", path("ca.key"), "-out", path("ca.crt"))
  yield* openssl(
    ...[...request, "-subj", "/CN=localhost", "-keyout", path("server.key"), "-out", path("server.crt")],
    ...["-CA", path("ca.crt"), "-CAkey", path("ca.key")],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
  )
  return yield* Effect.forEach(files, (name) => Effect.promise(() => readFile(path(name), "utf8")))
}).pipe(Effect.scoped)

// One certificate does for a whole process
const generated = Effect.runSync(Effect.cached(generate))

/** The files are gone with the scope. */
export const make: Effect.Effect<TlsCertificate, RedisServerError, Scope.Scope> = Effect.gen(function*() {
  const texts = yield* generated
  const folder = yield* directory
  const [ca, certificate, key] = files.map((name) => join(folder, name))
  yield* Effect.forEach(files, (name, index) => Effect.promise(() => writeFile(join(folder, name), texts[index])))
  return {
    ca: texts[0],
    args: [
      ...["--tls-cert-file", certificate, "--tls-key-file", key],
      ...["--tls-ca-cert-file", ca, "--tls-auth-clients", "no"]
    ]
  }
})

const openssl = (...args: ReadonlyArray<string>) =>
  Effect.async<void, RedisServerError>((resume) => {
    execFile("openssl", args, (error, _, stderr) =>
      resume(
        error === null
          ? Effect.void
          : Effect.fail(new RedisServerError({ message: `openssl ${args[0]}: ${stderr.trim() || error.message}` }))
      ))
  })
