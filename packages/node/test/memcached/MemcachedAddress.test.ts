import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect, Redacted } from "effect"
import { rowsEffect } from "../../../core/test/support/Rows.js"
import * as MemcachedAddress from "../../src/memcached/MemcachedAddress.js"

describe("MemcachedAddress.parse", () => {
  const parse = (servers: string | ReadonlyArray<string>) =>
    Effect.map(MemcachedAddress.parse({ servers }), ({ credentials, servers }) => ({
      servers: servers.map(({ host, port }) => `${host} ${port}`),
      user: credentials && `${credentials.username} ${Redacted.value(credentials.password)}`
    }))

  it.effect("parses every form", () =>
    rowsEffect(
      [
        ["cache", ["cache 11211"], undefined],
        ["cache:1", ["cache 1"], undefined],
        ["a:1, b ,c:3", ["a 1", "b 11211", "c 3"], undefined],
        [["a:1", "b"], ["a 1", "b 11211"], undefined],
        ["[::1]:2,[fe80::1]", ["::1 2", "fe80::1 11211"], undefined],
        ["memcached://cache", ["cache 11211"], undefined],
        ["MEMCACHED://cache:5/", ["cache 5"], undefined],
        ["memcached://app:p%40ss@a:1,b", ["a 1", "b 11211"], "app p@ss"],
        ["app:x@y:z@cache", ["cache 11211"], "app x@y:z"]
      ] as const,
      ([text]) => String(text),
      ([text, servers, user]) =>
        Effect.map(parse(text), (parsed) => deepStrictEqual(parsed, { servers: [...servers], user }))
    ))
})

describe("MemcachedAddress.ownerOf", () => {
  const keys = Arr.makeBy(1_500, (index) => `key-${index}`)

  it("each server has a part of the keys, whatever the order of the servers", () => {
    const names = ["a 1", "b 1", "c 1"]
    for (const name of names) {
      const count = keys.filter((key) => MemcachedAddress.ownerOf(key, names) === name).length
      assert.isTrue(count > 400 && count < 600, `${name} has ${count}`)
    }
    for (const key of keys) {
      assert.strictEqual(MemcachedAddress.ownerOf(key, names), MemcachedAddress.ownerOf(key, Arr.reverse(names)))
    }
  })

  it("an added server takes keys of the others, and no other key moves", () => {
    const before = ["a 1", "b 1"]
    for (const key of keys) {
      const owner = MemcachedAddress.ownerOf(key, [...before, "c 1"])
      if (owner !== "c 1") assert.strictEqual(owner, MemcachedAddress.ownerOf(key, before))
    }
  })
})
