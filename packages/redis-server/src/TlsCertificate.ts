/** A certificate authority that openssl makes, and a certificate of it for the loopback interface. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { RedisServerError } from "./RedisServer.js"

export interface TlsCertificate {
  /** The certificate of the authority, in PEM. */
  readonly ca: string
  /** The arguments of a server that has the certificate; `--tls-port` is not among them. */
  readonly args: ReadonlyArray<string>
}

/** The files are gone with the scope. */
export const make: Effect.Effect<TlsCertificate, RedisServerError, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "tls-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const path = (name: string) => join(directory, name)
  const request = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
  yield* openssl(...request, "-subj", "/CN=test authority", "-keyout", path("ca.key"), "-out", path("ca.crt"))
  yield* openssl(
    ...[...request, "-subj", "/CN=localhost", "-keyout", path("server.key"), "-out", path("server.crt")],
    ...["-CA", path("ca.crt"), "-CAkey", path("ca.key")],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
  )
  return {
    ca: yield* Effect.promise(() => readFile(path("ca.crt"), "utf8")),
    args: [
      ...["--tls-cert-file", path("server.crt"), "--tls-key-file", path("server.key")],
      ...["--tls-ca-cert-file", path("ca.crt"), "--tls-auth-clients", "no"]
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
