/**
 * What a provider knows of one key, as one value: the token, its renewal, and
 * what origins have said. Every event is a transition, and every call is one
 * decision. All functions are pure and take the time (epoch milliseconds) as an
 * argument. RULES.md has the table of transitions.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Tracer from "effect/Tracer"
import type { AccessToken } from "../AccessToken.js"
import type { TokenRequestError } from "../OAuthError.js"
import type { RenewalOutcome, RenewalReason } from "../OAuthMetrics.js"
import type { Token } from "../store/TokenBinding.js"
import type { HeldTokenStatus, StoreStatus, TokenStatus } from "../TokenStatus.js"
import * as Cooldown from "./Cooldown.js"
import * as HeldToken from "./HeldToken.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import type { WaitingCallers } from "./WaitingCallers.js"

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

/** A renewal in progress, for which callers wait. Only the fiber that runs it changes it. */
export interface Flight {
  readonly reason: RenewalReason
  readonly origin: string
  /**
   * The waiting callers. They get `undefined` if the renewal obtained nothing, and ask again if they still need a
   * token.
   */
  readonly callers: WaitingCallers<AccessToken | undefined, Cooldown.Failure>
  /** Opened when the store changes. */
  readonly changed: Effect.Latch
  span?: Tracer.Span | undefined
  links: number
  attempts: number
  /** What it waits for, in words, and since when (epoch milliseconds). */
  waitsFor?: { readonly what: string; readonly since: number }
  /** The result. */
  outcome?: RenewalOutcome
  /** The last attempt's error, while the attempt is retried. */
  lastError?: TokenRequestError
  failedAt?: number
  /** A cool-down answered instead of the endpoint, with the earlier error. */
  isAnswered?: boolean
}

/** A renewal that starts. */
export const makeFlight = (reason: RenewalReason, origin: string, callers: Flight["callers"]): Flight => ({
  reason,
  origin,
  callers,
  changed: Effect.unsafeMakeLatch(),
  links: 0,
  attempts: 0
})

/** No renewal is in progress, and none has failed since there was a token. */
export interface Idle {
  readonly _tag: "Idle"
  /** No background renewal starts before this time. */
  readonly notBefore: number
  readonly answer?: never
  readonly definite?: never
  readonly background?: never
}

/** The last renewal failed. */
export interface Failed {
  readonly _tag: "Failed"
  readonly error: Cooldown.Failure
  readonly at: number
  /** Answers later callers instead of the endpoint: the last failure for which callers waited. */
  readonly answer: Answer | undefined
  /** How many definite failures there were since the last token or change of credentials. */
  readonly definite: number
  /** How many background renewals failed since the last token. */
  readonly background: number
  readonly notBefore: number
}

/** A failure that answers for a time. */
export interface Answer {
  readonly error: Cooldown.Failure
  readonly from: number
  readonly until: number
  /** When to look for what ends it. */
  readonly lookAt: number
  /** The credentials that failed, if they can change: other credentials end it. */
  readonly credentials: Option.Option<string | Redacted.Redacted>
}

/** No renewal is in progress. */
export type Rest = Idle | Failed

/** A renewal is in progress. If it obtains nothing, the state before it returns. */
export interface Running {
  readonly _tag: "Running"
  readonly flight: Flight
  readonly before: Rest
}

/** The state of a key's renewal. */
export type RenewalState = Rest | Running

/** The state of a key. */
export interface KeyState {
  /** The token, if there is one. */
  readonly held: HeldToken.HeldToken | undefined
  /** The token is served without a check until this time: the one comparison of the hot path. */
  readonly quietUntil: number
  /** The token before this one. A store that missed a write still has it, and requests with it are in progress. */
  readonly replaced: Token | undefined
  readonly renewal: RenewalState
  readonly verdicts: OriginVerdicts.OriginVerdicts
}

/** A change of the state. */
export type Transition = (state: KeyState) => KeyState

/** The state of an unknown key. */
export const initial: KeyState = {
  held: undefined,
  quietUntil: -Infinity,
  replaced: undefined,
  renewal: { _tag: "Idle", notBefore: 0 },
  verdicts: OriginVerdicts.none
}

/** Holds the state of a key: only a transition changes it. */
export class Cell {
  #state = initial

  get state(): KeyState {
    return this.#state
  }

  apply(transition: Transition): void {
    this.#state = transition(this.#state)
  }
}

// -----------------------------------------------------------------------------
// transitions of the token
// -----------------------------------------------------------------------------

