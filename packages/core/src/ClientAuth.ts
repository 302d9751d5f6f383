/**
 * How the client authenticates at the token endpoint (RFC 6749 §2.3).
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import type { Tag } from "effect/Context"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import { ClientCertificate } from "./ClientCertificate.js"
import * as JwtSigner from "./JwtSigner.js"
import * as LayerOptions from "./LayerOptions.js"
import { CredentialsError, oneLine } from "./OAuthError.js"

/**
 * What a client authentication knows about the attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly clientId: string
  /** The URL of the token endpoint. */
  readonly endpoint: string
  /** The issuer identifier of the authorization server, if it is known (RFC 8414 §2). */
  readonly issuer: string | undefined
  /** The number of the attempt within one token request, from 1. */
  readonly attempt: number
}

/**
 * Identifies credentials: the credentials themselves, or a fingerprint. Two
 * versions are compared with `Equal`.
 *
 * @since 0.1.0
 * @category models
 */
export type Version = string | Redacted.Redacted

/**
 * What a client authentication adds to a token request. Do not encode the
 * values: the endpoint does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly headers?: Readonly<Record<string, Redacted.Redacted>> | undefined
  readonly params?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Further secrets that must not appear in the description of an error. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
  /**
   * The version of the credentials that were used. If the server rejects them (`invalid_client`, or any 401), the
   * client authenticates once more, and if the version has changed, the request is repeated at once.
   */
  readonly version?: Version | undefined
}

/**
 * A way to authenticate a client. It is a plain value, so that you can add your
 * own. It runs for every attempt. Its failure is reported only if it is a
 * `CredentialsError`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientAuth<out R = never> {
  /** The name in the IANA registry "OAuth Token Endpoint Authentication Methods", or a name of your own. */
  readonly method: string
  readonly authenticate: (context: Context) => Effect.Effect<Credentials, unknown, R>
  /** The current version of the credentials. When it changes, a cached failure such as `invalid_client` is dropped. */
  readonly version?: Effect.Effect<Version, unknown, R> | undefined
  /**
   * What the issued tokens are bound to. It runs once and returns a function that returns the current thumbprint of
   * the key or certificate, which is part of the token's cache key.
   */
  readonly binding?: Effect.Effect<() => string, unknown, R> | undefined
}

/**
 * A secret, or an effect that reads it for every token request, so that you can
 * rotate it without a restart.
 *
 * @since 0.1.0
 * @category models
 */
export type Secret<R = never> = Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown, R>

const read = <R>(secret: Secret<R>, name = "the client secret"): Effect.Effect<Redacted.Redacted, unknown, R> =>
  Effect.filterOrFail(
    Effect.isEffect(secret) ? secret : Effect.succeed(secret),
    (secret) => !LayerOptions.hasControlCharacters(Redacted.value(secret)),
    () => new CredentialsError({ description: `${name} contains a line break or another control character` })
  )

const version = <R>(secret: Secret<R>): Effect.Effect<Version, unknown, R> | undefined =>
  Effect.isEffect(secret) ? secret : undefined

/**
 * `client_secret_basic`: HTTP Basic with client id and secret, form-encoded
 * (RFC 6749 §2.3.1). For servers that do not decode them, `raw` sends them as
 * they are.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientSecretBasic = <R = never>(
  secret: Secret<R>,
  options?: { readonly raw?: boolean | undefined } | undefined
): ClientAuth<R> => {
  const encode = options?.raw === true ? (text: string) => text : formEncode
  return {
    method: "client_secret_basic",
    authenticate: ({ clientId }) =>
      Effect.flatMap(read(secret), (secret) => {
        // RFC 7617 §2: the first colon ends the id
        if (options?.raw === true && clientId.includes(":")) {
          return new CredentialsError({
            description: "the client id contains a colon, which must be encoded: leave raw out"
          })
        }
        const pair = `${encode(clientId)}:${encode(Redacted.value(secret))}`
        return Effect.succeed({
          headers: { authorization: Redacted.make(`Basic ${Encoding.encodeBase64(pair)}`) },
          secrets: [secret],
          version: secret
        })
      }),
    version: version(secret)
  }
}

/**
 * `client_secret_post`: client id and secret in the form (RFC 6749 §2.3.1).
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientSecretPost = <R = never>(secret: Secret<R>): ClientAuth<R> => ({
  method: "client_secret_post",
  authenticate: ({ clientId }) =>
    Effect.map(read(secret), (secret) => ({
      params: { client_id: clientId, client_secret: secret },
      version: secret
    })),
  version: version(secret)
})

/**
 * Options of the methods that sign an assertion.
 *
 * @since 0.1.0
 * @category options
 */
export interface SignedAssertionOptions extends JwtSigner.JwtOptions {
  /**
   * `aud`: the token endpoint, the issuer, both, or the value that the server documents. The default is the issuer if
   * it is known, so that no other server accepts the assertion, else the token endpoint (RFC 7523 §3).
   */
  readonly audience?: "issuer" | "tokenEndpoint" | "both" | (string & {}) | ReadonlyArray<string> | undefined
  /** Further claims; `iss`, `sub` and `aud` can be overridden. */
  readonly claims?: JwtSigner.Claims | undefined
  /**
   * Does not send `client_id`, which the assertion contains; some servers reject requests with both (RFC 7521 §4.2).
   */
  readonly omitClientId?: boolean | undefined
}

