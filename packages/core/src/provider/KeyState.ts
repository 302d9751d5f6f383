/**
 * What a provider knows of one key, as one value: the token, how its renewal
 * stands, and what origins have said. Whatever happens to a key is a transition, and what a call
 * does about it is one decision. All of it is pure and takes the time (epoch
 * milliseconds) as an argument; the table is in RULES.md.
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

/** A renewal under way, which callers wait for. Who flies it writes it. */
export interface Flight {
  readonly reason: RenewalReason
  readonly origin: string
  /**
   * Those who wait for it. They are told `undefined` when it brought nothing,
   * and whoever still needs a token asks again.
   */
  readonly callers: WaitingCallers<AccessToken | undefined, Cooldown.Failure>
  /** Opened when the store has changed. */
  readonly changed: Effect.Latch
  span?: Tracer.Span | undefined
  links: number
  attempts: number
  /** What it waits for, in words, and since when (epoch milliseconds). */
  waitsFor?: { readonly what: string; readonly since: number }
  /** What it has come to. */
  outcome?: RenewalOutcome
  /** What the last attempt said, while it is made again. */
  lastError?: TokenRequestError
  failedAt?: number
  /** A cool-down answered for the endpoint: its failure is the old one, told again. */
  isAnswered: boolean
}

/** A renewal that has just begun. */
export const makeFlight = (reason: RenewalReason, origin: string, callers: Flight["callers"]): Flight => ({
  reason,
  origin,
  callers,
  changed: Effect.unsafeMakeLatch(),
  links: 0,
  attempts: 0,
  isAnswered: false
})

/** Nothing is under way, and nothing has failed since there was a token last. */
export interface Idle {
  readonly _tag: "Idle"
  /** Before this time no renewal is begun that nobody waits for. */
  readonly notBefore: number
  readonly answer?: never
  readonly definite?: never
  readonly background?: never
}

/** The last renewal has failed. */
export interface Failed {
  readonly _tag: "Failed"
  readonly error: Cooldown.Failure
  readonly at: number
  /** What answers the next callers in place of the endpoint: the last failure that callers waited for. */
  readonly answer: Answer | undefined
  /** The definite failures since there was a token last, or other credentials. */
  readonly definite: number
  /** The failures since there was a token last of renewals that the token in use outlived. */
  readonly background: number
  readonly notBefore: number
}

/** A failure that answers for a time. */
export interface Answer {
  readonly error: Cooldown.Failure
  readonly from: number
  readonly until: number
  /** When it is time to look for what ends it. */
  readonly lookAt: number
  /** The credentials that failed, as far as they can change: others end it. */
  readonly credentials: Option.Option<string | Redacted.Redacted>
}

/** No renewal is under way. */
export type Rest = Idle | Failed

/** A renewal is under way. One that brings nothing leaves what was before it. */
export interface Running {
  readonly _tag: "Running"
  readonly flight: Flight
  readonly before: Rest
}

/** How the renewal of a key stands. */
export type RenewalState = Rest | Running

/** The state of a key. */
export interface KeyState {
  /** The token, if there is one. */
  readonly held: HeldToken.HeldToken | undefined
  /** Until here the token is handed out without a further look: the hot path's one comparison. */
  readonly quietUntil: number
  /** The token before this one: a store that has missed a write still holds it, and requests are on their way with it. */
  readonly replaced: Token | undefined
  readonly renewal: RenewalState
  readonly verdicts: OriginVerdicts.OriginVerdicts
}

/** What becomes of a state. */
export type Transition = (state: KeyState) => KeyState

/** Nothing is known of the key. */
export const initial: KeyState = {
  held: undefined,
  quietUntil: -Infinity,
  replaced: undefined,
  renewal: { _tag: "Idle", notBefore: 0 },
  verdicts: OriginVerdicts.none
}

/** Where the state of a key is kept: only a transition changes it. */
export class Cell {
  #state = initial

  get state(): KeyState {
    return this.#state
  }

  apply(transition: Transition): void {
    this.#state = transition(this.#state)
  }
}

/** A key, of which the state is asked. */
export type Key = Pick<Cell, "state">

