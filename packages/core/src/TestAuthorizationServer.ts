/**
 * An authorization server and the resources it protects, in memory: an
 * `HttpClient` that behaves as RFC 6749 §4.4 and §6 and RFC 6750 say, records
 * what it is asked and can be told to misbehave. It knows no time but Clock's.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Types from "effect/Types"

/**
 * A token request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  readonly method: string
  readonly url: string
  /** As they were sent, with the client's credentials. */
  readonly headers: Headers.Headers
  readonly authorization: string | undefined
  /** The decoded form. */
  readonly params: UrlParams.UrlParams
  /** The status of the answer; `undefined` while, or when, there is none. */
  readonly status: number | undefined
}

/**
 * A request to a resource as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface ApiRequest {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  readonly method: string
  readonly url: string
  /** As they were sent, with the token. */
  readonly headers: Headers.Headers
  readonly authorization: string | undefined
  /** The bearer token of the `Authorization` header. */
  readonly token: string | undefined
  readonly body: Uint8Array
  /** The status of the answer; `undefined` while, or when, there is none. */
  readonly status: number | undefined
}

/**
 * A token that the server issued.
 *
 * @since 0.1.0
 * @category models
 */
export interface IssuedToken {
  readonly value: string
  readonly scope: string | undefined
  readonly resources: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  /** Epoch milliseconds. */
  readonly issuedAt: number
  /** Epoch milliseconds; `undefined` for a token that does not expire. */
  readonly expiresAt: number | undefined
  readonly revoked: boolean
}

/**
 * A refresh token that the server issued.
 *
 * @since 0.1.0
 * @category models
 */
export interface IssuedRefreshToken {
  readonly value: string
  /** The one that it began with. */
  readonly family: string
  /** When it brought a token, in epoch milliseconds. */
  readonly usedAt: ReadonlyArray<number>
  readonly revoked: boolean
}

/**
 * An answer in plain values: 200, no headers and an empty body unless it says
 * otherwise. A body that is neither text nor bytes is sent as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly status?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
}

/**
 * What a request can meet: an answer, a connection that is reset before the
 * answer (`"reset"`) or in the middle of its body (`"cut"`), or silence
 * (`"hang"`).
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = Reply | Response | "reset" | "cut" | "hang"

/**
 * Controls the server and shows what it was asked.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestAuthorizationServer extends Context.Tag("@effect-alf/core/TestAuthorizationServer")<
  TestAuthorizationServer,
  {
    /** The token requests so far, in the order of their arrival. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<TokenRequest>>
    /** The requests to resources so far, in the order of their arrival. */
    readonly apiRequests: Effect.Effect<ReadonlyArray<ApiRequest>>
    /** Every token issued so far, the oldest first. */
    readonly issued: Effect.Effect<ReadonlyArray<IssuedToken>>
    /** Every refresh token issued so far, the oldest first. */
    readonly refreshTokens: Effect.Effect<ReadonlyArray<IssuedRefreshToken>>
    /** Issues the first refresh token of a family, as when a person has given consent. */
    readonly issueRefreshToken: Effect.Effect<Redacted.Redacted>
    /** Forgets the recorded requests, not the tokens. */
    readonly resetRecords: Effect.Effect<void>

    /** The next `n` token requests meet this answer, after those already told so. The default is a 503. */
    readonly failNext: (n: number, answer?: Answer) => Effect.Effect<void>
    /** Decides over every token request; where it has no answer, the server gives its own. `undefined` ends it. */
    readonly setTokenResponse: (
      respond: ((request: TokenRequest) => Answer | undefined | Effect.Effect<Answer | undefined>) | undefined
    ) => Effect.Effect<void>
    /** The next `n` requests to resources meet this answer, whatever their token. The default is a 503. */
    readonly failApiNext: (n: number, answer?: Answer) => Effect.Effect<void>

    /** Revokes one token, or all issued so far. */
    readonly revoke: (token?: string) => Effect.Effect<void>
    /** From now on only this client secret is right. */
    readonly rotateSecret: (secret: Redacted.Redacted) => Effect.Effect<void>
    /** How long the tokens issued from now on live. */
    readonly setLifetime: (lifetime: Duration.DurationInput | "none") => Effect.Effect<void>
    /** How long a token request waits for its answer. */
    readonly setTokenDelay: (delay: Duration.DurationInput) => Effect.Effect<void>
    /** How long a request to a resource waits for its answer. */
    readonly setApiDelay: (delay: Duration.DurationInput) => Effect.Effect<void>
    /** Whether the resources of this origin reject every token. */
    readonly rejectOrigin: (origin: string, rejects: boolean) => Effect.Effect<void>
    /** Whether a token is issued again, with the lifetime that remains, as long as it is valid. */
    readonly returnSameToken: (enabled: boolean) => Effect.Effect<void>
    /** Whether a new token revokes all former ones. */
    readonly onlyOneActive: (enabled: boolean) => Effect.Effect<void>
  }
