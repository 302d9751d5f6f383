/**
 * How a provider shares its store with others. The store brings the
 * implementation, which is nearly empty if there is nobody to share with.
 */
import type * as Brand from "effect/Brand"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constFalse, identity } from "effect/Function"
import type * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Schedule from "effect/Schedule"
import type { AccessToken } from "../AccessToken.js"
import type { ProofKey } from "../DPoP.js"
import type { DelayAfter } from "../endpoint/RetryDelay.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import type * as OAuthMetrics from "../OAuthMetrics.js"
import type { Driver } from "./BoundedStore.js"
import type { Pause } from "./FleetNotes.js"
import type { Found, SharedTokens } from "./SharedTokens.js"
import type { TokenBinding } from "./TokenBinding.js"

/** `TokenStore.Sharing`, as used here. */
export interface Sharing extends Brand.Brand<"@effect-alf/core/TokenStore/Sharing"> {
  readonly isShared: boolean
  /** The store key for everything that decides a token, which may contain secrets. */
  readonly keyOf: (text: string) => string
  /** The name of a key in logs and spans. */
  readonly nameOf: (key: string) => string
  readonly join: (store: Driver, options: Options) => Effect.Effect<Fleet>
}

/** The brand exists only in the type. */
export const make = (sharing: Omit<Sharing, Brand.BrandTypeId>): Sharing => sharing as Sharing

/** The sharing of a store. */
export const of = (store: { readonly sharing: { readonly isShared: boolean } }): Sharing => store.sharing as Sharing

/** What a provider tells about itself. */
export interface Options {
  readonly storeTimeout: Duration.Duration
  readonly leaseDuration: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly defaultLifetime: Duration.Duration
  readonly endpoint: {
    /** The key that all of its tokens are bound to, if any. */
    readonly proofKey: ProofKey | undefined
    readonly retry: Schedule.Schedule<unknown, TokenRequestError>
  }
  /** Runs an effect in the background. */
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly update: OAuthMetrics.Update
}

/** The providers that share the tokens of a store, as one of them sees the others. */
export interface Fleet {
  /** Whether they are in several processes. */
  readonly isShared: boolean
  readonly isFailing: () => boolean
  readonly tokens: SharedTokens
  readonly remove: (key: string, version: string) => Effect.Effect<unknown>
  /** A renewal starts, and waits for its turns. */
  readonly enter: (renewal: Renewal) => Turns
  /**
   * Starts to observe whether the tokens of a key are bound to the process that requested them; `undefined` within one
   * process.
   */
  readonly makeBinding?: (() => TokenBinding) | undefined
  /** What a provider does about other processes; `undefined` within one process. */
  readonly others?: ReturnType<Others> | undefined
}

/** `OtherProcesses.make`, as used here. */
export type Others = (told: Told) => (options: never) => unknown

/** What the processes of a shared store tell each other. */
export interface Told extends Pick<Fleet, "tokens"> {
  /** The pauses that all of them respect; `undefined` if they do not. */
  readonly pauses?: {
    /** Counts a pause, unless one is in force; returns the one that is in force then. */
    readonly count: (key: string, origin: string, atLeast: Pause) => Effect.Effect<Pause>
    readonly forget: (key: string, origin: string) => Effect.Effect<void>
  } | undefined
  /** Whether this process is storing a new token: until then a notice of the key is no news. */
  readonly isWriting: (key: string) => boolean
  /** Calls back with keys that were written or removed, as long as it runs. */
  readonly watch: (changed: (key: string) => Effect.Effect<void>) => Effect.Effect<void>
}

/** The turns of one renewal. */
export interface Turns {
  /** Limits a look at the store and the turn that follows, together. */
  readonly bound: <A, E>(round: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Takes a turn after this look at the store: its outcome, or the milliseconds until the next look. */
  readonly take: (look: Option.Option<Found>) => Effect.Effect<Outcome | number, Failure>
  /** The renewal ended. */
  readonly leave: Effect.Effect<void>
}

type Failure = TokenRequestError | TokenProviderError

/** A renewal, as the sharing sees it. */
export interface Renewal {
  readonly key: string
  readonly flight: {
    readonly origin: string
    readonly reason: OAuthMetrics.RenewalReason
    /** Opened when the store changes, to look again. */
    readonly changed: Effect.Latch
    /** How often the endpoint was asked. */
    readonly attempts: number
  }
  /** When waiting callers fail without a token (epoch milliseconds). */
  readonly deadline: number
  /** The store's entry, with the token only if it is worth adopting; `None` if the store failed. */
  readonly look: Effect.Effect<Option.Option<Found>>
  /** Asks the endpoint. */
  readonly ask: Effect.Effect<AccessToken, Failure>
  /** Asks the endpoint regardless of others. */
  readonly askAlone: Effect.Effect<Outcome | number, Failure>
  /** The Schedule's delay after a failure. */
  readonly delayAfter: DelayAfter
  /**
   * Tries again after this delay (ms), if there is one; no other process obtains a token before `others` have passed.
   */
  readonly tryAgain: (
    error: TokenRequestError,
    delay: Option.Option<number>,
    others?: number
  ) => Effect.Effect<number, TokenRequestError>
  /** Others are asking, and obtain nothing before this time (epoch milliseconds), if known. */
  readonly onBusy: (notBefore?: number) => void
}

/**
 * The outcome of a renewal:
 *
 * - `Adopted`: the token of the store.
 * - `Issued`: a new token, to be written in place of the version `replaces`.
 *   After the write, `finish` passes the turn on.
 * - `Paused`: nothing, as the fleet pauses renewals for this origin.
 * - `Busy`: nothing, as another process renews and nobody here waits.
 */
export type Outcome = Data.TaggedEnum<{
  Adopted: { readonly token: AccessToken }
  Issued: {
    readonly token: AccessToken
    readonly replaces: Option.Option<string>
    readonly finish: Effect.Effect<void>
  }
  Paused: { readonly pause: Pause }
  Busy: { readonly again: number }
}>

/** Makes outcomes. */
export const Outcome = Data.taggedEnum<Outcome>()

/** The longest time until a waiting process looks again, unless a notice arrives first (ms). */
export const maxPollInterval = 300

/** The time until it looks again (ms). */
export const pollInterval = Random.nextRange(100, maxPollInterval)

/** Without a store: tokens stay in the provider. */
export const none: Fleet = {
  isShared: false,
  isFailing: constFalse,
  tokens: { read: () => Effect.succeedNone, write: () => Effect.succeed(true) },
  remove: () => Effect.void,
  enter: ({ askAlone }) => ({ bound: identity, take: () => askAlone, leave: Effect.void })
}
