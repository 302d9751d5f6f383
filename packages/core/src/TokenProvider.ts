/**
 * Decides when a token is reused, renewed, taken from the store or refused.
 * However many callers need a token, one token request is under way.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as FiberSet from "effect/FiberSet"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as AccessToken from "./AccessToken.js"
import * as LayerOptions from "./LayerOptions.js"
import { type InvalidOptions, TokenProviderError, type TokenRequestError } from "./OAuthError.js"
import * as OAuthMetrics from "./OAuthMetrics.js"
import * as Adoption from "./provider/Adoption.js"
import type { ClosingRevocation } from "./provider/ClosingRevocation.js"
import type * as Cooldown from "./provider/Cooldown.js"
import * as Flights from "./provider/Flights.js"
import * as HeldToken from "./provider/HeldToken.js"
import * as KeyState from "./provider/KeyState.js"
import * as OriginVerdicts from "./provider/OriginVerdicts.js"
import type * as OtherProcesses from "./provider/OtherProcesses.js"
import * as ProviderMemory from "./provider/ProviderMemory.js"
import * as RenewalLog from "./provider/RenewalLog.js"
import * as Reports from "./provider/Reports.js"
import * as TokenAttempts from "./provider/TokenAttempts.js"
import * as TokenCache from "./provider/TokenCache.js"
import * as Sharing from "./store/Sharing.js"
import { TokenEndpoint } from "./TokenEndpoint.js"
import type { TokenRequest } from "./TokenRequest.js"
import type { OnClose } from "./TokenRevocation.js"
import type * as TokenStatus from "./TokenStatus.js"
import { TokenStore } from "./TokenStore.js"

/**
 * Provides tokens to `AuthedHttpClient`, and to other clients such as gRPC or a
 * WebSocket.
 *
 * `origin` names the API that a token is sent to, so that one that rejects
 * valid tokens does not affect the others. Leave it out if there is one API.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenProvider extends Context.Tag("@effect-alf/core/TokenProvider")<
  TokenProvider,
  {
    /** The token in memory if it needs no renewal; if `undefined`, call `get`. */
    readonly peek: (request?: TokenRequest, origin?: string) => AccessToken.AccessToken | undefined
    /**
     * A token that can be sent now. It waits only if there is none. If the API has rejected the token and no other is
     * available, it returns the rejected one until it expires. `onUse` is called with the source of the token, for the
     * request's span, unless the token was in memory. It is called with `awaited` when a wait begins; the last call
     * counts.
     */
    readonly get: (
      request?: TokenRequest,
      origin?: string,
      onUse?: (use: TokenStatus.TokenUse) => void
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError | TokenProviderError>
    /** Another token in place of one that the API rejected with 401. It is the same token if no other is available. */
    readonly renew: (
      rejected: AccessToken.AccessToken,
      request?: TokenRequest,
      origin?: string
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError | TokenProviderError>
    /**
     * Reports whether the API accepted a token: after each call with a token from `renew`; for another token, when an
     * API accepts it for the first time, or for the first time after rejecting it.
     */
    readonly report: (
      token: AccessToken.AccessToken,
      outcome: "accepted" | "rejected",
      request?: TokenRequest,
      origin?: string
    ) => Effect.Effect<void>
  }
>() {}

/**
 * Options of a provider. The defaults suit most servers.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * How long before its expiry a token is renewed in the background: at most a fifth of its lifetime, and early
   * enough to finish before the leeway. The default is 5 minutes.
   */
  readonly refreshAhead?: Duration.DurationInput | undefined
  /**
   * How long before its expiry callers wait for a renewal first: at most a tenth of the lifetime. They do not wait if
   * the renewal started earlier. The default is 10 seconds.
   */
  readonly expiryLeeway?: Duration.DurationInput | undefined
  /** The lifetime after which a token is renewed if the server sent no `expires_in`. The default is 1 hour. */
  readonly defaultLifetime?: Duration.DurationInput | undefined
  /**
   * How long later callers get the error of a failed token request: this long after a transient failure; five times as
   * long after a definite one, doubling up to sixty times. The default is 1 second.
   */
  readonly failureCooldown?: Duration.DurationInput | undefined
  /**
   * How long a caller waits for a token. If it is longer than the `timeout` of the endpoint, the error names the
   * cause. The default is 10 seconds.
   */
  readonly maxWait?: Duration.DurationInput | undefined
  /** The time limit of one call of the store. The default is 500 milliseconds. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /**
   * The duration of the lease that a process needs to request a token. It is extended during the attempt. If the
   * process dies, the others wait until it expires. The default is 3 seconds.
   */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** `false` keeps tokens in this process and out of the store. */
  readonly shareTokens?: boolean | undefined
  /**
   * Revokes the tokens of this process when its layer closes (`TokenRevocation.onClose`), except those in a shared
   * store. By default tokens are left to expire.
   */
  readonly revocation?: OnClose | undefined
  /** How many different tokens are kept in memory, and how many refresh tokens. The default is 10,000. */
  readonly capacity?: number | undefined
}

