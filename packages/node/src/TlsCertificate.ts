/**
 * A certificate and its private key, as an app has them: paths of files, values, or an effect that reads them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * Paths of files in PEM, as cert-manager, SPIFFE helpers and Vault's agent
 * write them. They are read anew, whoever replaces them.
 *
 * @since 0.1.0
 * @category options
 */
export interface Files {
  /** The certificate, and after it those between it and the authority. */
  readonly certificateFile: string
  readonly keyFile: string
  /** The authorities to trust as servers, in place of the option `ca`. */
  readonly caFile?: string | undefined
  /** Of an encrypted key. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * Certificate and key in PEM.
 *
 * @since 0.1.0
 * @category options
 */
export interface Pem {
  /** The certificate, and after it those between it and the authority. */
  readonly certificate: string
  readonly key: Redacted.Redacted
  /** The authorities to trust as servers, in place of the option `ca`. */
  readonly ca?: string | undefined
  /** Of an encrypted key. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * Certificate and key in one PKCS#12 archive.
 *
 * @since 0.1.0
 * @category options
 */
export interface Pkcs12 {
  readonly pfx: Redacted.Redacted<Uint8Array>
  /** The authorities to trust as servers, in place of the option `ca`. */
  readonly ca?: string | undefined
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * Where a certificate comes from. An effect reads it from elsewhere, such as a
 * vault.
 *
 * @since 0.1.0
 * @category options
 */
export type Source<R = never> = Files | Pem | Pkcs12 | Effect.Effect<Pem | Pkcs12, unknown, R>
