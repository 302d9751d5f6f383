/**
 * The failures of databases: what kind each is, and its description in one line
 * without secrets.
 */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

/** The driver's error in an `SqlError`. */
const causeOf = (error: unknown): unknown =>
  Predicate.hasProperty(error, "cause") && error.cause !== undefined ? error.cause : error

const codeOf = (error: unknown): unknown => {
  const cause = causeOf(error)
  return Predicate.hasProperty(cause, "code") ? cause.code : undefined
}

// Another process was faster, and nothing was written: in Postgres a serialization failure, a deadlock, or a row, type or
// table that both create; in MySQL a deadlock. For a file of SQLite that another process writes the driver has waited
const conflicts = /^(40001|40P01|23505|42710|42P07|ER_LOCK_DEADLOCK|SQLITE_LOCKED.*)$/

/** The statement can be tried again at once. */
export const isConflict = (error: unknown): boolean => conflicts.test(String(codeOf(error)))

const noTable = /^(42P01|ER_NO_SUCH_TABLE)$/

/** The table is missing. */
export const isNoTable = (error: unknown): boolean =>
  noTable.test(String(codeOf(error))) || /no such table/.test(OAuthError.describe(error))

const hint = "; SqlTokenStore.migration or the option createTable creates it"

// Connection settings, as a URL or as options: either may contain a password
const address = /\b([a-z][a-z\d+.-]*:\/\/)\S+/gi
const password = /\b((?:\w*(?:password|passwd|secret)\w*|\w*token)["']?\s*[=:]\s*)\S+/gi

const withoutPasswords = (text: string): string =>
  text.replace(address, "$1<redacted>").replace(password, "$1<redacted>")

/** Describes the failure in one line. */
export const describe = (error: unknown, secret?: string | undefined): string => {
  const text = OAuthError.describe(
    causeOf(error),
    (text) => withoutPasswords(secret ? text.replaceAll(secret, "<redacted>") : text)
  )
  return `the database fails: ${text}${isNoTable(error) ? hint : ""}`
}
