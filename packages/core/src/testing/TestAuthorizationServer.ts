/**
 * An authorization server and the resources that it protects, in memory: an
 * `HttpClient` that implements RFC 6749 §4.4 and §6, RFC 6750, RFC 7009, RFC
 * 7662, RFC 8414 and RFC 9449, records its requests, and can be made to fail.
 *
 * Its only time is that of Clock, except that WebCrypto makes and verifies
 * signatures (DPoP, assertions) in real time.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Types from "effect/Types"
import type * as JwtSigner from "../JwtSigner.js"
import * as Answer from "./server/Answer.js"
import * as Grants from "./server/Grants.js"
import * as Proofs from "./server/Proofs.js"
import * as Requests from "./server/Requests.js"
import * as Resource from "./server/Resource.js"
import * as TokenQueries from "./server/TokenQueries.js"
import * as Tokens from "./server/Tokens.js"
import type * as TestExchange from "./TestExchange.js"

/**
 * Controls the server and records its requests.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestAuthorizationServer extends Context.Tag("@effect-alf/core/testing/TestAuthorizationServer")<
  TestAuthorizationServer,
  {
    /** The token requests so far, in the order of their arrival. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<TestExchange.TokenRequest>>
    /** The requests to resources so far, in the order of their arrival. */
    readonly apiRequests: Effect.Effect<ReadonlyArray<TestExchange.ApiRequest>>
    /** The requests for the server's metadata so far, in the order of their arrival. */
    readonly metadataRequests: Effect.Effect<ReadonlyArray<TestExchange.TestRequest>>
    /** The requests to revoke a token so far (RFC 7009), in the order of their arrival. */
    readonly revocationRequests: Effect.Effect<ReadonlyArray<TestExchange.TokenQuery>>
    /** The requests to introspect a token so far (RFC 7662), in the order of their arrival. */
    readonly introspectionRequests: Effect.Effect<ReadonlyArray<TestExchange.TokenQuery>>
    /** Every token issued so far, the oldest first. */
    readonly issued: Effect.Effect<ReadonlyArray<TestExchange.IssuedToken>>
    /** Every refresh token issued so far, the oldest first. */
    readonly refreshTokens: Effect.Effect<ReadonlyArray<TestExchange.IssuedRefreshToken>>
    /** Issues the first refresh token of a family, as after a user's consent. */
    readonly issueRefreshToken: Effect.Effect<Redacted.Redacted>
    /** Forgets the recorded requests, but not the tokens. */
    readonly resetRecords: Effect.Effect<void>

    /** The next `n` token requests get this response, after those of earlier calls. The default is a 503. */
    readonly failNext: (n: number, answer?: TestExchange.Answer) => Effect.Effect<void>
    /** Every request to the authorization server gets this response, until `undefined`. */
    readonly fail: (answer: TestExchange.Answer | undefined) => Effect.Effect<void>
    /** Answers every token request; if it returns none, the server answers itself. `undefined` removes it. */
    readonly setTokenResponse: (respond: Respond | undefined) => Effect.Effect<void>
    /** The next `n` requests to resources get this response, whatever their token. The default is a 503. */
    readonly failApiNext: (n: number, answer?: TestExchange.Answer) => Effect.Effect<void>
    /** Every request to resources gets this response, until `undefined`. */
    readonly failApi: (answer: TestExchange.Answer | undefined) => Effect.Effect<void>
    /** Delays the responses to token requests. */
    readonly setTokenDelay: (delay: Duration.DurationInput) => Effect.Effect<void>
    /** Delays the responses of resources. */
    readonly setApiDelay: (delay: Duration.DurationInput) => Effect.Effect<void>

    /** Revokes one token, or all that were issued. */
    readonly revoke: (token?: string) => Effect.Effect<void>
    /** Expires one token, or all that were issued, although the client knows a later expiry. */
    readonly expire: (token?: string) => Effect.Effect<void>
    /** The lifetime of tokens that are issued from now on. */
    readonly setLifetime: (lifetime: Duration.DurationInput | "none") => Effect.Effect<void>
    /** Whether a valid token is issued again, with its remaining lifetime. */
    readonly returnSameToken: (enabled: boolean) => Effect.Effect<void>
    /** Whether a new token revokes all earlier ones. */
    readonly onlyOneActive: (enabled: boolean) => Effect.Effect<void>

    /** Accepts only this client secret from now on. */
    readonly rotateSecret: (secret: Redacted.Redacted) => Effect.Effect<void>
    /** Denies token requests. */
    readonly deny: (denial: TestExchange.Denial) => Effect.Effect<void>
    /** Undoes `deny`. */
    readonly allow: (denial: TestExchange.Denial) => Effect.Effect<void>
    /** Requires proofs with a nonce, a new one after each call; `false` ends it. */
    readonly demandNonce: (side: TestExchange.Side, enabled?: boolean) => Effect.Effect<void>
    /** Whether the resources of this origin reject every token. */
    readonly rejectOrigin: (origin: string, rejects: boolean) => Effect.Effect<void>
    /** Resources answer 403 `insufficient_scope` to tokens without this scope (RFC 6750 §3.1), until `undefined`. */
    readonly requireScope: (scope: string | undefined) => Effect.Effect<void>
  }