/** What a transition to another token needs. */
export interface Taking {
  /** Whether other processes write to the store. */
  readonly isShared: boolean
  /** When a token of unknown lifetime is renewed (ms). */
  readonly defaultLifetime: number
}

/** The renewal in progress obtained a token, from the endpoint or the store. */
export const obtained = (token: HeldToken.HeldToken, taking: Taking, now: number): Transition => (state) =>
  found(token, taking, now)({ ...state, renewal: restOf(state) })

/** Another process stored a token. A renewal in progress continues. */
export const found = (token: HeldToken.HeldToken, taking: Taking, now: number): Transition => (state) =>
  withRest(taken(state, token, taking), { _tag: "Idle", notBefore: notBeforeWith(state, token, taking, now) })

/**
 * An origin accepted or rejected a token, or a renewal for it ended. A token
 * that any origin rejects is no longer served without a check.
 */
export const heard = (verdict: OriginVerdicts.Transition): Transition => (state) => {
  const verdicts = verdict(state.verdicts)
  if (verdicts === state.verdicts) return state
  const { held } = state
  const after = { ...state, verdicts }
  return held === undefined ? after : holding(after, held)
}

/** The provider is closed: the token and the verdicts are dropped. */
export const closed: Transition = ({ renewal }) => ({ ...initial, renewal })

// -----------------------------------------------------------------------------
// transitions of the renewal
// -----------------------------------------------------------------------------

/** What a transition to a failure needs. */
export interface Failing {
  readonly error: Cooldown.Failure
  readonly reason: RenewalReason
  /** When the endpoint responded. */
  readonly at: number
  /** How long a transient failure answers (ms). */
  readonly cooldown: number
}

/** A renewal starts. If a failure answers, the renewal looks for what ends it. */
export const started = (flight: Flight, cooldown: number, now: number): Transition => (state) => {
  const before = restOf(state)
  const looked = before.answer !== undefined && isInForce(before.answer, now)
    ? { ...before, answer: { ...before.answer, lookAt: now + cooldown } }
    : before
  return { ...state, renewal: { _tag: "Running", flight, before: looked } }
}

/** The renewal in progress ended without a result, unless another transition set one. */
export const ended = (flight: Flight): Transition => (state) =>
  flightOf(state) === flight ? { ...state, renewal: restOf(state) } : state

/** Another process renews, and nobody here waits: look again after `again` milliseconds. */
export const busyElsewhere = (again: number, now: number): Transition => (state) => ({
  ...state,
  renewal: { ...restOf(state), notBefore: now + again }
})

/** A renewal for which callers waited failed: its error answers later callers too. */
export const failedWaiting = (failing: Failing, now: number): Transition => (state) => {
  const { at, cooldown, error } = failing
  const failed = failureAfter(state, failing, now)
  const isPassing = Cooldown.isPassing(error)
  const until = isPassing
    ? Math.max(now + cooldown, at + Cooldown.waitAfter(error, cooldown))
    : now + Cooldown.definiteWait(failed.definite, cooldown)
  return {
    ...state,
    renewal: {
      ...failed,
      definite: failed.definite + (isPassing ? 0 : 1),
      answer: { error, from: now, until, lookAt: now + cooldown, credentials: Option.none() }
    }
  }
}

/** A background renewal failed, or one met a bug: this answers nobody else. */
export const failed = (failing: Failing, now: number): Transition => (state) => ({
  ...state,
  renewal: failureAfter(state, failing, now)
})

/** The credentials for which the failure that answers since `from` occurred. */
export const failedWith = (credentials: Answer["credentials"], from: number): Transition => (state) => {
  const rest = restOf(state)
  return rest.answer !== undefined && rest.answer.from === from
    ? withRest(state, { ...rest, answer: { ...rest.answer, credentials } })
    : state
}

/** The credentials were read again: if they differ from those that failed, the failure no longer answers. */
export const credentialsRead = (credentials: Answer["credentials"]): Transition => (state) => {
  const rest = restOf(state)
  if (rest.answer === undefined) return state
  const failed = rest.answer.credentials
  return Option.isNone(failed) || Option.isNone(credentials) || Equal.equals(credentials, failed)
    ? state
    : withRest(state, { ...rest, answer: undefined, definite: 0 })
}

// -----------------------------------------------------------------------------
// questions
// -----------------------------------------------------------------------------

/** The renewal in progress. */
export const flightOf = ({ renewal }: KeyState): Flight | undefined =>
  renewal._tag === "Running" ? renewal.flight : undefined