>() {}

/**
 * Every option has a default that suits most tests.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  readonly clientId?: string | undefined
  readonly clientSecret?: Redacted.Redacted | undefined
  readonly tokenUrl?: string | URL | undefined
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
  /** Whether a refresh token is replaced when it is used. The default is `true`. */
  readonly rotatesRefreshTokens?: boolean | undefined
  /**
   * How long a refresh token that was replaced can still be used. Beyond it that ends its whole family, with the access
   * tokens (RFC 9700 §4.14.2). The default is 0.
   */
  readonly refreshGracePeriod?: Duration.DurationInput | undefined
  readonly tokenDelay?: Duration.DurationInput | undefined
  readonly apiDelay?: Duration.DurationInput | undefined
  /** Answers requests with a valid token. The default echoes them as an `Echo`. */
  readonly api?: ((request: ApiRequest, token: IssuedToken) => Effect.Effect<Answer>) | undefined
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
export const clientSecret: Redacted.Redacted = Redacted.make("test-secret")

/**
 * The address of the token endpoint by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const tokenUrl = "https://auth.test/token"

/**
 * The address of the resources by default.
 *
 * @since 0.1.0
 * @category defaults
 */
export const apiUrl = "https://api.test"

/**
 * What the resource answers by default. It never holds the token.
 *
 * @since 0.1.0
 * @category schemas
 */
export class Echo extends Schema.Class<Echo>("@effect-alf/core/TestAuthorizationServer/Echo")({
  method: Schema.String,
  path: Schema.String,
  query: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The scope of the token. */
  scope: Schema.NullOr(Schema.String),
  /** The body as text; bytes that are no UTF-8 come as replacement characters. */
  text: Schema.String,
  /** The body byte for byte. */
  base64: Schema.String
}) {}

interface RefreshToken extends Types.Mutable<IssuedRefreshToken> {
  readonly usedAt: Array<number>
  /** Those that it has brought. */
  readonly accessTokens: Array<Types.Mutable<IssuedToken>>
}

