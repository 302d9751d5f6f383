import { assert, describe, it } from "@effect/vitest"
import * as Fingerprint from "../../src/disclosure/Fingerprint.js"

describe("Fingerprint", () => {
  it("is SHA-256 in base64url", () => {
    // FIPS 180-2 appendix B.1
    assert.strictEqual(Fingerprint.fingerprint("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
    assert.strictEqual(Fingerprint.fingerprint(""), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
  })
})
