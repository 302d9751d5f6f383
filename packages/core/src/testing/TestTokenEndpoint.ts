/**
 * A scripted `TokenEndpoint` without HTTP, for tests of code that uses one. Its
 * only time is that of Clock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as AccessToken from "../AccessToken.js"
import type { ProofKey } from "../DPoP.js"
import * as AuthenticatedPost from "../endpoint/AuthenticatedPost.js"
import { isAuthorizationServerError, isTransient, TokenEndpointError, type TokenRequestError } from "../OAuthError.js"
import * as RetryPolicy from "../RetryPolicy.js"
import { TokenEndpoint } from "../TokenEndpoint.js"
import * as TokenRequest from "../TokenRequest.js"

/**
 * An attempt as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  /** The method of `TokenEndpoint` that was called. */
  readonly via: "attempt" | "request"
  /** Counts from 1 within one token request and its retries. */
  readonly attempt: number
  readonly request: TokenRequest.ResolvedTokenRequest
}

/**
 * The properties of a token that differ from the defaults.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenOptions {
  readonly value?: string | undefined
  readonly tokenType?: string | undefined
  /** `"none"` for a token of unknown lifetime. */
  readonly lifetime?: Duration.DurationInput | "none" | undefined
  readonly scope?: string | undefined
}

/**
 * Controls the endpoint and records its attempts.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestTokenEndpoint extends Context.Tag("@effect-alf/core/testing/TestTokenEndpoint")<
  TestTokenEndpoint,
  {
    /** The attempts so far, in the order of their arrival. */
    readonly requests: Effect.Effect<ReadonlyArray<Attempt>>
    /** Every token issued so far, the oldest first. */
    readonly issued: Effect.Effect<ReadonlyArray<AccessToken.AccessToken>>
    /** Forgets the recorded attempts. */
    readonly resetRecords: Effect.Effect<void>
    /** The next `n` attempts fail, after those of earlier calls. The default is `unavailable`. */
    readonly failNext: (n: number, error?: TokenRequestError) => Effect.Effect<void>
    /** All other attempts fail, until `undefined`. */
    readonly fail: (error: TokenRequestError | undefined) => Effect.Effect<void>
    /** The next attempt, after those of earlier calls, returns this token. */
    readonly respondNext: (token: TokenOptions) => Effect.Effect<void>
    /** Delays attempts. */
    readonly setDelay: (delay: Duration.DurationInput) => Effect.Effect<void>
    /** The lifetime of tokens that are issued from now on. */
    readonly setLifetime: (lifetime: Duration.DurationInput | "none") => Effect.Effect<void>
    /** Whether attempts from now on never complete. */
    readonly hang: (enabled: boolean) => Effect.Effect<void>
    /** What `TokenEndpoint.credentials` returns; `undefined` is `None`. */
    readonly setCredentials: (fingerprint: string | undefined) => Effect.Effect<void>
    /** What tokens from now on are bound to, as after a change of certificate. */
    readonly setBinding: (thumbprint: string | undefined) => Effect.Effect<void>
    /** Whether a key gets its last token again, with the remaining lifetime. */
    readonly returnSameToken: (enabled: boolean) => Effect.Effect<void>
  }
>() {}

/**
 * Every option has a default that suits most tests.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** `"none"` issues tokens of unknown lifetime. The default is 1 hour. */
  readonly lifetime?: Duration.DurationInput | "none" | undefined
  /** Tokens are this prefix and a number that counts from 1. The default is `token-`. */
  readonly tokenPrefix?: string | undefined
  readonly delay?: Duration.DurationInput | undefined
  /** Part of every key. */
  readonly identity?: Partial<TokenRequest.Identity> | undefined
  /** The key that the tokens are bound to. */
  readonly proofKey?: ProofKey | undefined
  /** The default token request. */
  readonly request?: TokenRequest.TokenRequest | undefined
  /** The retries of `request`. The default is none. */
  readonly retry?: Schedule.Schedule<unknown, TokenRequestError> | undefined
  /** The default is `OAuthError.isTransient`. */
  readonly retryWhile?: Predicate.Predicate<TokenRequestError> | undefined
}

const endpoint = "https://auth.test/token"

/**
 * A transient failure: 503.
 *
 * @since 0.1.0
 * @category errors
 */
export const unavailable: TokenEndpointError = new TokenEndpointError({
  reason: "Status",
  endpoint,
  status: 503,
  description: "no OAuth error in an empty body"
})

/**
 * A definite failure: 401 `invalid_client`.
 *
 * @since 0.1.0
 * @category errors
 */
export const invalidClient: TokenEndpointError = new TokenEndpointError({
  reason: "OAuth",
  endpoint,
  status: 401,
  error: "invalid_client",
  description: "invalid_client"
})

