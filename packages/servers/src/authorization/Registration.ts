/** What a server knows of a client. */
import type { Redacted } from "effect"
import type * as Jose from "jose"
import type * as Certificate from "../Certificate.js"

export interface SharedSecret<Method extends string> {
  readonly method: Method
  readonly secret: Redacted.Redacted
}

/** `private_key_jwt`. */
export interface PublicKeys {
  readonly method: "private_key_jwt"
  readonly keys: ReadonlyArray<Jose.JWK>
}

/** The subject that a certificate of the authority must have, such as `CN=client`. */
export interface CertificateSubject {
  readonly method: "tls_client_auth"
  readonly subject: string
}

export interface SelfSignedCertificates {
  readonly method: "self_signed_tls_client_auth"
  readonly certificates: ReadonlyArray<Pick<Certificate.Certificate, "jwk">>
}

/** The client only names itself. */
export interface Nothing {
  readonly method: "none"
}

export interface Client<Authentication, Binding extends string = never> {
  readonly id: string
  /** How it proves itself. */
  readonly authentication: Authentication
  /** What its tokens must be bound to. Where it sends a proof, they are bound to its key anyway. */
  readonly binding?: Binding | undefined
  /** What it may ask for; everything when it is left out. */
  readonly scope?: string | undefined
}
