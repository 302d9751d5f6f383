/**
 * A digest that can be shown and compared where the text itself must not be.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"

const utf8 = new TextEncoder()

/**
 * SHA-256 in base64url.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fingerprint = (text: string): string => Encoding.encodeBase64Url(sha256(utf8.encode(text)))
