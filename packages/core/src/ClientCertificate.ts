/**
 * The certificate that the app's `HttpClient` presents (mutual TLS, RFC 8705):
 * what the client proves itself with, or what its tokens are bound to.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * Provided by whatever makes the connections, as `NodeHttp.layerMutualTls` of
 * `@effect-alf/node` does.
 *
 * @since 0.1.0
 * @category tags
 */
export class ClientCertificate extends Context.Tag("@effect-alf/core/ClientCertificate")<
  ClientCertificate,
  {
    /**
     * The thumbprint of the certificate that new connections present now:
     * SHA-256 of its DER in base64url, the `x5t#S256` of RFC 8705 §3.1.
     */
    readonly thumbprint: () => string
    /** Reads the certificate anew. Where it has changed, new connections present the new one. */
    readonly refresh: Effect.Effect<void, unknown>
  }
>() {}
