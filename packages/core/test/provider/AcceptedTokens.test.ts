import { AccessToken } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { DateTime, Redacted } from "effect"
import * as AcceptedTokens from "../../src/provider/AcceptedTokens.js"

const token = (value: string) =>
  AccessToken.make({ value: Redacted.make(value), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1 hour" })

const [one, other] = [token("one"), token("other")]

describe("AcceptedTokens", () => {
  it("rule 4: knows each token and each origin by itself", () => {
    const accepted = AcceptedTokens.make()
    accepted.add(one, "https://a.test")
    accepted.add(other, "https://b.test")
    deepStrictEqual(
      [one, other].map((token) => ["https://a.test", "https://b.test"].map((origin) => accepted.has(token, origin))),
      [[true, false], [false, true]]
    )
  })

  it("rule 4: forgets what was rejected since, and nothing else", () => {
    const accepted = AcceptedTokens.make()
    accepted.remove(one, "https://a.test")
    for (const origin of ["https://a.test", "https://b.test"]) accepted.add(one, origin)
    accepted.remove(one, "https://b.test")
    assert.isTrue(accepted.has(one, "https://a.test"))
    assert.isFalse(accepted.has(one, "https://b.test"))
    accepted.add(one, "https://b.test")
    assert.isTrue(accepted.has(one, "https://b.test"))
  })

  it("does not grow with the origins", () => {
    const accepted = AcceptedTokens.make()
    for (let index = 0; index < 1_000; index++) accepted.add(one, `https://${index}.test`)
    const known = Array.from({ length: 1_000 }, (_, index) => accepted.has(one, `https://${index}.test`))
    assert.isAtMost(known.filter(Boolean).length, 256)
    assert.isTrue(known[999])
  })

  it("is one for all clients of a provider, also where an app wraps it", () => {
    const [provider, another] = [AcceptedTokens.forClients(), AcceptedTokens.forClients()]
    assert.strictEqual(AcceptedTokens.of({ ...provider, report: undefined }), AcceptedTokens.of(provider))
    assert.notStrictEqual(AcceptedTokens.of(another), AcceptedTokens.of(provider))
  })

  it("is each client's own where a provider has none", () => {
    const provider = {}
    const [client, other] = [AcceptedTokens.of(provider), AcceptedTokens.of(provider)]
    client.add(one, "https://a.test")
    assert.isTrue(client.has(one, "https://a.test"))
    assert.isFalse(other.has(one, "https://a.test"))
  })
})
