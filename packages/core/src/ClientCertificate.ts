/**
 * The certificate that the app's `HttpClient` presents (mutual TLS, RFC 8705).
 * It authenticates the client, or tokens are bound to it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * The current certificate. The HTTP client provides it, such as
 * `NodeHttp.layerMutualTls` of `@effect-alf/node`.
 *
 * @since 0.1.0
 * @category tags
 */
export class ClientCertificate extends Context.Tag("@effect-alf/core/ClientCertificate")<
  ClientCertificate,
  {
    /**
     * The thumbprint of the certificate that new connections present: SHA-256 of its DER in base64url, the `x5t#S256`
     * of RFC 8705 §3.1.
     */
    readonly thumbprint: () => string
    /** Reads the certificate again. If it has changed, new connections present the new one. */
    readonly refresh: Effect.Effect<void, unknown>
  }
>() {}