const unavailable: Reply = { status: 503, body: "the test server was told to fail" }

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
    const id = options.clientId ?? clientId
    const tokenPrefix = options.tokenPrefix ?? "token-"
    const isTokenEndpoint = sameAddress(new URL(options.tokenUrl ?? tokenUrl))
    const isResource = resourceOf(new URL(options.tokenUrl ?? tokenUrl), new URL(options.apiUrl ?? apiUrl))

    let secret = options.clientSecret ?? clientSecret
    let lifetime = millisOf(options.lifetime ?? "1 hour")
    let tokenDelay = Duration.decode(options.tokenDelay ?? 0)
    let apiDelay = Duration.decode(options.apiDelay ?? 0)
    let returnsSameToken = false
    let onlyOneIsActive = false
    let tokenRequests: Array<Types.Mutable<TokenRequest>> = []
    let apiRequests: Array<Types.Mutable<ApiRequest>> = []
    let respond: (request: TokenRequest) => Answer | undefined | Effect.Effect<Answer | undefined> = () => undefined
    const tokenAnswers: Array<Answer> = []
    const apiAnswers: Array<Answer> = []
    const tokens = new Map<string, Types.Mutable<IssuedToken>>()
    const refreshTokens = new Map<string, RefreshToken>()
    const rotates = options.rotatesRefreshTokens ?? true
    const gracePeriod = Duration.toMillis(options.refreshGracePeriod ?? 0)
    const rejectingOrigins = new Set<string>()

    const isValid = (token: IssuedToken, now: number) =>
      !token.revoked && (token.expiresAt === undefined || now < token.expiresAt)

    const revokeAll = () => {
      for (const token of tokens.values()) token.revoked = true
    }

    // -------------------------------------------------------------------------
    // the token endpoint
    // -------------------------------------------------------------------------

    const issue = (params: UrlParams.UrlParams, scope: string | undefined, now: number) => {
      const resources = UrlParams.getAll(params, "resource")
      const audiences = UrlParams.getAll(params, "audience")
      if (returnsSameToken) {
        const wanted = JSON.stringify([scope, resources, audiences])
        for (const token of tokens.values()) {
          const known = JSON.stringify([token.scope, token.resources, token.audiences])
          if (isValid(token, now) && known === wanted) return token
        }
      }
      if (onlyOneIsActive) revokeAll()
      const token: Types.Mutable<IssuedToken> = {
        value: `${tokenPrefix}${tokens.size + 1}`,
        scope,
        resources,
        audiences,
        issuedAt: now,
        expiresAt: lifetime === undefined ? undefined : now + lifetime,
        revoked: false
      }
      tokens.set(token.value, token)
      return token
    }

    const issueRefreshToken = (family?: string): RefreshToken => {
      const value = `${tokenPrefix}refresh-${refreshTokens.size + 1}`
      const token = { value, family: family ?? value, usedAt: [], revoked: false, accessTokens: [] }
      refreshTokens.set(value, token)
      return token
    }

    /** RFC 6749 §6. One that is used when it was replaced already may have been stolen (RFC 9700 §4.14.2). */
    const use = (value: string | undefined, now: number): RefreshToken | "invalid" => {
      const token = refreshTokens.get(value ?? "")
      if (token === undefined || token.revoked) return "invalid"
      if (rotates && token.usedAt.length > 0 && now - token.usedAt[0] >= gracePeriod) {
        for (const other of refreshTokens.values()) {
          if (other.family !== token.family) continue
          other.revoked = true
          for (const accessToken of other.accessTokens) accessToken.revoked = true
        }
        return "invalid"
      }
      token.usedAt.push(now)
      return token
    }

    /** RFC 6749 §4.4.2, §6 and §3.2: what a client credentials request must look like. */
    const grant = (request: TokenRequest, now: number): Reply => {
      if (request.method !== "POST") return { status: 405, headers: { allow: "POST" } }
      const contentType = request.headers["content-type"]?.split(";")[0].trim().toLowerCase()
      if (contentType !== "application/x-www-form-urlencoded") {
        return oauthError(400, "invalid_request", "the body is not application/x-www-form-urlencoded")
      }
      const repeated = repeatedParam(request.params)
      if (repeated !== undefined) return oauthError(400, "invalid_request", `${repeated} is repeated`)
      const credentials = credentialsOf(request)
      if (credentials === "several") {
        return oauthError(400, "invalid_request", "the client authenticates in more than one way")
      }
      if (credentials === undefined || credentials.id !== id || credentials.secret !== Redacted.value(secret)) {
        return {
          ...oauthError(401, "invalid_client", "the client is unknown or its secret is wrong"),
          headers: { ...noStore, "www-authenticate": "Basic realm=\"test\"" }
        }
      }
      const form = new Map(request.params)
      const grantType = form.get("grant_type")
      if (grantType === undefined) return oauthError(400, "invalid_request", "grant_type is missing")
      if (grantType !== "client_credentials" && grantType !== "refresh_token") {
        return oauthError(400, "unsupported_grant_type", "only client_credentials and refresh_token")
      }
      const asked = form.get("scope") || undefined
      const refused = asked?.split(" ").find((scope) => options.scopes?.includes(scope) === false)
      if (refused !== undefined) return oauthError(400, "invalid_scope", "a scope is unknown")
      const used = grantType === "refresh_token" ? use(form.get("refresh_token"), now) : undefined
      if (used === "invalid") return oauthError(400, "invalid_grant", "the refresh token is not valid")
      const token = issue(request.params, asked ?? options.scopes?.join(" "), now)
      used?.accessTokens.push(token)
      const next = used === undefined || !rotates ? undefined : issueRefreshToken(used.family)
      return {
        headers: noStore,
        body: {
          access_token: token.value,
          token_type: "Bearer",
          ...token.expiresAt === undefined ? {} : { expires_in: (token.expiresAt - now) / 1000 },
          ...token.scope === undefined ? {} : { scope: token.scope },
          ...next === undefined ? {} : { refresh_token: next.value }
        }
      }
    }

    const answerTokenRequest = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, url: URL) {
      const time = yield* Clock.currentTimeMillis
      const body = yield* readBody(request)
      const record: Types.Mutable<TokenRequest> = {
        ...recordOf(request, url, time, body),
        params: Array.from(new URLSearchParams(new TextDecoder().decode(body.bytes)))
      }
      tokenRequests.push(record)
      const delay = tokenDelay
      const told = tokenAnswers.shift() ?? respond({ ...record })
      const answer = Effect.isEffect(told) ? yield* told : told
      yield* wait(delay)
      const now = yield* Clock.currentTimeMillis
      return yield* send(request, record, answer ?? grant(record, now))
    })

    // -------------------------------------------------------------------------
    // the resources
    // -------------------------------------------------------------------------

    const serve = (request: ApiRequest, url: URL, now: number): Effect.Effect<Answer> => {
      if (!isResource(url)) return Effect.succeed({ status: 404 })
      // RFC 6750 §3.1: without a token there is nothing to call an error
      if (request.token === undefined) return Effect.succeed(unauthorized("Bearer realm=\"test\""))
      const token = tokens.get(request.token)
      if (token === undefined || !isValid(token, now) || rejectingOrigins.has(url.origin)) {
        return Effect.succeed(unauthorized("Bearer realm=\"test\", error=\"invalid_token\""))
      }
      return options.api === undefined
        ? Effect.succeed(echo(request, url, token))
        : options.api({ ...request }, { ...token })
    }

    const answerApiRequest = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, url: URL) {
      const time = yield* Clock.currentTimeMillis
      const body = yield* readBody(request)
      const record: Types.Mutable<ApiRequest> = {
        ...recordOf(request, url, time, body),
        token: /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1],
        body: body.bytes
      }
      apiRequests.push(record)
      const told = apiAnswers.shift()
      yield* wait(apiDelay)
      const now = yield* Clock.currentTimeMillis
      return yield* send(request, record, told ?? (yield* serve(record, url, now)))
    })

    return {
      client: HttpClient.make((request, url) =>
        isTokenEndpoint(url) ? answerTokenRequest(request, url) : answerApiRequest(request, url)
      ),
      server: TestAuthorizationServer.of({
        tokenRequests: Effect.sync(() => tokenRequests.map((request) => ({ ...request }))),
        apiRequests: Effect.sync(() => apiRequests.map((request) => ({ ...request }))),
        issued: Effect.sync(() => Array.from(tokens.values(), (token) => ({ ...token }))),
        refreshTokens: Effect.sync(() =>
          Array.from(
            refreshTokens.values(),
            ({ family, revoked, usedAt, value }) => ({ family, revoked, usedAt: usedAt.slice(), value })
          )
        ),
        issueRefreshToken: Effect.sync(() => Redacted.make(issueRefreshToken().value)),
        resetRecords: Effect.sync(() => {
          tokenRequests = []
          apiRequests = []
        }),
        failNext: (n, answer = unavailable) => Effect.sync(() => enqueue(tokenAnswers, n, answer)),
        setTokenResponse: (f) =>
          Effect.sync(() => {
            respond = f ?? (() => undefined)
          }),
        failApiNext: (n, answer = unavailable) => Effect.sync(() => enqueue(apiAnswers, n, answer)),
        revoke: (value) =>
          Effect.sync(() => {
            if (value === undefined) return revokeAll()
            const token = tokens.get(value)
            if (token !== undefined) token.revoked = true
          }),
        rotateSecret: (newSecret) =>
          Effect.sync(() => {
            secret = newSecret
          }),
        setLifetime: (newLifetime) =>
          Effect.sync(() => {
            lifetime = millisOf(newLifetime)
          }),
        setTokenDelay: (delay) =>
          Effect.sync(() => {
            tokenDelay = Duration.decode(delay)
          }),
        setApiDelay: (delay) =>
          Effect.sync(() => {
            apiDelay = Duration.decode(delay)
          }),
        rejectOrigin: (origin, rejects) =>
          Effect.sync(() => {
            if (rejects) rejectingOrigins.add(new URL(origin).origin)
            else rejectingOrigins.delete(new URL(origin).origin)
          }),
        returnSameToken: (enabled) =>
          Effect.sync(() => {
            returnsSameToken = enabled
          }),
        onlyOneActive: (enabled) =>
          Effect.sync(() => {
            onlyOneIsActive = enabled
          })
      })
    }
  })

