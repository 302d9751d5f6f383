/**
 * What the fate of tokens says about the server that issues them: whether they
 * are bound to the process that asked for them, so that sharing does harm, and
 * whether a new token ends the one before. The bookkeeping of one key; without
 * Effects.
 */
import * as Equal from "effect/Equal"
import type * as Redacted from "effect/Redacted"

/**
 * A habit of the server that somebody should know of:
 *
 * - `BoundTokens`: tokens of other processes do not work here. They are no
 *   longer shared.
 * - `OneActiveToken`: tokens die young, as where a server keeps one active
 *   token for each client.
 */
export type Habit = "BoundTokens" | "OneActiveToken"

/**
 * What is known of a token. It is forgotten with the token: what is older than
 * the one that was replaced says nothing.
 */
export interface Token {
  readonly value: Redacted.Redacted
  /** Issued to this process, not adopted from the store. */
  readonly isOwn: boolean
}

/** The time of a token (epoch milliseconds). */
export interface Life {
  readonly obtainedAt: number
  readonly expiresAt: number
}

/** Takes reports and tells a habit when it shows. */
export interface ServerHabits {
  /** The origin took the token. */
  readonly accepted: (token: Token, origin: string, now: number) => void
  /** The origin answered 401 to the token; `hasWorked` if it had taken it before. */
  readonly rejected: (
    token: Token,
    life: Life,
    origin: string,
    hasWorked: boolean,
    now: number
  ) => Habit | undefined
  /** Another process holds renewals for the origin: its own token was rejected there as well. */
  readonly held: (origin: string) => void
  /** Whether tokens of other processes may be used here. */
  readonly sharesTokens: () => boolean
}

/** After a token of another process has failed, one of our own must work so soon (ms): the replay does. */
const maxReplay = 10_000
/** That it did is evidence for so long (ms). */
const proofMemory = 10 * 60_000
/** A process whose own tokens fail too has another problem; after this it counts no more (ms). */
const ownFailureMemory = 5 * 60_000
/** A token that worked and is rejected before this part of its life is over has died young. */
const youngShare = 0.25
/** A token whose end is a day away is no longer young after this (ms). */
const maxYoung = 60_000
/** So many early deaths in such a time are no revocation by hand (ms). */
const minDeaths = 3
const deathsMemory = 10 * 60_000
/** Origins that are remembered. */
const maxOrigins = 64

/** What became of the tokens at an origin. */
interface OriginState {
  /** When one of another process was rejected on its first use. */
  foreignFailedAt: number
  /** When one of our own worked soon after. */
  provenAt: number
}

/** An empty record: a server that does as RFC 6749 has it. */
export const make = (): ServerHabits => new Record()

interface Death {
  readonly token: Redacted.Redacted
  readonly at: number
}

class Record implements ServerHabits {
  #deaths: ReadonlyArray<Death> = []
  #origins: Map<string, OriginState> | undefined
  #ownFailedAt: number | undefined
  #sharesTokens = true
  #isSaid = false

  accepted(token: Token, origin: string, now: number): void {
    if (token.isOwn) this.#ownWorked(origin, now)
    else this.#origins?.delete(origin)
  }

  rejected(token: Token, life: Life, origin: string, hasWorked: boolean, now: number): Habit | undefined {
    if (token.isOwn) {
      this.#ownFailedAt = now
      this.#origins = undefined
      this.#sharesTokens = true
    } else if (!hasWorked) {
      return this.#foreignFailed(origin, now)
    }
    const youth = Math.min(maxYoung, (life.expiresAt - life.obtainedAt) * youngShare)
    return hasWorked && now - life.obtainedAt < youth ? this.#died(token.value, now) : undefined
  }

  held(origin: string): void {
    this.#origins?.delete(origin)
  }

  sharesTokens(): boolean {
    return this.#sharesTokens
  }

  #stateOf(origin: string): OriginState {
    const origins = this.#origins ??= new Map()
    const known = origins.get(origin)
    if (known !== undefined) return known
    if (origins.size >= maxOrigins) origins.clear()
    const state = { foreignFailedAt: Number.NEGATIVE_INFINITY, provenAt: Number.NEGATIVE_INFINITY }
    origins.set(origin, state)
    return state
  }

  /** One of ours worked between two of others that did not: no revocation does that, and no resource that is away. */
  #foreignFailed(origin: string, now: number): Habit | undefined {
    const state = this.#stateOf(origin)
    state.foreignFailedAt = now
    const failsItself = this.#ownFailedAt !== undefined && now - this.#ownFailedAt < ownFailureMemory
    if (!this.#sharesTokens || failsItself || now - state.provenAt >= proofMemory) return undefined
    this.#sharesTokens = false
    return "BoundTokens"
  }

  #ownWorked(origin: string, now: number): void {
    const state = this.#origins?.get(origin)
    if (state !== undefined && now - state.foreignFailedAt <= maxReplay) state.provenAt = now
  }

  /** Once for each token: a revocation by hand may be told by many origins. */
  #died(token: Redacted.Redacted, now: number): Habit | undefined {
    if (this.#isSaid) return undefined
    this.#deaths = [
      ...this.#deaths.filter((death) => !Equal.equals(death.token, token) && now - death.at < deathsMemory),
      { token, at: now }
    ]
    if (this.#deaths.length < minDeaths) return undefined
    this.#isSaid = true
    return "OneActiveToken"
  }
}