/** The options that are durations: the check of each, and its default. */
const durations = {
  // Azure and Google renew at about this distance: it outlasts an outage that pages somebody
  refreshAhead: [LayerOptions.duration, Duration.minutes(5)],
  // Covers a slow request on its way to the resource
  expiryLeeway: [LayerOptions.duration, Duration.seconds(10)],
  defaultLifetime: [LayerOptions.positiveDuration, Duration.hours(1)],
  failureCooldown: [LayerOptions.duration, Duration.seconds(1)],
  // Outlasts one silent attempt, and the retries of RetryPolicy.standard while the endpoint answers; gateways wait longer
  maxWait: [LayerOptions.positiveDuration, Duration.seconds(10)],
  // A healthy Redis answers in a millisecond; half a second tolerates a pause of the server or of this process
  storeTimeout: [LayerOptions.positiveDuration, Duration.millis(500)],
  // Extended after each third, it outlasts a lost extension and a pause of the process; a caller can wait for three
  leaseDuration: [LayerOptions.positiveDuration, Duration.seconds(3)]
} as const

const defaultCapacity = 10_000

/** How many tokens `warm` requests at once. */
const warmConcurrency = 16

type Failure = Cooldown.Failure

type OnUse = (use: TokenStatus.TokenUse) => void

/** What a caller needs a token for, until when, and what is called with the token's source. */
interface Need extends KeyState.Call {
  /** Epoch milliseconds. */
  readonly deadline: number
  readonly onUse: OnUse
}

const settingsOf = (options: Options) =>
  LayerOptions.collect({
    ...Record.map(durations, ([check, byDefault], name) => check(`TokenProvider.${name}`, options[name] ?? byDefault)),
    capacity: LayerOptions.positiveInteger("TokenProvider.capacity", options.capacity ?? defaultCapacity)
  })

/**
 * Checks the options, and names all that are wrong. The layers do this
 * themselves.
 *
 * @since 0.1.0
 * @category checks
 */
export const check = (options: Options = {}): Effect.Effect<void, InvalidOptions> => settingsOf(options)

