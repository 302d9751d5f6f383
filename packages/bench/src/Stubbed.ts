/** What a client does itself for a request: measured over a transport that takes no time. */
import { constantToken } from "./Token.js"

export interface Stubbed {
  readonly name: string
  /** A request with a header that never changes, by the same means. */
  readonly constant: () => Promise<unknown>
  /** A request with the token that the client keeps. */
  readonly authorized: () => Promise<unknown>
}

export const url = "http://127.0.0.1:8080"

export const authorization = `Bearer ${constantToken}`

/** Seconds. */
export const lifetime = 86_400

const answer = new Response("{}")

/** What is measured sends the token: everything else would be cheaper. */
export const check = (sent: unknown): void => {
  if (sent !== authorization) throw new Error("The request has no token")
}

/** As any fetch, it makes a request of what it is given. */
export const fetchNothing: typeof fetch = async (input, init) => {
  check(new Request(input, init).headers.get("authorization"))
  return answer
}
