import { Origin } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { checks } from "./support/Checks.js"

describe("Origin.checkUrl", () => {
  checks((value) => Origin.checkUrl("option", value), [
    ["https://auth.example.com/token", undefined],
    ["https://auth.example.com/token?tenant=1", undefined],
    ["HTTPS://AUTH.EXAMPLE.COM", undefined],
    ["https://auth.example.com:8443", undefined],
    [new URL("https://auth.example.com/token"), undefined],
    [undefined, "option is missing"],
    [null, "option is missing"],
    ["", "option is empty"],
    ["  ", "option is empty"],
    ["auth.example.com/token", "option is not an absolute URL"],
    ["/token", "option is not an absolute URL"],
    ["//auth.example.com", "option is not an absolute URL"],
    ["https://", "option is not an absolute URL"],
    ["https://a b/", "option is not an absolute URL"],
    ["ftp://auth.example.com", "option must be an https URL, not ftp:"],
    ["file:///etc/passwd", "option must be an https URL, not file:"],
    ["javascript:alert(1)", "option must be an https URL, not javascript:"],
    ["https://user@auth.example.com", "option must not hold credentials"],
    ["https://user:secret@auth.example.com", "option must not hold credentials"],
    ["https://:secret@auth.example.com", "option must not hold credentials"],
    ["https://auth.example.com/#top", "option must not have a fragment"],
    ["https://auth.example.com/#", "option must not have a fragment"],
    ["http://auth.example.com/token", "option is http to auth.example.com: use https, or set allowInsecure"],
    ["http://10.0.0.1", "option is http to 10.0.0.1: use https, or set allowInsecure"],
    ["http://0.0.0.0", "option is http to 0.0.0.0: use https, or set allowInsecure"],
    ["http://localhost.evil.com", "option is http to localhost.evil.com: use https, or set allowInsecure"],
    ["http://127.0.0.1.evil.com", "option is http to 127.0.0.1.evil.com: use https, or set allowInsecure"],
    ["http://[::2]", "option is http to [::2]: use https, or set allowInsecure"],
    ["http://localhost", undefined],
    ["http://LOCALHOST:9999/token", undefined],
    ["http://auth.localhost:9999", undefined],
    ["http://127.0.0.1:8080", undefined],
    ["http://127.1", undefined],
    ["http://127.255.0.3", undefined],
    ["http://2130706433", undefined],
    ["http://[::1]:8080", undefined],
    ["http://[0:0:0:0:0:0:0:1]", undefined]
  ])

  describe("with allowInsecure", () => {
    checks((value) => Origin.checkUrl("option", value, { allowInsecure: true }), [
      ["http://auth.example.com/token", undefined],
      ["ftp://auth.example.com", "option must be an https URL, not ftp:"],
      ["http://user:secret@auth.example.com", "option must not hold credentials"],
      ["http://auth.example.com/#x", "option must not have a fragment"]
    ])
  })

  it.live("rule 9: a password in the address is not part of the message", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Origin.checkUrl("option", "https://user:hunter2@auth.example.com"))
      assert.notInclude(JSON.stringify(error) + String(error), "hunter2")
    }))
})