>() {}

/**
 * Answers a token request instead of the server, or returns none.
 *
 * @since 0.1.0
 * @category models
 */
export type Respond = (
  request: TestExchange.TokenRequest
) => TestExchange.Answer | undefined | Effect.Effect<TestExchange.Answer | undefined>

/**
 * Every option has a default that suits most tests.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  readonly clientId?: string | undefined
  readonly clientSecret?: Redacted.Redacted | undefined
  /** The public key of the client's assertions, as a JWK: required for `private_key_jwt`. */
  readonly clientKey?: JwtSigner.Jwk | undefined
  /**
   * The authentication methods of the client. The default is all but `none`, with which a client sends only its id, for
   * example if a certificate or the network authenticates it.
   */
  readonly clientAuth?: ReadonlyArray<TestExchange.ClientAuthMethod> | undefined
  /**
   * The issuer identifier, which determines the URL of the metadata (RFC 8414 §3). The default is the origin of
   * `tokenEndpoint`.
   */
  readonly issuer?: string | undefined
  readonly tokenEndpoint?: string | URL | undefined
  /** The default is `/revoke` on the origin of `tokenEndpoint`. */
  readonly revocationEndpoint?: string | URL | undefined
  /** The default is `/introspect` on the origin of `tokenEndpoint`. */
  readonly introspectionEndpoint?: string | URL | undefined
  /**
   * The URL of the resources. Any other origin is a resource too; on the token endpoint's own origin, only URLs below
   * this one are.
   */
  readonly apiUrl?: string | URL | undefined
  /** `"none"` issues tokens that do not expire, without `expires_in`. The default is 1 hour. */
  readonly lifetime?: Duration.DurationInput | "none" | undefined
  /** Tokens are this prefix and a number that counts from 1. The default is `token-`. */
  readonly tokenPrefix?: string | undefined
  /** The scopes that may be requested; a request without a scope gets all of them. The default is any. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The supported grants. The default is `client_credentials` and `refresh_token`; others are granted unchecked. */
  readonly grantTypes?: ReadonlyArray<string> | undefined
  /**
   * Whether a token must be bound to a key by a proof (`required`), may be (`optional`, the default), or never is, as
   * by a server without RFC 9449 (`ignored`).
   */
  readonly dpop?: "optional" | "required" | "ignored" | undefined
  /** Whether a used refresh token is replaced. The default is `true`. */
  readonly rotatesRefreshTokens?: boolean | undefined
  /**
   * How long a replaced refresh token is still accepted. Later use revokes its whole family and the access tokens (RFC
   * 9700 §4.14.2). The default is 0.
   */
  readonly refreshGracePeriod?: Duration.DurationInput | undefined
  readonly tokenDelay?: Duration.DurationInput | undefined
  readonly apiDelay?: Duration.DurationInput | undefined
  /** Answers requests with a valid token. The default echoes them as a `TestExchange.Echo`. */
  readonly api?: TestExchange.Handler | undefined
}