/** The failure that answers instead of the endpoint, also while a renewal looks for what ends it. */
export const answering = (state: KeyState, now: number): Cooldown.Failure | undefined => {
  const { answer } = restOf(state)
  return isInForce(answer, now) ? answer.error : undefined
}

/** Whether changed credentials would end the answer. */
export const mayChange = (state: KeyState): boolean => {
  const { answer } = restOf(state)
  return answer !== undefined && Option.isSome(answer.credentials)
}

/** Whether this origin, or any, has rejected the token. */
export const isRejected = (
  { verdicts }: KeyState,
  held: HeldToken.HeldToken,
  origin?: string
): boolean => verdicts.rejections.length > 0 && OriginVerdicts.has(verdicts, HeldToken.identity(held), origin)

/** A stored token is worth adopting if it is fresh, no origin rejected it, and this process did not replace it. */
export const isWorthTaking = (
  state: KeyState,
  candidate: HeldToken.HeldToken,
  reason: RenewalReason,
  now: number
): boolean => {
  const { replaced } = state
  const isFresh = now < (reason === "background" ? candidate.refreshAt : candidate.freshUntil)
  return isFresh && !Equal.equals(replaced?.value, candidate.value) && !isRejected(state, candidate)
}

/** A stored token is news if a token is held, or if it would end a failure that answers. */
export const isNews = (state: KeyState, now: number): boolean =>
  state.held !== undefined || answering(state, now) !== undefined

/** What is known of a token while it is held or was just replaced. */
export const known = ({ held, replaced }: KeyState, token: AccessToken): Token | undefined => {
  if (HeldToken.is(held, token)) return held
  return Equal.equals(replaced?.value, token.value) ? replaced : undefined
}

/** The status of the key, for a health endpoint. */
export const status = (state: KeyState, store: StoreStatus, now: number): TokenStatus => {
  const rest = restOf(state)
  return {
    token: HeldToken.isAlive(state.held, now)
      ? Option.some(describe(state.held, isRejected(state, state.held), now))
      : Option.none(),
    isRenewing: state.renewal._tag === "Running",
    lastError: rest._tag === "Failed"
      ? Option.some({ error: rest.error, failedAt: DateTime.unsafeMake(rest.at) })
      : Option.none(),
    store
  }
}

const describe = ({ isOwn, token }: HeldToken.HeldToken, isRejected: boolean, now: number): HeldTokenStatus => ({
  obtainedAt: token.obtainedAt,
  age: Duration.millis(Math.max(0, now - token.obtainedAt.epochMillis)),
  expiresAt: token.expiresAt,
  expiresIn: Option.map(token.expiresAt, ({ epochMillis }) => Duration.millis(epochMillis - now)),
  scope: token.scope,
  source: isOwn ? "issued" : "adopted",
  isRejected
})

// -----------------------------------------------------------------------------
// the decision
// -----------------------------------------------------------------------------

/** A call that needs a token. */
export interface Call {
  readonly origin: string
  /** The token that the origin rejected. */
  readonly rejected?: AccessToken | undefined
  /** Whether another process may have stored a token that ends a failure. */
  readonly isShared: boolean
}

/** What a call does if only a renewal helps. */
export type RenewalDecision =
  | { readonly _tag: "Join"; readonly flight: Flight }
  | { readonly _tag: "Start"; readonly reason: RenewalReason }
  /** The failure answers instead of the endpoint. */
  | { readonly _tag: "Answer"; readonly error: Cooldown.Failure }

/** What a call does. */
type Decision =
  | RenewalDecision
  /**
   * `use` says how the token was obtained, unless it was simply in memory; `isRenewed`, whether a background renewal
   * starts.
   */
  | {
    readonly _tag: "Serve"
    readonly held: HeldToken.HeldToken
    readonly use: "stale" | "renewed_ahead" | undefined
    readonly isRenewed: boolean
  }
  /** No other token is worth a request: the call gets the rejected one. */
  | { readonly _tag: "Keep"; readonly token: AccessToken }

/** What a call does, given the state of its key. */
export const decide = (state: KeyState, call: Call, now: number): Decision => {
  const { held } = state
  // An expired token is renewed, whatever the origin says of it
  if (!HeldToken.isAlive(held, now)) return decideRenewal(state, "expiry", call, now)
  const isRefused = isRejected(state, held, call.origin)
  const rejected = call.rejected ?? (isRefused ? held.token : undefined)
  if (rejected === undefined) return decideServing(state, held, call, now)
  if (!isRefused && !HeldToken.is(held, rejected)) return { _tag: "Serve", held, use: undefined, isRenewed: false }
  // A renewal in progress for this origin costs no further token request
  const isJoined = flightOf(state)?.origin === call.origin
  if (isJoined || OriginVerdicts.mayRenew(state.verdicts, call.origin, now)) {
    return decideRenewal(state, "rejection", call, now)
  }
  const rest = restOf(state)
  return rest._tag === "Failed" ? { _tag: "Answer", error: rest.error } : { _tag: "Keep", token: rejected }
}