// -----------------------------------------------------------------------------
// transitions of the token
// -----------------------------------------------------------------------------

/** What a transition to another token must know. */
export interface Taking {
  /** Whether other processes write to the store. */
  readonly isShared: boolean
  /** When a token of unknown lifetime is renewed (ms). */
  readonly defaultLifetime: number
}

/** The renewal under way has brought a token, of its own or out of the store. */
export const obtained = (token: HeldToken.HeldToken, taking: Taking, now: number): Transition => (state) =>
  found(token, taking, now)({ ...state, renewal: restOf(state) })

/** Another process has stored a token. A renewal under way goes on. */
export const found = (token: HeldToken.HeldToken, taking: Taking, now: number): Transition => (state) =>
  withRest(taken(state, token, taking), { _tag: "Idle", notBefore: notBeforeWith(state, token, taking, now) })

/** An origin has said something of a token, or a renewal for it has ended: a token that any rejects is quiet no more. */
export const heard = (verdict: OriginVerdicts.Transition): Transition => (state) => {
  const verdicts = verdict(state.verdicts)
  if (verdicts === state.verdicts) return state
  const { held } = state
  const after = { ...state, verdicts }
  return held === undefined ? after : holding(after, held)
}

/** The provider has ended: no token is kept, nor what was said of any. */
export const closed: Transition = ({ renewal }) => ({ ...initial, renewal })

// -----------------------------------------------------------------------------
// transitions of the renewal
// -----------------------------------------------------------------------------

/** What a transition to a failure must know. */
export interface Failing {
  readonly error: Cooldown.Failure
  readonly reason: RenewalReason
  /** When the endpoint said so. */
  readonly at: number
  /** For how long a failure answers that may pass by itself (ms). */
  readonly cooldown: number
}

/** A renewal has begun. Where a failure answers, it looks for what ends it. */
export const started = (flight: Flight, cooldown: number, now: number): Transition => (state) => {
  const before = restOf(state)
  const looked = before.answer !== undefined && isInForce(before.answer, now)
    ? { ...before, answer: { ...before.answer, lookAt: now + cooldown } }
    : before
  return { ...state, renewal: { _tag: "Running", flight, before: looked } }
}

/** The renewal under way has ended: with nothing new, unless another transition has said what it brought. */
export const ended = (flight: Flight): Transition => (state) =>
  flightOf(state) === flight ? { ...state, renewal: restOf(state) } : state

/** Another process is at it, and nobody here waits: it is looked at again after so many milliseconds. */
export const busyElsewhere = (again: number, now: number): Transition => (state) => ({
  ...state,
  renewal: { ...restOf(state), notBefore: now + again }
})

/** A renewal that nobody waited for has failed: the tries become fewer. */
export const failedInBackground = (failing: Failing, now: number): Transition => (state) => ({
  ...state,
  renewal: { ...failureAfter(state, failing), ...spacedOut(state, failing, now) }
})

/** A renewal that callers waited for has failed, and answers the next ones too. */
export const failedWaiting = (failing: Failing, now: number): Transition => (state) => {
  const { at, cooldown, error } = failing
  const died = dies(state, failing, now)
  const isPassing = Cooldown.isPassing(error)
  const until = isPassing
    ? Math.max(now + cooldown, at + Cooldown.waitAfter(error, cooldown))
    : now + Cooldown.definiteWait(died.definite, cooldown)
  return {
    ...state,
    renewal: {
      ...died,
      definite: died.definite + (isPassing ? 0 : 1),
      answer: { error, from: now, until, lookAt: now + cooldown, credentials: Option.none() }
    }
  }
}

/** A renewal that callers waited for has met a bug: that is held against nobody. */
export const died = (failing: Failing, now: number): Transition => (state) => ({
  ...state,
  renewal: dies(state, failing, now)
})

/** The credentials are known that the failure which answers since `from` was given for. */
export const failedWith = (credentials: Answer["credentials"], from: number): Transition => (state) => {
  const rest = restOf(state)
  return rest.answer !== undefined && rest.answer.from === from
    ? withRest(state, { ...rest, answer: { ...rest.answer, credentials } })
    : state
}