/**
 * The server as the app's `HttpClient`, and its control service.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, TestAuthorizationServer, TokenEndpoint, TokenStore } from "@effect-alf/core"
 * import { Layer } from "effect"
 *
 * const TestLayer = AuthedHttpClient.layer({ baseUrl: TestAuthorizationServer.apiUrl }).pipe(
 *   Layer.provide(TokenEndpoint.layer({
 *     url: TestAuthorizationServer.tokenUrl,
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

// RFC 6749 §5.1
const noStore = { "cache-control": "no-store", pragma: "no-cache" }

const oauthError = (status: number, error: string, description: string): Reply => ({
  status,
  headers: noStore,
  body: { error, error_description: description }
})

const unauthorized = (challenge: string): Reply => ({ status: 401, headers: { "www-authenticate": challenge } })

const millisOf = (lifetime: Duration.DurationInput | "none"): number | undefined => {
  const millis = lifetime === "none" ? Number.POSITIVE_INFINITY : Duration.toMillis(lifetime)
  return Number.isFinite(millis) ? millis : undefined
}

const sameAddress = (a: URL) => (b: URL): boolean => a.origin === b.origin && a.pathname === b.pathname

const resourceOf = (token: URL, api: URL) => (url: URL): boolean =>
  url.origin !== token.origin || (url.origin === api.origin && url.pathname.startsWith(api.pathname))

const wait = (delay: Duration.Duration) => Duration.toMillis(delay) > 0 ? Effect.sleep(delay) : Effect.void

const enqueue = (answers: Array<Answer>, n: number, answer: Answer) => {
  for (let i = 0; i < n; i++) answers.push(answer)
}

// RFC 6749 §3.2; RFC 8707 §2 and RFC 8693 §2.1 let these two be repeated
const repeatedParam = (params: UrlParams.UrlParams): string | undefined => {
  const names = params.map(([name]) => name).filter((name) => name !== "resource" && name !== "audience")
  return names.find((name, index) => names.indexOf(name) !== index)
}

/** RFC 6749 §2.3.1: by HTTP Basic, form-encoded, or in the body; never both. */
const credentialsOf = (
  request: TokenRequest
): { readonly id: string; readonly secret: string } | "several" | undefined => {
  const form = new Map(request.params)
  const id = form.get("client_id")
  const secret = form.get("client_secret")
  const basic = /^Basic +(\S+) *$/i.exec(request.authorization ?? "")?.[1]
  if (basic === undefined) return id === undefined || secret === undefined ? undefined : { id, secret }
  if (secret !== undefined) return "several"
  const pair = Either.getOrElse(Encoding.decodeBase64String(basic), () => "")
  const colon = pair.indexOf(":")
  if (colon === -1) return undefined
  return { id: formDecode(pair.slice(0, colon)), secret: formDecode(pair.slice(colon + 1)) }
}

