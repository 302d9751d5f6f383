import type { EncryptedTokenStore } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Either, Encoding, FastCheck as fc, Fiber, Random, Redacted } from "effect"
import * as PayloadCipher from "../../src/store/PayloadCipher.js"
import { anyString } from "../support/anyString.js"
import { rowsEffect } from "../support/Rows.js"
import { isThorough, runs } from "../support/Runs.js"

const bytes = (fill: number) => new Uint8Array(32).fill(fill)

const key = (id: string, fill = 1): EncryptedTokenStore.EncryptionKey => ({
  id,
  key: Redacted.make(Encoding.encodeBase64(bytes(fill)))
})

const make = (...keys: ReadonlyArray<EncryptedTokenStore.EncryptionKey>) => PayloadCipher.make("keys", keys)

const failsToOpen = (
  cipher: PayloadCipher.PayloadCipher,
  storeKey: string,
  sealed: string,
  description: RegExp
) =>
  Effect.map(Effect.flip(cipher.open(storeKey, sealed)), (error) => {
    assert.strictEqual(error.reason, "InvalidEntry")
    assert.strictEqual(error.method, "get")
    assert.match(error.description, description)
  })

const notEncrypted = /^it is not encrypted, or not in a way that this version knows$/
const notAuthentic = /^it was tampered with, moved here, or encrypted with another key named a$/

/** Every string that JavaScript has, with lone surrogates and byte order marks. */
const anyText = fc.oneof(
  anyString(),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  fc.string().map((text) => `\ufeff${text}`)
)