/** The credentials were read again: others than those that failed end the answer. */
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

/** The renewal under way. */
export const flightOf = ({ renewal }: KeyState): Flight | undefined =>
  renewal._tag === "Running" ? renewal.flight : undefined

/** The failure that answers for the endpoint, while a renewal looks for what ends it as well. */
export const answering = (state: KeyState, now: number): Cooldown.Failure | undefined => {
  const { answer } = restOf(state)
  return isInForce(answer, now) ? answer.error : undefined
}

/** Whether other credentials would end the answer. */
export const mayChange = (state: KeyState): boolean => {
  const { answer } = restOf(state)
  return answer !== undefined && Option.isSome(answer.credentials)
}

/** Whether this origin, or any, has rejected the token. */
export const isRejected = (
  { state: { verdicts } }: Key,
  held: HeldToken.HeldToken,
  origin?: string
): boolean => verdicts.rejections.length > 0 && OriginVerdicts.has(verdicts, HeldToken.identity(held), origin)

/** The token that can be sent to this origin: until its time has really run out. */
export const usable = (key: Key, origin: string, now: number): HeldToken.HeldToken | undefined => {
  const { held } = key.state
  return HeldToken.isAlive(held, now) && !isRejected(key, held, origin) ? held : undefined
}

/** A token of the store is worth taking if it is still fresh, and neither rejected by anyone nor replaced here. */
export const isWorthTaking = (
  key: Key,
  candidate: HeldToken.HeldToken,
  reason: RenewalReason,
  now: number
): boolean => {
  const { replaced } = key.state
  const isFresh = now < (reason === "background" ? candidate.refreshAt : candidate.freshUntil)
  const isOld = replaced !== undefined && Equal.equals(replaced.value, candidate.value)
  return isFresh && !isOld && !isRejected(key, candidate)
}

/** A stored token is news where one is held, or a failure answers that it would end. */
export const isNews = (state: KeyState, now: number): boolean =>
  state.held !== undefined || answering(state, now) !== undefined

/** What is known of a token, while it is held or has just been replaced. */
export const known = ({ held, replaced }: KeyState, token: AccessToken): Token | undefined => {
  if (held !== undefined && HeldToken.is(held, token)) return held
  return replaced !== undefined && Equal.equals(replaced.value, token.value) ? replaced : undefined
}