/**
 * If the endpoint is known to fail or to return the same token, waiting gains
 * nothing while the token is valid. Nor does a caller wait for a renewal that
 * started in time.
 */
const decideServing = (state: KeyState, held: HeldToken.HeldToken, call: Call, now: number): Decision => {
  const { background = 0, notBefore } = restOf(state)
  const isStale = background > 0
  const isEarly = now < notBefore
  const flight = flightOf(state)
  const isInTime = flight !== undefined && flight.reason !== "expiry"
  if (now >= held.freshUntil && !isStale && !isEarly && !isInTime) return decideRenewal(state, "expiry", call, now)
  const isRenewed = now >= held.refreshAt && !isEarly && flight === undefined && answering(state, now) === undefined
  return { _tag: "Serve", held, use: isStale ? "stale" : isRenewed ? "renewed_ahead" : undefined, isRenewed }
}

/** What a call does if only a renewal helps, given the state of its key. */
export const decideRenewal = (
  state: KeyState,
  reason: RenewalReason,
  { isShared }: Pick<Call, "isShared">,
  now: number
): RenewalDecision => {
  const flight = flightOf(state)
  if (flight !== undefined) return { _tag: "Join", flight }
  const { answer } = restOf(state)
  const answers = isInForce(answer, now) && (now < answer.lookAt || !(isShared || Option.isSome(answer.credentials)))
  return answers ? { _tag: "Answer", error: answer.error } : { _tag: "Start", reason }
}

// -----------------------------------------------------------------------------
// parts of these
// -----------------------------------------------------------------------------

/** Background attempts are spaced by the cool-down, doubled each time up to this factor. */
const maxBackgroundFactor = 16

const restOf = ({ renewal }: KeyState): Rest => renewal._tag === "Running" ? renewal.before : renewal

/** Changes the state to which a renewal in progress returns. */
const withRest = (state: KeyState, rest: Rest): KeyState => ({
  ...state,
  renewal: state.renewal._tag === "Running" ? { ...state.renewal, before: rest } : rest
})

/** A clock that was set back must not prolong it. */
const isInForce = (answer: Answer | undefined, now: number): answer is Answer =>
  answer !== undefined && now >= answer.from && now < answer.until

/** The one place that sets until when a token needs no check. */
const holding = (state: KeyState, held: HeldToken.HeldToken): KeyState => ({
  ...state,
  held,
  quietUntil: isRejected(state, held) ? -Infinity : held.refreshAt
})

/** The same token from another source keeps its origin: issued here or adopted. */
const taken = (state: KeyState, token: HeldToken.HeldToken, { isShared }: Taking): KeyState => {
  const { held } = state
  if (held === undefined) return holding(state, token)
  if (HeldToken.is(held, token.token)) return holding(state, held.isOwn ? { ...token, isOwn: true } : token)
  // A store of this process misses no write, and an app may have very many keys in it
  return { ...holding(state, token), replaced: isShared ? HeldToken.replaced(held) : undefined }
}

/** An endpoint that returned the same token would return it again if asked at once. */
const notBeforeWith = (state: KeyState, token: HeldToken.HeldToken, taking: Taking, now: number): number => {
  const { held } = state
  if (!token.isOwn || !HeldToken.is(held, token.token)) return 0
  const { expiresAt, freshUntil } = token
  const end = now < freshUntil ? freshUntil : Math.min(expiresAt, now + taking.defaultLifetime)
  return now + Math.max(0, end - now) / 2
}

/** Background attempts become rarer. A token in use serves on while it cannot be renewed. */
const failureAfter = (state: KeyState, { at, cooldown, error, reason }: Failing, now: number): Failed => {
  const failed = { answer: undefined, definite: 0, background: 0, ...restOf(state), _tag: "Failed" as const, error, at }
  const isBackground = reason === "background" || (reason === "expiry" && HeldToken.isAlive(state.held, now))
  if (!isBackground) return failed
  const factor = Math.min(maxBackgroundFactor, 2 ** failed.background)
  return {
    ...failed,
    background: failed.background + 1,
    notBefore: now + Cooldown.waitAfter(error, factor * cooldown)
  }
}
