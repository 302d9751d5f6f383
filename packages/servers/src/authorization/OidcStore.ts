/** The memory of one oidc-provider; its own is shared by all that run in a process. */
import type { Adapter, AdapterPayload, ClientMetadata } from "oidc-provider"

export interface OidcStore {
  readonly adapter: (model: string) => Adapter
  /** Registers a client, or changes what is registered. */
  readonly setClient: (client: ClientMetadata) => void
  /** Forgets every token; the clients stay. */
  readonly forgetTokens: () => void
}

interface Entry {
  payload: AdapterPayload
  readonly expiresAt: number
}

const maxEntries = 10_000

export const make = (): OidcStore => {
  const clients = new Map<string, AdapterPayload>()
  const entries = new Map<string, Entry>()
  const find = (key: string) => {
    const entry = entries.get(key)
    return entry !== undefined && Date.now() < entry.expiresAt ? entry : undefined
  }
  const never = async () => undefined
  return {
    setClient: (client) => {
      clients.set(client.client_id, { ...client })
    },
    forgetTokens: () => entries.clear(),
    adapter: (model) => ({
      find: async (id) => model === "Client" ? clients.get(id) : find(`${model}:${id}`)?.payload,
      upsert: async (id, payload, expiresIn = Number.POSITIVE_INFINITY) => {
        const now = Date.now()
        for (const [key, entry] of entries) {
          if (entry.expiresAt <= now || entries.size >= maxEntries) entries.delete(key)
        }
        entries.set(`${model}:${id}`, { payload, expiresAt: now + expiresIn * 1000 })
      },
      consume: async (id) => {
        const entry = find(`${model}:${id}`)
        if (entry !== undefined) entry.payload = { ...entry.payload, consumed: Math.floor(Date.now() / 1000) }
      },
      destroy: async (id) => {
        entries.delete(`${model}:${id}`)
      },
      revokeByGrantId: async (grantId) => {
        for (const [key, entry] of entries) {
          if (key.startsWith(`${model}:`) && entry.payload.grantId === grantId) entries.delete(key)
        }
      },
      // Of grants in which a user takes part
      findByUid: never,
      findByUserCode: never
    })
  }
}
