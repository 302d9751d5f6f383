/** A certificate to be trusted, and others that must not be. */
import { Effect, Record, Redacted, type Scope } from "effect"
import * as Certificate from "../Certificate.js"

export interface ServerCertificate {
  readonly cert: string
  readonly key: string
}

export interface Certificates extends Record<"trusted" | "unknown" | "expired" | "other host", ServerCertificate> {
  /** A file with the authority of all but the unknown one, for `NODE_EXTRA_CA_CERTS`. */
  readonly authorityFile: string
}

/** The files are gone with the scope. */
export const make: Effect.Effect<Certificates, never, Scope.Scope> = Effect.gen(function*() {
  const authority = yield* Certificate.make
  const certificates = yield* Effect.all({
    trusted: authority.forServer(),
    unknown: authority.selfSigned("localhost"),
    expired: authority.expired,
    "other host": authority.forServer("other.test")
  })
  return {
    authorityFile: authority.certificateFile,
    ...Record.map(certificates, ({ certificate, key }) => ({ cert: certificate, key: Redacted.value(key) }))
  }
}).pipe(Effect.orDie)
