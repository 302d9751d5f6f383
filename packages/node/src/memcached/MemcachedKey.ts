/** What an item is called in Memcached: at most 250 bytes, without spaces or control characters. */
import { createHash } from "node:crypto"

const maxBytes = 250

// In base64url
const digestLength = 43

const digestMark = "sha256:"

/** How long what every key begins with may be: a digest must have room behind it. */
export const maxPrefix = maxBytes - digestMark.length - digestLength

/** Whether all characters may be part of a key, and each is one byte. */
export const isPlain = (text: string): boolean => /^[\x21-\x7e]*$/.test(text)

/** The key itself where Memcached takes it, else its digest. None is the digest of another. */
export const encode = (prefix: string, key: string): string => {
  const name = prefix + key
  return isPlain(key) && name.length <= maxBytes && !key.startsWith(digestMark)
    ? name
    : `${prefix}${digestMark}${createHash("sha256").update(key).digest("base64url")}`
}
