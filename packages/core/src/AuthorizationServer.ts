/**
 * The metadata of an authorization server (RFC 8414, OpenID Connect Discovery
 * 1.0), found by its issuer identifier.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as ClientAuth from "./ClientAuth.js"
import * as ErrorAttributes from "./disclosure/ErrorAttributes.js"
import * as Redaction from "./disclosure/Redaction.js"
import * as Field from "./endpoint/Field.js"
import * as IssuerOptions from "./endpoint/IssuerOptions.js"
import * as ServerExchange from "./endpoint/ServerExchange.js"
import * as UnreadFields from "./endpoint/UnreadFields.js"
import * as LayerOptions from "./LayerOptions.js"
import { DiscoveryError, type InvalidOptions, oneLine } from "./OAuthError.js"
import * as Origin from "./Origin.js"

const endpoint = Field.optional(Field.Text)

const Endpoints = Schema.Struct(
  {
    token_endpoint: endpoint,
    revocation_endpoint: endpoint,
    introspection_endpoint: endpoint
  } satisfies Record<Endpoint, unknown>
)

/**
 * The metadata that a client uses (RFC 8414 §2). Other fields are ignored.
 *
 * @since 0.1.0
 * @category schemas
 */
export class Metadata extends Schema.Class<Metadata>("@effect-alf/core/AuthorizationServer/Metadata")({
  issuer: Field.required(Field.Text),
  // Not `...Endpoints.fields`: a bundler would keep it, and this class, in every app
  token_endpoint: endpoint,
  revocation_endpoint: endpoint,
  introspection_endpoint: endpoint,
  jwks_uri: Field.optional(Field.Text),
  grant_types_supported: Field.optional(Field.Names),
  token_endpoint_auth_methods_supported: Field.optional(Field.Names),
  dpop_signing_alg_values_supported: Field.optional(Field.Names),
  /** The same endpoints for clients with a certificate (RFC 8705 §5). */
  mtls_endpoint_aliases: Field.optional(Endpoints)
}) {}

/**
 * The endpoints that a client posts to.
 *
 * @since 0.1.0
 * @category models
 */
export type Endpoint = "token_endpoint" | "revocation_endpoint" | "introspection_endpoint"

/**
 * An authorization server and its metadata.
 *
 * @since 0.1.0
 * @category tags
 */
export class AuthorizationServer extends Context.Tag("@effect-alf/core/AuthorizationServer")<
  AuthorizationServer,
  {
    readonly issuer: string
    /**
     * The metadata. It is requested when it is first needed and cached; a renewal runs in the background. A failure
     * is cached for a second.
     */
    readonly metadata: Effect.Effect<Metadata, DiscoveryError>
    /** The URL of an endpoint; with `mutualTls` that for clients with a certificate, if there is one. */
    readonly endpoint: (
      name: Endpoint,
      options?: { readonly mutualTls?: boolean | undefined }
    ) => Effect.Effect<URL, DiscoveryError>
    /** The longest time until `metadata` succeeds or fails. */
    readonly timeout: Duration.Duration
    /** Requests the metadata again when it is next needed, for example after an endpoint has moved. */
    readonly forget: Effect.Effect<void>
  }
>() {}

/**
 * Where the metadata is, and the limits of a request for it.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** The issuer identifier, exactly as the server writes it: an https URL, or http on loopback. */
  readonly issuer: string | URL
  /**
   * The URL of the metadata, if it is not at the well-known one. The default is that of RFC 8414 §3, then that of
   * OpenID Connect Discovery 1.0 §4.
   */
  readonly metadataUrl?: string | URL | undefined
  /** The age at which the metadata is requested again. The default is 1 hour. */
  readonly refreshEvery?: Duration.DurationInput | undefined
  /** The time limit of a request to one URL. The default is 4 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** The longest response. The default is 262,144 bytes. */
  readonly maxResponseBytes?: number | undefined
  /**
   * Further headers of the request. Spans do not contain their values; errors do not contain the values of those in
   * platform's `Headers.currentRedactedNames`.
   */
  readonly headers?: Headers.Input | undefined
  /** Options for `fetch`, used when the HTTP client is platform's fetch client. */
  readonly requestInit?: RequestInit | undefined
  /** Allows http to other machines, for the issuer and for its endpoints. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * A client secret, as `Redacted.make` makes it, or an effect that reads it. The
 * compiler's error for a plain string shows this name.
 *
 * @since 0.1.0
 * @category options
 */
export type RedactedClientSecret<R = never> = ClientAuth.Secret<R>

/**
 * The client that sends a request, and the limits of the request. `clientAuth`
 * takes precedence over `clientSecret`, which is sent by HTTP Basic; one of the
 * two is required.
 *
 * @since 0.1.0
 * @category options
 */
