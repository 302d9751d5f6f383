/** What a Redis server needs to speak TLS on the loopback interface. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Certificate from "../Certificate.js"

export interface TlsCertificate {
  /** The certificate of the authority, in PEM. */
  readonly ca: string
  /** The arguments of a server that has the certificate; `--tls-port` is not among them. */
  readonly args: ReadonlyArray<string>
}

/** The files are gone with the scope. */
export const make: Effect.Effect<TlsCertificate, Certificate.CertificateError, Scope.Scope> = Effect.gen(function*() {
  const authority = yield* Certificate.make
  const { certificateFile, keyFile } = yield* authority.forServer()
  return {
    ca: authority.certificate,
    args: [
      ...["--tls-cert-file", certificateFile, "--tls-key-file", keyFile],
      ...["--tls-ca-cert-file", authority.certificateFile, "--tls-auth-clients", "no"]
    ]
  }
})
