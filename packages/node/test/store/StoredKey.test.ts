import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { anyString } from "../../../core/test/support/anyString.js"
import * as StoredKey from "../../src/store/StoredKey.js"

describe("StoredKey", () => {
  const prefix = fc.string({ maxLength: StoredKey.maxPrefix }).filter(StoredKey.isPlain)
  const key = anyString({ maxLength: 400 })

  it.prop("is accepted by every store, and differs for every key", [prefix, key, key], ([prefix, one, other]) => {
    const [first, second] = [StoredKey.entry(prefix, one), StoredKey.entry(prefix, other)]
    assert.match(first, /^[\x21-\x7e]{0,250}$/)
    assert.isTrue(first.startsWith(prefix))
    assert.strictEqual(first === second, one === other)
    // A key that looks like a digest has its own name too
    const written = second.slice(StoredKey.entry(prefix, "").length)
    assert.notStrictEqual(StoredKey.entry(prefix, written), one === other ? "" : first)
  })

  it.prop("no entry has the name of a lease", [key, key], ([one, other]) => {
    assert.notStrictEqual(StoredKey.entry("p:", one), StoredKey.lease("p:", other))
    assert.notStrictEqual(StoredKey.entry("p:", `${one}#lease`), StoredKey.lease("p:", one))
  })

  it("contains the key itself if it is short and plain", () => {
    assert.strictEqual(StoredKey.entry("p:", "a:b/c{}*#pause"), "p:entry:a:b/c{}*#pause")
    assert.strictEqual(StoredKey.lease("", "a"), "lease:a")
    assert.strictEqual(StoredKey.entry("p:", "x".repeat(242)), `p:entry:${"x".repeat(242)}`)
  })
})
