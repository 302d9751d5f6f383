/**
 * What a provider keeps in addition to its public service: shared by its
 * clients, as one client may get the 401 and another the response that clears
 * it; and for its status.
 */
import type { Fleet } from "../store/Sharing.js"
import type { Acceptances } from "./OriginVerdicts.js"
import type { TokenCache } from "./TokenCache.js"

/** Stays the same when it is spread into another service. */
export interface ProviderMemory {
  readonly [memory]: {
    readonly acceptances: Acceptances
    readonly slots: TokenCache
    readonly fleet: Pick<Fleet, "isFailing">
    /** Epoch milliseconds. */
    readonly now: () => number
  }
}

const memory: unique symbol = Symbol("@effect-alf/core/ProviderMemory")

/** Makes it for a new provider. */
export const make = (kept: ProviderMemory[typeof memory]): ProviderMemory => ({ [memory]: kept })

/** The memory of a provider; a provider that an app made itself has none. */
export const of = (provider: object): ProviderMemory[typeof memory] | undefined =>
  (provider as Partial<ProviderMemory>)[memory]
