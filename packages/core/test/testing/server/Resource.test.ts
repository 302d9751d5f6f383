import { DPoP } from "@effect-alf/core"
import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Redacted } from "effect"
import * as Proofs from "../../../src/testing/server/Proofs.js"
import * as Requests from "../../../src/testing/server/Requests.js"
import * as Resource from "../../../src/testing/server/Resource.js"
import * as Tokens from "../../../src/testing/server/Tokens.js"

const url = "https://api.test/orders"

const make = () => {
  const tokens = Tokens.make({
    lifetime: "1 minute",
    tokenPrefix: "token-",
    rotatesRefreshTokens: true,
    refreshGracePeriod: 0
  })
  const resource = Resource.make(Resource.echo, tokens, Proofs.make())
  const issue = (scope?: string, thumbprint?: string) =>
    tokens.issue({ scope, thumbprint, resources: [], audiences: [] }, 0).value
  const ask = Effect.fnUntraced(function*(headers: Record<string, string>) {
    const record = Resource.read(yield* Requests.read(HttpClientRequest.get(url, { headers }), url))
    const answer = yield* resource.answer(record, 0)
    if (typeof answer === "string" || answer instanceof Response) return assert.fail("no plain answer")
    return {
      record,
      status: answer.status ?? 200,
      challenge: answer.headers?.["www-authenticate"]?.replace(/, algs=".*"/, "")
    }
  })
  return { resource, tokens, issue, ask }
}

describe("Resource", () => {
  it.effect("RFC 6750 §3: a valid token is accepted; a missing and an invalid one get different challenges", () =>
    Effect.gen(function*() {
      const { ask, issue } = make()
      const token = issue()
      const right = yield* ask({ authorization: `bearer ${token}` })
      deepStrictEqual([right.status, right.record.scheme, right.record.token], [200, "Bearer", token])
      const none = yield* ask({})
      deepStrictEqual([none.status, none.challenge], [401, "Bearer realm=\"test\""])
      const wrong = yield* ask({ authorization: "Bearer other" })
      deepStrictEqual([wrong.status, wrong.challenge], [401, "Bearer realm=\"test\", error=\"invalid_token\""])
    }))

  it.effect("RFC 6750 §3.1: a token needs every required scope", () =>
    Effect.gen(function*() {
      const { ask, issue, resource } = make()
      const [both, one] = [issue("write read"), issue("read")]
      resource.requireScope("read write")
      assert.strictEqual((yield* ask({ authorization: `Bearer ${both}` })).status, 200)
      const refused = yield* ask({ authorization: `Bearer ${one}` })
      deepStrictEqual([refused.status, refused.challenge], [
        403,
        "Bearer realm=\"test\", error=\"insufficient_scope\", scope=\"read write\""
      ])
      resource.requireScope(undefined)
      assert.strictEqual((yield* ask({ authorization: `Bearer ${one}` })).status, 200)
    }))

  it.effect("RFC 9449 §7: a bound token needs the proof of its key, and an unbound token must not have a proof", () =>
    Effect.gen(function*() {
      const { ask, issue } = make()
      const key = yield* DPoP.generate()
      const [bound, unbound] = [issue(undefined, key.thumbprint), issue()]
      const send = (token: string, by = key) =>
        Effect.flatMap(
          by.proof({ method: "GET", url, token: Redacted.make(token) }),
          (dpop) => ask({ authorization: `DPoP ${token}`, dpop })
        )
      const right = yield* send(bound)
      deepStrictEqual([right.status, right.record.scheme, right.record.proof], [
        200,
        "DPoP",
        { thumbprint: key.thumbprint, nonce: undefined }
      ])
      const invalidToken = [401, "DPoP realm=\"test\", error=\"invalid_token\""]
      const otherKey = yield* send(bound, yield* DPoP.generate())
      deepStrictEqual([otherKey.status, otherKey.challenge], invalidToken)
      const notBound = yield* send(unbound)
      deepStrictEqual([notBound.status, notBound.challenge], invalidToken)
      const withoutProof = yield* ask({ authorization: `DPoP ${bound}` })
      deepStrictEqual([withoutProof.status, withoutProof.challenge], [
        401,
        "DPoP realm=\"test\", error=\"invalid_dpop_proof\""
      ])
      assert.strictEqual((yield* ask({ authorization: `Bearer ${bound}` })).status, 401)
    }))
})
