/**
 * How the client proves itself to the token endpoint (RFC 6749 §2.3).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import { fingerprint } from "./Fingerprint.js"

/**
 * What a client authentication knows of the attempt it is made for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly clientId: string
  /** The token endpoint's address. */
  readonly endpoint: string
  /** The authorization server's issuer identifier, where it is known (RFC 8414 §2). */
  readonly issuer: string | undefined
  /** Counts from 1 within one token request and its retries. */
  readonly attempt: number
}

/**
 * What a client authentication adds to a token request. The endpoint encodes
 * the form; the values given here are not encoded yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly headers?: Readonly<Record<string, Redacted.Redacted>> | undefined
  readonly params?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Further secrets that must never be seen in an answer's description. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
  /**
   * A fingerprint of what was used. When the server knows it no longer
   * (`invalid_client`), the client authenticates once more, and a request with
   * another version is made at once.
   */
  readonly version?: string | undefined
}

/**
 * A way to authenticate a client: a plain value, so that an app can bring its
 * own. It runs anew at every attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientAuth<out R = never> {
  /** A name of the IANA registry "OAuth Token Endpoint Authentication Methods", or the app's own. */
  readonly method: string
  readonly authenticate: (context: Context) => Effect.Effect<Credentials, unknown, R>
  /**
   * Changes when the credentials change. Where it is there, a failure such as
   * `invalid_client` is forgotten as soon as it changes.
   */
  readonly version?: Effect.Effect<string, unknown, R> | undefined
  /**
   * What the issued tokens are bound to: run once, it gives a function that
   * tells the thumbprint of the key or certificate now. It is part of the
   * token's key.
   */
  readonly binding?: Effect.Effect<() => string, unknown, R> | undefined
}

/**
 * A secret, or an effect that reads it anew for every token request, so that
 * it can be rotated without a restart.
 *
 * @since 0.1.0
 * @category models
 */
export type Secret<R = never> = Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown, R>

const read = <R>(secret: Secret<R>): Effect.Effect<Redacted.Redacted, unknown, R> =>
  Effect.isEffect(secret) ? secret : Effect.succeed(secret)

const version = <R>(secret: Secret<R>): Effect.Effect<string, unknown, R> | undefined =>
  Effect.isEffect(secret)
    ? Effect.map(secret, (value) => fingerprint(Redacted.value(value)))
    : undefined

/**
 * `client_secret_basic`: HTTP Basic with the id and the secret form-encoded
 * first (RFC 6749 §2.3.1). Some servers do not decode them: `raw` sends them as
 * they are.
 *
 * @since 0.1.0
 * @category constructors
 */
export const secretBasic = <R = never>(
  secret: Secret<R>,
  options?: { readonly raw?: boolean | undefined } | undefined
): ClientAuth<R> => {
  const encode = options?.raw === true ? (text: string) => text : formEncode
  return {
    method: "client_secret_basic",
    authenticate: ({ clientId }) =>
      Effect.map(read(secret), (secret) => {
        const pair = `${encode(clientId)}:${encode(Redacted.value(secret))}`
        return {
          headers: { authorization: Redacted.make(`Basic ${Encoding.encodeBase64(pair)}`) },
          secrets: [secret]
        }
      }),
    version: version(secret)
  }
}

/**
 * `client_secret_post`: id and secret as form parameters (RFC 6749 §2.3.1).
 *
 * @since 0.1.0
 * @category constructors
 */
export const secretPost = <R = never>(secret: Secret<R>): ClientAuth<R> => ({
  method: "client_secret_post",
  authenticate: ({ clientId }) =>
    Effect.map(read(secret), (secret) => ({
      params: { client_id: clientId, client_secret: secret }
    })),
  version: version(secret)
})

/**
 * `none`: the client only names itself; a proxy or the network authenticates it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: ClientAuth = {
  method: "none",
  authenticate: ({ clientId }) => Effect.succeed({ params: { client_id: clientId } })
}

/**
 * Encodes one value as `application/x-www-form-urlencoded` does (WHATWG URL
 * §5.2), as RFC 6749 Appendix B asks for.
 *
 * @since 0.1.0
 * @category encoding
 */
export const formEncode = (text: string): string => new URLSearchParams({ "": text }).toString().slice(1)
