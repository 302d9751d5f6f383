/** The clients of servers that know nothing but secrets. */
import { Redacted } from "effect"
import { createHash, timingSafeEqual } from "node:crypto"

export interface Client {
  readonly id: string
  /** A client without one only names itself. */
  readonly secret?: Redacted.Redacted | undefined
}

export interface Clients {
  readonly set: (client: Client) => void
  readonly isPublic: (id: string) => boolean
  /** Whether this is the secret of the client; without one, whether the client has none. */
  readonly check: (id: string, secret: string | null | undefined) => boolean
}

export const register = (clients: ReadonlyArray<Client>): Clients => {
  const registered = new Map(clients.map((client) => [client.id, client]))
  return {
    set: (client) => {
      registered.set(client.id, client)
    },
    isPublic: (id) => registered.get(id)?.secret === undefined,
    check: (id, secret) => {
      const client = registered.get(id)
      if (client === undefined) return false
      if (client.secret === undefined) return secret === undefined || secret === null || secret === ""
      return typeof secret === "string" && timingSafeEqual(digest(secret), digest(Redacted.value(client.secret)))
    }
  }
}

const digest = (text: string) => createHash("sha256").update(text).digest()
