/**
 * What resources have said about tokens: which token was rejected where, and
 * whether another renewal for that resource is worth a token request. The
 * bookkeeping of one key; it decides nothing about expiry.
 */
import { type Hold, nthHold } from "../store/FleetNotes.js"

/** Rules 5 and 6 of a renewal as questions and reports, all of them synchronous. */
export interface RejectedTokens {
  /** Remembers that this origin answered 401 to the token, until the token expires. */
  readonly reject: (token: string, origin: string, expiresAt: number, now: number) => void
  /** Whether this origin, or any, has rejected the token. */
  readonly has: (token: string, origin?: string) => boolean
  /** The origin took the token: both are in order again. `true` when the origin had rejected one since it last did. */
  readonly accept: (token: string, origin: string) => boolean
  /** Whether renewals for this origin are held. */
  readonly isHeld: (origin: string, now: number) => boolean
  /** Whether a 401 of this origin may cost a token request now. */
  readonly mayRenew: (origin: string, now: number) => boolean
  /** A token request was made because of this origin. */
  readonly spend: (origin: string, now: number) => void
  /** A renewal for this origin brought a token. Until the origin takes one again, each counts as fruitless. */
  readonly renewed: (token: string, origin: string, now: number) => Hold | undefined
  /** A renewal for this origin brought the same token once more. */
  readonly unchanged: (origin: string, now: number) => Hold | undefined
  /** A renewal for this origin brought a token that it rejected as well; counted once for each token. */
  readonly fruitless: (token: string, origin: string, now: number) => Hold | undefined
  /** Takes over a hold that another process has begun. */
  readonly hold: (origin: string, hold: Hold, now: number) => void
}

interface OriginState {
  /** Whether it has rejected a token since it last accepted one. */
  isDoubtful: boolean
  heldUntil: number
  holds: number
  readonly counted: Set<string>
  tokens: number
  refilledAt: number
}

/** More rejected tokens than this are not kept: the oldest is forgotten. */
const maxTokens = 16
/** With `origins: "any"` the number of origins has no other bound. */
const maxOrigins = 256
/** Token requests that one origin's 401s may cost in a burst, and how often one more is allowed (ms). */
const bucketSize = 6
const bucketRefill = 5_000

/** An empty record, in which every origin may renew. */
export const make = (): RejectedTokens => new Record()

interface Rejection {
  readonly origins: Set<string>
  readonly expiresAt: number
}

// One for each key: most of them never see a 401, and are to be small
class Record implements RejectedTokens {
  #rejections: Map<string, Rejection> | undefined
  #origins: Map<string, OriginState> | undefined

  #stateOf(origin: string, now: number): OriginState {
    const origins = this.#origins ??= new Map()
    let state = origins.get(origin)
    if (state === undefined) {
      state = { isDoubtful: false, heldUntil: 0, holds: 0, counted: new Set(), tokens: bucketSize, refilledAt: now }
      evictOldest(origins, maxOrigins - 1)
      origins.set(origin, state)
    }
    const refills = Math.floor((now - state.refilledAt) / bucketRefill)
    if (refills > 0) {
      state.tokens = Math.min(bucketSize, state.tokens + refills)
      state.refilledAt += refills * bucketRefill
    }
    // A clock that was set back must not make a hold last, nor the wait for one more
    if (now < state.refilledAt) {
      state.heldUntil = 0
      state.refilledAt = now
    }
    // The wait for one more begins when the first is spent
    if (state.tokens === bucketSize) state.refilledAt = now
    return state
  }

  reject(token: string, origin: string, expiresAt: number, now: number): void {
    this.#stateOf(origin, now).isDoubtful = true
    const rejections = this.#rejections ??= new Map()
    for (const [key, rejection] of rejections) {
      if (rejection.expiresAt <= now) rejections.delete(key)
    }
    const known = rejections.get(token)
    if (known !== undefined) {
      evictOldest(known.origins, maxOrigins - 1)
      known.origins.add(origin)
      return
    }
    evictOldest(rejections, maxTokens - 1)
    rejections.set(token, { origins: new Set([origin]), expiresAt })
  }

  has(token: string, origin?: string): boolean {
    const rejection = this.#rejections?.get(token)
    return rejection !== undefined && (origin === undefined || rejection.origins.has(origin))
  }

  accept(token: string, origin: string): boolean {
    const rejection = this.#rejections?.get(token)
    if (rejection !== undefined && rejection.origins.delete(origin) && rejection.origins.size === 0) {
      this.#rejections?.delete(token)
    }
    const state = this.#origins?.get(origin)
    if (state === undefined || (!state.isDoubtful && state.holds === 0)) return false
    state.isDoubtful = false
    state.heldUntil = 0
    state.holds = 0
    return true
  }

  isHeld(origin: string, now: number): boolean {
    return now < this.#stateOf(origin, now).heldUntil
  }

  mayRenew(origin: string, now: number): boolean {
    const state = this.#stateOf(origin, now)
    return now >= state.heldUntil && state.tokens > 0
  }

  spend(origin: string, now: number): void {
    const state = this.#stateOf(origin, now)
    state.tokens = Math.max(0, state.tokens - 1)
  }

  renewed(token: string, origin: string, now: number): Hold | undefined {
    const state = this.#stateOf(origin, now)
    return state.holds > 0 ? count(state, token, now) : undefined
  }

  unchanged(origin: string, now: number): Hold | undefined {
    return hold(this.#stateOf(origin, now), now)
  }

  fruitless(token: string, origin: string, now: number): Hold | undefined {
    return count(this.#stateOf(origin, now), token, now)
  }

  hold(origin: string, hold: Hold, now: number): void {
    take(this.#stateOf(origin, now), hold, now)
  }
}

const take = (state: OriginState, { count, remaining }: Hold, now: number) => {
  state.heldUntil = now + remaining
  state.holds = count
}

const hold = (state: OriginState, now: number): Hold | undefined => {
  if (now < state.heldUntil) return undefined
  const next = nthHold(state.holds + 1)
  take(state, next, now)
  return next
}

const count = (state: OriginState, token: string, now: number): Hold | undefined => {
  if (state.counted.has(token)) return undefined
  evictOldest(state.counted, maxTokens - 1)
  state.counted.add(token)
  return hold(state, now)
}

const evictOldest = (map: Map<string, unknown> | Set<string>, size: number) => {
  for (const key of map.keys()) {
    if (map.size <= size) return
    map.delete(key)
  }
}