describe("PayloadCipher", () => {
  it.live.prop(
    "any sealed payload opens unchanged, under any store key",
    [anyText, anyText],
    ([payload, storeKey]) =>
      Effect.gen(function*() {
        const cipher = yield* make(key("a"))
        assert.strictEqual(yield* cipher.open(storeKey, yield* cipher.seal(storeKey, payload)), payload)
      }),
    runs(100)
  )

  it.live("sealed payloads of 64 KiB and more open unchanged", () =>
    Effect.gen(function*() {
      const cipher = yield* make(key("a"))
      for (const payload of ["0123456789abcdef".repeat(4096), "漢".repeat(65_537)]) {
        assert.strictEqual(yield* cipher.open("key", yield* cipher.seal("key", payload)), payload)
      }
    }))

  it.live("rule 11: an entry that would be too long to be read is not written", () =>
    Effect.gen(function*() {
      const cipher = yield* make(key("a"))
      // Not shown when it is there: a test's report takes minutes over a text of this length
      const sealing = yield* Effect.either(cipher.seal("key", "secret".repeat(200_000)))
      assert(Either.isLeft(sealing), "it was sealed")
      assert.strictEqual(sealing.left.reason, "Unavailable")
      assert.strictEqual(
        sealing.left.message,
        "Token store, set: encrypted, the entry would be longer than 1048576 characters"
      )
      const sealed = yield* cipher.seal("key", "x".repeat(700_000))
      yield* failsToOpen(cipher, "key", sealed + " ".repeat(1_048_577 - sealed.length), notEncrypted)
    }))

  it.live("is AES-256-GCM of standard WebCrypto, with version, key id and store key as additional data", () =>
    Effect.gen(function*() {
      const cipher = yield* make(key("a", 7))
      const { key: id, nonce, text, v, ...rest } = JSON.parse(yield* cipher.seal("store-key", "payload"))
      deepStrictEqual({ v, id, rest }, { v: 1, id: "a", rest: {} })
      const plain = yield* Effect.promise(async () =>
        crypto.subtle.decrypt(
          {
            name: "AES-GCM",
            iv: Buffer.from(nonce, "base64url"),
            additionalData: Buffer.from("[1,\"a\",\"store-key\"]")
          },
          await crypto.subtle.importKey("raw", bytes(7), "AES-GCM", false, ["decrypt"]),
          Buffer.from(text, "base64url")
        )
      )
      assert.strictEqual(new TextDecoder().decode(plain), "\"payload\"")
      assert.strictEqual(Buffer.from(nonce, "base64url").length, 12)
    }))

  it.live("opens a payload that was sealed by the first release", () =>
    Effect.gen(function*() {
      const cipher = yield* make(key("a", 7))
      assert.strictEqual(
        yield* cipher.open(
          "store-key",
          "{\"v\":1,\"key\":\"a\",\"nonce\":\"FQfWaqeuWzHkI0Xr\",\"text\":\"ZyiWUDggS7g5rN_UR8doLUu6XBBwGQ3C5A\"}"
        ),
        "payload"
      )
    }))

  it.live("every sealed payload has its own nonce, however Effect's Random is seeded", () =>
    Effect.gen(function*() {
      const cipher = yield* make(key("a"))
      const sealed = yield* Effect.all(
        Array.from({ length: 100 }, () => Effect.withRandom(cipher.seal("key", "payload"), Random.make("seed"))),
        { concurrency: "unbounded" }
      )
      for (const field of ["nonce", "text"]) {
        assert.strictEqual(new Set(sealed.map((text) => JSON.parse(text)[field])).size, 100)
      }
    }))

  describe("does not open", () => {
    const changes = ["A", "B", "b", "2", " ", "\"", "\n", "\\", "=", "\u0000", "é"]

    it.live("a sealed payload of which any single character was changed", () =>
      Effect.gen(function*() {
        const cipher = yield* make(key("a"), key("b", 2))
        // Three lengths, so that each kind of base64 ending is there
        for (const payload of ["secret", "secret+", "secret++"]) {
          const sealed = yield* cipher.seal("key", payload)
          for (let index = 0; index < sealed.length; index++) {
            for (const [at, change] of changes.entries()) {
              if (sealed[index] === change || (!isThorough && (index + at) % 4 !== 0)) continue
              const error = yield* Effect.flip(
                cipher.open("key", sealed.slice(0, index) + change + sealed.slice(index + 1))
              )
              assert.strictEqual(error.reason, "InvalidEntry")
            }
            const shorter = sealed.slice(0, index) + sealed.slice(index + 1)
            assert.strictEqual((yield* Effect.flip(cipher.open("key", shorter))).reason, "InvalidEntry")
          }
        }
      }))

    it.live.prop(
      "a sealed payload of which any single byte of nonce, ciphertext or tag was changed",
      [fc.string(), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.constantFrom("nonce", "text")],
      ([payload, position, flip, field]) =>
        Effect.gen(function*() {
          const cipher = yield* make(key("a"))
          const envelope = JSON.parse(yield* cipher.seal("key", payload))
          const changed = Buffer.from(envelope[field], "base64url")
          changed[position % changed.length] ^= flip
          const sealed = JSON.stringify({ ...envelope, [field]: changed.toString("base64url") })
          yield* failsToOpen(cipher, "key", sealed, notAuthentic)
        }),
      runs(100)
    )

    it.live("an equivalent text that is written differently", () =>
      Effect.gen(function*() {
        const cipher = yield* make(key("a"))
        const sealed = yield* cipher.seal("key", "payload")
        const { key: id, nonce, text, v } = JSON.parse(sealed)
        for (
          const other of [
            ` ${sealed}`,
            JSON.stringify({ v, key: id, nonce, text }, null, 1),
            JSON.stringify({ key: id, v, nonce, text }),
            JSON.stringify({ v, key: id, nonce, text, more: 1 }),
            JSON.stringify({ v, key: id, nonce, text: `${text}\n` })
          ]
        ) {
          assert.notStrictEqual(other, sealed)
          yield* failsToOpen(cipher, "key", other, notEncrypted)
        }
      }))

    it.live.prop("a payload sealed for another store key", [anyText, anyText], ([one, two]) =>
      Effect.gen(function*() {
        fc.pre(one !== two)
        const cipher = yield* make(key("a"))
        yield* failsToOpen(cipher, two, yield* cipher.seal(one, "payload"), notAuthentic)
      }), runs(100))

    it.live("a payload sealed with another key of the same id", () =>
      Effect.gen(function*() {
        const sealed = yield* Effect.flatMap(make(key("a", 1)), (cipher) => cipher.seal("key", "payload"))
        yield* failsToOpen(yield* make(key("a", 2)), "key", sealed, notAuthentic)
      }))

    it.live("a sealed payload whose key id was changed, even if both keys are the same", () =>
      Effect.gen(function*() {
        const cipher = yield* make(key("b"), key("a"))
        const sealed = yield* cipher.seal("key", "payload")
        yield* failsToOpen(cipher, "key", sealed.replace("\"key\":\"b\"", "\"key\":\"a\""), notAuthentic)
      }))

    it.live("a payload sealed with a key that is not configured, and the error names the key", () =>
      Effect.gen(function*() {
        const sealed = yield* Effect.flatMap(make(key("2025-01")), (cipher) => cipher.seal("key", "payload"))
        yield* failsToOpen(
          yield* make(key("2026-11")),
          "key",
          sealed,
          /^it is encrypted with the key 2025-01, which is not one of the configured keys$/
        )
      }))

    const envelope = { v: 1, key: "a", nonce: "A".repeat(16), text: "A".repeat(22) }
    const foreign: Record<string, string> = {
      "a plain token": JSON.stringify({ v: 1, token: "token", type: "Bearer", scope: null, lifetime: null }),
      "no text": "",
      "no JSON": "garbage",
      "another version": JSON.stringify({ ...envelope, v: 2 }),
      "a key id with a line break": JSON.stringify({ ...envelope, key: "a\nb" }),
      "a key id that is too long": JSON.stringify({ ...envelope, key: "a".repeat(65) }),
      "a short nonce": JSON.stringify({ ...envelope, nonce: "A".repeat(15) }),
      "a long nonce": JSON.stringify({ ...envelope, nonce: "A".repeat(18) }),
      "no base64": JSON.stringify({ ...envelope, text: "%" })
    }
    it.live("a text that is not encrypted, and the error says so", () =>
      rowsEffect(
        Object.entries(foreign),
        ([name]) => `${name}: it is not encrypted`,
        ([, text]) => Effect.flatMap(make(key("a")), (cipher) => failsToOpen(cipher, "key", text, notEncrypted))
      ))

    it.live("a ciphertext that is shorter than a tag", () =>
      Effect.flatMap(
        make(key("a")),
        (cipher) => failsToOpen(cipher, "key", JSON.stringify({ ...envelope, text: "" }), notAuthentic)
      ))
  })

  describe("keys", () => {
    it.live("the first key seals, and every key opens", () =>
      Effect.gen(function*() {
        const old = yield* make(key("old", 1))
        const both = yield* make(key("new", 2), key("old", 1))
        const last = yield* make(key("new", 2))
        const before = yield* old.seal("key", "before")
        assert.strictEqual(yield* both.open("key", before), "before")
        const after = yield* both.seal("key", "after")
        assert.strictEqual(yield* last.open("key", after), "after")
        yield* failsToOpen(old, "key", after, /the key new, which is not one of the configured keys/)
        yield* failsToOpen(last, "key", before, /the key old, which is not one of the configured keys/)
      }))

    // All of the bits of the alphabet, so that + and / are there
    const raw = Uint8Array.from({ length: 32 }, (_, index) => 255 - index * 8)
    const base64 = Encoding.encodeBase64(raw)
    assert.match(base64, /\+.*\/|\/.*\+/)
    const forms: Record<string, string | Uint8Array> = {
      "bytes": raw,
      base64,
      "base64 without padding": base64.replace(/=+$/, ""),
      "base64 with the line break of a file": `${base64}\n`,
      "base64url": Encoding.encodeBase64Url(raw)
    }
    it.live("are accepted in every form", () =>
      rowsEffect(Object.entries(forms), ([name]) => `may be ${name}`, ([, form]) =>
        Effect.gen(function*() {
          const cipher = yield* make({ id: "a", key: Redacted.make(form) })
          const reference = yield* make({ id: "a", key: Redacted.make(raw) })
          assert.strictEqual(yield* reference.open("key", yield* cipher.seal("key", "payload")), "payload")
        })))

    it.live("are imported once: later changes of the bytes do not matter", () =>
      Effect.gen(function*() {
        const mutable = bytes(3)
        const cipher = yield* make({ id: "a", key: Redacted.make(mutable) })
        mutable.fill(0)
        const reference = yield* make(key("a", 3))
        assert.strictEqual(yield* reference.open("key", yield* cipher.seal("key", "payload")), "payload")
      }))

    it.live("need WebCrypto, which browsers have on https only", () =>
      Effect.gen(function*() {
        Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true })
        // It runs up to the import at once: no other test is without WebCrypto
        const fiber = Effect.runFork(make(key("a")))
        Reflect.deleteProperty(crypto, "subtle")
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(
          error.message,
          "keys[0].key cannot be used here: WebCrypto is missing (browsers have it on https)"
        )
      }))

    const good = key("a")
    const notAnId = "must be 1 to 64 ASCII letters, digits or any of . _ : / -"
    const wrong: Record<string, readonly [keys: ReadonlyArray<any>, message: string]> = {
      "no keys": [[], "keys must contain at least one key"],
      "keys that are none": [undefined as never, "keys must contain at least one key"],
      "nothing in place of a key": [[undefined], `keys[0].id ${notAnId}; keys[0].key is missing`],
      "no id": [[{ key: good.key }], `keys[0].id ${notAnId}`],
      "an empty id": [[key("")], `keys[0].id ${notAnId}`],
      "an id with a space": [[good, key("a b")], `keys[1].id ${notAnId}`],
      "an id with a line break": [[key("a\n")], `keys[0].id ${notAnId}`],
      "an id of 65 characters": [[key("a".repeat(65))], `keys[0].id ${notAnId}`],
      "the same id twice": [[good, key("b"), key("a", 2)], "keys[2].id is also the id of another key"],
      "no key": [[{ id: "a" }], "keys[0].key is missing"],
      "several of them": [
        [{ id: "a" }, { id: "a", key: Redacted.make("") }],
        "keys[0].key is missing; keys[1].id is also the id of another key; keys[1].key is not 32 bytes of base64"
      ],
      "a key that is not redacted": [[{ id: "a", key: "k".repeat(43) }], "keys[0].key must be made by Redacted.make"],
      "a key that is not set": [[{ id: "a", key: Redacted.make(undefined) }], "keys[0].key is missing"],
      "an empty key": [[{ id: "a", key: Redacted.make("") }], "keys[0].key is not 32 bytes of base64"],
      "a key that is no base64": [
        [good, { id: "b", key: Redacted.make("%".repeat(44)) }],
        "keys[1].key is not 32 bytes of base64"
      ],
      "a passphrase": [
        [{ id: "a", key: Redacted.make("correct horse battery staple") }],
        "keys[0].key is not 32 bytes of base64"
      ],
      "31 bytes of base64": [
        [{ id: "a", key: Redacted.make(Encoding.encodeBase64(new Uint8Array(31))) }],
        "keys[0].key is not 32 bytes of base64"
      ],
      "33 bytes of base64": [
        [{ id: "a", key: Redacted.make(Encoding.encodeBase64(new Uint8Array(33))) }],
        "keys[0].key is not 32 bytes of base64"
      ],
      "16 bytes": [[{ id: "a", key: Redacted.make(new Uint8Array(16)) }], "keys[0].key is not 32 bytes"],
      "a number": [[{ id: "a", key: Redacted.make(32) }], "keys[0].key is not 32 bytes"]
    }
    it.live("bad input: wrong keys are refused, and the message says why", () =>
      rowsEffect(
        Object.entries(wrong),
        ([name]) => `bad input: ${name}`,
        ([, [keys, message]]) =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(PayloadCipher.make("keys", keys))
            assert.strictEqual(error._tag, "InvalidOptions")
            assert.strictEqual(error.message, message)
          })
      ))
  })
})
