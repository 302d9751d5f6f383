/** A digest that may be shown and compared where the text itself must not be. */
import { sha256 } from "@noble/hashes/sha2.js"

const utf8 = new TextEncoder()

/** SHA-256 in base64url. */
export const fingerprint = (text: string): string =>
  btoa(String.fromCharCode(...sha256(utf8.encode(text)))).replace(/[+/=]/g, (character) => urlSafe[character])

// RFC 4648 §5, without padding. The result of Effect's function would keep longer strings in memory
const urlSafe: Record<string, string> = { "+": "-", "/": "_", "=": "" }
