import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as MemcachedKey from "../../src/memcached/MemcachedKey.js"

describe("MemcachedKey.encode", () => {
  const prefix = fc.string({ maxLength: MemcachedKey.maxPrefix }).filter(MemcachedKey.isPlain)
  const key = fc.oneof(fc.string({ maxLength: 400 }), fc.string({ unit: "binary", maxLength: 400 }))

  it.prop("is a key that Memcached takes, and that no other key has", [prefix, key, key], ([prefix, one, other]) => {
    const [first, second] = [MemcachedKey.encode(prefix, one), MemcachedKey.encode(prefix, other)]
    assert.match(first, /^[\x21-\x7e]{0,250}$/)
    assert.isTrue(first.startsWith(prefix))
    assert.strictEqual(first === second, one === other)
    // Nor does whoever is called as a digest is
    assert.notStrictEqual(MemcachedKey.encode(prefix, second.slice(prefix.length)), one === other ? "" : first)
  })

  it("is the key itself where Memcached takes it", () => {
    assert.strictEqual(MemcachedKey.encode("p:", "a:b/c{}*#lease"), "p:a:b/c{}*#lease")
    assert.strictEqual(MemcachedKey.encode("p:", "x".repeat(248)), `p:${"x".repeat(248)}`)
  })
})
