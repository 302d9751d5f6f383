import { setTimeout as sleep } from "node:timers/promises"
import { inspect } from "node:util"
import type { Client, Contender } from "./Client.js"
import { makeGate } from "./Gate.js"
import { makeServer, ok, type Server, unauthorized } from "./Server.js"
import { advance } from "./Time.js"

/** A row of the table: what is tried with every client. */
export interface Scenario {
  readonly title: string
  /** The cells, in the order of the contenders. */
  readonly measure: (contenders: ReadonlyArray<Contender>) => Promise<ReadonlyArray<string>>
}

interface Bench {
  readonly server: Server
  readonly make: () => Client
}

const clientId = "the-client"
const clientSecret = "the-client-secret"

const each = (
  title: string,
  measure: (bench: Bench) => Promise<string | number | boolean>
): Scenario => ({
  title,
  measure: (contenders) =>
    Promise.all(contenders.map(async (contender) => {
      const server = await makeServer()
      const storage = new Map<string, string>()
      const clients: Array<Client> = []
      const make = () => {
        const client = contender.make({
          issuer: server.url,
          tokenEndpoint: `${server.url}/token`,
          api: server.url,
          clientId,
          clientSecret,
          storage
        })
        clients.push(client)
        return client
      }
      try {
        const cell = await measure({ server, make })
        return typeof cell === "boolean" ? (cell ? "yes" : "no") : String(cell)
      } finally {
        await Promise.all(clients.map(async (client) => client.close?.()))
        await server.close()
      }
    }))
})

const times = <A>(count: number, f: (index: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, i) => f(i))

const succeeds = async (call: Promise<number>): Promise<boolean> => {
  try {
    return await call === 200
  } catch {
    return false
  }
}

/**
 * Waits for turns of the event loop, in which clients and servers both live: on a busy machine they take longer, and
 * what is under way gets as far.
 */
const turns = async (count: number, isOver: () => boolean = () => false) => {
  for (let turn = 0; turn < count && !isOver(); turn++) await sleep(20)
}

/** All contenders have come so far before the time is moved for all of them. */
const meeting = (count: number, onMet: () => void) => {
  const gate = makeGate()
  return () => {
    if (--count === 0) {
      onMet()
      gate.open()
    }
    return gate.opened
  }
}

export const measured: ReadonlyArray<Scenario> = [
  each("token requests for 50 first calls", async ({ make, server }) => {
    const { get } = make()
    await Promise.all(times(50, () => get(`${server.url}/orders`)))
    return server.tokenRequests.length
  }),
  {
    title: "30 s before a token of 1 hour expires",
    measure: (contenders) => {
      const meet = meeting(contenders.length, () => advance(3_570_000))
      return each("", async ({ make, server }) => {
        const { get } = make()
        await get(`${server.url}/orders`)
        await meet()
        const gate = makeGate()
        server.answerToken = async (issue) => {
          await gate.opened
          return issue()
        }
        let answered = 0
        const calls = times(10, () => get(`${server.url}/orders`).then(() => answered++))
        await turns(100, () => answered === 10)
        const isBlocked = answered < 10
        const isRenewed = server.tokenRequests.length > 1
        gate.open()
        await Promise.all(calls)
        return isBlocked ? "calls wait" : isRenewed ? "renewed in background" : "not renewed"
      }).measure(contenders)
    }
  },
  each("401: sent again with a new token", async ({ make, server }) => {
    const { get } = make()
    await get(`${server.url}/orders`)
    server.revokeAll()
    return succeeds(get(`${server.url}/orders`))
  }),
  each("token requests for 50 concurrent 401s", async ({ make, server }) => {
    const { get } = make()
    await get(`${server.url}/orders`)
    server.revokeAll()
    const gate = makeGate()
    let waiting = 0
    server.answerApi = async (isValid) => {
      if (isValid) return ok
      if (++waiting === 50) gate.open()
      await gate.opened
      return unauthorized
    }
    server.answerToken = async (issue) => {
      await turns(25)
      return issue()
    }
    const before = server.tokenRequests.length
    const statuses = await Promise.all(times(50, () => get(`${server.url}/orders`)))
    return statuses.every((status) => status === 200) ? server.tokenRequests.length - before : "401 returned"
  }),
  each("403: no token request", async ({ make, server }) => {
    const { get } = make()
    await get(`${server.url}/orders`)
    server.answerApi = () => ({ status: 403 })
    await succeeds(get(`${server.url}/orders`))
    return server.tokenRequests.length === 1
  }),
  each("503 from the token endpoint: retried", async ({ make, server }) => {
    server.answerToken = (issue) => server.tokenRequests.length === 1 ? { status: 503 } : issue()
    return succeeds(make().get(`${server.url}/orders`))
  }),
  each("token requests for 20 calls after `invalid_client`", async ({ make, server }) => {
    server.answerToken = () => ({ status: 401, body: { error: "invalid_client" } })
    const { get } = make()
    for (let call = 0; call < 20; call++) await succeeds(get(`${server.url}/orders`))
    return server.tokenRequests.length
  }),
  each("307 from the token endpoint: secret not forwarded", async ({ make, server }) => {
    const other = await makeServer()
    server.answerToken = () => ({ status: 307, headers: { location: `${other.url}/token` } })
    await succeeds(make().get(`${server.url}/orders`))
    await other.close()
    return !other.tokenRequests.some((request) => leaks(JSON.stringify(request)))
  }),
  each("token not sent to another origin", async ({ make, server }) => {
    const other = await makeServer()
    const { get } = make()
    await get(`${server.url}/orders`)
    await succeeds(get(`${other.url}/orders`))
    await other.close()
    return other.presented.every((authorization) => authorization === undefined)
  }),
  each("token shared through a store", async ({ make, server }) => {
    await make().get(`${server.url}/orders`)
    await make().get(`${server.url}/orders`)
    return server.tokenRequests.length === 1
  }),
  each("no secret in errors", async ({ make, server }) => {
    server.answerToken = () => ({ status: 400, body: { error: "invalid_scope" } })
    try {
      await make().get(`${server.url}/orders`)
      return "no error"
    } catch (error) {
      return !leaks(inspect(error, { depth: 10, breakLength: Infinity }) + toJson(error))
    }
  })
]

const leaks = (text: string) =>
  [clientSecret, btoa(`${clientId}:${clientSecret}`)].some((secret) => text.includes(secret))

const toJson = (error: unknown) => {
  try {
    return JSON.stringify(error)
  } catch {
    return ""
  }
}

const documented = (title: string, of: (contender: Contender) => string): Scenario => ({
  title,
  measure: async (contenders) => contenders.map(of)
})

export const read: ReadonlyArray<Scenario> = [
  documented("`private_key_jwt`", ({ documented }) => documented.privateKeyJwt),
  documented("client certificates (mTLS)", ({ documented }) => documented.mutualTls),
  documented("DPoP (RFC 9449)", ({ documented }) => documented.dpop),
  documented("user sign-in (authorization code)", ({ documented }) => documented.authorizationCode),
  documented("OpenID certified", ({ documented }) => documented.certified)
]