/**
 * Makes a provider. Its renewals end with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<
  TokenProvider["Type"],
  InvalidOptions,
  TokenEndpoint | TokenStore | Scope.Scope
> = Effect.fnUntraced(function*(options: Options = {}) {
  const settings = yield* settingsOf(options)
  const endpoint = yield* TokenEndpoint
  const store = yield* TokenStore
  // Once for this process, so that the processes of a fleet differ from each other
  const jitter = yield* Random.next

  const clock = yield* Effect.clock
  const now = () => clock.unsafeCurrentTimeMillis()
  const update = yield* OAuthMetrics.makeUpdate

  // Before the fibers, so that it ends after them
  const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
  const fork = yield* FiberSet.makeRuntime<never, void>()
  const parts = { ...settings, endpoint, jitter, scope, fork, now, update }
  const sharesTokens = options.shareTokens !== false
  const attempt = TokenAttempts.make({ ...parts, store: sharesTokens ? store : undefined })

  // Other processes cannot use a token that is bound to a key of this process
  const isShared = sharesTokens && endpoint.proofKey?.isShared !== false
  const sharing = Sharing.of(store)
  const fleet = isShared ? yield* sharing.join(store, parts) : Sharing.none
  const slots = TokenCache.make(endpoint, sharing, settings.capacity)
  const log = RenewalLog.make(parts)
  const acceptances = new OriginVerdicts.Acceptances()
  const kept = { ...parts, fleet, slots, log, acceptances }
  const adoption = Adoption.make(kept)
  const others = (fleet.others as OtherProcesses.Make | undefined)?.({ ...kept, adoption })
  const reports = Reports.make({ ...kept, others })
  const flights = Flights.make({ ...kept, attempt, adoption, others, reports })

  // Registered after the fibers, so it runs before they are interrupted: no caller waits for an interrupted flight
  yield* Effect.addFinalizer(() => {
    const revocation = others === undefined ? options.revocation as ClosingRevocation | undefined : undefined
    const revoked = revocation?.run(slots.all(), fleet, now())
    slots.close()
    flights.abandon(closedError())
    return revoked ?? Effect.void
  })

  /** `undefined` if the renewal obtained no token. */
  const follow = (
    slot: TokenCache.Slot,
    decision: KeyState.RenewalDecision,
    { deadline, onUse, origin }: Need
  ): Effect.Effect<AccessToken.AccessToken | undefined, Failure> => {
    if (slots.isClosed()) return closedError()
    if (decision._tag === "Answer") return Effect.fail(decision.error)
    const flight = decision._tag === "Join" ? decision.flight : flights.launch(slot, decision.reason, origin)
    onUse("awaited")
    const joined = Effect.map(flights.join(flight, deadline), (token) => {
      if (flight.outcome === "adopted") onUse("adopted")
      return token
    })
    // A background flight makes one attempt only: a caller that needs a token starts another flight
    return flight.reason === "background"
      ? Effect.catchTag(joined, "TokenEndpointError", "DiscoveryError", () => Effect.succeed(undefined))
      : joined
  }

  const need = (slot: TokenCache.Slot, call: Need): Effect.Effect<AccessToken.AccessToken, Failure> =>
    Effect.flatMap(
      follow(slot, KeyState.decideRenewal(slot.state, "expiry", call, now()), call),
      (token) => token === undefined ? need(slot, call) : Effect.succeed(token)
    )

  /** Hands out a token inside its refresh window. */
  const serve = ({ expiresAt, token }: HeldToken.HeldToken, use: TokenStatus.TokenUse | undefined, { onUse }: Need) => {
    Adoption.measure(update, expiresAt - now())
    if (use === "stale") update(OAuthMetrics.staleServes, 1)
    if (use !== undefined) onUse(use)
    return Effect.succeed(token)
  }

  /** The token that has not expired; a closed provider has none. */
  const alive = ({ state: { held } }: TokenCache.Slot) =>
    HeldToken.isAlive(held, now()) && !slots.isClosed() ? held : undefined

  const acquire = (slot: TokenCache.Slot, call: Need): Effect.Effect<AccessToken.AccessToken, Failure> => {
    const { deadline, origin } = call
    const decision = KeyState.decide(slot.state, call, now())
    if (decision._tag === "Serve") {
      if (decision.isRenewed) flights.launch(slot, "background", origin)
      return serve(decision.held, decision.use, call)
    }
    const held = alive(slot)
    if (held === undefined) return need(slot, call)
    if (KeyState.isRejected(slot.state, held, origin)) {
      // If no token is available that this origin accepts, the newest one that has not expired is used
      const another = Effect.catchAll(
        replace(slot, held.token, call),
        (failure) => {
          if (alive(slot) === undefined) return Effect.fail(failure)
          call.onUse("stale")
          return Effect.succeed(held.token)
        }
      )
      return Effect.map(another, (token) => token === held.token ? alive(slot)?.token ?? token : token)
    }
    const half = now() + (held.expiresAt - now()) / 2
    return Effect.catchAll(need(slot, { ...call, deadline: Math.min(deadline, half) }), (failure) => {
      const last = alive(slot)
      if (last !== undefined && !KeyState.isRejected(slot.state, last, origin)) return serve(last, "stale", call)
      // The wait has outlasted the old token, and the new one is under way
      return KeyState.flightOf(slot.state) === undefined ? Effect.fail(failure) : need(slot, call)
    })
  }

  /** Another token for an origin that rejected this one, if that is worth a request. */
  const replace = (
    slot: TokenCache.Slot,
    rejected: AccessToken.AccessToken,
    call: Need
  ): Effect.Effect<AccessToken.AccessToken, Failure> => {
    if (slots.isClosed()) return closedError()
    const { origin } = call
    const decision = KeyState.decide(slot.state, { ...call, rejected }, now())
    if (decision._tag === "Serve") return Effect.succeed(decision.held.token)
    if (decision._tag === "Keep") return Effect.succeed(decision.token)
    return Effect.flatMap(follow(slot, decision, call), (token) => {
      if (token === undefined) return replace(slot, rejected, call)
      const { verdicts } = slot.state
      if (!OriginVerdicts.has(verdicts, HeldToken.identity(token), origin)) return Effect.succeed(token)
      reports.heard(slot, origin, OriginVerdicts.unchanged(origin, now()))
      return Effect.succeed(rejected)
    })
  }

  const waiting = (origin: string, onUse: OnUse = constVoid): Need => ({
    origin,
    onUse,
    isShared: fleet.isShared,
    deadline: now() + Duration.toMillis(settings.maxWait)
  })

  return TokenProvider.of({
    ...ProviderMemory.make(kept),
    peek: (request) => {
      const { held, quietUntil } = slots.of(request).state
      return held !== undefined && now() < quietUntil ? held.token : undefined
    },
    get: (request, origin = OriginVerdicts.anyOrigin, onUse) =>
      Effect.suspend(() => {
        const slot = slots.of(request)
        const { held, quietUntil } = slot.state
        return held !== undefined && now() < quietUntil
          ? Effect.succeed(held.token)
          : Effect.mapError(acquire(slot, waiting(origin, onUse)), (failure) => {
            update(OAuthMetrics.tokenFailures("failed", failure), 1)
            return failure
          })
      }),
    renew: (rejected, request, origin = OriginVerdicts.anyOrigin) =>
      Effect.suspend(() => {
        const slot = slots.of(request)
        reports.doubted(slot, rejected, origin)
        return replace(slot, rejected, waiting(origin))
      }),
    report: (token, outcome, request, origin = OriginVerdicts.anyOrigin) =>
      Effect.sync(() => {
        const slot = slots.of(request)
        reports[outcome](slot, token, origin)
      })
  })
})

