/**
 * What ioredis and Redis say when something went wrong, told apart and put into
 * a line without secrets.
 */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

const textOf = (error: unknown, property: "message" | "name"): string => {
  const text = Predicate.hasProperty(error, property) ? error[property] : undefined
  return typeof text === "string" ? text : ""
}

// As ioredis says it
const timeoutMessage = "Command timed out"

/** The error of a command whose answer did not come in time. */
export const timedOut = (): Error => new Error(timeoutMessage)

/** The error of a command that was not sent. */
export const notConnected = (): Error => new Error("Connection is closed.")

/** A command was sent, and its answer did not come in time. */
export const isTimeout = (error: unknown): boolean => textOf(error, "message") === timeoutMessage

/** The server does not know a script by its hash: it must be sent whole. */
export const isUnknownScript = (error: unknown): boolean => textOf(error, "message").includes("NOSCRIPT")

/** A server was asked, and this is its answer. */
export const isReply = (error: unknown): boolean => textOf(error, "name") === "ReplyError"

// How ioredis says that there is no connection, or that it was lost before the answer; or that one node of a cluster
// only knows another that is gone
const withoutConnection = new RegExp([
  "^Stream isn't writeable",
  "^Cluster isn't ready",
  "^Reached the max retries per request limit",
  "^Too many Cluster redirections.*: MOVED ",
  "(Connection|Cluster) is (closed|ended)\\.$"
].join("|"))

/**
 * The command did not reach a server, or the connection was lost before its
 * answer.
 */
export const isNotConnected = (error: unknown): boolean => withoutConnection.test(textOf(error, "message"))

/** The other side has ended the connection. */
export const isCut = (error: unknown): boolean => /^(read|write) (ECONNRESET|EPIPE)/.test(textOf(error, "message"))

/** A password was given to a server that needs none. */
export const isNeedlessPassword = (error: unknown): boolean =>
  /no password is set|without any password configured/.test(textOf(error, "message"))

// How OpenSSL and Node say that the other side speaks no TLS; Redis itself waits for the rest of a line, and says nothing
const noTls = /wrong version number|packet length too long|before secure TLS connection|connect ETIMEDOUT/i
// The other side ends what is no handshake, at times with an alert (RFC 8446 §6), which ioredis' parser meets
const onlyTls = /^(read|write) (ECONNRESET|EPIPE)|^Protocol error, got "\\u0015"/

/** The hint at a port without TLS, which may also never answer at all. */
export const hintAtNoTls = " (a port without TLS does this to rediss://: that is redis://)"

/**
 * Names the likely cause where one side speaks TLS and the other does not; an
 * empty text for anything else.
 */
export const hintAtTls = (error: unknown, isTls: boolean): string => {
  const message = textOf(error, "message")
  if (isTls) return noTls.test(message) ? hintAtNoTls : ""
  return onlyTls.test(message) ? " (a port for TLS does this to redis://: that is rediss://)" : ""
}

/**
 * Says in one line what is wrong. Only messages are looked at: an error of
 * ioredis holds the arguments of its command as well.
 */
export const describe = (error: unknown, secret?: string | undefined): string => {
  // What one node of a cluster said is the cause; the error itself, that all of them failed
  if (Predicate.hasProperty(error, "lastNodeError")) {
    return `no node of the cluster tells of the others: ${describe(error.lastNodeError, secret)}`
  }
  return OAuthError.describe(error, (text) => {
    // Some messages of Redis quote the arguments, others name the script
    const short = text
      .replace(/,? (with args beginning with|script):.*$/is, "")
      .replace(/\.$/, "")
      .replace(/^Too many Cluster redirections\. Last error: (\w*Error: )?/, "")
    return secret ? short.replaceAll(secret, "<redacted>") : short
  })
}
