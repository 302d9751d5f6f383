/**
 * Refresh tokens that take each other's place (RFC 9700 §4.14.2): one that was
 * used is never used again, for a server that finds it so may end them all. So
 * here the store is no cache: it knows the newest token, and without its lease
 * none is sent. A token's successor is stored before the access token that came
 * with it is used.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
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
import * as StoredToken from "./StoredToken.js"

type Failure = TokenRequestError | TokenProviderError

/**
 * The first of the refresh tokens that take each other's place, and what keeps
 * them: a grant brings both, so that an app without refresh tokens ships nothing
 * of it.
 */
export interface Start extends Grant.RefreshTokens {
  readonly attempt: (need: Need, options: Options) => Effect.Effect<AccessToken.AccessToken, Failure>
}

/**
 * Asks for tokens with the newest refresh token of those that begin with the
 * same one.
 */
export interface RefreshTokens {
  /** One attempt. What another process has stored when its turn has come makes it unnecessary. */
  readonly attempt: (initial: Redacted.Redacted, need: Need) => Effect.Effect<AccessToken.AccessToken, Failure>
  /** Tries once more to store what could not be stored yet. */
  readonly flush: Effect.Effect<void>
}

/** What an attempt is for. */
export interface Need {
  /** Under which the access token is kept. */
  readonly key: string
  readonly sharesTokens: boolean
  readonly isAdoptable: (token: AccessToken.AccessToken) => boolean
  /** Until when it waits for its turn (epoch milliseconds). */
  readonly deadline: number
  readonly request: ResolvedTokenRequest
  /** Counts from 1 within a renewal. */
  readonly attempt: number
}

/** What the refreshes are made with. */
export interface Options {
  /** Who is asked. */
  readonly endpoint: {
    readonly address: string
    readonly attempt: (
      request: ResolvedTokenRequest,
      attempt: number
    ) => Effect.Effect<AccessToken.AccessToken, TokenRequestError>
    /** Within this time an attempt comes to its end. */
    readonly timeout: Duration.Duration
    readonly proofKey: ProofKey | undefined
  }
  /** Without one there are no refreshes. */
  readonly store: TokenStore["Type"] | undefined
  /** How long one call of the store may take. */
  readonly storeTimeout: Duration.Duration
  readonly maxWait: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly defaultLifetime: Duration.Duration
  readonly update: OAuthMetrics.Update
  /** As long as it is open, what could not be stored is tried again. */
  readonly scope: Scope.Scope
}

/** Where the newest of the refresh tokens that begin with this one is kept. */
export const storeKey = (initial: Redacted.Redacted): string => `${fingerprint(Redacted.value(initial))}#refresh`

/** How long an attempt may take, beyond what the endpoint says of itself, as for discovery. */
const attemptMargin = Duration.seconds(1)
/**
 * By how much the lease outlasts an attempt: a store that is away for so long as the answer comes in, as in a failover,
 * takes the new token before another process sends the old one again. When a process dies instead, the lease must end
 * within the grace period of the server, which is 30 seconds at many.
 */
const storeMargin = Duration.seconds(15)
/** A lease is not spent on an attempt when so much of it was lost on the way, as in a process that stood still (ms). */
const maxDelay = 2_000
/** Who waits for its turn looks this often (ms). */
const pollInterval = { min: 100, max: 300 }
/** As long as a caller bears it, so often a write is tried again; and then once a second, until the store takes it. */
const writeRetries = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(4))
const lateRetries = Schedule.spaced("1 second")
/** Far more than an app has, as one for each of its users. */
const capacity = 10_000

/** A refresh token as its entry holds it. */
interface Known {
  /** Counts from the initial token, so that it can be told which one is newer. */
  readonly generation: number
  readonly token: Redacted.Redacted
  /** The version of its entry, however often that must be written. */
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
  "A refresh token that was used or has ended does not come back: obtain a new one, and begin with it in " +
  "another RefreshTokenGrant"

const kept = new WeakMap<Options, RefreshTokens>()

/** The refresh tokens of a provider, which is known by its options. */
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
  const { store } = options
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

/** The refresh tokens that begin with the same one. */
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
  /** What the last attempt brought, be it with an access token that is of no use. */
  let answered: Redacted.Redacted | undefined
  /** It was sent, and no answer came. */
  let doubtful: Known | undefined
  /** The owner of the lease that is kept while the newest token is not in the store yet. */
  let keeper: string | undefined
  /** What came with it and was not given to anyone. */
  let unclaimed: { readonly key: string; readonly token: AccessToken.AccessToken } | undefined
  /** Whether somebody here has the turn: a store may grant every lease. */
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
        // Whatever it is, it may be the newest token
        onNone: () => unusable(`entry ${key} of the token store holds none that this version can read`),
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

  /** Takes the newest token from the store, or gives back to the store what it has lost. */
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
      // Before the rest of the answer is read, and perhaps refused
      onRefreshToken: (successor) => {
        answered = successor
      }
    }
    return Effect.timeoutFail(endpoint.attempt({ ...request, grant }, attempt), {
      duration: attemptLimit,
      onTimeout: () => fail(`the endpoint has not answered within ${Duration.format(attemptLimit)}`)
    })
  }

  /** Sends the newest token, and once more where that can help. */
  const spend = (need: Need, owner: string) => {
    const sent = newest
    const again = (error: Failure) =>
      extend(owner).pipe(
        Effect.mapError(() => error),
        Effect.flatMap(() => send(need, newest))
      )
    return send(need, sent).pipe(
      Effect.catchIf((error) => isUnknown(error) && doubtful !== sent, (error) => {
        // The server may have taken it: if at all, it bears a repetition for a short time
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

  /** Until the newest token is in the store, the lease is kept from those who would send its predecessor again. */
  const persist = (owner: string) => Effect.zipRight(Effect.ignore(acquire(owner)), settle)

  const persistLate = Effect.suspend(() => {
    if (keeper === undefined) return Effect.void
    if (isBusy) return fail("another attempt is at it")
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

  /** The access token that was stored while this process waited, or left the store alone. */
  const adopt = Effect.fnUntraced(function*({ isAdoptable, key, sharesTokens }: Need) {
    if (!sharesTokens) return Option.none()
    const readAt = yield* Clock.currentTimeMillis
    const found = yield* call("get", () => store.get(key))
    return Option.filter(
      Option.flatMap(
        found,
        (entry) => StoredToken.decode(entry, { readAt, defaultLifetime, proofKey: endpoint.proofKey })
      ),
      isAdoptable
    )
  })

  /** With the lease in hand, which was taken at this time. */
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
            // When it fails, it may have been granted all the same
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
          const pause = yield* Random.nextRange(pollInterval.min, pollInterval.max)
          // Whole milliseconds: a fraction of one may be too small to move the clock
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

/** To its end whatever becomes of those who wait for it: half done, it would lose the token. Its parts have time limits. */
const wholly = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptible(Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), Fiber.join))

/** Nobody knows what the server has done. */
const isUnknown = (error: Failure): boolean =>
  error._tag === "TokenEndpointError" && (error.reason === "Transport" || error.reason === "Timeout")

const isInvalidGrant = (error: Failure): error is TokenEndpointError =>
  error._tag === "TokenEndpointError" && error.error === "invalid_grant"