/**
 * The state of a token, from memory: nothing is requested. Use it for a health
 * endpoint. A provider that you made yourself has no state.
 *
 * @since 0.1.0
 * @category accessors
 */
export const status = (
  provider: TokenProvider["Type"],
  request?: TokenRequest | undefined
): Effect.Effect<TokenStatus.TokenStatus> =>
  Effect.sync(() => {
    const memory = ProviderMemory.of(provider)
    if (memory === undefined) return KeyState.status(KeyState.initial, "unused", 0)
    const { fleet, now, slots } = memory
    const store = fleet === Sharing.none ? "unused" : fleet.isFailing() ? "failing" : "working"
    return KeyState.status(slots.peek(request)?.state ?? KeyState.initial, store, now())
  })

/**
 * The provider as a layer. It is a function, not a constant: layers are
 * memoized by reference, and two providers must not share one memory by
 * accident.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<TokenProvider, InvalidOptions, TokenEndpoint | TokenStore> => Layer.scoped(TokenProvider, make(options))

/**
 * A provider for an app's tests, with the token `test-token`, which never
 * expires. It requests nothing.
 *
 * @since 0.1.0
 * @category testing
 */
export const layerTest: Layer.Layer<TokenProvider> = Layer.effect(
  TokenProvider,
  Effect.map(DateTime.now, (obtainedAt) => {
    const token = AccessToken.make({ value: Redacted.make("test-token"), obtainedAt })
    return TokenProvider.of({
      peek: () => token,
      get: () => Effect.succeed(token),
      renew: () => Effect.succeed(token),
      report: () => Effect.void
    })
  })
)

