/**
 * What databases say when something went wrong, told apart and put into a line
 * without secrets.
 */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as Predicate from "effect/Predicate"

/** What an `SqlError` is about: the error of the driver. */
const causeOf = (error: unknown): unknown =>
  Predicate.hasProperty(error, "cause") && error.cause !== undefined ? error.cause : error

const codeOf = (error: unknown): unknown => {
  const cause = causeOf(error)
  return Predicate.hasProperty(cause, "code") ? cause.code : undefined
}

// Another was faster, and nothing was done: a serialization failure and a deadlock of Postgres, a row, a type or a table
// that another process creates at the same time, a deadlock of MySQL, a file of SQLite that another writes
const conflicts = /^(40001|40P01|23505|42710|42P07|ER_LOCK_DEADLOCK|SQLITE_BUSY.*|SQLITE_LOCKED.*)$/

/** The statement can be tried again at once. */
export const isConflict = (error: unknown): boolean => conflicts.test(String(codeOf(error)))

const noTable = /^(42P01|ER_NO_SUCH_TABLE)$/

const isNoTable = (error: unknown): boolean =>
  noTable.test(String(codeOf(error))) || /no such table/.test(OAuthError.describe(error))

const hint = "; SqlTokenStore.migration or the option createTable creates it"

// How to connect, as an address or as options: either may contain a password
const address = /\b([a-z][a-z\d+.-]*:\/\/)\S+/gi
const password = /\b((?:\w*(?:password|passwd|secret)\w*|\w*token)["']?\s*[=:]\s*)\S+/gi

const withoutPasswords = (text: string): string =>
  text.replace(address, "$1<redacted>").replace(password, "$1<redacted>")

/** Says in one line what is wrong. */
export const describe = (error: unknown, secret?: string | undefined): string => {
  const text = OAuthError.describe(
    causeOf(error),
    (text) => withoutPasswords(secret ? text.replaceAll(secret, "<redacted>") : text)
  )
  return `the database fails: ${text}${isNoTable(error) ? hint : ""}`
}
