/**
 * What origins said of the tokens of one key, as one value: which tokens each
 * rejected, and whether its next 401 may cost a token request (fleet rules 5
 * and 6). Also which origins accepted a token. All but the latter is pure and
 * takes the time (epoch milliseconds) as an argument. RULES.md has the table of
 * transitions.
 */
import type { AccessToken } from "../AccessToken.js"
import { nthPause, type Pause } from "../store/FleetNotes.js"

// -----------------------------------------------------------------------------
// states
// -----------------------------------------------------------------------------

/** It rejected no token since it last accepted one. */
export interface Trusted {
  readonly _tag: "Trusted"
}

/** It rejected a token, and a renewal may help. */
export interface Doubtful {
  readonly _tag: "Doubtful"
}

/** Renewals for it were fruitless `count` times in a row: its 401s cost no request until the pause ends. */
export interface Paused {
  readonly _tag: "Paused"
  readonly count: number
  readonly from: number
  readonly until: number
}

/** The standing of an origin. */
export type Standing = Trusted | Doubtful | Paused

/** Stands for the origin of callers that name none. */
export const anyOrigin = ""

/** An origin that rejected a token. */
interface OriginState {
  readonly standing: Standing
  /** The tokens that were counted as fruitless. */
  readonly counted: ReadonlyArray<string>
  /** How many token requests its 401s may cost now, and when one was last added. */
  readonly requests: number
  readonly filledAt: number
}

/** A token that an origin rejected. */
interface Rejection {
  readonly token: string
  readonly origin: string
  readonly expiresAt: number
}

/** What origins said of the tokens of one key. */
export interface OriginVerdicts {
  readonly origins: ReadonlyMap<string, OriginState>
  /** In the order of their last report. */
  readonly rejections: ReadonlyArray<Rejection>
}

/** A change of the verdicts. */
export type Transition = (verdicts: OriginVerdicts) => OriginVerdicts

/** No token was rejected, as for most keys, which share this value. */
export const none: OriginVerdicts = { origins: new Map(), rejections: [] }

// -----------------------------------------------------------------------------
// transitions
// -----------------------------------------------------------------------------

/** The origin rejected the token. This is remembered until the token expires. */
export const rejected = (token: string, origin: string, expiresAt: number, now: number): Transition => (verdicts) => {
  const others = verdicts.rejections.filter((other) => now < other.expiresAt && !isOf(other, token, origin))
  const doubted = withOrigin(origin, now, ({ standing }) => ({
    standing: standing._tag === "Trusted" ? { _tag: "Doubtful" } : standing
  }))
  return { ...doubted(verdicts), rejections: [...others, { token, origin, expiresAt }].slice(-maxRejections) }
}

/** The origin's response did not reject the token: both are trusted again. */
export const accepted = (token: string, origin: string): Transition => (verdicts) => {
  const { origins, rejections } = verdicts
  const state = origins.get(origin)
  const isTrusted = state === undefined || state.standing._tag === "Trusted"
  if (isTrusted && !has(verdicts, token, origin)) return verdicts
  return {
    origins: isTrusted ? origins : new Map(origins).set(origin, { ...state, standing: trusted }),
    rejections: rejections.filter((other) => !isOf(other, token, origin))
  }
}

/** The endpoint is asked because of the origin's 401. */
export const asked = (origin: string, now: number): Transition =>
  withOrigin(origin, now, ({ requests }) => ({ requests: Math.max(0, requests - 1) }))

/** A renewal for the origin obtained a token that it rejected too; counted once per token. */
export const fruitless = (token: string, origin: string, now: number): Transition =>
  withOrigin(origin, now, ({ counted, standing }) =>
    counted.includes(token)
      ? {}
      : { counted: [...counted, token].slice(-maxTokens), standing: pausedAgain(standing, now) })

/** A renewal for the origin returned the same token. */
export const unchanged = (origin: string, now: number): Transition =>
  withOrigin(origin, now, ({ standing }) => ({ standing: pausedAgain(standing, now) }))

/** A renewal for the origin obtained a token. After a pause it counts as fruitless until the origin accepts a token. */
export const renewed = (token: string, origin: string, now: number): Transition => (verdicts) =>
  standing(verdicts, origin)._tag === "Paused" ? fruitless(token, origin, now)(verdicts) : verdicts

/** Another process began a pause. */
export const paused = (origin: string, given: Pause, now: number): Transition =>
  withOrigin(origin, now, () => ({ standing: pause(given, now) }))

// -----------------------------------------------------------------------------
// questions
// -----------------------------------------------------------------------------

/** The standing of the origin. */
export const standing = ({ origins }: OriginVerdicts, origin: string): Standing =>
  origins.get(origin)?.standing ?? trusted

/** Whether this origin, or any, rejected the token. */
export const has = ({ rejections }: OriginVerdicts, token: string, origin?: string): boolean =>
  rejections.some((rejection) => isOf(rejection, token, origin))

/** Whether renewals for the origin are paused. */
export const isPaused = (verdicts: OriginVerdicts, origin: string, now: number): boolean =>
  isInForce(standing(verdicts, origin), now)

/** Whether a 401 of the origin may cost a token request now. */
export const mayRenew = (verdicts: OriginVerdicts, origin: string, now: number): boolean => {
  const { requests, standing } = stateAt(verdicts, origin, now)
  return !isInForce(standing, now) && requests > 0
}

/** Whether a transition made the origin trusted again. */
export const hasRecovered = (before: OriginVerdicts, after: OriginVerdicts, origin: string): boolean =>
  standing(before, origin)._tag !== "Trusted" && standing(after, origin)._tag === "Trusted"

