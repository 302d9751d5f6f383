/**
 * Workers KV, as far as a store needs it: it refuses what Cloudflare's refuses,
 * in the same words. What differs is that a written value is seen at once.
 */
export class WorkersKv {
  readonly #values = new Map<string, { readonly value: string; readonly expiresAt: number }>()

  async get(key: string): Promise<string | null> {
    checkKey("GET", key)
    const found = this.#values.get(key)
    return found === undefined || found.expiresAt <= Date.now() ? null : found.value
  }

  async put(key: string, value: string, options: { readonly expirationTtl?: number } = {}): Promise<void> {
    checkKey("PUT", key)
    if (typeof value !== "string") {
      throw new TypeError("KV put() accepts only strings, ArrayBuffers and ReadableStreams")
    }
    const { expirationTtl = Infinity } = options
    if (expirationTtl < 60) {
      throw new Error(
        `KV PUT failed: 400 Invalid expiration_ttl of ${expirationTtl}. Expiration TTL must be at least 60.`
      )
    }
    this.#values.set(key, { value, expiresAt: Date.now() + expirationTtl * 1000 })
  }

  async delete(key: string): Promise<void> {
    checkKey("DELETE", key)
    this.#values.delete(key)
  }
}

const maxKeyBytes = 512

const checkKey = (method: string, key: string) => {
  if (key === "") throw new TypeError("Key name cannot be empty.")
  if (key === "." || key === "..") throw new TypeError(`"${key}" is not allowed as a key name.`)
  const { length } = new TextEncoder().encode(key)
  if (length > maxKeyBytes) {
    throw new Error(
      `KV ${method} failed: 414 UTF-8 encoded length of ${length} exceeds key length limit of ${maxKeyBytes}.`
    )
  }
}
