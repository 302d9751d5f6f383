/** Certificates that openssl makes: of an authority, of servers and clients under it, and such as sign themselves. */
import { Data, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import type * as Jose from "jose"
import { execFile } from "node:child_process"
import { createHash, X509Certificate } from "node:crypto"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import type * as Https from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"

export class CertificateError extends Data.TaggedError("CertificateError")<{ readonly message: string }> {}

export interface Certificate {
  /** In PEM. */
  readonly certificate: string
  /** In PEM (PKCS #8). */
  readonly key: Redacted.Redacted
  readonly certificateFile: string
  readonly keyFile: string
  /** `x5t#S256` (RFC 8705 §3.1). */
  readonly thumbprint: string
  /** What a client registers for `self_signed_tls_client_auth` (RFC 8705 §2.2.2). */
  readonly jwk: Jose.JWK
}

export interface Authority {
  /** In PEM. */
  readonly certificate: string
  readonly certificateFile: string
  /** For a server at the loopback interface. */
  readonly forServer: Effect.Effect<Certificate, CertificateError>
  /** For a client with this common name. */
  readonly forClient: (commonName: string) => Effect.Effect<Certificate, CertificateError>
  /** One that no authority vouches for. */
  readonly selfSigned: (commonName: string) => Effect.Effect<Certificate, CertificateError>
}

/** The files are gone with the scope. */
export const make: Effect.Effect<Authority, CertificateError, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "certificates-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  let count = 0
  const create = (commonName: string, ...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const path = join(directory, `${++count}`)
      const files = { certificateFile: `${path}.crt`, keyFile: `${path}.key` }
      yield* openssl(
        ...["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        ...["-subj", `/CN=${commonName}`, "-keyout", files.keyFile, "-out", files.certificateFile],
        ...args
      )
      const [certificate, key] = yield* Effect.promise(() =>
        Promise.all([readFile(files.certificateFile, "utf8"), readFile(files.keyFile, "utf8")])
      )
      const parsed = new X509Certificate(certificate)
      const made: Certificate = {
        ...files,
        certificate,
        key: Redacted.make(key),
        thumbprint: thumbprint(parsed),
        jwk: { ...parsed.publicKey.export({ format: "jwk" }), x5c: [parsed.raw.toString("base64")] }
      }
      return made
    })
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
  const authority = yield* create("test authority")
  const signed = ["-CA", authority.certificateFile, "-CAkey", authority.keyFile, ...leaf]
  return {
    certificate: authority.certificate,
    certificateFile: authority.certificateFile,
    forServer: create("localhost", ...signed, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    forClient: (commonName) => create(commonName, ...signed),
    selfSigned: (commonName) => create(commonName, ...leaf)
  }
})

export const thumbprint = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.raw).digest("base64url")

/**
 * The options of a server that asks every client for a certificate and looks
 * at it itself: also for one that no authority vouches for.
 */
export const serverOptions = (authority: Authority): Effect.Effect<Https.ServerOptions, CertificateError> =>
  Effect.map(authority.forServer, ({ certificate, key }) => ({
    ca: authority.certificate,
    cert: certificate,
    key: Redacted.value(key),
    requestCert: true,
    rejectUnauthorized: false
  }))

const openssl = (...args: ReadonlyArray<string>) =>
  Effect.async<void, CertificateError>((resume) => {
    execFile("openssl", args, (error, _, stderr) =>
      resume(
        error === null
          ? Effect.void
          : Effect.fail(new CertificateError({ message: `openssl ${args[0]}: ${stderr.trim() || error.message}` }))
      ))
  })