/**
 * The default client identifier.
 *
 * @since 0.1.0
 * @category defaults
 */
export const clientId = "test-client"

/**
 * The default client secret.
 *
 * @since 0.1.0
 * @category defaults
 */
export const clientSecret: Redacted.Redacted = Redacted.make("test-secret-of-32-bytes-or-more!")

/**
 * The default issuer identifier.
 *
 * @since 0.1.0
 * @category defaults
 */
export const issuer = "https://auth.test"

/**
 * The default URL of the token endpoint.
 *
 * @since 0.1.0
 * @category defaults
 */
export const tokenEndpoint = "https://auth.test/token"

/**
 * The default URL of the revocation endpoint.
 *
 * @since 0.1.0
 * @category defaults
 */
export const revocationEndpoint = "https://auth.test/revoke"

/**
 * The default URL of the introspection endpoint.
 *
 * @since 0.1.0
 * @category defaults
 */
export const introspectionEndpoint = "https://auth.test/introspect"

/**
 * The default URL of the resources.
 *
 * @since 0.1.0
 * @category defaults
 */
export const apiUrl = "https://api.test"

/**
 * Makes the control service and the `HttpClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<{
  readonly server: TestAuthorizationServer["Type"]
  readonly client: HttpClient.HttpClient
}> =>
  Effect.sync(() => {
    const endpoint = new URL(options.tokenEndpoint ?? tokenEndpoint)
    const revocationEndpoint = new URL(options.revocationEndpoint ?? "/revoke", endpoint)
    const introspectionEndpoint = new URL(options.introspectionEndpoint ?? "/introspect", endpoint)
    const issuer = options.issuer ?? endpoint.origin
    const isResource = resourceOf(endpoint, new URL(options.apiUrl ?? apiUrl))
    const isMetadata = metadataOf(new URL(issuer))
    const grantsOptions: Grants.Options = {
      clientId: options.clientId ?? clientId,
      clientSecret: options.clientSecret ?? clientSecret,
      clientKey: options.clientKey,
      methods: options.clientAuth ?? defaultMethods(options),
      audiences: [issuer, endpoint.href, revocationEndpoint.href, introspectionEndpoint.href],
      grantTypes: options.grantTypes ?? ["client_credentials", "refresh_token"],
      scopes: options.scopes,
      dpop: options.dpop ?? "optional"
    }

    const tokens = Tokens.make({
      lifetime: options.lifetime ?? "1 hour",
      tokenPrefix: options.tokenPrefix ?? "token-",
      rotatesRefreshTokens: options.rotatesRefreshTokens ?? true,
      refreshGracePeriod: options.refreshGracePeriod ?? 0
    })
    const proofs = Proofs.make()
    const grants = Grants.make(grantsOptions, tokens, proofs)
    const { clientId: knownClient } = grantsOptions
    const queries = TokenQueries.make({ issuer, clientId: knownClient, tokens, authenticate: grants.authenticate })
    const resource = Resource.make(options.api ?? Resource.echo, tokens, proofs)
    const tokenScript = Answer.makeScript(options.tokenDelay)
    const apiScript = Answer.makeScript(options.apiDelay)
    let respond: Respond = () => undefined
    let tokenRequests: Array<TestExchange.TokenRequest> = []
    let apiRequests: Array<TestExchange.ApiRequest> = []
    let metadataRequests: Array<TestExchange.TestRequest> = []
    let revocationRequests: Array<TestExchange.TokenQuery> = []
    let introspectionRequests: Array<TestExchange.TokenQuery> = []

    const answerToken = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, url: URL) {
      const record = Grants.read(yield* Requests.read(request, url.href))
      tokenRequests.push(record)
      const wait = tokenScript.wait()
      const told = tokenScript.next() ?? respond({ ...record })
      const answer = Effect.isEffect(told) ? yield* told : told
      yield* wait
      return yield* send(request, record, answer ?? (yield* grants.answer(record, yield* now)), "token")
    })

    const answerQuery = Effect.fnUntraced(function*(
      request: HttpClientRequest.HttpClientRequest,
      url: URL,
      records: Array<TestExchange.TokenQuery>,
      answer: TokenQueries.TestTokenQueries["revoke"]
    ) {
      const record = TokenQueries.read(yield* Requests.read(request, url.href))
      records.push(record)
      return yield* send(request, record, tokenScript.failure() ?? (yield* answer(record, yield* now)))
    })

    const answerApi = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, url: URL) {
      const record = Resource.read(yield* Requests.read(request, url.href))
      apiRequests.push(record)
      const told = apiScript.next()
      yield* apiScript.wait()
      const answer = told ?? (isResource(url) ? yield* resource.answer(record, yield* now) : { status: 404 })
      return yield* send(request, record, answer, "api")
    })

    const answerMetadata = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, url: URL) {
      const { body: _, ...record } = yield* Requests.read(request, url.href)
      metadataRequests.push(record)
      return yield* send(
        request,
        record,
        tokenScript.failure() ?? {
          body: {
            ...metadata(issuer, endpoint, grantsOptions),
            revocation_endpoint: revocationEndpoint.href,
            ...authMetadata("revocation_endpoint", grantsOptions),
            introspection_endpoint: introspectionEndpoint.href,
            ...authMetadata("introspection_endpoint", grantsOptions)
          }
        }
      )
    })

    /** RFC 9449 §8.2: a server that requires nonces sends the next one with every response. */
    const send = (
      request: HttpClientRequest.HttpClientRequest,
      record: Types.Mutable<TestExchange.TestRequest>,
      answer: TestExchange.Answer,
      side?: TestExchange.Side
    ) => {
      const nonce = side && proofs.nonce(side)
      return Effect.tap(
        Answer.send(request, answer, nonce === undefined ? {} : { "dpop-nonce": nonce }),
        ({ status }) => {
          record.status = status
        }
      )
    }

    const all = <A extends object>(records: () => ReadonlyArray<A>) =>
      Effect.sync(() => records().map((record) => ({ ...record })))

    return {
      client: HttpClient.make((request, url) => {
        if (isAt(endpoint, url)) return answerToken(request, url)
        if (isAt(revocationEndpoint, url)) return answerQuery(request, url, revocationRequests, queries.revoke)
        if (isAt(introspectionEndpoint, url)) {
          return answerQuery(request, url, introspectionRequests, queries.introspect)
        }
        return isMetadata(url) ? answerMetadata(request, url) : answerApi(request, url)
      }),
      server: TestAuthorizationServer.of({
        tokenRequests: all(() => tokenRequests),
        apiRequests: all(() => apiRequests),
        metadataRequests: all(() => metadataRequests),
        revocationRequests: all(() => revocationRequests),
        introspectionRequests: all(() => introspectionRequests),
        issued: Effect.sync(tokens.issued),
        refreshTokens: Effect.sync(tokens.refreshTokens),
        issueRefreshToken: Effect.sync(() => Redacted.make(tokens.issueRefreshToken().value)),
        resetRecords: Effect.sync(() => {
          tokenRequests = []
          apiRequests = []
          metadataRequests = []
          revocationRequests = []
          introspectionRequests = []
        }),
        failNext: (n, answer = Answer.unavailable) => Effect.sync(() => tokenScript.failNext(n, answer)),
        fail: (answer) => Effect.sync(() => tokenScript.fail(answer)),
        setTokenResponse: (newRespond = () => undefined) =>
          Effect.sync(() => {
            respond = newRespond
          }),
        failApiNext: (n, answer = Answer.unavailable) => Effect.sync(() => apiScript.failNext(n, answer)),
        failApi: (answer) => Effect.sync(() => apiScript.fail(answer)),
        setTokenDelay: (delay) => Effect.sync(() => tokenScript.setDelay(delay)),
        setApiDelay: (delay) => Effect.sync(() => apiScript.setDelay(delay)),
        revoke: (token) => Effect.sync(() => tokens.revoke(token)),
        expire: (token) => Effect.map(now, (now) => tokens.expire(token, now)),
        setLifetime: (lifetime) => Effect.sync(() => tokens.setLifetime(lifetime)),
        returnSameToken: (enabled) => Effect.sync(() => tokens.returnSame(enabled)),
        onlyOneActive: (enabled) => Effect.sync(() => tokens.onlyOneActive(enabled)),
        rotateSecret: (secret) => Effect.sync(() => grants.rotateSecret(secret)),
        deny: (denial) => Effect.sync(() => grants.deny(denial)),
        allow: (denial) => Effect.sync(() => grants.allow(denial)),
        demandNonce: (side, enabled = true) => Effect.sync(() => proofs.demandNonce(side, enabled)),
        rejectOrigin: (origin, rejects) => Effect.sync(() => resource.rejectOrigin(origin, rejects)),
        requireScope: (scope) => Effect.sync(() => resource.requireScope(scope))
      })
    }
  })

