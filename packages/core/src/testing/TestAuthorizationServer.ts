/**
 * An authorization server and the resources it protects, in memory: an
 * `HttpClient` that behaves as RFC 6749 §4.4 and §6, RFC 6750, RFC 7009,
 * RFC 7662, RFC 8414 and RFC 9449 say, records what it is asked and can be told
 * to misbehave.
 *
 * It knows no time but Clock's. Signatures alone (DPoP, assertions) are made and
 * verified in real time, as WebCrypto does it.
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
 * Controls the server and shows what it was asked.
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
    /** Issues the first refresh token of a family, as when a person has given consent. */
    readonly issueRefreshToken: Effect.Effect<Redacted.Redacted>
    /** Forgets the recorded requests, not the tokens. */
    readonly resetRecords: Effect.Effect<void>

    /** The next `n` token requests meet this answer, after those already told so. The default is a 503. */
    readonly failNext: (n: number, answer?: TestExchange.Answer) => Effect.Effect<void>
    /** Every request to the authorization server meets this answer; `undefined` ends it. */
    readonly fail: (answer: TestExchange.Answer | undefined) => Effect.Effect<void>
    /** Decides over every token request; where it has no answer, the server gives its own. `undefined` ends it. */
    readonly setTokenResponse: (respond: Respond | undefined) => Effect.Effect<void>
    /** The next `n` requests to resources meet this answer, whatever their token. The default is a 503. */
    readonly failApiNext: (n: number, answer?: TestExchange.Answer) => Effect.Effect<void>
    /** Every request to resources meets this answer; `undefined` ends it. */
    readonly failApi: (answer: TestExchange.Answer | undefined) => Effect.Effect<void>
    /** How long a token request waits for its answer. */
    readonly setTokenDelay: (delay: Duration.DurationInput) => Effect.Effect<void>
    /** How long a request to a resource waits for its answer. */
    readonly setApiDelay: (delay: Duration.DurationInput) => Effect.Effect<void>

    /** Revokes one token, or all issued so far. */
    readonly revoke: (token?: string) => Effect.Effect<void>
    /** Lets one token end now, or all issued so far, though the client was told of a later end. */
    readonly expire: (token?: string) => Effect.Effect<void>
    /** How long the tokens issued from now on live. */
    readonly setLifetime: (lifetime: Duration.DurationInput | "none") => Effect.Effect<void>
    /** Whether a token is issued again, with the lifetime that remains, as long as it is valid. */
    readonly returnSameToken: (enabled: boolean) => Effect.Effect<void>
    /** Whether a new token revokes all former ones. */
    readonly onlyOneActive: (enabled: boolean) => Effect.Effect<void>

    /** From now on only this client secret is right. */
    readonly rotateSecret: (secret: Redacted.Redacted) => Effect.Effect<void>
    /** Refuses token requests for what they ask or for who asks. */
    readonly deny: (denial: TestExchange.Denial) => Effect.Effect<void>
    /** Takes back what was denied. */
    readonly allow: (denial: TestExchange.Denial) => Effect.Effect<void>
    /** From now on proofs need a nonce of the server, another one after each call; `false` ends it. */
    readonly demandNonce: (side: TestExchange.Side, enabled?: boolean) => Effect.Effect<void>
    /** Whether the resources of this origin reject every token. */
    readonly rejectOrigin: (origin: string, rejects: boolean) => Effect.Effect<void>
    /**
     * The resources answer 403 `insufficient_scope` to tokens without this scope (RFC 6750 §3.1); `undefined` ends it.
     */
    readonly requireScope: (scope: string | undefined) => Effect.Effect<void>
  }
>() {}

/**
 * Has an answer to a token request in place of the server, or none.
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
  /** The public key of the client's assertions, as a JWK: without it there is no `private_key_jwt`. */
  readonly clientKey?: JwtSigner.Jwk | undefined
  /**
   * How the client may authenticate. The default is all but `none`, with which a client only names itself, as those do
   * that a certificate or the network authenticates.
   */
  readonly clientAuth?: ReadonlyArray<TestExchange.ClientAuthMethod> | undefined
  /** The issuer identifier, under which the metadata is found (RFC 8414 §3). The default is the origin of `tokenEndpoint`. */
  readonly issuer?: string | undefined
  readonly tokenEndpoint?: string | URL | undefined
  /** The default is `/revoke` on the origin of `tokenEndpoint`. */
  readonly revocationEndpoint?: string | URL | undefined
  /** The default is `/introspect` on the origin of `tokenEndpoint`. */
  readonly introspectionEndpoint?: string | URL | undefined
  /**
   * Where the resources are. Any other origin is one too; on the token
   * endpoint's own origin only what is below this address is.
   */
  readonly apiUrl?: string | URL | undefined
  /** `"none"` issues tokens that do not expire, without `expires_in`. The default is 1 hour. */
  readonly lifetime?: Duration.DurationInput | "none" | undefined
  /** Tokens are this and a number that counts from 1. The default is `token-`. */
  readonly tokenPrefix?: string | undefined
  /** The scopes that may be asked for, all of which are granted to who asks for none. The default is any. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * The grants that the server knows. Others than the default, which is `client_credentials` and `refresh_token`, are
   * given without a look at what they rest on.
   */
  readonly grantTypes?: ReadonlyArray<string> | undefined
  /**
   * Whether a token must be bound to a key by a proof, may be, which is the default, or is not though there is one, as
   * by a server that knows nothing of RFC 9449.
   */
  readonly dpop?: "optional" | "required" | "ignored" | undefined
  /** Whether a refresh token is replaced when it is used. The default is `true`. */
  readonly rotatesRefreshTokens?: boolean | undefined
  /**
   * How long a refresh token that was replaced can still be used. Beyond it that ends its whole family, with the access
   * tokens (RFC 9700 §4.14.2). The default is 0.
   */
  readonly refreshGracePeriod?: Duration.DurationInput | undefined
  readonly tokenDelay?: Duration.DurationInput | undefined
  readonly apiDelay?: Duration.DurationInput | undefined
  /** Answers requests with a valid token. The default echoes them as a `TestExchange.Echo`. */
  readonly api?: TestExchange.Handler | undefined
}

/**
 * The client identifier that the server knows by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const clientId = "test-client"

/**
 * The client secret that the server knows by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const clientSecret: Redacted.Redacted = Redacted.make("test-secret-of-32-bytes-or-more!")

/**
 * The issuer identifier by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const issuer = "https://auth.test"

/**
 * The address of the token endpoint by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const tokenEndpoint = "https://auth.test/token"

/**
 * The address of the revocation endpoint by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const revocationEndpoint = "https://auth.test/revoke"

/**
 * The address of the introspection endpoint by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const introspectionEndpoint = "https://auth.test/introspect"

/**
 * The address of the resources by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const apiUrl = "https://api.test"

/**
 * Makes the server's two faces: the control service and the `HttpClient`.
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

    /** RFC 9449 §8.2: who asks for nonces gives the next one with every answer. */
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

/** RFC 8414 §3.1 puts its path before that of the issuer, OpenID Connect Discovery 1.0 §4.1 behind it. */
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

/** RFC 8414 §2: who takes assertions says how they may be signed. */
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
