/** The API and the token endpoint of a benchmark, in a process of their own. */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
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

/** A token that the API takes at any time. */
export const constantToken = "the-constant-token-of-those-who-renew-none"

export type Command =
  | { readonly type: "reset"; readonly behaviour: Partial<Behaviour> }
  | { readonly type: "counts" }
  | { readonly type: "revoke" }
  | { readonly type: "fail"; readonly duration: number }

export const start = async (): Promise<Servers> => {
  const child = fork(fileURLToPath(new URL("serve.js", import.meta.url)), { execArgv: [] })
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`The servers ended with ${code}`)))
  })
  ended.catch(() => {})
  const answer = () =>
    Promise.race([
      ended,
      new Promise<any>((resolve) => {
        child.once("message", resolve)
      })
    ])
  const ask = async (command: Command): Promise<any> => {
    const answered = answer()
    child.send(command)
    return answered
  }
  const { url } = await answer()
  return {
    url,
    reset: (behaviour = {}) => ask({ type: "reset", behaviour }),
    counts: () => ask({ type: "counts" }),
    revoke: () => ask({ type: "revoke" }),
    fail: (duration) => ask({ type: "fail", duration }),
    close: () => child.disconnect()
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
