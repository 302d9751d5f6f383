/**
 * A certificate and its private key: file paths, values, or an effect that
 * reads them.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * Paths of PEM files, as cert-manager, SPIFFE helpers and Vault's agent write
 * them. They are read again when they are replaced.
 *
 * @since 0.1.0
 * @category options
 */
export interface Files {
  /** The certificate, followed by the intermediate ones. */
  readonly certificateFile: string
  readonly keyFile: string
  /** The authorities to trust as servers, instead of the option `ca`. */
  readonly caFile?: string | undefined
  /** The passphrase of an encrypted key. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * Certificate and key in PEM.
 *
 * @since 0.1.0
 * @category options
 */
export interface Pem {
  /** The certificate, followed by the intermediate ones. */
  readonly certificate: string
  readonly key: Redacted.Redacted
  /** The authorities to trust as servers, instead of the option `ca`. */
  readonly ca?: string | undefined
  /** The passphrase of an encrypted key. */
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
  /** The authorities to trust as servers, instead of the option `ca`. */
  readonly ca?: string | undefined
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * The source of a certificate. An effect reads it from elsewhere, such as a
 * vault.
 *
 * @since 0.1.0
 * @category options
 */
export type Source<R = never> = Files | Pem | Pkcs12 | Effect.Effect<Pem | Pkcs12, unknown, R>
