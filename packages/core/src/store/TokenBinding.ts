/**
 * Whether a server binds tokens to the process that requested them, so that
 * sharing does harm. Pure bookkeeping for one key of a shared store.
 */
import type * as Redacted from "effect/Redacted"

/** Tokens of other processes do not work here. They are no longer shared. */
export const boundTokens =
  "Tokens that were issued to other processes are rejected here, as if they were bound to the " +
  "process that requested them: this process no longer shares its tokens"

/** What is known of a token, kept as long as the token: tokens before the replaced one do not matter. */
export interface Token {
  readonly value: Redacted.Redacted
  /** Issued to this process, not adopted from the store. */
  readonly isOwn: boolean
}

/** Takes reports of tokens, and returns a message when they prove to be bound. */
export interface TokenBinding {
  /** The origin accepted the token. */
  readonly accepted: (token: Token, origin: string, now: number) => void
  /** The origin rejected the token; `hasWorked` if it accepted it before. */
  readonly rejected: (token: Token, origin: string, hasWorked: boolean, now: number) => string | undefined
  /** Another process paused renewals for the origin: its own token was rejected there too. */
  readonly paused: (origin: string) => void
  /** Whether tokens of other processes may be used here. */
  readonly sharesTokens: () => boolean
}

/** After a token of another process failed, an own token must work within this time (ms): the replay does. */
const maxReplay = 10_000
/** How long this counts as evidence (ms). */
const proofMemory = 10 * 60_000
/** A process whose own tokens fail too has another problem; it counts for so long (ms). */
const ownFailureMemory = 5 * 60_000
/** How many origins are remembered. */
const maxOrigins = 64

/** The tokens' results at an origin. */
interface OriginState {
  /** When a token of another process was rejected on its first use. */
  foreignFailedAt: number
  /** When an own token worked soon after. */
  provenAt: number
}

/** The initial, empty record. */
export const make = (): TokenBinding => new Record()

class Record implements TokenBinding {
  #origins: Map<string, OriginState> | undefined
  #ownFailedAt: number | undefined
  #sharesTokens = true

  accepted(token: Token, origin: string, now: number): void {
    if (token.isOwn) this.#ownWorked(origin, now)
    else this.#origins?.delete(origin)
  }

  rejected(token: Token, origin: string, hasWorked: boolean, now: number): string | undefined {
    if (!token.isOwn) return hasWorked ? undefined : this.#foreignFailed(origin, now)
    this.#ownFailedAt = now
    this.#origins = undefined
    this.#sharesTokens = true
    return undefined
  }

  paused(origin: string): void {
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
    const state = { foreignFailedAt: -Infinity, provenAt: -Infinity }
    origins.set(origin, state)
    return state
  }

  /**
   * An own token worked between two failing tokens of others: neither a revocation nor an unavailable resource does
   * that.
   */
  #foreignFailed(origin: string, now: number): string | undefined {
    const state = this.#stateOf(origin)
    state.foreignFailedAt = now
    const failsItself = this.#ownFailedAt !== undefined && now - this.#ownFailedAt < ownFailureMemory
    if (!this.#sharesTokens || failsItself || now - state.provenAt >= proofMemory) return undefined
    this.#sharesTokens = false
    return boundTokens
  }

  #ownWorked(origin: string, now: number): void {
    const state = this.#origins?.get(origin)
    if (state !== undefined && now - state.foreignFailedAt <= maxReplay) state.provenAt = now
  }
}
