/**
 * Everything that a provider knows of each key: the token, the renewal in
 * progress, and verdicts. Keeps the most recently used keys.
 */
import * as Redacted from "effect/Redacted"
import type { Sharing } from "../store/Sharing.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import type { ResolvedTokenRequest, TokenRequest } from "../TokenRequest.js"
import * as KeyState from "./KeyState.js"
import type * as ServerHabits from "./ServerHabits.js"

/** Everything known about one key. */
export interface Slot extends Pick<KeyState.Cell, "state" | "apply"> {
  readonly request: ResolvedTokenRequest
  /** The key of the token in the store. */
  readonly key: string
  /** The name of the key in logs and spans. */
  readonly name: string
  /** The request as callers make it; `undefined` is the default one. */
  readonly source: TokenRequest | undefined
  /** What its tokens showed about the server; `undefined` until a token was rejected. */
  habits: ServerHabits.ServerHabits | undefined
}

class Entry extends KeyState.Cell implements Slot {
  habits: ServerHabits.ServerHabits | undefined = undefined
  /** The text of the request by which `byText` finds this slot. */
  text: string | undefined = undefined
  /** Which use of all slots was its last. */
  lastUse = 0

  constructor(
    readonly source: TokenRequest | undefined,
    readonly request: ResolvedTokenRequest,
    readonly key: string,
    readonly sharing: Pick<Sharing, "nameOf">
  ) {
    super()
  }

  get name(): string {
    return this.sharing.nameOf(this.key)
  }
}

/** The slots of a provider. */
export interface TokenCache {
  /** The slot of a request, created if missing. Without a request it is the default slot, which is never dropped. */
  readonly of: (request: TokenRequest | undefined) => Slot
  /** The slot of a key, if it is in use. */
  readonly find: (key: string) => Slot | undefined
  /** The slot of a request, if it is in use. */
  readonly peek: (request: TokenRequest | undefined) => Slot | undefined
  readonly all: () => Iterable<Slot>
  /** Drops all tokens permanently. */
  readonly close: () => void
  readonly isClosed: () => boolean
}

/** Makes the slots of an endpoint's keys: `capacity` slots and the default one. */
export const make = (
  endpoint: Pick<TokenEndpoint["Type"], "isCurrent" | "resolve">,
  sharing: Pick<Sharing, "keyOf" | "nameOf">,
  capacity: number
): TokenCache => {
  const keyOf = ({ key }: ResolvedTokenRequest) => sharing.keyOf(Redacted.value(key))
  const makeSlot = (source: TokenRequest | undefined, request = endpoint.resolve(source), key = keyOf(request)) =>
    new Entry(source, request, key, sharing)
  let first = makeSlot(undefined)
  let closed = false
  const others = new Map<string, Entry>()
  let uses = 0
  // Computing a key costs more than everything else that a token in memory needs
  const byText = new Map<string | undefined, Entry>()

  const used = (slot: Entry) => {
    slot.lastUse = uses++
    return slot
  }

  // To search for the oldest slot costs little beside the token request of a new key; to keep the slots in order would
  // cost each call
  const dropOldest = () => {
    while (others.size >= capacity) {
      let oldest: Entry | undefined
      for (const slot of others.values()) {
        if (KeyState.flightOf(slot.state) === undefined && !(oldest && oldest.lastUse < slot.lastUse)) oldest = slot
      }
      if (oldest === undefined) return
      const { key, text } = oldest
      others.delete(key)
      if (byText.get(text) === oldest) byText.delete(text)
    }
  }

  const find = (key: string) => key === first.key ? first : others.get(key)

  const add = (slot: Entry) => {
    dropOldest()
    others.set(slot.key, slot)
    return slot
  }

  return {
    of: (request) => {
      if (!endpoint.isCurrent(first.request)) {
        // Its tokens are bound to a key or certificate that is no longer presented
        first = makeSlot(undefined)
        byText.clear()
      }
      if (request === undefined) return first
      const text = textOf(request)
      const known = byText.get(text)
      if (known !== undefined) return used(known)
      const resolved = endpoint.resolve(request)
      const key = keyOf(resolved)
      const slot = used(find(key) ?? add(makeSlot(request, resolved, key)))
      // If several texts have the same key, only the first is kept
      if (text !== undefined && !byText.has(slot.text)) {
        slot.text = text
        byText.set(text, slot)
      }
      return slot
    },
    all: () => [first, ...others.values()],
    find,
    peek: (request) => find(keyOf(endpoint.resolve(request))),
    isClosed: () => closed,
    close: () => {
      closed = true
      first.apply(KeyState.closed)
      others.clear()
      byText.clear()
    }
  }
}

/** Whether tokens of other processes may be used for the key. */
export const sharesTokens = ({ habits }: Slot): boolean => habits?.binding?.sharesTokens() !== false

const textOf = ({ audience, grant, params, resource, scope }: TokenRequest): string | undefined => {
  // Only the grant knows what it depends on
  if (grant !== undefined) return undefined
  const isScopeAlone = resource === undefined && audience === undefined && params === undefined
  return isScopeAlone && typeof scope === "string" && !scope.startsWith("[")
    ? scope
    : JSON.stringify([scope, resource, audience, params])
}
