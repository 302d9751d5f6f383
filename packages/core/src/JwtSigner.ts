/**
 * Signs JWTs (RFC 7515, RFC 7519) with the package `jose`: client assertions,
 * and the assertions of grants (RFC 7523).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as SigningKey from "./endpoint/SigningKey.js"
import * as LayerOptions from "./LayerOptions.js"
import { CredentialsError } from "./OAuthError.js"

/**
 * Signs claims with the current key.
 *
 * @since 0.1.0
 * @category models
 */
export interface JwtSigner<out R = never> {
  /**
   * Adds `jti`, `iat`, `exp` and, if `notBefore` is set, `nbf` (RFC 7519 §4.1). Claims that you give override these.
   */
  readonly sign: (claims: Claims) => Effect.Effect<SignedJwt, CredentialsError, R>
  /** A fingerprint of the current key and its certificate. */
  readonly version: Effect.Effect<string, CredentialsError, R>
}

/**
 * The claims of a JWT: any JSON values.
 *
 * @since 0.1.0
 * @category models
 */
export type Claims = Readonly<Record<string, unknown>>

/**
 * A JWT, which is secret, and the fingerprint of the key that signed it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignedJwt {
  readonly jwt: Redacted.Redacted
  readonly version: string
}

/**
 * The algorithm of a signature (RFC 7518 §3.1, RFC 8037, RFC 9864). `EdDSA` and
 * `Ed25519` are two names of the same algorithm; a server may know only one.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm =
  | "RS256"
  | "RS384"
  | "RS512"
  | "PS256"
  | "PS384"
  | "PS512"
  | "ES256"
  | "ES384"
  | "ES512"
  | "EdDSA"
  | "Ed25519"
  | "HS256"
  | "HS384"
  | "HS512"

/**
 * A JSON Web Key (RFC 7517 §4) with the members of its type (RFC 7518 §6, RFC
 * 8037 §2). WebCrypto and Node's crypto export it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Jwk {
  readonly kty?: string | undefined
  readonly alg?: string | undefined
  readonly kid?: string | undefined
  readonly use?: string | undefined
  readonly key_ops?: ReadonlyArray<string> | undefined
  readonly ext?: boolean | undefined
  readonly x5c?: ReadonlyArray<string> | undefined
  readonly crv?: string | undefined
  readonly x?: string | undefined
  readonly y?: string | undefined
  readonly n?: string | undefined
  readonly e?: string | undefined
  readonly d?: string | undefined
  readonly p?: string | undefined
  readonly q?: string | undefined
  readonly dp?: string | undefined
  readonly dq?: string | undefined
  readonly qi?: string | undefined
  readonly oth?: ReadonlyArray<object> | undefined
  readonly k?: string | undefined
}

/**
 * A private key: PEM (PKCS#8), or a JWK as an object or JSON text. For HS256 to
 * HS512: the shared secret, or a JWK of type `oct`.
 *
 * @since 0.1.0
 * @category models
 */
export type Key = Redacted.Redacted<string | Jwk>

/**
 * A key, or an effect that reads it for every signature, so that you can rotate
 * it without a restart.
 *
 * @since 0.1.0
 * @category models
 */
export type Source<R = never> = Key | Effect.Effect<Key, unknown, R>

/**
 * The header and the times of a JWT.
 *
 * @since 0.1.0
 * @category options
 */
