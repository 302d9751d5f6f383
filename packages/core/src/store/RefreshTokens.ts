/**
 * Rotating refresh tokens (RFC 9700 §4.14.2): a used token is never used again,
 * as a server that detects reuse may revoke them all. So the store is no cache
 * here: it has the newest token, and without its lease none is sent. The next
 * refresh token is stored before the access token that came with it is used.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as AccessToken from "../AccessToken.js"
import { fingerprint } from "../disclosure/Fingerprint.js"
import type { ProofKey } from "../DPoP.js"
import { AccessTokenValue } from "../endpoint/TokenResponse.js"
import type * as Grant from "../Grant.js"
import { TokenEndpointError, TokenProviderError, type TokenRequestError } from "../OAuthError.js"
import type * as OAuthMetrics from "../OAuthMetrics.js"
import type { ResolvedTokenRequest } from "../TokenRequest.js"
import type { TokenStore } from "../TokenStore.js"
import * as BoundedStore from "./BoundedStore.js"
import { randomName } from "./SharedTokens.js"
import * as Sharing from "./Sharing.js"
import * as StoredToken from "./StoredToken.js"

type Failure = TokenRequestError | TokenProviderError

/**
 * The first refresh token of a rotation, and what keeps the tokens: a grant
 * brings both, so that an app without refresh tokens does not bundle this code.
 */
export interface Start extends Grant.RefreshTokens {
  readonly attempt: (need: Need, options: Options) => Effect.Effect<AccessToken.AccessToken, Failure>
}

/** Requests tokens with the newest refresh token of a rotation. */
export interface RefreshTokens {
  /** Makes one attempt, unless another process stored a token before its turn. */
  readonly attempt: (initial: Redacted.Redacted, need: Need) => Effect.Effect<AccessToken.AccessToken, Failure>
  /** Stores once more what could not be stored yet. */
  readonly flush: Effect.Effect<void>
}

/** What an attempt is for. */
export interface Need {
  /** The key of the access token in the store. */
  readonly key: string
  readonly sharesTokens: boolean
  readonly isAdoptable: (token: AccessToken.AccessToken) => boolean
  /** Until when it waits for its turn (epoch milliseconds). */
  readonly deadline: number
  readonly request: ResolvedTokenRequest
  /** Counts from 1 within a renewal. */
  readonly attempt: number
}

/** Options of the refreshes. */
export interface Options {
  /** The token endpoint. */
  readonly endpoint: {
    readonly address: string
    readonly attempt: (
      request: ResolvedTokenRequest,
      attempt: number
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError>
    /** The time limit of an attempt. */
    readonly timeout: Duration.Duration
    readonly proofKey: ProofKey | undefined
  }
  /** Required for refreshes. */
  readonly store: TokenStore["Type"] | undefined
  /** The limit of one store call. */
  readonly storeTimeout: Duration.Duration
  readonly maxWait: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly defaultLifetime: Duration.Duration
  /** How many are remembered, beside those in use. */
  readonly capacity: number
  readonly update: OAuthMetrics.Update
  /** While it is open, storing is retried. */
  readonly scope: Scope.Scope
}

/** The key of the newest refresh token that began with this one. */
export const storeKey = (initial: Redacted.Redacted): string => `${fingerprint(Redacted.value(initial))}#refresh`

/** How long an attempt may take beyond the endpoint's own limit, for example for discovery. */
const attemptMargin = Duration.seconds(1)
/**
 * By how much the lease outlasts an attempt. If the store is down when the
 * response arrives, as in a failover, it gets the new token before another
 * process sends the old one again. If a process dies, the lease must expire
 * within the server's grace period, which is often 30 seconds.
 */
const storeMargin = Duration.seconds(15)
/** If this much of a lease was lost before the attempt, as in a paused process, the lease is not used (ms). */
const maxDelay = 2_000
/** Writes are retried this often while a caller waits; then once a second, until the store accepts. */
const writeRetries = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(4))
const lateRetries = Schedule.spaced("1 second")