const formDecode = (text: string): string => new URLSearchParams(`=${text.replaceAll("&", "%26")}`).get("") ?? ""

interface Body {
  readonly bytes: Uint8Array
  readonly contentType: string | undefined
}

const readBody = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<Body, HttpClientError.RequestError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.succeed({ bytes: new Uint8Array(), contentType: undefined })
    case "Uint8Array":
      return Effect.succeed({ bytes: body.body.slice(), contentType: body.contentType })
    case "FormData":
      return readWeb(request, body.formData)
    case "Raw":
      return readWeb(request, body.body as BodyInit)
    case "Stream":
      return Stream.runCollect(body.stream).pipe(
        Effect.map((chunks) => ({ bytes: concat(Array.from(chunks)), contentType: body.contentType })),
        Effect.mapError(transportError(request))
      )
  }
}

/** Leaves it to the runtime how it writes a body, as `fetch` would. */
const readWeb = (request: HttpClientRequest.HttpClientRequest, body: BodyInit) =>
  Effect.tryPromise({
    try: async () => {
      const web = new Response(body)
      return {
        bytes: new Uint8Array(await web.arrayBuffer()),
        contentType: web.headers.get("content-type") ?? undefined
      }
    },
    catch: transportError(request)
  })

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.byteLength, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}