/**
 * Makes the endpoint and its control service.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<{
  readonly control: TestTokenEndpoint["Type"]
  readonly endpoint: TokenEndpoint["Type"]
}> =>
  Effect.sync(() => {
    const identity: TokenRequest.Identity = {
      endpoint,
      clientId: "test-client",
      authMethod: "client_secret_basic",
      ...options.identity
    }
    const tokenPrefix = options.tokenPrefix ?? "token-"
    const retry = Schedule.whileInput(options.retry ?? RetryPolicy.none, options.retryWhile ?? isTransient)

    let lifetime: Duration.DurationInput | "none" = options.lifetime ?? "1 hour"
    let delay = Duration.decode(options.delay ?? 0)
    let failure: TokenRequestError | undefined
    let hangs = false
    let returnsSame = false
    let credentials = Option.none<string>()
    let binding = options.identity?.binding ?? options.proofKey?.thumbprint
    let requests: Array<Attempt> = []
    const script: Array<TokenRequestError | TokenOptions> = []
    const issued: Array<AccessToken.AccessToken> = []
    const lastOf = new Map<string, AccessToken.AccessToken>()

    const issue = (key: string, told: TokenOptions | undefined, obtainedAt: DateTime.Utc): AccessToken.AccessToken => {
      const last = lastOf.get(key)
      if (returnsSame && told === undefined && last !== undefined && !AccessToken.isExpired(last, obtainedAt)) {
        return new AccessToken.AccessToken({ ...last, obtainedAt })
      }
      const expiresIn = told?.lifetime ?? lifetime
      const token = AccessToken.make({
        value: Redacted.make(told?.value ?? `${tokenPrefix}${issued.length + 1}`),
        tokenType: told?.tokenType,
        obtainedAt,
        proofKey: options.proofKey,
        expiresIn: expiresIn === "none" ? undefined : expiresIn,
        scope: told?.scope
      })
      issued.push(token)
      lastOf.set(key, token)
      return token
    }

    const answer = (
      request: TokenRequest.ResolvedTokenRequest,
      via: Attempt["via"],
      attempt: number
    ): Effect.Effect<AccessToken.AccessToken, TokenRequestError> =>
      Effect.flatMap(Clock.currentTimeMillis, (time) => {
        requests.push({ time, via, attempt, request })
        if (hangs) return Effect.never
        const told = script.shift() ?? failure
        const result = Effect.suspend(() =>
          isAuthorizationServerError(told)
            ? Effect.fail(told)
            : Effect.succeed(issue(Redacted.value(request.key), told, DateTime.unsafeMake(time)))
        )
        return Duration.toMillis(delay) > 0 ? Effect.delay(result, delay) : result
      })

    return {
      endpoint: TokenEndpoint.of({
        address: identity.endpoint,
        resolve: (request) =>
          TokenRequest.resolve({ ...identity, binding }, TokenRequest.merge(options.request ?? {}, request)),
        isCurrent: (request) => request.binding === binding,
        attempt: (request, attempt = 1) => answer(request, "attempt", attempt),
        request: (request) =>
          Effect.suspend(() => {
            let attempt = 0
            return Effect.retry(Effect.suspend(() => answer(request, "request", ++attempt)), retry)
          }),
        timeout: AuthenticatedPost.defaultTimeout,
        proofKey: options.proofKey,
        retry,
        credentials: Effect.sync(() => credentials)
      }),
      control: TestTokenEndpoint.of({
        requests: Effect.sync(() => requests.slice()),
        issued: Effect.sync(() => issued.slice()),
        resetRecords: Effect.sync(() => {
          requests = []
        }),
        failNext: (n, error = unavailable) =>
          Effect.sync(() => {
            for (let i = 0; i < n; i++) script.push(error)
          }),
        fail: (error) =>
          Effect.sync(() => {
            failure = error
          }),
        respondNext: (token) =>
          Effect.sync(() => {
            script.push(token)
          }),
        setDelay: (newDelay) =>
          Effect.sync(() => {
            delay = Duration.decode(newDelay)
          }),
        setLifetime: (newLifetime) =>
          Effect.sync(() => {
            lifetime = newLifetime
          }),
        hang: (enabled) =>
          Effect.sync(() => {
            hangs = enabled
          }),
        setCredentials: (fingerprint) =>
          Effect.sync(() => {
            credentials = Option.fromNullable(fingerprint)
          }),
        setBinding: (thumbprint) =>
          Effect.sync(() => {
            binding = thumbprint
          }),
        returnSameToken: (enabled) =>
          Effect.sync(() => {
            returnsSame = enabled
          })
      })
    }
  })

/**
 * The endpoint and its control service.
 *
 * @example
 * ```ts
 * import { TokenProvider, TokenStore } from "@effect-alf/core"
 * import { TestTokenEndpoint } from "@effect-alf/core/testing"
 * import { Effect, Layer } from "effect"
 *
 * const TestLayer = TokenProvider.layer().pipe(
 *   Layer.provide(TokenStore.layerMemory()),
 *   Layer.provideMerge(TestTokenEndpoint.layer({ lifetime: "5 minutes" }))
 * )
 *
 * const test = Effect.gen(function*() {
 *   const endpoint = yield* TestTokenEndpoint.TestTokenEndpoint
 *   yield* endpoint.failNext(1, TestTokenEndpoint.invalidClient)
 *   const provider = yield* TokenProvider.TokenProvider
 *   return yield* Effect.flip(provider.get())
 * }).pipe(Effect.provide(TestLayer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options | undefined): Layer.Layer<TestTokenEndpoint | TokenEndpoint> =>
  Layer.effectContext(
    Effect.map(
      make(options),
      ({ control, endpoint }) => Context.make(TestTokenEndpoint, control).pipe(Context.add(TokenEndpoint, endpoint))
    )
  )
