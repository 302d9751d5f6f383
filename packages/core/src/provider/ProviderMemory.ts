/**
 * What a provider keeps beside its public service: for its clients, of which
 * one may get the 401 and another the answer that clears it, and for who asks
 * how it stands.
 */
import type { StoreStatus } from "../TokenStatus.js"
import type { Acceptances } from "./OriginVerdicts.js"
import type { TokenCache } from "./TokenCache.js"

/** Spread into a service made of another, it stays the same one. */
export interface ProviderMemory {
  readonly [memory]: {
    readonly acceptances: Acceptances
    readonly slots: TokenCache
    readonly store: () => StoreStatus
    /** Epoch milliseconds. */
    readonly now: () => number
  }
}

const memory: unique symbol = Symbol("@effect-alf/core/ProviderMemory")

/** For a new provider. */
export const make = (kept: ProviderMemory[typeof memory]): ProviderMemory => ({ [memory]: kept })

/** That of a provider; one that an app made itself has none. */
export const of = (provider: object): ProviderMemory[typeof memory] | undefined =>
  (provider as Partial<ProviderMemory>)[memory]