/**
 * `client_secret_jwt`: a JWT signed with the client secret, which is not sent
 * (OpenID Connect Core §9). The secret must be at least as long as the hash: 32
 * bytes for HS256.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientSecretJwt = <R = never>(
  secret: Secret<R>,
  options?:
    | SignedAssertionOptions & {
      /** The default is `HS256`. */
      readonly algorithm?: Extract<JwtSigner.Algorithm, `HS${string}`> | undefined
    }
    | undefined
): ClientAuth<R> => ({
  method: "client_secret_jwt",
  authenticate: (context) =>
    Effect.flatMap(read(secret), (secret) => {
      const signer = JwtSigner.make({ ...options, key: secret, algorithm: options?.algorithm ?? "HS256" })
      return Effect.map(signAssertion(signer, context, options ?? {}), (credentials) => ({
        ...credentials,
        secrets: [secret],
        version: secret
      }))
    }),
  version: version(secret)
})

/**
 * Options of `privateKeyJwt`.
 *
 * @since 0.1.0
 * @category options
 */
export interface PrivateKeyJwtOptions<out R = never> extends SignedAssertionOptions, JwtSigner.Options<R> {
  readonly algorithm?: Exclude<JwtSigner.Algorithm, `HS${string}`> | undefined
}

/**
 * `private_key_jwt`: a JWT signed with the client's private key (RFC 7523 §2.2,
 * OpenID Connect Core §9). You can rotate the key without a restart.
 *
 * @example
 * ```ts
 * import { ClientAuth } from "@effect-alf/core"
 *
 * const auth = ClientAuth.privateKeyJwt({
 *   key: ClientAuth.secretFile("/run/secrets/client.pem"),
 *   keyId: "2026-11"
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const privateKeyJwt = <R = never>(options: PrivateKeyJwtOptions<R>): ClientAuth<R> => {
  const signer = JwtSigner.make(options)
  return {
    method: "private_key_jwt",
    authenticate: (context) => signAssertion(signer, context, options),
    version: [options.key, options.certificate].some(Effect.isEffect) ? signer.version : undefined
  }
}

const signAssertion = Effect.fnUntraced(function*<R>(
  signer: JwtSigner.JwtSigner<R>,
  context: Context,
  options: SignedAssertionOptions
) {
  const { clientId } = context
  const aud = yield* audience(context, options)
  const { jwt, version } = yield* signer.sign({ iss: clientId, sub: clientId, aud, ...options.claims })
  return assertionCredentials(context, jwt, version, options)
})

const audience = (
  { endpoint, issuer }: Context,
  options: SignedAssertionOptions
): Effect.Effect<string | ReadonlyArray<string>, CredentialsError> => {
  switch (options.audience) {
    case undefined:
      return Effect.succeed(issuer ?? endpoint)
    case "tokenEndpoint":
      return Effect.succeed(endpoint)
    case "issuer":
    case "both":
      return issuer === undefined
        ? new CredentialsError({ description: `audience: "${options.audience}" needs the issuer, which is not known` })
        : Effect.succeed(options.audience === "issuer" ? issuer : [issuer, endpoint])
    default:
      return Effect.succeed(options.audience)
  }
}

// RFC 7521 §4.2
const assertionCredentials = (
  { clientId }: Context,
  assertion: Redacted.Redacted,
  version: Version,
  options: AssertionOptions
): Credentials => ({
  params: {
    ...(options.omitClientId !== true && { client_id: clientId }),
    client_assertion_type: assertionTypes[options.type ?? "jwt"],
    client_assertion: assertion
  },
  version
})

const assertionTypes = {
  jwt: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  saml2: "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
}

/**
 * Options of `assertion` and `assertionFile`.
 *
 * @since 0.1.0
 * @category options
 */
export interface AssertionOptions {
  /** The type of the assertion: a JWT (RFC 7523), the default, or SAML 2.0 in base64url (RFC 7522). */
  readonly type?: "jwt" | "saml2" | undefined
  /** The name of the method, by which discovery matches it. The default is `private_key_jwt`. */
  readonly method?: string | undefined
  /** Does not send `client_id`. */
  readonly omitClientId?: boolean | undefined
}

