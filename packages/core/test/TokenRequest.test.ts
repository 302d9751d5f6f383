import { Grant, TokenRequest } from "@effect-alf/core"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { FastCheck as fc, Redacted } from "effect"
import { rows } from "./support/Rows.js"
import { leaks } from "./support/Secrets.js"
import { storeKey } from "./support/StoreKey.js"

const identity: TokenRequest.Identity = {
  endpoint: "https://auth.example.com/token",
  clientId: "app",
  authMethod: "client_secret_basic"
}

const params = (request: TokenRequest.TokenRequest) => TokenRequest.resolve(identity, request).params

const key = (request: TokenRequest.TokenRequest, of: TokenRequest.Identity = identity) =>
  storeKey(TokenRequest.resolve(of, request))

const scopeToken = fc.stringMatching(/^[!#-[\]-~]{1,8}$/)
const text = fc.string({ unit: "grapheme", maxLength: 12 })
const list = fc.array(text, { maxLength: 3 })
const request: fc.Arbitrary<TokenRequest.TokenRequest> = fc.record({
  scope: fc.option(fc.array(scopeToken, { maxLength: 3 }), { nil: undefined }),
  resource: fc.option(fc.oneof(text, list), { nil: undefined }),
  audience: fc.option(fc.oneof(text, list), { nil: undefined }),
  params: fc.option(fc.dictionary(text, text, { maxKeys: 3 }), { nil: undefined })
}, { requiredKeys: [] })
const anyIdentity: fc.Arbitrary<TokenRequest.Identity> = fc.record({ endpoint: text, clientId: text, authMethod: text })

/** What decides a token, written in another way than the key is. */
const meaning = (of: TokenRequest.Identity, request: TokenRequest.TokenRequest) => {
  const sorted = <A>(items: ReadonlyArray<A>) => items.map((item) => JSON.stringify(item)).sort()
  return JSON.stringify({ of: [of.endpoint, of.clientId, of.authMethod], params: sorted(params(request)) })
}

describe("TokenRequest", () => {
  describe("resolve", () => {
    it("RFC 6749 §4.4.2: requests client_credentials with no parameter that was not given", () => {
      deepStrictEqual(params({}), [["grant_type", "client_credentials"]])
    })

    it("sends grant, scope, resources, audiences and extra parameters in this order", () => {
      deepStrictEqual(
        params({
          params: { tenant: "t1", a: "b" },
          audience: ["https://aud", "two"],
          resource: ["https://b", "https://a"],
          scope: ["write", "read"]
        }),
        [
          ["grant_type", "client_credentials"],
          ["scope", "read write"],
          ["resource", "https://b"],
          ["resource", "https://a"],
          ["audience", "https://aud"],
          ["audience", "two"],
          ["tenant", "t1"],
          ["a", "b"]
        ]
      )
    })

    it("RFC 6749 §3.2: sends no parameter twice: an extra parameter replaces the one of that name", () => {
      deepStrictEqual(
        params({ scope: "read", params: { grant_type: "urn:own:grant", scope: "write" } }),
        [["grant_type", "urn:own:grant"], ["scope", "write"]]
      )
    })

    const empty: ReadonlyArray<TokenRequest.TokenRequest["scope"]> = [undefined, "", "   ", [], [""], ["", " "]]
    it("RFC 6749 §3.3: leaves out an empty scope", () =>
      rows(empty, (scope) => `RFC 6749 §3.3: leaves out a scope of ${JSON.stringify(scope)}`, (scope) => {
        deepStrictEqual(params({ scope }), [["grant_type", "client_credentials"]])
      }))

    const same: ReadonlyArray<TokenRequest.TokenRequest["scope"]> = [
      "read write",
      "write read",
      " read   write ",
      "read write read",
      ["read", "write"],
      ["write", "read", "read"],
      ["write read"]
    ]
    it("RFC 6749 §3.3: scope is a set, so order and repetition do not matter", () =>
      rows(same, (scope) => `RFC 6749 §3.3: scope is a set, so ${JSON.stringify(scope)} is "read write"`, (scope) => {
        deepStrictEqual(params({ scope }), params({ scope: "read write" }))
        assert.strictEqual(key({ scope }), key({ scope: "read write" }))
      }))
  })

  describe("key", () => {
    it("rule 9: is redacted, as its headers and parameters may be secrets", () => {
      const request = { scope: "read", params: { password: "hunter2" } }
      deepStrictEqual(leaks([TokenRequest.resolve(identity, request).key], ["hunter2"]), [])
    })

    it("its form in a store can be shown: 43 characters of base64url that reveal nothing of the request", () => {
      assert.match(key({ scope: "read", params: { password: "hunter2" } }), /^[A-Za-z0-9_-]{43}$/)
    })

    it("is the same in every process and version, as stored tokens are found by it", () => {
      assert.strictEqual(
        key({ scope: "read write", resource: "https://api", audience: "aud", params: { tenant: "t" } }),
        "n1baJ1Nxs7vyN2XxmZ1LUjpvTD80J6_fwweNNdhejjU"
      )
    })

    it.prop(
      "rule 2: is equal for the same scopes in any order and number",
      [
        fc.array(scopeToken, { minLength: 1, maxLength: 6 }).chain((scopes) =>
          fc.tuple(fc.constant(scopes), fc.shuffledSubarray([...scopes, ...scopes], { minLength: scopes.length * 2 }))
        )
      ],
      ([[scopes, shuffled]]) => {
        assert.strictEqual(key({ scope: shuffled }), key({ scope: scopes }))
        assert.strictEqual(key({ scope: shuffled.join(" ") }), key({ scope: scopes }))
      }
    )

    it("is equal for the same resources, audiences and extra parameters in any order", () => {
      assert.strictEqual(
        key({ resource: ["a", "b"], audience: ["c", "d"], params: { e: "f", g: "h" } }),
        key({ resource: ["b", "a"], audience: ["d", "c"], params: { g: "h", e: "f" } })
      )
    })

    const base: TokenRequest.TokenRequest = {
      scope: "read",
      resource: "https://r",
      audience: "aud",
      params: { tenant: "t", region: "eu" }
    }
    const others: ReadonlyArray<readonly [what: string, TokenRequest.TokenRequest, TokenRequest.Identity?]> = [
      ["the endpoint", base, { ...identity, endpoint: "https://auth.example.com/token2" }],
      ["the endpoint's query", base, { ...identity, endpoint: "https://auth.example.com/token?tenant=1" }],
      ["the client", base, { ...identity, clientId: "app2" }],
      ["the case of the client", base, { ...identity, clientId: "APP" }],
      ["the method of authentication", base, { ...identity, authMethod: "client_secret_post" }],
      ["a header", base, { ...identity, headers: { "x-tenant": "1" } }],
      ["the scope", { ...base, scope: "write" }],
      ["one scope more", { ...base, scope: "read write" }],
      ["the case of a scope", { ...base, scope: "Read" }],
      ["no scope", { ...base, scope: undefined }],
      ["the resource", { ...base, resource: "https://r/" }],
      ["one resource more", { ...base, resource: ["https://r", "https://s"] }],
      ["no resource", { ...base, resource: [] }],
      ["the audience", { ...base, audience: "aud2" }],
      ["no audience", { ...base, audience: undefined }],
      ["the audience as resource", { ...base, audience: "https://r", resource: "aud" }],
      ["an extra parameter's value", { ...base, params: { tenant: "t2", region: "eu" } }],
      ["an extra parameter's name", { ...base, params: { tenants: "t", region: "eu" } }],
      ["two extra parameters' values", { ...base, params: { tenant: "eu", region: "t" } }],
      ["one extra parameter less", { ...base, params: { tenant: "t" } }]
    ]
    it("rule 2: differs whenever the token would differ", () =>
      rows(others, ([what]) => `rule 2: differs for ${what}`, ([, other, of]) => {
        assert.notStrictEqual(key(other, of), key(base))
      }))

    const crafted: ReadonlyArray<readonly [TokenRequest.TokenRequest, TokenRequest.TokenRequest]> = [
      [{ params: { a: "1&b=2" } }, { params: { a: "1", b: "2" } }],
      [{ params: { "a\",\"b": "c" } }, { params: { a: "b\",\"c" } }],
      [{ params: { a: "b\"],[\"c\",\"d" } }, { params: { a: "b", c: "d" } }],
      [{ resource: "x,y" }, { resource: ["x", "y"] }],
      [{ resource: "x y" }, { resource: ["x", "y"] }],
      [{ resource: "x\u0000y" }, { resource: ["x", "y"] }],
      [{ resource: "x\",\"y" }, { resource: ["x", "y"] }],
      [{ audience: "" }, {}],
      [{ params: { a: "" } }, {}],
      [{ params: { a: "\\" } }, { params: { a: "\\\\" } }],
      [{ params: { a: "é" } }, { params: { a: "e\u0301" } }],
      [{ params: { a: "\ud800" } }, { params: { a: "\ud801" } }],
      [{ params: { a: "\ud800" } }, { params: { a: "\ufffd" } }]
    ]
    it("rule 2: no separator in a value makes two requests equal", () =>
      rows(
        crafted,
        ([one, other]) => `rule 2: no separator makes ${JSON.stringify(one)} look like ${JSON.stringify(other)}`,
        ([one, other]) => {
          assert.notStrictEqual(key(one), key(other))
        }
      ))

    it("rule 2: endpoint, client and method cannot be confused", () => {
      const keys = [
        ["a\",\"b", "c", "d"],
        ["a", "b\",\"c", "d"],
        ["a", "b", "c\",\"d"],
        ["a,b", "c", "d"],
        ["a", "b,c", "d"],
        ["ab", "c", "d"],
        ["a", "bc", "d"]
      ].map(([endpoint = "", clientId = "", authMethod = ""]) => key({}, { endpoint, clientId, authMethod }))
      assert.strictEqual(new Set(keys).size, keys.length)
    })

    it.prop(
      "rule 2: two requests have the same key exactly when they mean the same",
      [anyIdentity, request, anyIdentity, request],
      ([oneIdentity, one, otherIdentity, other]) => {
        assert.strictEqual(
          key(one, oneIdentity) === key(other, otherIdentity),
          meaning(oneIdentity, one) === meaning(otherIdentity, other)
        )
        assert.strictEqual(
          key(one, oneIdentity) === key(other, oneIdentity),
          meaning(oneIdentity, one) === meaning(oneIdentity, other)
        )
      }
    )

    it.prop(
      "rule 2: any change of any one thing changes the key",
      [anyIdentity, request, text, text.filter((text) => text !== "")],
      ([of, request, name, more]) => {
        const before = key(request, of)
        const after = [
          key(request, { ...of, endpoint: of.endpoint + more }),
          key(request, { ...of, clientId: of.clientId + more }),
          key(request, { ...of, authMethod: of.authMethod + more }),
          key({ ...request, scope: [...TokenRequest.scopes(request.scope), "one-more-scope"] }, of),
          key({ ...request, resource: [request.resource ?? [], more].flat() }, of),
          key({ ...request, audience: [request.audience ?? [], more].flat() }, of),
          key({ ...request, params: { ...request.params, [name]: (request.params?.[name] ?? "") + more } }, of)
        ]
        assert.notInclude(after, before)
      }
    )
  })

  describe("merge", () => {
    const defaults: TokenRequest.TokenRequest = {
      grant: Grant.tokenExchange({ subjectToken: Redacted.make("s") }),
      scope: "read",
      resource: "https://r",
      audience: "aud",
      params: { tenant: "t", region: "eu" }
    }

    it("returns the defaults for an empty request", () => {
      deepStrictEqual(TokenRequest.merge(defaults, undefined), defaults)
      deepStrictEqual(TokenRequest.merge(defaults, {}), defaults)
    })

    it("uses each field of the request that sets it", () => {
      deepStrictEqual(TokenRequest.merge(defaults, { scope: "write", resource: ["https://s"] }), {
        ...defaults,
        scope: "write",
        resource: ["https://s"]
      })
    })

    it("merges extra parameters by name", () => {
      deepStrictEqual(TokenRequest.merge(defaults, { params: { tenant: "u", more: "m" } }).params, {
        tenant: "u",
        region: "eu",
        more: "m"
      })
      deepStrictEqual(TokenRequest.merge({}, { params: { a: "b" } }).params, { a: "b" })
    })

    it("an undefined parameter is not sent", () => {
      deepStrictEqual(
        params({ params: JSON.parse("{}"), scope: "a" }),
        params({ scope: "a", params: { x: undefined as never } })
      )
    })

    it("an empty scope of a call removes the default scope", () => {
      for (const scope of ["", []]) {
        deepStrictEqual(params(TokenRequest.merge({ scope: "read" }, { scope })), params({}))
      }
    })

    it("an explicit undefined counts as missing", () => {
      deepStrictEqual(
        TokenRequest.merge(defaults, {
          grant: undefined,
          scope: undefined,
          resource: undefined,
          audience: undefined,
          params: undefined
        }),
        defaults
      )
    })
  })
})