/**
 * The options that a configuration can hold.
 *
 * @since 0.1.0
 * @category options
 */
export type ConfigurableOptions = Omit<Options, "revocation">

/**
 * Reads the options from a `Config`. Give other options beside it.
 *
 * @example
 * ```ts
 * import { TokenProvider } from "@effect-alf/core"
 * import { Config } from "effect"
 *
 * const layer = TokenProvider.layerConfig({ maxWait: Config.duration("TOKEN_MAX_WAIT") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<ConfigurableOptions>,
  options?: Options | undefined
): Layer.Layer<TokenProvider, InvalidOptions | ConfigError.ConfigError, TokenEndpoint | TokenStore> =>
  LayerOptions.make(config, (configured: ConfigurableOptions) => layer({ ...options, ...configured }))

/**
 * Options of `warm`.
 *
 * @since 0.1.0
 * @category options
 */
export interface WarmOptions {
  /** The token requests. The default is the one of calls without options. */
  readonly requests?: ReadonlyArray<TokenRequest> | undefined
  /**
   * What happens if a token cannot be requested: `"fail"` fails with the error, so that the app does not start; `"log"`
   * continues, since the provider logs the error, and the first call tries again. The default is `"fail"`.
   */
  readonly onFailure?: "fail" | "log" | undefined
}

/**
 * Requests tokens before the first call needs them, at the start of an app or
 * before a peak. Each takes at most `maxWait`; 16 are requested at once.
 *
 * @example
 * ```ts
 * import { TokenProvider } from "@effect-alf/core"
 *
 * const ready = TokenProvider.warm({ requests: [{ scope: "orders:read" }, { scope: "orders:write" }] })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export function warm(
  options: WarmOptions & { readonly onFailure: "log" }
): Effect.Effect<void, never, TokenProvider>
export function warm(
  options?: WarmOptions
): Effect.Effect<void, TokenRequestError | TokenProviderError, TokenProvider>
export function warm({ onFailure, requests }: WarmOptions = {}) {
  return Effect.flatMap(
    TokenProvider,
    (provider) =>
      Effect.forEach(requests ?? [undefined], (request) =>
        onFailure === "log"
          ? Effect.ignore(provider.get(request))
          : provider.get(request), { concurrency: warmConcurrency, discard: true })
  )
}

/**
 * Runs `warm` when the layers are built. Merge it with the provider, so that
 * what needs the provider waits for it.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Layer, Redacted } from "effect"
 *
 * const Alf = TokenProvider.layerWarm().pipe(
 *   Layer.provideMerge(AuthedHttpClient.layer({ baseUrl: "https://api.example.com" })),
 *   Layer.provide(TokenEndpoint.layer({
 *     tokenEndpoint: "https://auth.example.com/token",
 *     clientId: "client-id",
 *     clientSecret: Redacted.make("client-secret")
 *   })),
 *   Layer.provide(TokenStore.layerMemory()),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export function layerWarm(
  options: WarmOptions & { readonly onFailure: "log" }
): Layer.Layer<never, never, TokenProvider>
export function layerWarm(
  options?: WarmOptions
): Layer.Layer<never, TokenRequestError | TokenProviderError, TokenProvider>
export function layerWarm(options?: WarmOptions) {
  return Layer.effectDiscard(warm(options))
}

const closedError = () => new TokenProviderError({ reason: "Closed" })