/**
 * An assertion that was issued for this workload (RFC 7521 §4.2), for example
 * by the identity service of a platform. An effect runs for every attempt.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assertion = <R = never>(
  source: Secret<R>,
  options: AssertionOptions = {}
): ClientAuth<R> => ({
  method: options.method ?? "private_key_jwt",
  // Without a version: a source may make a new assertion for every attempt
  authenticate: (context) =>
    Effect.map(
      read(source, "the assertion"),
      (assertion) => assertionCredentials(context, assertion, assertion, options)
    )
})

/**
 * An assertion in a file that is replaced from outside, such as the projected
 * service account token of Kubernetes. The file is read for every attempt.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assertionFile = (
  path: string,
  options?: AssertionOptions | undefined
): ClientAuth<FileSystem.FileSystem> => {
  const source = secretFile(path)
  return { ...assertion(source, options), version: version(source) }
}

/**
 * A secret, key or assertion in a file that may be replaced. The file is read
 * for every attempt, with platform's `FileSystem`, which `NodeFileSystem.layer`
 * of `@effect/platform-node` provides.
 *
 * @example
 * ```ts
 * import { ClientAuth } from "@effect-alf/core"
 *
 * const bySecret = ClientAuth.clientSecretBasic(ClientAuth.secretFile("/run/secrets/client-secret"))
 * const byKey = ClientAuth.privateKeyJwt({ key: ClientAuth.secretFile("/run/secrets/client.pem") })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const secretFile = Effect.fnUntraced(function*(path: string) {
  const fs = yield* service(FileSystem.FileSystem)
  const text = yield* Effect.mapError(
    fs.readFileString(path),
    (error) => new CredentialsError({ description: oneLine(`the file ${path} cannot be read: ${reasonOf(error)}`) })
  )
  const secret = text.trim()
  if (secret !== "") return Redacted.make(secret)
  return yield* new CredentialsError({ description: oneLine(`the file ${path} is empty`) })
})

const reasonOf = (error: PlatformError): string => error._tag === "SystemError" ? error.reason : error._tag

/** Names a missing layer, for programs without type checks. */
const service = <I, S>(tag: Tag<I, S>): Effect.Effect<S, CredentialsError, I> =>
  Effect.catchAllDefect(tag, () => new CredentialsError({ description: `Service not found: ${tag.key}` }))

const thumbprint = Effect.map(service(ClientCertificate), (certificate) => certificate.thumbprint)

// Leaves time for the token request itself, by default 10 seconds
const refreshLimit = "3 seconds"

/** Certificates that could not be refreshed at the last attempt: this is logged once. */
const unreadable = new WeakSet<ClientCertificate["Type"]>()

// The server decides whether the current certificate is still valid
const refreshed = Effect.flatMap(
  service(ClientCertificate),
  (certificate) =>
    Effect.matchCauseEffect(Effect.timeout(Effect.disconnect(certificate.refresh), refreshLimit), {
      onFailure: () => {
        if (unreadable.has(certificate)) return Effect.void
        unreadable.add(certificate)
        return Effect.logWarning("The client certificate could not be refreshed: the previous one is still presented")
      },
      onSuccess: () =>
        unreadable.delete(certificate) ? Effect.logInfo("The client certificate can be refreshed again") : Effect.void
    }).pipe(
      Effect.map(certificate.thumbprint)
    )
)

const byCertificate = (method: string): ClientAuth<ClientCertificate> => ({
  method,
  authenticate: ({ clientId }) => Effect.map(refreshed, (version) => ({ params: { client_id: clientId }, version })),
  version: refreshed,
  binding: thumbprint
})

/**
 * `tls_client_auth`: a client certificate from an authority that the server
 * trusts (RFC 8705 §2.1). It is read for every attempt, and tokens are bound to
 * it. `NodeHttp.layerMutualTls` of `@effect-alf/node` provides it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tlsClientAuth: ClientAuth<ClientCertificate> = byCertificate("tls_client_auth")

/**
 * `self_signed_tls_client_auth`: as `tlsClientAuth`, with a certificate that
 * the client registered itself (RFC 8705 §2.2).
 *
 * @since 0.1.0
 * @category constructors
 */
export const selfSignedTlsClientAuth: ClientAuth<ClientCertificate> = byCertificate("self_signed_tls_client_auth")

/**
 * Another method over connections with a client certificate, to which tokens
 * are bound (RFC 8705 §3).
 *
 * @since 0.1.0
 * @category combinators
 */
export const certificateBound = <R>(auth: ClientAuth<R>): ClientAuth<R | ClientCertificate> => ({
  ...auth,
  authenticate: (context) => Effect.zipRight(refreshed, auth.authenticate(context)),
  binding: auth.binding === undefined ? thumbprint : Effect.zipWith(
    auth.binding,
    thumbprint,
    (one, other) => () => `${one()}.${other()}`
  )
})

/**
 * `none`: sends `client_id` only, for a public client, or one that a proxy or
 * the network authenticates.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: ClientAuth = {
  method: "none",
  authenticate: ({ clientId }) => Effect.succeed({ params: { client_id: clientId } })
}

/**
 * No client authentication and no `client_id`: the grant identifies the client
 * (RFC 7521 §4.1), as with a Google service account.
 *
 * @since 0.1.0
 * @category constructors
 */
export const omitted: ClientAuth = {
  method: "omitted",
  authenticate: () => Effect.succeed({})
}

/**
 * Encodes a value as `application/x-www-form-urlencoded` (WHATWG URL §5.2, RFC
 * 6749 Appendix B).
 *
 * @since 0.1.0
 * @category encoding
 */
export const formEncode = (text: string): string => new URLSearchParams({ "": text }).toString().slice(1)
