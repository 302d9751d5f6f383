/**
 * What a provider asks of the way in which its store is shared. A store brings
 * it; where there is nobody to share with there is next to nothing behind it.
 */
import type * as Brand from "effect/Brand"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constFalse, identity } from "effect/Function"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type { AccessToken } from "../AccessToken.js"
import type { ProofKey } from "../DPoP.js"
import type { DelayAfter } from "../endpoint/RetryDelay.js"
import type { TokenProviderError, TokenRequestError } from "../OAuthError.js"
import type * as OAuthMetrics from "../OAuthMetrics.js"
import type { Driver } from "./BoundedStore.js"
import type { Hold } from "./FleetNotes.js"
import type { Found, SharedTokens } from "./SharedTokens.js"
import type { TokenBinding } from "./TokenBinding.js"

/** `TokenStore.Sharing`, as seen from below. */
export interface Sharing extends Brand.Brand<"@effect-alf/core/TokenStore/Sharing"> {
  readonly isShared: boolean
  /** The key of a store for what decides a token, which may hold secrets. */
  readonly keyOf: (text: string) => string
  /** What logs and spans call a key. */
  readonly nameOf: (key: string) => string
  readonly join: (store: Driver, options: Options) => Effect.Effect<Fleet>
  /** What a provider does about other processes; not where all is one process. */
  readonly others?: Others | undefined
}

/** `OtherProcesses.Make`, as seen from below. */
export type Others = (options: never) => unknown

/** The brand is of the type alone. */
export const make = (sharing: Omit<Sharing, Brand.BrandTypeId>): Sharing => sharing as Sharing

/** The way of a store. */
export const of = (store: { readonly sharing: { readonly isShared: boolean } }): Sharing => store.sharing as Sharing

/** What a provider tells of itself. */
export interface Options {
  readonly storeTimeout: Duration.Duration
  readonly leaseDuration: Duration.Duration
  readonly failureCooldown: Duration.Duration
  readonly defaultLifetime: Duration.Duration
  /** The key that all of its tokens are bound to, if they are. */
  readonly proofKey: ProofKey | undefined
  readonly retry: Schedule.Schedule<unknown, TokenRequestError>
  /** Runs what nobody waits for. */
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly update: OAuthMetrics.Update
}

/** Those who share the tokens of a store, as one of them sees the others. */
export interface Fleet {
  /** Whether other processes are among them. */
  readonly isShared: boolean
  readonly isFailing: () => boolean
  readonly tokens: SharedTokens
  readonly remove: (key: string, version: string) => Effect.Effect<unknown>
  /** A renewal has begun, and waits for its turns. */
  readonly enter: (renewal: Renewal) => Turns
  /** The holds that all of them keep to; not where all is one process. */
  readonly holds?: {
    /** Counts a hold, unless one is in force; answers with the one that is now. */
    readonly count: (key: string, origin: string, atLeast: Hold) => Effect.Effect<Hold>
    readonly forget: (key: string, origin: string) => Effect.Effect<void>
  } | undefined
  /** Begins to watch whether the tokens of a key are bound to who asked for them; not where all is one process. */
  readonly makeBinding?: (() => TokenBinding) | undefined
  /** Whether a new token is on its way into the store: what is there is not news. */
  readonly isWriting: (key: string) => boolean
  /** Tells of keys that were written or removed, for as long as it runs. */
  readonly watch: (changed: (key: string) => Effect.Effect<void>) => Effect.Effect<void>
}

/** The turns of one renewal. */
export interface Turns {
  /** Bounds what a look at the store and the turn that follows wait for it, together. */
  readonly bound: <A, E>(round: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Takes a turn after this look at the store: what comes of it, or the milliseconds until the next look. */
  readonly take: (found: Found) => Effect.Effect<Outcome | number, Failure>
  /** The renewal has ended. */
  readonly leave: Effect.Effect<void>
}

type Failure = TokenRequestError | TokenProviderError

/** A renewal, as those who share the store know it. */
export interface Renewal {
  readonly key: string
  readonly origin: string
  readonly reason: OAuthMetrics.RenewalReason
  /** When who waits for it is told that there is no token (epoch milliseconds). */
  readonly deadline: number
  /** What the store has, the token only where it is worth taking; `None` when the store could not be asked. */
  readonly look: Effect.Effect<Option.Option<Found>>
  /** Asks the endpoint. */
  readonly ask: Effect.Effect<AccessToken, Failure>
  /** How often the endpoint was asked. */
  readonly attempts: () => number
  /** Asks the endpoint without regard for others. */
  readonly askAlone: Effect.Effect<Outcome | number, Failure>
  /** What the Schedule says to a failure. */
  readonly delayAfter: DelayAfter
  /** Tries again after this delay (ms), if there is one; none of the others brings a token before `others` have passed. */
  readonly tryAgain: (
    error: TokenRequestError,
    delay: Option.Option<number>,
    others?: number
  ) => Effect.Effect<number, TokenRequestError>
  /** Others are at it, and bring nothing before this time (epoch milliseconds), if that is known. */
  readonly onBusy: (notBefore?: number) => void
}

/**
 * What a renewal brings:
 *
 * - `Adopted`: the token of the store.
 * - `Issued`: a new token, to be written in place of the version `replaces`.
 *   Once it is written, `finish` passes the turn on.
 * - `Held`: nothing, for the fleet holds renewals for this origin.
 * - `Busy`: nothing, for another process is at it and nobody here waits.
 */
export type Outcome = Data.TaggedEnum<{
  Adopted: { readonly token: AccessToken }
  Issued: {
    readonly token: AccessToken
    readonly replaces: Option.Option<string>
    readonly finish: Effect.Effect<void>
  }
  Held: { readonly hold: Hold }
  Busy: { readonly again: number }
}>

/** Makes outcomes. */
export const Outcome = Data.taggedEnum<Outcome>()

/** Who waits for a turn looks this often, unless it is told before (ms). */
export const pollInterval = { min: 100, max: 300 }

/** Without a store: everything stays in the provider. */
export const none: Fleet = {
  isShared: false,
  isFailing: constFalse,
  isWriting: constFalse,
  tokens: { read: () => Effect.succeedNone, write: () => Effect.succeed(true) },
  remove: () => Effect.void,
  enter: ({ askAlone }) => ({ bound: identity, take: () => askAlone, leave: Effect.void }),
  watch: () => Effect.void
}