/** The pause that a transition began, as other processes are told of it. */
export const newPause = (before: OriginVerdicts, after: OriginVerdicts, origin: string): Pause | undefined => {
  const begun = standing(after, origin)
  return begun._tag === "Paused" && begun.until > begun.from && begun !== standing(before, origin)
    ? { count: begun.count, remaining: begun.until - begun.from }
    : undefined
}

// -----------------------------------------------------------------------------
// which origins took a token
// -----------------------------------------------------------------------------

/** The origins that accepted a token, and those of them that did not reject it since. */
interface Heard {
  readonly worked: ReadonlyArray<string>
  readonly works: ReadonlyArray<string>
}

export const nothingHeard: Heard = { worked: [], works: [] }

/** Most tokens go to one origin, the same for most tokens of an app: these tokens share one value. */
let heardOnce = nothingHeard

/** The origin accepted the token. */
export const heardFrom = (heard: Heard, origin: string): Heard => {
  const { worked, works } = heard
  if (works.includes(origin) && worked.includes(origin)) return heard
  if (worked.length > 0) return { worked: withAnother(worked, origin), works: withAnother(works, origin) }
  if (heardOnce.works[0] === origin) return heardOnce
  const origins = [origin]
  return heardOnce = { worked: origins, works: origins }
}

/** A list with one more origin; a full one starts again. */
const withAnother = (origins: ReadonlyArray<string>, origin: string): ReadonlyArray<string> => {
  if (origins.includes(origin)) return origins
  return origins.length < maxOrigins ? origins.concat(origin) : [origin]
}

/** Which origins accepted which token. Kept as long as anyone holds the token. */
export class Acceptances {
  readonly #heard = new WeakMap<AccessToken, Heard>()
  #lastToken: AccessToken | undefined
  #lastOrigin = ""

  #of(token: AccessToken): Heard {
    return this.#heard.get(token) ?? nothingHeard
  }

  /** The origin accepted the token. */
  accepted(token: AccessToken, origin: string): void {
    this.#heard.set(token, heardFrom(this.#of(token), origin))
    this.#lastToken = token
    this.#lastOrigin = origin
  }

  /** The origin rejected it. */
  rejected(token: AccessToken, origin: string): void {
    const { worked, works } = this.#of(token)
    this.#heard.set(token, { worked, works: works.filter((other) => other !== origin) })
    this.#lastToken = undefined
  }

  /** The same token was issued again with other times: its verdicts stay. */
  renewed(before: AccessToken, token: AccessToken): void {
    this.#heard.set(token, this.#of(before))
  }

  /** Whether the origin ever accepted it. */
  hasWorked(token: AccessToken, origin: string): boolean {
    return this.#of(token).worked.includes(origin)
  }

  /** Whether the origin accepted it since it last rejected it: another acceptance is no news. */
  works(token: AccessToken, origin: string): boolean {
    return (token === this.#lastToken && origin === this.#lastOrigin) || this.#of(token).works.includes(origin)
  }
}

// -----------------------------------------------------------------------------
// parts of these
// -----------------------------------------------------------------------------

/** Beyond these numbers the oldest is forgotten: of rejections, and of tokens that were counted as fruitless. */
const maxRejections = 256
const maxTokens = 16
/** With `origins: "any"` nothing else limits the number of origins. */
const maxOrigins = 256
/** How many token requests one origin's 401s may cost in a burst, and how often one more is allowed (ms). */
const maxRequests = 6
const refill = 5_000

const trusted: Trusted = { _tag: "Trusted" }

const pause = ({ count, remaining }: Pause, now: number): Paused => ({
  _tag: "Paused",
  count,
  from: now,
  until: now + remaining
})

const isInForce = (standing: Standing, now: number): boolean =>
  standing._tag === "Paused" && now >= standing.from && now < standing.until

/** The next pause, twice as long, unless one is in force. */
const pausedAgain = (standing: Standing, now: number): Standing =>
  isInForce(standing, now) ? standing : pause(nthPause(standing._tag === "Paused" ? standing.count + 1 : 1), now)

/** A clock that was set back must not prolong it. */
const withClock = (standing: Standing, now: number): Standing =>
  standing._tag === "Paused" && now < standing.from ? pause({ ...standing, remaining: 0 }, now) : standing

const unknown: OriginState = { standing: trusted, counted: [], requests: maxRequests, filledAt: 0 }

/** The state of an origin, with the requests that were added since. */
const stateAt = ({ origins }: OriginVerdicts, origin: string, now: number): OriginState => {
  const { filledAt, ...state } = origins.get(origin) ?? unknown
  const refills = Math.floor((now - filledAt) / refill)
  const requests = Math.min(maxRequests, state.requests + Math.max(0, refills))
  return {
    ...state,
    standing: withClock(state.standing, now),
    requests,
    // The wait for one more starts when the first is used, and again if the clock was set back
    filledAt: requests === maxRequests || now < filledAt ? now : filledAt + refills * refill
  }
}

const withOrigin =
  (origin: string, now: number, change: (state: OriginState) => Partial<OriginState>): Transition => (verdicts) => {
    const state = stateAt(verdicts, origin, now)
    const origins = new Map(verdicts.origins).set(origin, { ...state, ...change(state) })
    return { ...verdicts, origins: new Map(Array.from(origins).slice(-maxOrigins)) }
  }

const isOf = (rejection: Rejection, token: string, origin = rejection.origin): boolean =>
  rejection.token === token && rejection.origin === origin