/** How it stands with the key, for a health endpoint. */
export const status = (key: Key | undefined, store: StoreStatus, now: number): TokenStatus => {
  const state = key === undefined ? initial : key.state
  const rest = restOf(state)
  return {
    token: key !== undefined && HeldToken.isAlive(state.held, now)
      ? Option.some(describe(state.held, isRejected(key, state.held), now))
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

/** What a call does that only a renewal helps. */
export type RenewalDecision =
  | { readonly _tag: "Join"; readonly flight: Flight }
  | { readonly _tag: "Start"; readonly reason: RenewalReason }
  /** The failure answers in place of the endpoint. */
  | { readonly _tag: "Answer"; readonly error: Cooldown.Failure }

/** What a call does. */
export type Decision =
  | RenewalDecision
  /** `use` says how the token comes to be served, unless it is simply there, and `isRenewed` whether one ahead begins. */
  | {
    readonly _tag: "Serve"
    readonly held: HeldToken.HeldToken
    readonly use: "stale" | "renewed_ahead" | undefined
    readonly isRenewed: boolean
  }
  /** No other token is worth a request: the rejected one is the answer. */
  | { readonly _tag: "Keep"; readonly token: AccessToken }

/** What a call does, by the state of its key. */
export const decide = (key: Key, call: Call, now: number): Decision => {
  const { state } = key
  const { held } = state
  // Whatever the origin says of it: a token whose time is over is renewed
  if (!HeldToken.isAlive(held, now)) return decideRenewal(state, "expiry", call, now)
  const isRefused = isRejected(key, held, call.origin)
  const rejected = call.rejected ?? (isRefused ? held.token : undefined)
  if (rejected === undefined) return decideServing(state, held, call, now)
  if (!isRefused && !HeldToken.is(held, rejected)) return { _tag: "Serve", held, use: undefined, isRenewed: false }
  // One that is under way for this origin costs no further token request
  const isNew = flightOf(state)?.origin !== call.origin
  if (!isNew || OriginVerdicts.mayRenew(state.verdicts, call.origin, now)) {
    return decideRenewal(state, "rejection", call, now)
  }
  const rest = restOf(state)
  return rest._tag === "Failed" ? { _tag: "Answer", error: rest.error } : { _tag: "Keep", token: rejected }
}

/**
 * With an endpoint known to fail, or to keep to this token, waiting would gain nothing while it still works; nor need
 * anybody wait for a renewal that began in time.
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

/** What a call does that only a renewal helps, by the state of its key. */
export const decideRenewal = (
  state: KeyState,
  reason: RenewalReason,
  { isShared }: Pick<Call, "isShared">,
  now: number
): RenewalDecision => {
  const flight = flightOf(state)
  if (flight !== undefined) return { _tag: "Join", flight }
  const { answer } = restOf(state)
  if (!isInForce(answer, now)) return { _tag: "Start", reason }
  const mayLook = (isShared || Option.isSome(answer.credentials)) && now >= answer.lookAt
  return mayLook ? { _tag: "Start", reason } : { _tag: "Answer", error: answer.error }
}

// -----------------------------------------------------------------------------
// parts of these
// -----------------------------------------------------------------------------

/** Background failures are spaced by the cool-down, doubled each time up to this many times. */
const maxBackgroundFactor = 16

const restOf = ({ renewal }: KeyState): Rest => renewal._tag === "Running" ? renewal.before : renewal

/** Another rest, which one under way has before it. */
const withRest = (state: KeyState, rest: Rest): KeyState => ({
  ...state,
  renewal: state.renewal._tag === "Running" ? { ...state.renewal, before: rest } : rest
})

/** A clock that was set back must not make it last. */
const isInForce = (answer: Answer | undefined, now: number): answer is Answer =>
  answer !== undefined && now >= answer.from && now < answer.until

/** The one place that says until when a token needs no further look. */
const holding = (state: KeyState, held: HeldToken.HeldToken): KeyState => ({
  ...state,
  held,
  quietUntil: isRejected({ state }, held) ? -Infinity : held.refreshAt
})

/** The same token from another side stays whose it was. */
const taken = (state: KeyState, token: HeldToken.HeldToken, { isShared }: Taking): KeyState => {
  const { held } = state
  if (held === undefined) return holding(state, token)
  if (HeldToken.is(held, token.token)) return holding(state, held.isOwn ? token.own() : token)
  // A store of this process alone has missed no write, and an app may have very many keys in it
  return { ...holding(state, token), replaced: isShared ? HeldToken.replaced(held) : undefined }
}

/** An endpoint that keeps to its token for now would, asked again at once, bring it once more. */
const notBeforeWith = (state: KeyState, token: HeldToken.HeldToken, taking: Taking, now: number): number => {
  const { held } = state
  if (!token.isOwn || held === undefined || !HeldToken.is(held, token.token)) return 0
  const { expiresAt, freshUntil } = token
  const end = now < freshUntil ? freshUntil : Math.min(expiresAt, now + taking.defaultLifetime)
  return now + Math.max(0, end - now) / 2
}

const failureAfter = (state: KeyState, { at, error }: Failing): Failed => ({
  answer: undefined,
  definite: 0,
  background: 0,
  ...restOf(state),
  _tag: "Failed",
  error,
  at
})

const spacedOut = (state: KeyState, { cooldown, error }: Failing, now: number) => {
  const { background = 0 } = restOf(state)
  const factor = Math.min(maxBackgroundFactor, 2 ** background)
  return { background: background + 1, notBefore: now + Cooldown.waitAfter(error, factor * cooldown) }
}

/** A token in use serves on while it cannot be renewed. */
const dies = (state: KeyState, failing: Failing, now: number): Failed => {
  const failed = failureAfter(state, failing)
  return failing.reason === "expiry" && HeldToken.isAlive(state.held, now)
    ? { ...failed, ...spacedOut(state, failing, now) }
    : failed
}
