/**
 * The names of entries and leases in stores that limit names: at most 250 bytes
 * of ASCII, without spaces or control characters, for a key of Memcached or an
 * indexed column of any database.
 */
import { createHash } from "node:crypto"

const maxBytes = 250

// In base64url
const digestLength = 43

const digestMark = "sha256:"

// Of the same length, so that no entry has the name of a lease
const kinds = { entry: "entry:", lease: "lease:" } as const

/** The maximum length of a prefix: a digest must fit behind it. */
export const maxPrefix = maxBytes - kinds.entry.length - digestMark.length - digestLength

/** Whether every character is allowed in a name, where it is one byte. */
export const isPlain = (text: string): boolean => /^[\x21-\x7e]*$/.test(text)

/** The key itself if it is allowed, otherwise its digest. No key is the digest of another. */
const encode = (prefix: string, key: string): string => {
  const name = prefix + key
  return isPlain(key) && name.length <= maxBytes && !key.startsWith(digestMark)
    ? name
    : `${prefix}${digestMark}${createHash("sha256").update(key).digest("base64url")}`
}

/** The name of the entry of a key. */
export const entry = (prefix: string, key: string): string => encode(prefix + kinds.entry, key)

/** The name of its lease. */
export const lease = (prefix: string, key: string): string => encode(prefix + kinds.lease, key)
