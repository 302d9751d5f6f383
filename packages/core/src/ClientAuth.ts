/**
 * How the client proves itself to the token endpoint (RFC 6749 §2.3).
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
 * What credentials are known by: themselves, or what stands for them. Two are
 * the same where they are equal by `Equal`.
 *
 * @since 0.1.0
 * @category models
 */
export type Version = string | Redacted.Redacted

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
   * What was used, or a fingerprint of it. When the server knows it no longer
   * (`invalid_client`, or any 401), the client authenticates once more, and a
   * request with another version is made at once.
   */
  readonly version?: Version | undefined
}

/**
 * A way to authenticate a client: a plain value, so that an app can bring its
 * own. It runs anew at every attempt. Of a failure only the kind is told, unless
 * it is a `CredentialsError`.
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
  readonly version?: Effect.Effect<Version, unknown, R> | undefined
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

const read = <R>(secret: Secret<R>, name = "the client secret"): Effect.Effect<Redacted.Redacted, unknown, R> =>
  Effect.filterOrFail(
    Effect.isEffect(secret) ? secret : Effect.succeed(secret),
    (secret) => !LayerOptions.hasControlCharacters(Redacted.value(secret)),
    () => new CredentialsError({ description: `${name} holds a line break or another control character` })
  )

const version = <R>(secret: Secret<R>): Effect.Effect<Version, unknown, R> | undefined =>
  Effect.isEffect(secret) ? secret : undefined

/**
 * `client_secret_basic`: HTTP Basic with the id and the secret form-encoded
 * first (RFC 6749 §2.3.1). Some servers do not decode them: `raw` sends them as
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
            description: "the client id holds a colon, which must be encoded: without raw"
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
 * `client_secret_post`: id and secret as form parameters (RFC 6749 §2.3.1).
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
 * Options of the methods that sign an assertion of their own.
 *
 * @since 0.1.0
 * @category options
 */
export interface SignedAssertionOptions extends JwtSigner.JwtOptions {
  /**
   * `aud`, whom the assertion is for: the token endpoint, the issuer, both, or
   * what the server's documentation says. The default is the issuer where it is
   * known, as an assertion for one server must be of no use at another, else
   * the token endpoint (RFC 7523 §3).
   */
  readonly audience?: "issuer" | "tokenEndpoint" | "both" | (string & {}) | ReadonlyArray<string> | undefined
  /** Further claims, or others in place of `iss`, `sub` and `aud`. */
  readonly claims?: JwtSigner.Claims | undefined
  /** The assertion names the client; some servers refuse to be told twice (RFC 7521 §4.2). */
  readonly omitClientId?: boolean | undefined
}

/**
 * `client_secret_jwt`: a JWT signed with the client secret, which itself is not
 * sent (OpenID Connect Core §9). The secret must be as long as the hash: 32
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
 * OpenID Connect Core §9). The key stays here, and may be rotated without a
 * restart.
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
        ? new CredentialsError({ description: `the issuer is not known, which audience: "${options.audience}" needs` })
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
  /** What the assertion is: a JWT (RFC 7523), the default, or SAML 2.0 in base64url (RFC 7522). */
  readonly type?: "jwt" | "saml2" | undefined
  /** The default is `private_key_jwt`, as which servers know it. */
  readonly method?: string | undefined
  /** Leaves `client_id` to the assertion. */
  readonly omitClientId?: boolean | undefined
}

/**
 * An assertion that somebody else made for this workload (RFC 7521 §4.2):
 * whatever a platform's identity service gives out. An effect is run anew at
 * every attempt.
 *
 * @since 0.1.0
 * @category constructors
 */
export const assertion = <R = never>(
  source: Secret<R>,
  options: AssertionOptions = {}
): ClientAuth<R> => ({
  method: options.method ?? "private_key_jwt",
  // Without a version of its own: a source may make a new assertion whenever it is asked
  authenticate: (context) =>
    Effect.map(
      read(source, "the assertion"),
      (assertion) => assertionCredentials(context, assertion, assertion, options)
    )
})

/**
 * An assertion that lies in a file and is replaced there by others, such as the
 * projected service account token of Kubernetes. The file is read anew at every
 * attempt.
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
 * A secret, a key or an assertion that lies in a file and is replaced there by
 * others: the file is read anew at every attempt, by platform's `FileSystem`,
 * which `NodeFileSystem.layer` of `@effect/platform-node` provides.
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

/** A layer that is missing, where nobody checked the types, is named. */
const service = <I, S>(tag: Tag<I, S>): Effect.Effect<S, CredentialsError, I> =>
  Effect.catchAllDefect(tag, () => new CredentialsError({ description: `Service not found: ${tag.key}` }))

const thumbprint = Effect.map(service(ClientCertificate), (certificate) => certificate.thumbprint)

// Leaves time for the token request itself, by default 10 seconds
const refreshLimit = "3 seconds"

/** Those that could not be read anew when it was last tried: it is said once. */
const unreadable = new WeakSet<ClientCertificate["Type"]>()

// Whether the certificate at hand still serves, the server knows best
const refreshed = Effect.flatMap(
  service(ClientCertificate),
  (certificate) =>
    Effect.matchCauseEffect(Effect.timeout(Effect.disconnect(certificate.refresh), refreshLimit), {
      onFailure: () => {
        if (unreadable.has(certificate)) return Effect.void
        unreadable.add(certificate)
        return Effect.logWarning("The client certificate could not be read anew: the one at hand is presented")
      },
      onSuccess: () =>
        unreadable.delete(certificate) ? Effect.logInfo("The client certificate is read anew again") : Effect.void
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
 * `tls_client_auth`: the certificate of the connection, from an authority that
 * the server trusts, is the proof (RFC 8705 §2.1). It is read anew at every
 * attempt, and the tokens are bound to it. `NodeHttp.layerMutualTls` of
 * `@effect-alf/node` provides it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tlsClientAuth: ClientAuth<ClientCertificate> = byCertificate("tls_client_auth")

/**
 * `self_signed_tls_client_auth`: as `tls`, with a certificate that the client
 * has registered itself (RFC 8705 §2.2).
 *
 * @since 0.1.0
 * @category constructors
 */
export const selfSignedTlsClientAuth: ClientAuth<ClientCertificate> = byCertificate("self_signed_tls_client_auth")

/**
 * Another method, over connections with a certificate that the tokens are bound
 * to (RFC 8705 §3).
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
 * No client authentication, and no `client_id` either: the grant says it all
 * (RFC 7521 §4.1), as the assertion of a Google service account does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const omitted: ClientAuth = {
  method: "omitted",
  authenticate: () => Effect.succeed({})
}

/**
 * Encodes one value as `application/x-www-form-urlencoded` does (WHATWG URL
 * §5.2), as RFC 6749 Appendix B asks for.
 *
 * @since 0.1.0
 * @category encoding
 */
export const formEncode = (text: string): string => new URLSearchParams({ "": text }).toString().slice(1)
