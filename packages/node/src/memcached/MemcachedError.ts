/** The failures of the client and of Memcached: what kind each is, and its description in one line. */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

const messageOf = (error: unknown): string => {
  const message = Predicate.hasProperty(error, "message") ? error.message : undefined
  return typeof message === "string" ? message : ""
}

const silent = new Error("no answer in time")

/** The error of a command that timed out. */
export const timedOut = (): Error => silent

/** Whether a command timed out. */
export const isTimeout = (error: unknown): boolean => error === silent

/** The error of a command after the store was closed. */
export const closed = (): Error => new Error("the store is closed")

const foreign = new Error("the server does not answer as Memcached 1.6.10 and newer do")

/** The error of a response that is not one of Memcached. Its text is not shown, as it could be anything. */
export const unexpected = (): Error => foreign

/** Whether the server refused a command; the connection still works. */
export const isRefusal = (error: unknown): boolean => /^SERVER_ERROR /.test(messageOf(error))

/** Whether this is a response of the server. */
export const isReply = (error: unknown): boolean =>
  isRefusal(error) || error === foreign || /^(CLIENT_)?ERROR\b/.test(messageOf(error))

/** Whether the server requires a password. */
export const isUnauthenticated = (error: unknown): boolean => /^CLIENT_ERROR unauthenticated/.test(messageOf(error))

/** Describes the failure in one line, without the secret. */
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