export interface RequestOptions<R = never> {
  readonly clientId: string
  /** The client secret, or an effect that runs for every request. */
  readonly clientSecret?: RedactedClientSecret<R> | undefined
  readonly clientAuth?: ClientAuth.ClientAuth<R> | undefined
  /**
   * Further headers of the request. Spans do not contain their values; errors do not contain the values of those in
   * platform's `Headers.currentRedactedNames`.
   */
  readonly headers?: Headers.Input | undefined
  /** Options for `fetch`, used when the HTTP client is platform's fetch client. */
  readonly requestInit?: RequestInit | undefined
  /**
   * The time limit of one attempt, from reading the credentials to the end of the response. The default is 8 seconds.
   */
  readonly timeout?: Duration.DurationInput | undefined
  /** The longest response. The default is 262,144 bytes. */
  readonly maxResponseBytes?: number | undefined
  /** Allows http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * The URL of an endpoint, or an effect that finds it.
 *
 * @since 0.1.0
 * @category options
 */
export type Address<E = never> = string | URL | Effect.Effect<URL, E>

/**
 * Options of a request to an endpoint of an authorization server.
 *
 * @since 0.1.0
 * @category options
 */
export interface EndpointOptions<R = never> extends RequestOptions<R> {
  /** The issuer identifier of the authorization server: the audience of the client's assertions. */
  readonly issuer?: string | undefined
}

/**
 * Callers that wait for one response share its failure, and a server that is
 * down gets no other request within this time (ms).
 */
const failureCooldown = 1_000
/** A refresh that failed is tried again after this (ms). */
const refreshCooldown = 60_000

/**
 * Checks the options. The metadata is requested when it is first needed, so
 * that an app starts while its authorization server is down.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<AuthorizationServer["Type"], InvalidOptions, HttpClient.HttpClient | Scope.Scope> = Effect
  .fnUntraced(function*(options) {
    const { maxResponseBytes, metadataUrl, timeout, url, ...settings } = yield* IssuerOptions.check(options)
    // As it was written: a slash at its end is a part of it
    const issuer = options.issuer instanceof URL ? options.issuer.href : options.issuer
    const candidates = metadataUrl === undefined ? wellKnown(url) : [metadataUrl]
    const refreshEvery = Duration.toMillis(settings.refreshEvery)
    const exchange = yield* ServerExchange.make(DiscoveryError, { maxResponseBytes, requestInit: options.requestInit })
    const headers = Headers.fromInput(options.headers)
    const secrets = yield* Redaction.secretsOf(headers)
    const scope = yield* Effect.scope
    const tellUnread = UnreadFields.makeTell(`Discovery of ${issuer}`)

    const ask = (url: URL): Effect.Effect<Metadata, DiscoveryError> => {
      const endpoint = `${url.origin}${url.pathname}`
      const request = HttpClientRequest.get(url.href).pipe(
        HttpClientRequest.setHeaders({ accept: "application/json", "accept-encoding": "identity", ...headers })
      )
      return exchange(endpoint, request, secrets).pipe(
        Effect.flatMap((answer) =>
          Either.filterOrLeft(
            answer.read(decodeMetadata),
            ({ fields }) => fields.issuer === issuer,
            ({ fields }) => answer.reject(describeOther(fields.issuer, issuer))
          )
        ),
        Effect.tap(({ unread }) => tellUnread(unread)),
        Effect.map(({ fields }) => fields),
        // The limit must hold even if the client, or the caller (such as a finalizer), cannot be interrupted
        Effect.disconnect,
        Effect.interruptible,
        Effect.timeoutFail({
          duration: timeout,
          onTimeout: () =>
            new DiscoveryError({
              endpoint,
              reason: "Timeout",
              description: `no answer within ${Duration.format(timeout)}`
            })
        })
      )
    }

    /** However the first address fails, the metadata may be at the second. */
    const discover: Effect.Effect<Metadata, DiscoveryError> = candidates.slice(1).reduce(
      (first, next) =>
        Effect.catchAll(first, (error) => Effect.mapError(ask(next), (other) => moreTelling(error, other))),
      ask(candidates[0])
    )

    let known: Metadata | undefined
    /**
     * The metadata is fresh between these times (epoch milliseconds): a clock that was set back must not prolong it.
     */
    let freshFrom = Infinity
    let freshUntil = -Infinity
    const isFresh = (now: number) => freshFrom <= now && now < freshUntil
    let isDoubtful = false
    let failure: { readonly error: DiscoveryError; readonly at: number } | undefined
    /** Whether it was logged that the old metadata stays in use. */
    let isSaid = false
    const turn = Effect.unsafeMakeSemaphore(1)

