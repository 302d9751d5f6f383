/** Classifies errors of ioredis and Redis, and describes them in one line without secrets. */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

const textOf = (error: unknown, property: "message" | "name"): string => {
  const text = Predicate.hasProperty(error, property) ? error[property] : undefined
  return typeof text === "string" ? text : ""
}

// ioredis' message
const timeoutMessage = "Command timed out"

/** The error of a command that was not answered in time. */
export const timedOut = (): Error => new Error(timeoutMessage)

/** The error of a command that was not sent. */
export const notConnected = (): Error => new Error("Connection is closed.")

/** Whether a command was sent but not answered in time. */
export const isTimeout = (error: unknown): boolean => textOf(error, "message") === timeoutMessage

/** Whether the server does not know a script by its hash, so that it must be sent whole. */
export const isUnknownScript = (error: unknown): boolean => textOf(error, "message").includes("NOSCRIPT")

/** Whether the error is a server's reply. */
export const isReply = (error: unknown): boolean => textOf(error, "name") === "ReplyError"

// ioredis' messages for a missing or lost connection, or a cluster node that knows only a lost node
const withoutConnection = new RegExp([
  "^Stream isn't writeable",
  "^Cluster isn't ready",
  "^Reached the max retries per request limit",
  "^Too many Cluster redirections.*: MOVED ",
  "(Connection|Cluster) is (closed|ended)\\.$"
].join("|"))

/** Whether the command did not reach a server, or the connection was lost before the answer. */
export const isNotConnected = (error: unknown): boolean => withoutConnection.test(textOf(error, "message"))

/** Whether the other side closed the connection. */
export const isCut = (error: unknown): boolean => /^(read|write) (ECONNRESET|EPIPE)/.test(textOf(error, "message"))

/** Whether a password was sent to a server that needs none. */
export const isNeedlessPassword = (error: unknown): boolean =>
  /no password is set|without any password configured/.test(textOf(error, "message"))

// How OpenSSL and Node report that the other side does not speak TLS; Redis itself waits for the rest of a line,
// without a message
const noTls = /wrong version number|packet length too long|before secure TLS connection|connect ETIMEDOUT/i
// The other side closes what is no handshake, sometimes with an alert (RFC 8446 §6), which ioredis' parser rejects
const onlyTls = /^(read|write) (ECONNRESET|EPIPE)|^Protocol error, got "\\u0015"/

/** The hint at a port without TLS, which may also never answer at all. */
export const hintAtNoTls = " (the port may be without TLS: that is redis://)"

/** Names the likely cause if one side speaks TLS and the other does not; otherwise an empty text. */
export const hintAtTls = (error: unknown, isTls: boolean): string => {
  const message = textOf(error, "message")
  if (isTls) return noTls.test(message) ? hintAtNoTls : ""
  return onlyTls.test(message) ? " (the port may be for TLS: that is rediss://)" : ""
}

/**
 * Describes the error in one line. Uses only messages: an error of ioredis also
 * contains the arguments of its command.
 */
export const describe = (error: unknown, secret?: string | undefined): string => {
  // The cause is what one node of a cluster said, not the error that all of them failed
  if (Predicate.hasProperty(error, "lastNodeError")) {
    return `no node of the cluster knows the others: ${describe(error.lastNodeError, secret)}`
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
