import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Option } from "effect"
import * as MemcachedCommand from "../../src/memcached/MemcachedCommand.js"

describe("MemcachedCommand", () => {
  const look = MemcachedCommand.look("k")

  it("look: a value between two equal numbers is unchanged", () => {
    deepStrictEqual(
      look.decode(["HD c12 t-1", ["value"], "HD c12"]),
      Option.some({ unique: "12", seconds: -1, value: "value" })
    )
    deepStrictEqual(look.decode(["EN", undefined, "EN"]), Option.none())
    assert.strictEqual(look.decode(["HD c12 t5", ["value"], "HD c13"]), "changed")
    assert.strictEqual(look.decode(["EN", ["value"], "HD c13"]), "changed")
    assert.strictEqual(look.decode(["HD c12 t5", undefined, "EN"]), "changed")
  })

  it("refuses a foreign response, and does not show it", () => {
    const write = MemcachedCommand.write("k", { value: "v", expiry: 1 }, Option.none())
    for (const answer of ["OK", "HTTP/1.1 400 Bad Request", "", undefined, 7, "HD", "HD cx t1"]) {
      for (const decode of [() => look.decode([answer, ["v"], answer]), () => write.decode([`${answer} `])]) {
        assert.throws(decode, /^the server does not answer as Memcached 1.6.10 and newer do$/)
      }
    }
  })

  it("write: only over nothing, or over the item that was read; lengths are in bytes", () => {
    const item = { value: "ü", expiry: 30 }
    deepStrictEqual(MemcachedCommand.write("k", item, Option.none()).lines, [{ text: "ms k 2 T30 ME\r\nü" }])
    const seen = { unique: "12", seconds: 1, value: "" }
    deepStrictEqual(MemcachedCommand.write("k", item, Option.some(seen)).lines, [{ text: "ms k 2 T30 C12\r\nü" }])
    deepStrictEqual(MemcachedCommand.remove("k", seen).lines, [{ text: "md k C12" }])
  })
})