/**
 * The server as the app's `HttpClient`, and its control service.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
 * import { TestAuthorizationServer } from "@effect-alf/core/testing"
 * import { Layer } from "effect"
 *
 * const TestLayer = AuthedHttpClient.layer({ baseUrl: TestAuthorizationServer.apiUrl }).pipe(
 *   Layer.provide(TokenEndpoint.layer({
 *     tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
 *     clientId: TestAuthorizationServer.clientId,
 *     clientSecret: TestAuthorizationServer.clientSecret
 *   })),
 *   Layer.provide(TokenStore.layerMemory()),
 *   Layer.provideMerge(TestAuthorizationServer.layer({ lifetime: "5 minutes" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<TestAuthorizationServer | HttpClient.HttpClient> =>
  Layer.effectContext(
    Effect.map(
      make(options),
      ({ client, server }) =>
        Context.make(TestAuthorizationServer, server).pipe(Context.add(HttpClient.HttpClient, client))
    )
  )

const now = Clock.currentTimeMillis

const defaultMethods = ({ clientKey }: Options): ReadonlyArray<TestExchange.ClientAuthMethod> => [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  ...clientKey === undefined ? [] : ["private_key_jwt" as const]
]

const isAt = (endpoint: URL, url: URL): boolean => url.origin === endpoint.origin && url.pathname === endpoint.pathname

const resourceOf = (token: URL, api: URL) => (url: URL): boolean =>
  url.origin !== token.origin || (
    url.origin === api.origin && `${url.pathname}/`.startsWith(api.pathname.replace(/\/?$/, "/"))
  )

/**
 * RFC 8414 §3.1 inserts the well-known path before that of the issuer; OpenID
 * Connect Discovery 1.0 §4.1 appends it.
 */