const recordOf = (request: HttpClientRequest.HttpClientRequest, url: URL, time: number, body: Body) => ({
  time,
  method: request.method,
  url: url.href,
  headers: body.contentType === undefined || request.headers["content-type"] !== undefined
    ? request.headers
    : Headers.set(request.headers, "content-type", body.contentType),
  authorization: request.headers.authorization,
  status: undefined
})

const transportError = (request: HttpClientRequest.HttpClientRequest) => (cause: unknown) =>
  new HttpClientError.RequestError({ request, reason: "Transport", cause })

const reset = () => Object.assign(new Error("the connection was reset"), { code: "ECONNRESET" })

const echo = (request: ApiRequest, url: URL, token: IssuedToken): Reply => ({
  body: {
    method: request.method,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    scope: token.scope ?? null,
    text: new TextDecoder().decode(request.body),
    base64: Encoding.encodeBase64(request.body)
  }
})

const send = (
  request: HttpClientRequest.HttpClientRequest,
  record: { status: number | undefined },
  answer: Answer
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError> =>
  Effect.suspend(() => {
    if (answer === "hang") return Effect.never
    if (answer === "reset") return Effect.fail(transportError(request)(reset()))
    const web = answer === "cut"
      ? cut()
      : answer instanceof Response
      ? answer.clone()
      : toWeb(request.method, answer)
    record.status = web.status
    return Effect.succeed(HttpClientResponse.fromWeb(request, web))
  })

/** The first bytes of an answer, and then the connection breaks. */
const cut = (): Response => {
  let started = false
  return new Response(
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (started) return controller.error(reset())
        started = true
        controller.enqueue(new TextEncoder().encode("{\"access_token\":\"tok"))
      }
    }),
    { headers: { "content-type": "application/json" } }
  )
}

const statusesWithoutBody = [204, 205, 304]

const toWeb = (method: string, { body, headers, status = 200 }: Reply): Response => {
  if (method === "HEAD" || statusesWithoutBody.includes(status)) {
    return new Response(null, { status, headers: { ...headers } })
  }
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) {
    return new Response(body as BodyInit | undefined ?? "", { status, headers: { ...headers } })
  }
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } })
}
