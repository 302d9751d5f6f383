/**
 * A certificate authority that openssl makes, and certificates of it for servers on loopback and for clients: each of
 * them once for the whole process, so that tests cost no key of their own.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
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

const makeDirectory = () => mkdtemp(join(tmpdir(), "tls-"))
const remove = (directory: string) => rm(directory, { recursive: true, force: true })

const openssl = (...args: ReadonlyArray<string>) => promisify(execFile)("openssl", args)
const request = ["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
const passphrase = "the-passphrase"

/** What openssl makes is gone from the disk as soon as it is read. */
const inDirectory = async <A>(use: (path: (name: string) => string) => Promise<A>): Promise<A> => {
  const directory = await makeDirectory()
  try {
    return await use((name) => join(directory, name))
  } finally {
    await remove(directory)
  }
}

const makeAuthority = () =>
  inDirectory(async (path) => {
    await openssl(...request, "-subj", "/CN=test authority", "-keyout", path("key"), "-out", path("crt"))
    return { certificate: await readFile(path("crt"), "utf8"), key: await readFile(path("key"), "utf8") }
  })

const makeCertificate = (name: string, hosts: ReadonlyArray<string>) =>
  inDirectory(async (path): Promise<Certificate> => {
    const authority = await makeOnce("authority", makeAuthority)
    await Promise.all([writeFile(path("ca.crt"), authority.certificate), writeFile(path("ca.key"), authority.key)])
    const names = ["localhost", ...hosts].map((host) => `DNS:${host},`).join("")
    await openssl(
      ...[...request, "-subj", `/CN=${name}`, "-keyout", path("key"), "-out", path("crt")],
      ...["-CA", path("ca.crt"), "-CAkey", path("ca.key")],
      ...["-addext", `subjectAltName=${names}IP:127.0.0.1,IP:::1`, "-addext", "basicConstraints=critical,CA:FALSE"]
    )
    const password = `pass:${passphrase}`
    await openssl(
      ...["pkcs12", "-export", "-in", path("crt"), "-inkey", path("key"), "-out", path("pfx"), "-passout", password]
    )
    const [certificate, key] = await Promise.all([readFile(path("crt"), "utf8"), readFile(path("key"), "utf8")])
    const digest = await crypto.subtle.digest("SHA-256", new X509Certificate(certificate).raw)
    const encrypted = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase } as const
    return {
      certificate,
      key,
      encryptedKey: createPrivateKey(key).export(encrypted).toString(),
      pfx: await readFile(path("pfx")),
      passphrase,
      thumbprint: Buffer.from(digest).toString("base64url")
    }
  })

const made = new Map<string, Promise<unknown>>()

const makeOnce = <A>(name: string, make: () => Promise<A>): Promise<A> => {
  const known = made.get(name) as Promise<A> | undefined ?? make()
  made.set(name, known)
  return known
}

/** The files of a directory of one's own are gone with the scope. */
export const make: Effect.Effect<Authority, never, Scope.Scope> = Effect.gen(function*() {
  const { certificate: ca } = yield* Effect.promise(() => makeOnce("authority", makeAuthority))
  const directory = yield* Effect.acquireRelease(
    Effect.promise(makeDirectory),
    (directory) => Effect.promise(() => remove(directory))
  )
  const write = (name: string, text: string) => writeFile(join(directory, name), text)
  yield* Effect.promise(() => write("ca.crt", ca))

  const issue = async (name: string, hosts: ReadonlyArray<string>) => {
    const issued = await makeOnce(`certificate ${[name, ...hosts].join(" ")}`, () => makeCertificate(name, hosts))
    await Promise.all([
      write(`${name}.crt`, issued.certificate),
      write(`${name}.key`, issued.key),
      write(`${name}.key.encrypted`, issued.encryptedKey)
    ])
    return issued
  }
  return { ca, directory, issue: (name, ...hosts) => Effect.promise(() => issue(name, hosts)) }
})