const metadataOf = ({ origin, pathname }: URL) => {
  const path = pathname.replace(/\/$/, "")
  const paths = [`/.well-known/oauth-authorization-server${path}`, `${path}/.well-known/openid-configuration`]
  return (url: URL): boolean => url.origin === origin && paths.includes(url.pathname)
}

/** RFC 8414 §2, RFC 9449 §5.1. */
const metadata = (issuer: string, endpoint: URL, options: Grants.Options) => ({
  issuer,
  token_endpoint: endpoint.href,
  ...authMetadata("token_endpoint", options),
  grant_types_supported: options.grantTypes,
  response_types_supported: [],
  ...options.scopes === undefined ? {} : { scopes_supported: options.scopes },
  ...options.dpop === "ignored" ? {} : { dpop_signing_alg_values_supported: Proofs.algorithms }
})

/** RFC 8414 §2: a server that accepts assertions lists their algorithms. */
const authMetadata = (endpoint: string, { methods }: Grants.Options) => {
  const algorithms = [
    ...methods.includes("client_secret_jwt") ? ["HS256", "HS384", "HS512"] : [],
    ...methods.includes("private_key_jwt") ? Proofs.algorithms : []
  ]
  return {
    [`${endpoint}_auth_methods_supported`]: methods,
    ...algorithms.length === 0 ? {} : { [`${endpoint}_auth_signing_alg_values_supported`]: algorithms }
  }
}
