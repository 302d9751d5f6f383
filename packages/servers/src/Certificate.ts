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
  /** For a server at the loopback interface, or at another host. */
  readonly forServer: (host?: string) => Effect.Effect<Certificate, CertificateError>
  /** For a server at the loopback interface; its days are over. */
  readonly expired: Effect.Effect<Certificate, CertificateError>
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
  const nextFiles = (): Files => {
    const path = join(directory, `${++count}`)
    return { certificateFile: `${path}.crt`, keyFile: `${path}.key` }
  }
  const create = (commonName: string, ...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const files = nextFiles()
      yield* openssl(...request(commonName, files), "-x509", "-days", "2", "-out", files.certificateFile, ...args)
      return yield* read(files)
    })
  const authority = yield* create("test authority")
  const signer = ["-CA", authority.certificateFile, "-CAkey", authority.keyFile]
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
  return {
    certificate: authority.certificate,
    certificateFile: authority.certificateFile,
    forServer: (host) =>
      create("localhost", ...signer, ...leaf, "-addext", host === undefined ? loopback : `subjectAltName=DNS:${host}`),
    // What `req` alone does not do
    expired: Effect.gen(function*() {
      const files = nextFiles()
      const requestFile = `${files.certificateFile}.csr`
      yield* openssl(...request("localhost", files), "-out", requestFile, ...leaf, "-addext", loopback)
      yield* openssl(
        ...["x509", "-req", "-copy_extensions", "copy", "-days", "-1", ...signer],
        ...["-in", requestFile, "-out", files.certificateFile]
      )
      return yield* read(files)
    }),
    forClient: (commonName) => create(commonName, ...signer, ...leaf),
    selfSigned: (commonName) => create(commonName, ...leaf)
  }
})

type Files = Pick<Certificate, "certificateFile" | "keyFile">

const loopback = "subjectAltName=DNS:localhost,IP:127.0.0.1"

const request = (commonName: string, { keyFile }: Files) => [
  ...["req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
  ...["-subj", `/CN=${commonName}`, "-keyout", keyFile]
]

const read = (files: Files): Effect.Effect<Certificate> =>
  Effect.promise(async () => {
    const certificate = await readFile(files.certificateFile, "utf8")
    const parsed = new X509Certificate(certificate)
    return {
      ...files,
      certificate,
      key: Redacted.make(await readFile(files.keyFile, "utf8")),
      thumbprint: thumbprint(parsed),
      jwk: { ...parsed.publicKey.export({ format: "jwk" }), x5c: [parsed.raw.toString("base64")] }
    }
  })

export const thumbprint = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.raw).digest("base64url")

/**
 * The options of a server that asks every client for a certificate and looks
 * at it itself: also for one that no authority vouches for.
 */
export const serverOptions = (authority: Authority): Effect.Effect<Https.ServerOptions, CertificateError> =>
  Effect.map(authority.forServer(), ({ certificate, key }) => ({
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
