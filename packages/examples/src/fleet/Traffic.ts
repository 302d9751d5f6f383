/** What the parent and the processes of the fleet say to each other. */

import type * as SharedStore from "../SharedStore.js"

/**
 * Who calls: an app whose processes take turns, the same app without leases and
 * notices, or one that needs no token.
 */
export type Client = "fleet" | "alone" | "control"

/** So many calls at once and no more; or one every so many milliseconds; or so many callers without a pause. */
export type Pattern = { readonly burst: number } | { readonly every: number } | { readonly callers: number }

/** The calls of one app in one process. */
export interface Traffic {
  readonly client: Client
  /** Of the token endpoint and the API. */
  readonly url: string
  readonly store: SharedStore.Name
  readonly address: SharedStore.Address
  readonly pattern: Pattern
  /** TokenProvider's `leaseDuration` (ms). */
  readonly lease: number
}

/** Begins with all of these, or ends what has begun once the calls under way are answered. */
export type Command = { readonly start: ReadonlyArray<Traffic> } | "stop"

export interface Call {
  /** When it began (epoch milliseconds). */
  readonly at: number
  readonly millis: number
  /** `undefined` when the call failed. */
  readonly status: number | undefined
  readonly error: string | undefined
}

/** How long TokenProvider took where the token was not at hand. */
export interface Wait {
  readonly at: number
  readonly millis: number
}

export interface Report {
  readonly client: Client
  readonly calls: ReadonlyArray<Call>
  readonly waits: ReadonlyArray<Wait>
}

/** Where the server sees which process asks. */
export const processHeader = "x-process"
