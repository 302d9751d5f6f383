import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as RequestBody from "../src/RequestBody.js"

const encode = (text: string) => new TextEncoder().encode(text)
const read = (data: string) =>
  Effect.provide(RequestBody.read(data, Stream.make(encode("a"), encode("b"))), NodeFileSystem.layer)

describe("RequestBody", () => {
  it.effect("is a text, a file or the standard input", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* read("text"), encode("text"))
      deepStrictEqual(yield* read("@-"), encode("ab"))
      const file = yield* read(`@${fileURLToPath(import.meta.url)}`)
      assert.include(new TextDecoder().decode(file), "is a text, a file or the standard input")
      const { message } = yield* Effect.flip(read("@/no/such/file"))
      assert.strictEqual(message, "the file /no/such/file cannot be read: NotFound")
    }))

  it("has the content type of JSON or else of a form, unless a header sets another", () => {
    const typeOf = (text: string, header?: string) => RequestBody.make(encode(text), header).contentType
    assert.strictEqual(typeOf("{\"a\":1}"), "application/json")
    assert.strictEqual(typeOf(" [1]"), "application/json")
    assert.strictEqual(typeOf("{a}"), "application/x-www-form-urlencoded")
    assert.strictEqual(typeOf("a=1"), "application/x-www-form-urlencoded")
    assert.strictEqual(typeOf("{}", "text/plain"), "text/plain")
  })
})