    const read: Effect.Effect<Metadata, DiscoveryError> = Effect.flatMap(
      Effect.either(discover),
      (result) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          isDoubtful = false
          freshFrom = now
          if (Either.isRight(result)) {
            known = result.right
            freshUntil = now + refreshEvery
            const wasSaid = isSaid
            isSaid = false
            return wasSaid ? Effect.as(Effect.logInfo(`Discovery of ${issuer} works again`), known) : result
          }
          failure = { error: result.left, at: now }
          freshUntil = now + refreshCooldown
          if (known === undefined) return result
          const wasSaid = isSaid
          isSaid = true
          return wasSaid
            ? Effect.succeed(known)
            : Effect.as(
              Effect.annotateLogs(
                Effect.logWarning(`${result.left.message}. The metadata that was read before is still used`),
                ErrorAttributes.make(result.left)
              ),
              known
            )
        })
    )

    /** One request at a time: callers that waited for it take its result. */
    const readInTurn = turn.withPermits(1)(Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (known !== undefined) return isFresh(now) ? Effect.succeed(known) : read
      // In both directions: a clock that was set back must not prolong it
      return failure !== undefined && Math.abs(now - failure.at) < failureCooldown ? Effect.fail(failure.error) : read
    }))

    const readInBackground = turn.withPermitsIfAvailable(1)(read).pipe(
      Effect.ignore,
      Effect.interruptible,
      Effect.forkIn(scope)
    )

    const metadata = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (known === undefined || isDoubtful) return readInTurn
      return isFresh(now) ? Effect.succeed(known) : Effect.as(readInBackground, known)
    })

    /** An https issuer must not name an http endpoint: only http on loopback is allowed, and that is this machine. */
    const checkEndpoint = (name: Endpoint, address: string) =>
      Effect.filterOrElse(
        Origin.checkUrl(name, address, options),
        ({ protocol }) => protocol === url.protocol || protocol === "https:" || options.allowInsecure === true,
        () => LayerOptions.invalid(name, "is http, and the issuer https")
      )

    const invalid = (description: string) =>
      new DiscoveryError({
        endpoint: issuer,
        reason: "InvalidResponse",
        status: 200,
        description: oneLine(description)
      })

    return AuthorizationServer.of({
      issuer,
      metadata,
      timeout: Duration.times(timeout, candidates.length),
      endpoint: (name, choice) =>
        Effect.flatMap(metadata, (metadata) => {
          const alias = choice?.mutualTls === true
            ? Option.flatMap(metadata.mtls_endpoint_aliases, (aliases) => aliases[name])
            : Option.none()
          return Option.match(Option.orElse(alias, () => metadata[name]), {
            onNone: () => Effect.fail(invalid(`${name} is missing`)),
            onSome: (address) => Effect.mapError(checkEndpoint(name, address), ({ message }) => invalid(message))
          })
        }),
      forget: Effect.sync(() => {
        freshUntil = -Infinity
        isDoubtful = true
      })
    })
  })

/**
 * The authorization server as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<AuthorizationServer, InvalidOptions, HttpClient.HttpClient> =>
  Layer.scoped(AuthorizationServer, make(options))

/** RFC 8414 §3.1 puts the well-known path before the issuer's path, OpenID Connect Discovery 1.0 §4.1 after it. */
const wellKnown = ({ origin, pathname }: URL): readonly [URL, URL] => {
  const path = pathname.replace(/\/$/, "")
  return [
    new URL(`${origin}/.well-known/oauth-authorization-server${path}`),
    new URL(`${origin}${path}/.well-known/openid-configuration`)
  ]
}

const decodeMetadata = Field.decodeLenient(Metadata, ["issuer", "token_endpoint", "mtls_endpoint_aliases"])

/** RFC 8414 §3.3: the two must be identical, so that no other server can pose as this one. */
const describeOther = (found: string, issuer: string): string => {
  const hint = found.trim() === issuer
    ? ": they differ in white space"
    : found.replace(/\/$/, "") === issuer.replace(/\/$/, "")
    ? ": they differ in the slash at the end"
    : ""
  return oneLine(`issuer is ${found}, not ${issuer}${hint}`)
}

const advice =
  "No metadata was found for this issuer: check the issuer, or give the address of its metadata (metadataUrl)"

/** The more informative of two failures. A transient one counts first: the metadata may be at its address. */
const moreTelling = (first: DiscoveryError, second: DiscoveryError): DiscoveryError => {
  if (first.isTransient) return first
  if (second.isTransient) return second
  if (first.status === 404 && second.status === 404) return new DiscoveryError({ ...second, advice })
  return first.status === 404 || (first.reason !== "InvalidResponse" && second.reason === "InvalidResponse")
    ? second
    : first
}
