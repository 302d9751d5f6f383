/** What the client and Memcached say when something went wrong, told apart and put into a line. */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

const messageOf = (error: unknown): string => {
  const message = Predicate.hasProperty(error, "message") ? error.message : undefined
  return typeof message === "string" ? message : ""
}

const silent = new Error("no answer in time")

/** The error of a command whose answer did not come in time. */
export const timedOut = (): Error => silent

/** A command was sent, and its answer did not come in time. */
export const isTimeout = (error: unknown): boolean => error === silent

/** The error of a command after the store was closed. */
export const closed = (): Error => new Error("the store is closed")

const foreign = new Error("the server does not answer as Memcached 1.6.10 and newer do")

/** The error of an answer that is none of Memcached's. What it says is not shown: it may be anything. */
export const unexpected = (): Error => foreign

/** The server was asked, and this is what it says; the connection is in order. */
export const isRefusal = (error: unknown): boolean => /^SERVER_ERROR /.test(messageOf(error))

/** The server was asked, and this is what it says. */
export const isReply = (error: unknown): boolean =>
  isRefusal(error) || error === foreign || /^(CLIENT_)?ERROR\b/.test(messageOf(error))

/** The server wants a password first. */
export const isUnauthenticated = (error: unknown): boolean => /^CLIENT_ERROR unauthenticated/.test(messageOf(error))

/** Says in one line what is wrong, without the secret. */
export const describe = (error: unknown, secret?: string | undefined): string =>
  OAuthError.describe(error, (text) => {
    const hint = hints.find(([said]) => said.test(text))?.[1]
    const line = hint === undefined ? text : `${text} (${hint})`
    return secret ? line.replaceAll(secret, "<redacted>") : line
  })

const hints: ReadonlyArray<readonly [said: RegExp, hint: string]> = [
  [/^SERVER_ERROR object too large/, "the entry is larger than the server accepts: its option -I, 1 MiB by default"],
  [/^SERVER_ERROR out of memory/, "it is full, and may not evict"],
  [/^CLIENT_ERROR unauthenticated/, "the server requires a username and a password"],
  [/^CLIENT_ERROR authentication failure/, "the username or the password is wrong"]
]