/** A refresh token as its entry contains it. */
interface Known {
  /** Counts from the initial token, to tell which token is newer. */
  readonly generation: number
  readonly token: Redacted.Redacted
  /** The version of its entry, however often it is written. */
  readonly version: string
}

const Payload = Schema.parseJson(Schema.Struct({
  v: Schema.Literal(1),
  generation: Schema.Int.pipe(Schema.positive()),
  token: AccessTokenValue
}))

const encode = Schema.encodeSync(Payload)

const decode = Schema.decodeUnknownOption(Payload)

const advice =
  "A refresh token that was used, was revoked or has expired stays invalid: obtain a new one, and make another " +
  "RefreshTokenGrant with it"

const kept = new WeakMap<Options, RefreshTokens>()

/** The refresh tokens of a provider, identified by its options. */
export const of = (options: Options): Effect.Effect<RefreshTokens> =>
  Effect.suspend(() => {
    const known = kept.get(options)
    if (known !== undefined) return Effect.succeed(known)
    const made = make(options)
    kept.set(options, made)
    return Effect.as(Scope.addFinalizer(options.scope, made.flush), made)
  })

/** The refresh tokens of a store. */
export const make = (options: Options): RefreshTokens => {
  const { capacity, store } = options
  const makeCall = BoundedStore.makeCall(options.storeTimeout, options.update)
  // In the order of their last use
  const lineages = new Map<string, Lineage>()

  const lineageOf = (store: TokenStore["Type"], initial: Redacted.Redacted): Lineage => {
    const key = storeKey(initial)
    const lineage = lineages.get(key) ?? makeLineage(key, initial, store, { ...options, makeCall })
    lineages.delete(key)
    for (const [key, other] of lineages) {
      if (lineages.size < capacity) break
      if (other.isIdle()) lineages.delete(key)
    }
    lineages.set(key, lineage)
    return lineage
  }

  return {
    attempt: (initial, need) =>
      Effect.suspend(() =>
        store === undefined
          ? unusable("it is kept in the store, and TokenProvider.shareTokens is false")
          : lineageOf(store, initial).attempt(need)
      ),
    flush: Effect.suspend(() =>
      Effect.forEach(lineages.values(), ({ flush }) => flush, { concurrency: "unbounded", discard: true })
    )
  }
}

/** Without `retryAfter` no new attempt helps. */
const unusable = (description: string, retryAfter?: Duration.Duration) =>
  new TokenProviderError({ reason: "RefreshToken", description, retryAfter })

/** The refresh tokens that began with the same one. */
interface Lineage {
  readonly attempt: (need: Need) => Effect.Effect<AccessToken.AccessToken, Failure>
  readonly isIdle: () => boolean
  /** Stores what could not be stored yet. */
  readonly flush: Effect.Effect<void>
}

