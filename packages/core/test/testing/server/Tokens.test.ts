import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as Tokens from "../../../src/testing/server/Tokens.js"

const purpose: Tokens.Purpose = { scope: "read", resources: [], audiences: [], thumbprint: undefined }

const make = (options: Partial<Tokens.Options> = {}) =>
  Tokens.make({
    lifetime: "1 minute",
    tokenPrefix: "token-",
    rotatesRefreshTokens: true,
    refreshGracePeriod: 0,
    ...options
  })

describe("Tokens", () => {
  it("a token is valid until it expires, or for ever", () => {
    const tokens = make()
    deepStrictEqual(tokens.issue(purpose, 1000), {
      ...purpose,
      value: "token-1",
      issuedAt: 1000,
      expiresAt: 61_000,
      revoked: false
    })
    assert.isDefined(tokens.find("token-1", 60_999))
    assert.isUndefined(tokens.find("token-1", 61_000))
    tokens.setLifetime("none")
    assert.isUndefined(tokens.issue(purpose, 0).expiresAt)
    assert.isDefined(tokens.find("token-2", Number.MAX_SAFE_INTEGER))
    assert.isUndefined(tokens.find("unknown", 0))
  })

  it("one token or all tokens can be revoked, or expire at once", () => {
    const tokens = make()
    for (let i = 0; i < 4; i++) tokens.issue(purpose, 0)
    tokens.revoke("token-1")
    tokens.expire("token-2", 10)
    const valid = () => tokens.issued().filter(({ value }) => tokens.find(value, 10) !== undefined).length
    assert.strictEqual(valid(), 2)
    tokens.expire(undefined, 10)
    assert.strictEqual(valid(), 0)
    deepStrictEqual(tokens.issued().map(({ expiresAt, revoked }) => [expiresAt, revoked]), [
      [60_000, true],
      [10, false],
      [10, false],
      [10, false]
    ])
    tokens.revoke()
    assert.isTrue(tokens.issued().every(({ revoked }) => revoked))
  })

  it("the same token is returned for the same purpose and the same key, as long as it is valid", () => {
    const tokens = make()
    tokens.returnSame(true)
    const first = tokens.issue(purpose, 0)
    assert.strictEqual(tokens.issue({ ...purpose }, 59_999), first)
    assert.notStrictEqual(tokens.issue({ ...purpose, thumbprint: "key" }, 0), first)
    assert.notStrictEqual(tokens.issue(purpose, 60_000), first)
  })

  it("a new token can revoke all others", () => {
    const tokens = make()
    tokens.onlyOneActive(true)
    tokens.issue(purpose, 0)
    tokens.issue(purpose, 0)
    assert.isUndefined(tokens.find("token-1", 0))
    assert.isDefined(tokens.find("token-2", 0))
  })

  it("RFC 9700 §4.14.2: the reuse of a refresh token revokes its family, and no other", () => {
    const tokens = make({ refreshGracePeriod: "1 second" })
    const { value } = tokens.issueRefreshToken()
    const other = tokens.issueRefreshToken().value
    assert.strictEqual(tokens.refresh(value, purpose, 0)?.next, "token-refresh-3")
    assert.isDefined(tokens.refresh(value, purpose, 999))
    assert.isUndefined(tokens.refresh(value, purpose, 1000))
    assert.isUndefined(tokens.refresh("token-refresh-3", purpose, 1000))
    assert.isUndefined(tokens.find("token-1", 1000))
    assert.isDefined(tokens.refresh(other, purpose, 1000))
    assert.isUndefined(tokens.refresh(undefined, purpose, 1000))
  })

  it("a replaced refresh token is found as long as it can be used", () => {
    const tokens = make({ refreshGracePeriod: "1 second" })
    const { value } = tokens.issueRefreshToken()
    tokens.refresh(value, purpose, 0)
    assert.strictEqual(tokens.findRefreshToken(value, 999)?.value, value)
    assert.isUndefined(tokens.findRefreshToken(value, 1000))
    assert.isDefined(tokens.findRefreshToken("token-refresh-2", 1000))
    tokens.revokeFamily(value)
    assert.isUndefined(tokens.findRefreshToken(value, 0))
  })

  it("without rotation a refresh token can be used again and again", () => {
    const tokens = make({ rotatesRefreshTokens: false })
    const { value } = tokens.issueRefreshToken()
    for (const time of [0, 1]) assert.isUndefined(tokens.refresh(value, purpose, time)?.next)
    deepStrictEqual(tokens.refreshTokens(), [{ value, family: value, usedAt: [0, 1], revoked: false }])
  })
})
