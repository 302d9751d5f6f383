/**
 * Whether the tokens of a server are bound to the process that asked for them,
 * so that sharing does harm. The bookkeeping of one key, for a store that others
 * share; without Effects.
 */
import type * as Redacted from "effect/Redacted"

/** Tokens of other processes do not work here. They are no longer shared. */
export const boundTokens = "Tokens that other processes were issued are rejected here, as if they were bound to the " +
  "process that asked for them: this process no longer shares its tokens"

/**
 * What is known of a token. It is forgotten with the token: what is older than
 * the one that was replaced says nothing.
 */
export interface Token {
  readonly value: Redacted.Redacted
  /** Issued to this process, not adopted from the store. */
  readonly isOwn: boolean
}

/** Takes reports of tokens, and says when they show to be bound. */
export interface TokenBinding {
  /** The origin took the token. */
  readonly accepted: (token: Token, origin: string, now: number) => void
  /** The origin rejected the token; `hasWorked` if it had accepted it before. */
  readonly rejected: (token: Token, origin: string, hasWorked: boolean, now: number) => string | undefined
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
/** Origins that are remembered. */
const maxOrigins = 64

/** What became of the tokens at an origin. */
interface OriginState {
  /** When one of another process was rejected on its first use. */
  foreignFailedAt: number
  /** When one of our own worked soon after. */
  provenAt: number
}

/** Nothing is known yet. */
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
    const state = { foreignFailedAt: -Infinity, provenAt: -Infinity }
    origins.set(origin, state)
    return state
  }

  /** One of ours worked between two of others that did not: no revocation does that, and no resource that is away. */
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