const makeLineage = (
  key: string,
  initial: Redacted.Redacted,
  store: TokenStore["Type"],
  options: Options & { readonly makeCall: ReturnType<typeof BoundedStore.makeCall> }
): Lineage => {
  const { defaultLifetime, endpoint, failureCooldown, makeCall, maxWait, scope } = options
  const attemptLimit = Duration.sum(endpoint.timeout, attemptMargin)
  const leaseDuration = Duration.sum(attemptLimit, storeMargin)

  /** The newest token that this process has seen. */
  let newest: Known = { generation: 0, token: initial, version: "" }
  /** The last attempt's refresh token, even if its access token is of no use. */
  let answered: Redacted.Redacted | undefined
  /** The token that was sent without a response. */
  let doubtful: Known | undefined
  /** The owner of the lease that is kept until the newest token is stored. */
  let keeper: string | undefined
  /** The access token that came with it, while no caller has it. */
  let unclaimed: { readonly key: string; readonly token: AccessToken.AccessToken } | undefined
  /** Whether this process has the turn: a store may grant every lease. */
  let isBusy = false
  let users = 0

  // ---------------------------------------------------------------------------
  // the store
  // ---------------------------------------------------------------------------

  const fail = (description: string) => unusable(description, failureCooldown)

  const call = <A>(...args: Parameters<typeof makeCall<A>>): Effect.Effect<A, TokenProviderError> =>
    Effect.mapError(makeCall(...args), ({ message }) => fail(message))

  const read = Effect.flatMap(
    call("get", () => store.get(key)),
    Effect.transposeMapOption(({ payload, version }) =>
      Option.match(decode(payload), {
        // An unreadable entry may contain the newest token
        onNone: () => unusable(`entry ${key} of the token store cannot be read by this version`),
        onSome: ({ generation, token }) => Effect.succeed({ generation, token: Redacted.make(token), version })
      })
    )
  )

  const write = ({ generation, token, version }: Known, replaces: Option.Option<string>) => {
    const payload = encode({ v: 1, generation, token: Redacted.value(token) })
    return Effect.filterOrFail(
      call("set", () => store.set(key, { version, payload, timeToLive: Duration.infinity }, replaces), [token]),
      (written) => written,
      () => fail(`another process has written entry ${key} of the token store`)
    )
  }

  /** Reads the newest token from the store, or restores what the store lost. */
  const settle = Effect.gen(function*() {
    const found = yield* read
    if (Option.isSome(found) && found.value.generation >= newest.generation) {
      if (found.value.version !== newest.version) newest = found.value
    } else if (newest.generation > 0) {
      yield* write(newest, Option.map(found, ({ version }) => version))
    }
  })

  const acquire = (owner: string) => call("acquireLease", () => store.acquireLease(key, owner, leaseDuration))

  const extend = (owner: string) =>
    Effect.filterOrFail(
      call("extendLease", () => store.extendLease(key, owner, leaseDuration)),
      (extended) => extended,
      () => fail("another process has the lease")
    )

  const release = (owner: string) => Effect.ignore(call("releaseLease", () => store.releaseLease(key, owner)))

  // ---------------------------------------------------------------------------
  // the endpoint
  // ---------------------------------------------------------------------------

  const send = ({ attempt, request }: Need, { token }: Known) => {
    const grant: Grant.Grant = {
      ...request.grant,
      params: (context) => Effect.map(request.grant.params(context), (params) => ({ ...params, refresh_token: token })),
      // Before the rest of the response is read, and perhaps refused
      onRefreshToken: (successor) => {
        answered = successor
      }
    }
    return Effect.timeoutFail(endpoint.attempt({ ...request, grant }, attempt), {
      duration: attemptLimit,
      onTimeout: () => fail(`the endpoint has not answered within ${Duration.format(attemptLimit)}`)
    })
  }

  /** Sends the newest token, once more if that can help. */
  const spend = (need: Need, owner: string) => {
    const sent = newest
    const again = (error: Failure) =>
      extend(owner).pipe(
        Effect.mapError(() => error),
        Effect.flatMap(() => send(need, newest))
      )
    return send(need, sent).pipe(
      Effect.catchIf((error) => isUnknown(error) && doubtful !== sent, (error) => {
        // The server may have received it: if it tolerates a repetition, then only for a short time
        doubtful = sent
        return again(error)
      }),
      Effect.catchIf(
        isInvalidGrant,
        (error) => Effect.flatMap(settle, () => newest === sent ? Effect.fail(error) : again(error))
      ),
      Effect.mapError((error) => isInvalidGrant(error) ? new TokenEndpointError({ ...error, advice }) : error)
    )
  }

  /** Keeps the lease until the newest token is stored, so that no process sends the previous one again. */
  const persist = (owner: string) => Effect.zipRight(Effect.ignore(acquire(owner)), settle)

  const persistLate = Effect.suspend(() => {
    if (keeper === undefined) return Effect.void
    if (isBusy) return fail("another attempt is using it")
    isBusy = true
    const owner = keeper
    return Effect.ensuring(Effect.zipRight(persist(owner), settled), Effect.suspend(() => endTurn(owner)))
  })

  const settled = Effect.sync(() => {
    keeper = undefined
  })

  const keep = (owner: string, replaces: Option.Option<string>) =>
    write(newest, replaces).pipe(
      Effect.orElse(() => Effect.retry(persist(owner), writeRetries)),
      Effect.zipRight(settled),
      Effect.tapError(() => Effect.forkIn(Effect.retry(persistLate, lateRetries), scope)),
      Effect.mapError(({ description }) => fail(`its successor is not in the token store yet. ${description}`))
    )

  /** The access token that was stored while this process waited or left the store alone. */
  const adopt = Effect.fnUntraced(function*({ isAdoptable, key, sharesTokens }: Need) {
    if (!sharesTokens) return Option.none()
    const readAt = yield* Clock.currentTimeMillis
    // Fleet rule 1: an unreadable one counts as none
    const found = yield* call(
      "get",
      () => Effect.catchIf(store.get(key), ({ reason }) => reason === "InvalidEntry", () => Effect.succeedNone)
    )
    return Option.filter(
      Option.flatMap(
        found,
        (entry) => StoredToken.decode(entry, { readAt, defaultLifetime, proofKey: endpoint.proofKey })
      ),
      isAdoptable
    )
  })

  /** Uses the lease, which was acquired at `takenAt`. */
  const useTurn = Effect.fnUntraced(function*(need: Need, owner: string, takenAt: number) {
    yield* Effect.zipRight(settle, settled)
    const stored = yield* adopt(need)
    if (Option.isSome(stored)) return stored.value
    const found = unclaimed
    unclaimed = undefined
    const now = yield* Clock.currentTimeMillis
    if (found?.key === need.key && !AccessToken.isExpired(found.token, DateTime.unsafeMake(now))) return found.token
    if (now - takenAt > maxDelay) yield* extend(owner)
    const version = yield* randomName
    answered = undefined
    const answer = yield* Effect.either(spend(need, owner))
    const token = Either.map(answer, AccessToken.withoutRefreshToken)
    const successor = Either.match(answer, { onLeft: () => answered, onRight: ({ refreshToken }) => refreshToken })
    const { generation, token: sent, version: replaced } = newest
    if (successor === undefined || Redacted.value(successor) === Redacted.value(sent)) return yield* token
    newest = { generation: generation + 1, token: successor, version }
    keeper = owner
    unclaimed = Option.getOrUndefined(Option.map(Either.getRight(token), (token) => ({ key: need.key, token })))
    yield* keep(owner, generation === 0 ? Option.none() : Option.some(replaced))
    unclaimed = undefined
    return yield* token
  })

  const endTurn = (owner: string) =>
    Effect.suspend(() => {
      isBusy = false
      return keeper === undefined ? release(owner) : Effect.void
    })

  const refresh = (need: Need) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        while (true) {
          const now = yield* Clock.currentTimeMillis
          if (!isBusy) {
            isBusy = true
            const owner = keeper ?? (yield* randomName)
            // If it fails, the lease may have been granted anyway
            const granted = yield* Effect.onError(acquire(owner), () => endTurn(owner))
            if (granted) return yield* Effect.ensuring(wholly(useTurn(need, owner, now)), endTurn(owner))
            isBusy = false
          }
          if (now >= need.deadline) {
            return yield* new TokenProviderError({
              reason: "MaxWait",
              waited: maxWait,
              description: `another renewal is sending the same refresh token to ${endpoint.address}`,
              retryAfter: failureCooldown
            })
          }
          const pause = yield* Sharing.pollInterval
          // Whole milliseconds: a fraction may be too small to advance the clock
          yield* restore(Effect.sleep(Math.ceil(Math.min(pause, need.deadline - now))))
        }
      })
    )

  return {
    isIdle: () => users === 0 && keeper === undefined,
    attempt: (need) =>
      Effect.suspend(() => {
        users++
        return Effect.ensuring(
          refresh(need),
          Effect.sync(() => {
            users--
          })
        )
      }),
    flush: Effect.ignore(persistLate)
  }
}

/**
 * Runs to its end even if its callers are interrupted: otherwise the token
 * would be lost. Its parts have time limits.
 */
const wholly = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptible(Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), Fiber.join))

/** It is unknown what the server did. */
const isUnknown = (error: Failure): boolean =>
  error._tag === "TokenEndpointError" && (error.reason === "Transport" || error.reason === "Timeout")

const isInvalidGrant = (error: Failure): error is TokenEndpointError =>
  error._tag === "TokenEndpointError" && error.error === "invalid_grant"
