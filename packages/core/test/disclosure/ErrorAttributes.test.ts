import { OAuthError } from "@effect-alf/core"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import * as ErrorAttributes from "../../src/disclosure/ErrorAttributes.js"

const oauth = (error: string) =>
  new OAuthError.TokenEndpointError({
    endpoint: "https://auth.test/token",
    reason: "OAuth",
    description: error,
    status: 400,
    error
  })

describe("ErrorAttributes", () => {
  it("names the reason of every error of the family", () => {
    const store = new OAuthError.TokenStoreError({ method: "get", reason: "Timeout", description: "no answer" })
    deepStrictEqual(ErrorAttributes.make(store), { "error.type": "Timeout" })
    deepStrictEqual(ErrorAttributes.make(new OAuthError.TokenProviderError({ reason: "MaxWait" })), {
      "error.type": "MaxWait"
    })
  })

  it("contains the OAuth error code too, if it is a known one", () => {
    deepStrictEqual(ErrorAttributes.make(oauth("invalid_client")), {
      "error.type": "OAuth",
      "oauth.error.code": "invalid_client"
    })
  })

  it("all unknown OAuth error codes become one value", () => {
    for (const code of ["AADSTS7000222", "", "constructor", "Invalid_Client"]) {
      deepStrictEqual(ErrorAttributes.make(oauth(code)), { "error.type": "OAuth", "oauth.error.code": "_OTHER" })
    }
  })
})
