/** The API and the token endpoint of a benchmark, in a process of their own. */
import * as Child from "./Child.js"
import type { Surroundings } from "./Client.js"

export interface Behaviour {
  /** How long the token endpoint takes for an answer, in milliseconds. */
  readonly tokenLatency: number
  /** How long the API takes. A token is judged at the end. */
  readonly apiLatency: number
  /** What is said of a token, and how long it really works, in seconds. */
  readonly expiresIn: number
  /** How often a new token is due, in seconds. */
  readonly period: number
}

export interface Counts {
  readonly tokenRequests: number
  /** Token requests that came while another was under way, or within half a period of the last token. */
  readonly needless: number
  readonly apiRequests: number
  readonly unauthorized: number
}

export interface Servers {
  readonly url: string
  /** Forgets the counts, the tokens and the outage, and behaves like this from now on. */
  readonly reset: (behaviour?: Partial<Behaviour>) => Promise<void>
  readonly counts: () => Promise<Counts>
  /** Ends all tokens so far. */
  readonly revoke: () => Promise<void>
  /** The token endpoint answers 503 from now on, for so many milliseconds. */
  readonly fail: (duration: number) => Promise<void>
  readonly close: () => void
}

export type Command =
  | { readonly type: "reset"; readonly behaviour: Partial<Behaviour> }
  | { readonly type: "counts" }
  | { readonly type: "revoke" }
  | { readonly type: "fail"; readonly duration: number }

export const start = async (): Promise<Servers> => {
  const { ask, close, hello: { url } } = await Child.start("serve.js")
  const obey = (command: Command) => ask(command)
  return {
    url,
    reset: (behaviour = {}) => obey({ type: "reset", behaviour }),
    counts: () => obey({ type: "counts" }),
    revoke: () => obey({ type: "revoke" }),
    fail: (duration) => obey({ type: "fail", duration }),
    close
  }
}

/** These servers as the clients know them. */
export const surroundings = ({ url }: Servers, margin = 60): Surroundings => ({
  url,
  tokenEndpoint: `${url}/token`,
  clientId: "client-id",
  clientSecret: "client-secret",
  margin
})