export interface JwtOptions {
  /** `kid` (RFC 7515 §4.1.4). The default is the `kid` of the JWK. */
  readonly keyId?: string | undefined
  /** `typ` (RFC 7515 §4.1.9). The default is `JWT`. */
  readonly typ?: string | undefined
  /** The time from `iat` to `exp`. The default is 60 seconds. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** Adds `nbf`, this long before `iat`; may be zero. */
  readonly notBefore?: Duration.DurationInput | undefined
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<out R = never> extends JwtOptions {
  /** PEM (PKCS#8), a JWK, for HS256 to HS512 the shared secret, or an effect that runs for every signature. */
  readonly key: Source<R>
  /** The default is that of the JWK, else RS256, ES256, ES384, ES512, EdDSA or HS256 by the type of the key. */
  readonly algorithm?: Algorithm | undefined
  /**
   * The certificate of the key, PEM or DER, from which `x5t` and `x5t#S256` are computed. The default is the first
   * certificate in the PEM of the key.
   */
  readonly certificate?: string | Uint8Array | Effect.Effect<string | Uint8Array, unknown, R> | undefined
  /** `x5t` (RFC 7515 §4.1.7): SHA-1 of the certificate's DER in base64url. */
  readonly x5t?: string | undefined
  /** `x5t#S256` (RFC 7515 §4.1.8): SHA-256 of the certificate's DER in base64url. */
  readonly x5tS256?: string | undefined
}

// Every attempt has a JWT of its own: it must outlast one request and clocks that are a little apart, no more
const defaultLifetime = Duration.seconds(60)

/**
 * Makes a signer. The first signature fails if the key cannot be used, since
 * the key may not exist before.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(options: Options<R>): JwtSigner<R> => {
  const { certificate: source } = options
  const key = SigningKey.load(options.key, options.algorithm)
  const load = source === undefined ? key : Effect.gen(function*() {
    const loaded = yield* key
    const certificate = yield* readCertificate(source)
    // It may be replaced while its key stays
    return { ...loaded, certificate, version: `${loaded.version}.${yield* thumbprint("SHA-256", certificate)}` }
  })
  return {
    sign: Effect.fnUntraced(function*(claims) {
      const { certificate, keyId, sign, version } = yield* load
      const times = yield* makeTimes(options)
      const kid = options.keyId ?? keyId
      const x5t = options.x5t ?? (certificate && (yield* thumbprint("SHA-1", certificate)))
      const x5tS256 = options.x5tS256 ?? (certificate && (yield* thumbprint("SHA-256", certificate)))
      const header = {
        typ: options.typ ?? "JWT",
        ...(kid !== undefined && { kid }),
        ...(x5t !== undefined && { x5t }),
        ...(x5tS256 !== undefined && { "x5t#S256": x5tS256 })
      }
      const jwt = yield* Effect.tryPromise({
        try: () => sign(header, { ...times, ...claims }),
        catch: () => new CredentialsError({ description: "the claims are not JSON" })
      })
      return { jwt: Redacted.make(jwt), version }
    }),
    version: Effect.map(load, ({ version }) => version)
  }
}

/**
 * A random value for `jti`: 128 bits from WebCrypto. Effect's Random can be
 * seeded, and a server rejects a `jti` that it has seen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeId: Effect.Effect<string> = Effect.sync(() =>
  Encoding.encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)))
)

/**
 * The time in whole seconds since 1970, as in JWTs (RFC 7519 §2).
 *
 * @since 0.1.0
 * @category accessors
 */
export const now: Effect.Effect<number> = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

const makeTimes = Effect.fnUntraced(function*(options: JwtOptions) {
  const lifetime = yield* LayerOptions.positiveDuration("lifetime", options.lifetime ?? defaultLifetime)
  const before = options.notBefore === undefined
    ? undefined
    : yield* LayerOptions.duration("notBefore", options.notBefore)
  const iat = yield* now
  return {
    jti: yield* makeId,
    iat,
    exp: iat + Math.ceil(Duration.toSeconds(lifetime)),
    ...(before && { nbf: iat - Math.ceil(Duration.toSeconds(before)) })
  }
}, Effect.mapError(({ message }) => new CredentialsError({ description: `the option ${message}` })))

const readCertificate = <R>(
  source: NonNullable<Options<R>["certificate"]>
): Effect.Effect<Uint8Array, CredentialsError, R> =>
  (Effect.isEffect(source) ? source : Effect.succeed(source)).pipe(
    Effect.mapError(SigningKey.unavailable("the certificate")),
    Effect.map((given) => typeof given === "string" ? SigningKey.certificate(given) : given),
    Effect.filterOrFail(
      // DER begins with the tag of a SEQUENCE
      (der): der is Uint8Array => der?.[0] === 0x30,
      () => new CredentialsError({ description: "the certificate is neither PEM nor DER" })
    )
  )

const thumbprint = (algorithm: "SHA-1" | "SHA-256", der: Uint8Array): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest(algorithm, new Uint8Array(der))),
    (hash) => Encoding.encodeBase64Url(new Uint8Array(hash))
  )
