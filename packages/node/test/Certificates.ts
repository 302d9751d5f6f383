/** A certificate authority that openssl makes, and certificates of it for servers on loopback and for clients. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

export interface Certificate {
  /** In PEM, as are `key` and `encryptedKey`. */
  readonly certificate: string
  readonly key: string
  readonly encryptedKey: string
  readonly pfx: Buffer
  /** Of `encryptedKey` and `pfx`. */
  readonly passphrase: string
  readonly thumbprint: string
}

export interface Authority {
  readonly ca: string
  readonly directory: string
  /** For loopback, and for further host names. */
  readonly issue: (name: string, ...hosts: ReadonlyArray<string>) => Effect.Effect<Certificate>
}

/** The files are gone with the scope. */
export const make: Effect.Effect<Authority, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "tls-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const path = (name: string) => join(directory, name)
  const openssl = (...args: ReadonlyArray<string>) => promisify(execFile)("openssl", args)
  const request = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
  const passphrase = "the-passphrase"

  const issue = async (name: string, hosts: ReadonlyArray<string>): Promise<Certificate> => {
    const key = path(`${name}.key`)
    const certificate = path(`${name}.crt`)
    await openssl(
      ...[...request, "-subj", `/CN=${name}`, "-keyout", key, "-out", certificate],
      ...["-CA", path("ca.crt"), "-CAkey", path("ca.key")],
      ...[
        "-addext",
        `subjectAltName=${["localhost", ...hosts].map((host) => `DNS:${host},`).join("")}IP:127.0.0.1,IP:::1`
      ],
      ...["-addext", "basicConstraints=critical,CA:FALSE"]
    )
    const password = `pass:${passphrase}`
    await Promise.all([
      openssl("pkey", "-in", key, "-aes256", "-passout", password, "-out", `${key}.encrypted`),
      openssl("pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", `${key}.pfx`, "-passout", password)
    ])
    const pem = await readFile(certificate, "utf8")
    const digest = await crypto.subtle.digest("SHA-256", new X509Certificate(pem).raw)
    return {
      certificate: pem,
      key: await readFile(key, "utf8"),
      encryptedKey: await readFile(`${key}.encrypted`, "utf8"),
      pfx: await readFile(`${key}.pfx`),
      passphrase,
      thumbprint: Buffer.from(digest).toString("base64url")
    }
  }

  yield* Effect.promise(() =>
    openssl(...request, "-subj", "/CN=test authority", "-keyout", path("ca.key"), "-out", path("ca.crt"))
  )
  return {
    ca: yield* Effect.promise(() => readFile(path("ca.crt"), "utf8")),
    directory,
    issue: (name, ...hosts) => Effect.promise(() => issue(name, hosts))
  }
})
