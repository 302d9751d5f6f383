/**
 * All that a provider knows of each key: the token, the renewal under way, and
 * what has been said of either. The keys used last are kept.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { AccessToken } from "./AccessToken.js"
import type { Cooldown, Failure } from "./Cooldown.js"
import * as HeldToken from "./HeldToken.js"
import type { TokenEndpointError } from "./OAuthError.js"
import type { RenewalOutcome } from "./OAuthMetrics.js"
import type * as RejectedTokens from "./RejectedTokens.js"
import type { Purpose } from "./Renewal.js"
import type * as ServerHabits from "./ServerHabits.js"
import type { TokenEndpoint } from "./TokenEndpoint.js"
import type { ResolvedTokenRequest, TokenRequest } from "./TokenRequest.js"
import type { WaitingCallers } from "./WaitingCallers.js"

/**
 * Everything known about one key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Slot {
  readonly request: ResolvedTokenRequest
  /** The request as callers make it; `undefined` is the default one. */
  readonly source: TokenRequest | undefined
  /** What resources have said; nothing, until one of them has rejected a token. */
  rejected: RejectedTokens.RejectedTokens | undefined
  habits: ServerHabits.ServerHabits | undefined
  /** Of the failures since the last success, if there are any. */
  cooldown: Cooldown | undefined
  held: HeldToken.HeldToken | undefined
  /** The token before this one: a store that has missed a write still holds it, and requests are on their way with it. */
  replaced: ServerHabits.Token | undefined
  flight: Flight | undefined
  /** A new token is on its way into the store: what is there is not news. */
  isWriting: boolean
  /** Why the last renewal failed, if it did, and when (epoch milliseconds). */
  failure: { readonly error: Failure; readonly at: number } | undefined
  backgroundFailures: number
  /** Before this time no renewal is begun that nobody waits for (epoch milliseconds). */
  backgroundNotBefore: number
  /** How a caller wrote the request, where that says all. */
  text: string | undefined
  /** The slots that were used before and after it. */
  older: Slot | undefined
  newer: Slot | undefined
}

/**
 * A renewal under way, which callers wait for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Flight {
  readonly purpose: Purpose
  readonly origin: string
  /**
   * Those who wait for it. They are told `undefined` when it brought nothing,
   * and whoever still needs a token asks again.
   */
  readonly callers: WaitingCallers<AccessToken | undefined, Failure>
  /** Opened when the store has changed. */
  readonly changed: Effect.Latch
  span: Tracer.Span | undefined
  links: number
  attempts: number
  /** What it waits for, in words, and since when (epoch milliseconds). */
  waitsFor: { readonly what: string; readonly since: number } | undefined
  /** What it has come to. */
  outcome: RenewalOutcome | undefined
  /** What the last attempt said, while it is made again. */
  lastError: TokenEndpointError | undefined
  failedAt: number | undefined
  /** A cool-down answered for the endpoint: its failure is the old one, told again. */
  isAnswered: boolean
}

/**
 * The slots of a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenSlots {
  /** The slot of a request, made where there is none. Without a request it is the default one, which is never dropped. */
  readonly of: (request: TokenRequest | undefined) => Slot
  /** The slot of a key that is in use. */
  readonly find: (key: string) => Slot | undefined
  readonly all: () => Iterable<Slot>
  /** Forgets all tokens, for good. */
  readonly close: () => void
  readonly isClosed: () => boolean
}

/**
 * Makes the slots of an endpoint's keys, `capacity` of them beside the default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (endpoint: TokenEndpoint["Type"], capacity: number): TokenSlots => {
  const makeSlot = (source: TokenRequest | undefined, request = endpoint.resolve(source)): Slot => ({
    request,
    source,
    rejected: undefined,
    habits: undefined,
    cooldown: undefined,
    held: undefined,
    replaced: undefined,
    flight: undefined,
    isWriting: false,
    failure: undefined,
    backgroundFailures: 0,
    backgroundNotBefore: 0,
    text: undefined,
    older: undefined,
    newer: undefined
  })
  let first = makeSlot(undefined)
  let closed = false
  const others = new Map<string, Slot>()
  // The digest of a key costs more than all else that is done for a token in memory
  const byText = new Map<string, Slot>()
  let oldest: Slot | undefined
  let newest: Slot | undefined

  const unlink = (slot: Slot) => {
    if (slot.older === undefined) oldest = slot.newer
    else slot.older.newer = slot.newer
    if (slot.newer === undefined) newest = slot.older
    else slot.newer.older = slot.older
  }

  const append = (slot: Slot) => {
    slot.older = newest
    slot.newer = undefined
    if (newest === undefined) oldest = slot
    else newest.newer = slot
    newest = slot
  }

  const used = (slot: Slot) => {
    if (slot === first || slot === newest) return slot
    unlink(slot)
    append(slot)
    return slot
  }

  const dropOldest = () => {
    let slot = oldest
    while (slot !== undefined && others.size >= capacity) {
      const { newer } = slot
      if (slot.flight === undefined) {
        others.delete(slot.request.key)
        if (slot.text !== undefined && byText.get(slot.text) === slot) byText.delete(slot.text)
        unlink(slot)
        slot.older = slot.newer = undefined
      }
      slot = newer
    }
  }

  const find = (key: string) => key === first.request.key ? first : others.get(key)

  const add = (source: TokenRequest, request: ResolvedTokenRequest) => {
    const slot = makeSlot(source, request)
    dropOldest()
    others.set(request.key, slot)
    append(slot)
    return slot
  }

  return {
    of: (request) => {
      if (!endpoint.isCurrent(first.request)) {
        // Its tokens are bound to what is no longer presented
        first = makeSlot(undefined)
        byText.clear()
      }
      if (request === undefined) return first
      const text = textOf(request)
      const known = text === undefined ? undefined : byText.get(text)
      if (known !== undefined) return used(known)
      const resolved = endpoint.resolve(request)
      const found = find(resolved.key)
      const slot = found === undefined ? add(request, resolved) : used(found)
      // The first of the texts that come to the same key
      if (text !== undefined && (slot.text === undefined || !byText.has(slot.text))) {
        slot.text = text
        byText.set(text, slot)
      }
      return slot
    },
    all: () => [first, ...others.values()],
    find,
    isClosed: () => closed,
    close: () => {
      closed = true
      first.held = undefined
      others.clear()
      byText.clear()
      oldest = newest = undefined
    }
  }
}

/**
 * Whether tokens of other processes may be used for the key.
 *
 * @since 0.1.0
 * @category accessors
 */
export const sharesTokens = ({ habits }: Slot): boolean => habits === undefined || habits.sharesTokens()

/**
 * What is known of a token, while it is held or has just been replaced.
 *
 * @since 0.1.0
 * @category accessors
 */
export const known = ({ held, replaced }: Slot, token: AccessToken): ServerHabits.Token | undefined => {
  if (held !== undefined && HeldToken.is(held, token)) return held
  return replaced !== undefined && replaced.digest === HeldToken.digestOf(token, held) ? replaced : undefined
}

const textOf = ({ audience, grant, params, resource, scope }: TokenRequest): string | undefined => {
  // A grant decides by what only itself knows
  if (grant !== undefined) return undefined
  const isScopeAlone = resource === undefined && audience === undefined && params === undefined
  return isScopeAlone && typeof scope === "string" && !scope.startsWith("[")
    ? scope
    : JSON.stringify([scope, resource, audience, params])
}
