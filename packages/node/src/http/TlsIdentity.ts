/**
 * A certificate and its private key, from files or values. Checks that they
 * match before any connection presents them.
 */
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { createHash, createPrivateKey, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { Socket } from "node:net"
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls"
import type { Files, Pem, Pkcs12, Source } from "../TlsCertificate.js"

/** A certificate with the matching key. */
export interface TlsIdentity {
  /** The certificate, its key and the authorities, for connections. */
  readonly context: SecureContext
  /** SHA-256 of the certificate's DER in base64url (RFC 8705 §3.1). */
  readonly thumbprint: string
}

/** What a source contained when it was read. */
export interface Contents {
  readonly values: Pem | Pkcs12
  /** Equal for equal values. */
  readonly fingerprint: string
  /** Names the option, and the file, of an invalid value. */
  readonly invalid: (name: "certificate" | "key" | "ca" | "pfx", description: string) => InvalidOptions
}

const option = "NodeHttp.certificate"

/**
 * Reads a source without checking it. An error names the file or option at
 * fault, and shows nothing of its contents.
 */
export const read = <R = never>(source: Source<R>): Effect.Effect<Contents, InvalidOptions, R> => {
  if (Effect.isEffect(source)) {
    // Its error may contain anything, even the key
    const unavailable = () => LayerOptions.error(option, "is unavailable: the effect failed")
    return Effect.sandbox(source).pipe(Effect.mapError(unavailable), Effect.flatMap((values) => makeContents(values)))
  }
  return "certificateFile" in source
    ? Effect.flatMap(readFiles(source), (values) => makeContents(values, source))
    : makeContents(source)
}

const makeContents = (values: Pem | Pkcs12, files?: Files): Effect.Effect<Contents, InvalidOptions> =>
  Effect.try({
    try: () => ({
      values,
      fingerprint: fingerprint(values),
      invalid: (name, description) =>
        files === undefined || name === "pfx"
          ? LayerOptions.error(`${option}.${name}`, description)
          : LayerOptions.error(`${option}.${name}File`, `${files[`${name}File`]} ${description}`)
    }),
    catch: () => LayerOptions.error(option, "has neither files, nor certificate and key, nor a pfx")
  })

/** Reads them in parallel, as they belong together. */
const readFiles = (files: Files): Effect.Effect<Pem, InvalidOptions> =>
  LayerOptions.collect([
    readText("certificateFile", files.certificateFile),
    readText("keyFile", files.keyFile),
    files.caFile === undefined ? Effect.succeed(undefined) : readText("caFile", files.caFile)
  ], { concurrency: "unbounded" }).pipe(
    Effect.map(([certificate, key, ca]) => ({
      certificate,
      key: Redacted.make(key),
      ca,
      passphrase: files.passphrase
    }))
  )

const readText = (name: string, path: string): Effect.Effect<string, InvalidOptions> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (error) => {
      const code = Predicate.hasProperty(error, "code") ? `: ${String(error.code)}` : ""
      return LayerOptions.error(`${option}.${name}`, `${path} cannot be read${code}`)
    }
  })

const fingerprint = (values: Pem | Pkcs12): string => {
  const secrets = "pfx" in values
    ? [hash(Redacted.value(values.pfx))]
    : [values.certificate, Redacted.value(values.key)]
  return hash(JSON.stringify([...secrets, reveal(values.passphrase) ?? null, values.ca ?? null]))
}

const hash = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("base64url")

const reveal = (secret: Redacted.Redacted | undefined) => secret === undefined ? undefined : Redacted.value(secret)

/** Checks that the certificate can be presented. `ca` are the authorities to trust if the contents have none. */
export const make = Effect.fnUntraced(function*(
  { invalid, values }: Contents,
  ca?: ReadonlyArray<string> | undefined
) {
  // OpenSSL's own messages are omitted, as they may quote their input
  const attempt = <A>(name: Parameters<Contents["invalid"]>[0], description: string, evaluate: () => A) =>
    Effect.try({ try: evaluate, catch: () => invalid(name, description) })
  const passphrase = reveal(values.passphrase)
  if (values.ca !== undefined) yield* attempt("ca", noCertificate, () => new X509Certificate(values.ca ?? ""))
  const shared = { ca: trusted(values.ca === undefined ? ca : [values.ca]), passphrase }

  if ("pfx" in values) {
    return yield* attempt<TlsIdentity>("pfx", "is not a PKCS#12 archive, or the passphrase is wrong", () => {
      const context = createSecureContext({ ...shared, pfx: Buffer.from(Redacted.value(values.pfx)) })
      return { context, thumbprint: hash(presentedBy(context).raw) }
    })
  }
  const { certificate } = values
  const key = Redacted.value(values.key)
  const leaf = yield* attempt("certificate", noCertificate, () => new X509Certificate(certificate))
  const privateKey = yield* attempt(
    "key",
    `contains no PEM private key${
      passphrase === undefined ? ", or one that needs a passphrase" : " for this passphrase"
    }`,
    () => createPrivateKey({ key, passphrase })
  )
  if (!leaf.checkPrivateKey(privateKey)) {
    return yield* invalid("key", "is the key of another certificate")
  }
  return yield* attempt<TlsIdentity>("certificate", "cannot be presented in TLS", () => ({
    context: createSecureContext({ ...shared, cert: certificate, key }),
    thumbprint: hash(leaf.raw)
  }))
})

const noCertificate = "contains no PEM certificate"

/** Instead of the authorities that Node trusts. */
const trusted = (ca: ReadonlyArray<string> | undefined) => ca === undefined ? undefined : [...ca]

/** Node cannot read PKCS#12 itself, but reports what a connection would present. */
const presentedBy = (secureContext: SecureContext): X509Certificate => {
  const socket = new TLSSocket(new Socket(), { secureContext })
  const certificate = socket.getX509Certificate()
  socket.destroy()
  if (certificate === undefined) throw new Error("no certificate")
  return certificate
}
