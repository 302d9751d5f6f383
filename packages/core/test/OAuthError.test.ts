import { OAuthError } from "@effect-alf/core"
import { Headers, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Cause, Duration, Effect, Exit, Option } from "effect"
import { inspect } from "node:util"
import { anyString } from "./support/anyString.js"
import { rows } from "./support/Rows.js"

const endpoint = "https://auth.example.com/token"
const failed = (fields: Omit<ConstructorParameters<typeof OAuthError.TokenEndpointError>[0], "endpoint">) =>
  new OAuthError.TokenEndpointError({ endpoint, ...fields })

const messages: ReadonlyArray<readonly [what: string, error: Error & { readonly _tag: string }, message: string]> = [
  [
    "TokenEndpointError ClientAuth",
    failed({ reason: "ClientAuth", description: "the credentials are unavailable" }),
    "Token endpoint https://auth.example.com/token: the credentials are unavailable"
  ],
  [
    "TokenEndpointError Transport",
    failed({ reason: "Transport", description: "ECONNREFUSED" }),
    "Token endpoint https://auth.example.com/token: ECONNREFUSED"
  ],
  [
    "TokenEndpointError Timeout",
    failed({ reason: "Timeout", description: "no answer within 10s" }),
    "Token endpoint https://auth.example.com/token: no answer within 10s"
  ],
  [
    "TokenEndpointError OAuth with a code alone",
    failed({ reason: "OAuth", description: "invalid_client", status: 401, error: "invalid_client" }),
    "Token endpoint https://auth.example.com/token answered 401 invalid_client"
  ],
  [
    "TokenEndpointError OAuth with a description",
    failed({
      reason: "OAuth",
      description: "invalid_client",
      status: 401,
      error: "invalid_client",
      errorDescription: "unknown client"
    }),
    "Token endpoint https://auth.example.com/token answered 401 invalid_client: unknown client"
  ],
  [
    "TokenEndpointError OAuth with a uri",
    failed({
      reason: "OAuth",
      description: "invalid_scope",
      status: 400,
      error: "invalid_scope",
      errorUri: "https://auth.example.com/help"
    }),
    "Token endpoint https://auth.example.com/token answered 400 invalid_scope: see https://auth.example.com/help"
  ],
  [
    "TokenEndpointError OAuth with both",
    failed({
      reason: "OAuth",
      description: "invalid_scope",
      status: 400,
      error: "invalid_scope",
      errorDescription: "no such scope",
      errorUri: "https://auth.example.com/help"
    }),
    "Token endpoint https://auth.example.com/token answered 400 invalid_scope: no such scope, see https://auth.example.com/help"
  ],
  [
    "TokenEndpointError Status",
    failed({ reason: "Status", description: "no OAuth error in an empty body", status: 503 }),
    "Token endpoint https://auth.example.com/token answered 503: no OAuth error in an empty body"
  ],
  [
    "TokenEndpointError Status with advice",
    failed({ reason: "Status", description: "no OAuth error in an empty body", status: 404, advice: "Look elsewhere" }),
    "Token endpoint https://auth.example.com/token answered 404: no OAuth error in an empty body. Look elsewhere"
  ],
  [
    "TokenEndpointError Redirect",
    failed({ reason: "Redirect", description: "a redirect, which is not followed", status: 302 }),
    "Token endpoint https://auth.example.com/token answered 302: a redirect, which is not followed"
  ],
  [
    "TokenEndpointError InvalidResponse",
    failed({ reason: "InvalidResponse", description: "access_token is missing", status: 200 }),
    "Token endpoint https://auth.example.com/token answered 200: access_token is missing"
  ],
  ...([
    [OAuthError.DiscoveryError, "Discovery"],
    [OAuthError.TokenRevocationError, "Revocation"],
    [OAuthError.TokenIntrospectionError, "Introspection"]
  ] as const).map(([ServerError, name]) =>
    [
      name,
      new ServerError({ reason: "Transport", endpoint: "https://auth.example.com/x", description: "ECONNREFUSED" }),
      `${name} endpoint https://auth.example.com/x: ECONNREFUSED`
    ] as const
  ),
  [
    "TokenProviderError Closed",
    new OAuthError.TokenProviderError({ reason: "Closed" }),
    "The token provider is closed, as the scope of its layer is"
  ],
  [
    "TokenEndpointError OAuth with advice",
    failed({ reason: "OAuth", description: "x", status: 400, error: "invalid_grant", advice: "Sign in again" }),
    "Token endpoint https://auth.example.com/token answered 400 invalid_grant. Sign in again"
  ],
  [
    "TokenProviderError RefreshToken",
    new OAuthError.TokenProviderError({ reason: "RefreshToken", description: "the store is away" }),
    "The refresh token cannot be used: the store is away"
  ],
  [
    "TokenProviderError MaxWait",
    new OAuthError.TokenProviderError({
      reason: "MaxWait",
      waited: Duration.seconds(30),
      description: "attempt 1 at https://auth.example.com/token is still running after 30s"
    }),
    "No token within 30s: attempt 1 at https://auth.example.com/token is still running after 30s"
  ],
  [
    "TokenProviderError MaxWait of unknown cause",
    new OAuthError.TokenProviderError({ reason: "MaxWait", waited: Duration.seconds(30) }),
    "No token within 30s"
  ],
  [
    "OriginNotAllowed",
    new OAuthError.OriginNotAllowed({ origin: "https://evil.com", allowed: ["https://a.com", "https://b.com"] }),
    "A token was not sent to https://evil.com: allowed are https://a.com, https://b.com"
  ],
  [
    "OriginNotAllowed where any is allowed",
    new OAuthError.OriginNotAllowed({ origin: "http://evil.com", allowed: [] }),
    "A token was not sent to http://evil.com: allowed are any https origin"
  ],
  [
    "RedirectError",
    new OAuthError.RedirectError({
      reason: "Insecure",
      description: "it leads to http://a.com, which is not protected",
      status: 302,
      origin: "https://a.com"
    }),
    "A redirect of https://a.com (302) was not followed: it leads to http://a.com, which is not protected"
  ],
  [
    "TokenStoreError",
    new OAuthError.TokenStoreError({ reason: "Unavailable", method: "get", description: "ECONNREFUSED" }),
    "Token store, get: ECONNREFUSED"
  ],
  [
    "InvalidOptions",
    new OAuthError.InvalidOptions({
      problems: [
        { option: "TokenEndpoint.tokenEndpoint", description: "is missing" },
        { option: "TokenEndpoint.clientId", description: "is empty" }
      ]
    }),
    "TokenEndpoint.tokenEndpoint is missing; TokenEndpoint.clientId is empty"
  ]
]

const wrapped = (cause: unknown) =>
  new HttpClientError.RequestError({
    request: HttpClientRequest.get("https://api.example.com"),
    reason: "Encode",
    cause
  })

describe("OAuthError", () => {
  describe("messages", () => {
    it("each error has a message that says what failed", () =>
      rows(messages, ([what]) => what, ([, error, message]) => {
        assert.strictEqual(error.message, message)
        assert.strictEqual(String(error), `${error._tag}: ${message}`)
        assert.include(error.stack, message)
        assert.include(inspect(error), message)
        assert.include(Cause.pretty(Cause.fail(error)), message)
      }))

    it("JSON contains every field", () => {
      const error = failed({
        reason: "OAuth",
        description: "invalid_client",
        status: 401,
        headers: Headers.fromInput({ "x-request-id": "r1" }),
        error: "invalid_client",
        errorDescription: "unknown client",
        retryAfter: Duration.seconds(1)
      })
      deepStrictEqual(JSON.parse(JSON.stringify(error)), {
        _tag: "TokenEndpointError",
        endpoint,
        reason: "OAuth",
        description: "invalid_client",
        status: 401,
        headers: { "x-request-id": "r1" },
        error: "invalid_client",
        errorDescription: "unknown client",
        retryAfter: { _id: "Duration", _tag: "Millis", millis: 1000 }
      })
    })

    it("an error can be yielded as a failure", () => {
      const error = new OAuthError.TokenProviderError({ reason: "Closed" })
      deepStrictEqual(Effect.runSyncExit(error), Exit.fail(error))
    })
  })

  describe("isOAuthError", () => {
    it("accepts every error of a request", () => {
      assert.isTrue(OAuthError.isOAuthError(failed({ reason: "Timeout", description: "" })))
      assert.isTrue(
        OAuthError.isOAuthError(new OAuthError.DiscoveryError({ reason: "Timeout", endpoint, description: "" }))
      )
      assert.isTrue(OAuthError.isOAuthError(new OAuthError.TokenProviderError({ reason: "Closed" })))
      assert.isTrue(OAuthError.isOAuthError(new OAuthError.OriginNotAllowed({ origin: "x", allowed: [] })))
      assert.isTrue(
        OAuthError.isOAuthError(
          new OAuthError.RedirectError({ reason: "TooMany", description: "", status: 302, origin: "" })
        )
      )
    })

    const others: ReadonlyArray<readonly [what: string, value: unknown]> = [
      ["an InvalidOptions", new OAuthError.InvalidOptions({ problems: [{ option: "a", description: "b" }] })],
      [
        "a TokenRevocationError",
        new OAuthError.TokenRevocationError({ reason: "Timeout", endpoint, description: "" })
      ],
      ["a TokenStoreError", new OAuthError.TokenStoreError({ reason: "Timeout", method: "get", description: "" })],
      ["an error of the same tag by someone else", { _tag: "TokenEndpointError" }],
      ["an Error", new Error("TokenEndpointError")],
      ["undefined", undefined],
      ["null", null],
      ["a string", "TokenEndpointError"]
    ]
    it("rejects any other value", () =>
      rows(others, ([what]) => `not ${what}`, ([, value]) => {
        assert.isFalse(OAuthError.isOAuthError(value))
        deepStrictEqual(OAuthError.find(value), Option.none())
      }))
  })

  describe("isTransient", () => {
    const table: ReadonlyArray<readonly [Partial<OAuthError.AuthorizationServerErrorFields>, isTransient: boolean]> = [
      [{ reason: "Transport" }, true],
      [{ reason: "Transport", status: 200 }, true],
      ...[
        "ECONNREFUSED",
        "ECONNRESET",
        "ENOTFOUND",
        "EAI_AGAIN",
        "EPIPE",
        "ERR_STREAM_PREMATURE_CLOSE",
        "UND_ERR_SOCKET",
        "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
        "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
      ]
        .map((code) => [{ reason: "Transport", code }, true] as const),
      ...[
        "CERT_HAS_EXPIRED",
        "CERT_NOT_YET_VALID",
        "CRL_HAS_EXPIRED",
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "HOSTNAME_MISMATCH",
        "INVALID_PURPOSE",
        "ERR_TLS_CERT_ALTNAME_INVALID",
        "ERR_SSL_WRONG_VERSION_NUMBER",
        "EPROTO",
        "ERR_INVALID_URL"
      ].map((code) => [{ reason: "Transport", code }, false] as const),
      [{ reason: "Timeout" }, true],
      [{ reason: "ClientAuth" }, false],
      [{ reason: "Redirect", status: 302 }, false],
      [{ reason: "Redirect", status: 307 }, false],
      [{ reason: "InvalidResponse", status: 200 }, false],
      [{ reason: "InvalidResponse", status: 503 }, false],
      [{ reason: "InvalidResponse", status: 200, retryAfter: Duration.seconds(1) }, true],
      ...[400, 401, 403, 404, 405, 410, 413, 418, 499].map((status) => [{ reason: "Status", status }, false] as const),
      ...[408, 429, 500, 502, 503, 504, 599].map((status) => [{ reason: "Status", status }, true] as const),
      ...[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target"
      ].flatMap((error) => [200, 400, 401].map((status) => [{ reason: "OAuth", status, error }, false] as const)),
      [{ reason: "OAuth", status: 429, error: "slow_down" }, true],
      [{ reason: "OAuth", status: 500, error: "server_error" }, true],
      [{ reason: "OAuth", status: 503, error: "temporarily_unavailable" }, true],
      ...["temporarily_unavailable", "server_error", "slow_down"].flatMap((error) =>
        [200, 400].map((status) => [{ reason: "OAuth", status, error }, true] as const)
      )
    ]

    const request = HttpClientRequest.get("https://api.example.com/")
    const behindPlatform = (cause: unknown) =>
      new HttpClientError.RequestError({ request, reason: "Encode", cause, description: "no token" })

    it("rule 7: depends on reason, status and code, for every request to an authorization server", () =>
      rows(
        table,
        ([fields, isTransient]) => `${Object.values(fields).join(" ")}: ${isTransient}`,
        ([fields, isTransient]) => {
          for (
            const ServerError of [
              OAuthError.TokenEndpointError,
              OAuthError.DiscoveryError,
              OAuthError.TokenRevocationError,
              OAuthError.TokenIntrospectionError
            ]
          ) {
            const error = new ServerError({ reason: "Status", endpoint, description: "", ...fields })
            assert.strictEqual(error.isTransient, isTransient)
            assert.strictEqual(OAuthError.isTransient(error), isTransient)
            assert.strictEqual(OAuthError.isTransient(behindPlatform(error)), isTransient)
          }
        }
      ))

    const provider = (fields: ConstructorParameters<typeof OAuthError.TokenProviderError>[0]) =>
      new OAuthError.TokenProviderError(fields)
    const store = (reason: OAuthError.TokenStoreError["reason"]) =>
      new OAuthError.TokenStoreError({ reason, method: "get", description: "" })

    const responseError = (status: number) =>
      new HttpClientError.ResponseError({
        request,
        reason: status < 400 ? "Decode" : "StatusCode",
        response: HttpClientResponse.fromWeb(request, new Response(null, { status }))
      })

    const others: ReadonlyArray<readonly [what: string, value: unknown, isTransient: boolean]> = [
      ["Closed", provider({ reason: "Closed" }), false],
      ["MaxWait", provider({ reason: "MaxWait" }), true],
      [
        "RefreshToken, which a new attempt may find",
        provider({ reason: "RefreshToken", retryAfter: Duration.seconds(1) }),
        true
      ],
      ["RefreshToken, which no attempt finds", provider({ reason: "RefreshToken" }), false],
      ["Defect", provider({ reason: "Defect" }), false],
      ["a store that is away", store("Unavailable"), true],
      ["a store that is slow", store("Timeout"), true],
      ["an entry that cannot be read", store("InvalidEntry"), false],
      ["OriginNotAllowed", new OAuthError.OriginNotAllowed({ origin: "x", allowed: [] }), false],
      [
        "RedirectError",
        new OAuthError.RedirectError({ reason: "TooMany", description: "", status: 302, origin: "" }),
        false
      ],
      ["InvalidOptions", new OAuthError.InvalidOptions({ problems: [{ option: "a", description: "b" }] }), false],
      ["CredentialsError", new OAuthError.CredentialsError({ description: "the key is too small" }), false],
      ["no answer of the API", new HttpClientError.RequestError({ request, reason: "Transport" }), true],
      [
        "an API whose certificate is not trusted",
        new HttpClientError.RequestError({ request, reason: "Transport", cause: { code: "CERT_HAS_EXPIRED" } }),
        false
      ],
      ["a request that cannot be made", new HttpClientError.RequestError({ request, reason: "InvalidUrl" }), false],
      ...[[408, true], [429, true], [503, true], [404, false], [200, false]].map(([status, isTransient]) =>
        [`${status} of the API`, responseError(Number(status)), Boolean(isTransient)] as const
      ),
      ["Effect.timeout of a call", new Cause.TimeoutException(), true],
      ["an error that only says so", { isTransient: true }, false],
      ["nothing", undefined, false]
    ]

    it("is defined for every OAuthError, and for errors of API requests", () =>
      rows(others, ([what, , isTransient]) => `${what}: ${isTransient}`, ([, value, isTransient]) => {
        assert.strictEqual(OAuthError.isTransient(value), isTransient)
      }))
  })

  it("isCredentialsError: accepts only the error whose message client authentication may report", () => {
    const error = new OAuthError.CredentialsError({ description: "the key is too small" })
    assert.isTrue(OAuthError.isCredentialsError(error))
    assert.isFalse(OAuthError.isOAuthError(error))
    assert.strictEqual(error.message, "the key is too small")
    for (
      const other of [
        new Error("a"),
        "a",
        undefined,
        { _tag: "CredentialsError" },
        failed({ reason: "Status", description: "a" })
      ]
    ) {
      assert.isFalse(OAuthError.isCredentialsError(other))
    }
  })

  describe("fromUnknown", () => {
    const error = failed({ reason: "Timeout", description: "no answer within 10s" })
    const found: ReadonlyArray<readonly [what: string, value: unknown]> = [
      ["itself", error],
      ["the cause of a RequestError", wrapped(error)],
      ["the cause of a cause", wrapped(wrapped(error))],
      ["the cause of an Error of the app", new Error("cannot load orders", { cause: wrapped(error) })],
      ["the cause of a plain object", { cause: error }]
    ]
    it("finds an OAuthError in any cause", () =>
      rows(found, ([what]) => `finds ${what}`, ([, value]) => {
        const result = OAuthError.find(value)
        assert.isTrue(Option.isSome(result))
        assert.strictEqual(Option.getOrThrow(result), error)
      }))

    it("finds none in other RequestErrors", () => {
      deepStrictEqual(OAuthError.find(wrapped(new Error("ECONNRESET"))), Option.none())
      deepStrictEqual(OAuthError.find(wrapped(undefined)), Option.none())
    })

    it("terminates if causes form a cycle", () => {
      const circle = new Error("a")
      circle.cause = new Error("b", { cause: circle })
      deepStrictEqual(OAuthError.find(circle), Option.none())
    })
  })

  describe("describe", () => {
    const coded = (message: string, code: string, cause?: unknown) =>
      Object.assign(new Error(message, { cause }), { code })
    const table: ReadonlyArray<readonly [what: string, value: unknown, description: string]> = [
      ["a string", "it broke", "it broke"],
      ["a number", 42, "42"],
      ["undefined", undefined, "unknown failure"],
      ["null", null, "unknown failure"],
      ["an empty object", {}, "unknown failure"],
      ["a symbol", Symbol("s"), "Symbol(s)"],
      ["an Error", new Error("it broke"), "it broke"],
      ["an Error without a message", new TypeError(), "TypeError"],
      ["a code beside the message", coded("socket hang up", "ECONNRESET"), "ECONNRESET socket hang up"],
      ["a code within the message", coded("connect ECONNREFUSED ::1", "ECONNREFUSED"), "connect ECONNREFUSED ::1"],
      ["a code alone", coded("", "ECONNREFUSED"), "ECONNREFUSED"],
      ["a tagged error", { _tag: "NotFound" }, "NotFound"],
      ["a tagged error with a message", { _tag: "NotFound", message: "no such key" }, "no such key"],
      [
        "what fetch throws on Node",
        new TypeError("fetch failed", { cause: coded("read ECONNRESET", "ECONNRESET") }),
        "fetch failed: read ECONNRESET"
      ],
      [
        "fetch to a port where nobody listens",
        new TypeError("fetch failed", { cause: Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }) }),
        "fetch failed: ECONNREFUSED"
      ],
      ["three causes", new Error("a", { cause: new Error("b", { cause: new Error("c") }) }), "a: b: c"],
      ["a cause that says the same", new Error("it broke: now", { cause: new Error("it broke") }), "it broke: now"],
      ["a cause that is a string", new Error("a", { cause: "b" }), "a: b"],
      ["a cause with nothing to say", new Error("a", { cause: {} }), "a"]
    ]
    it("describes only what may be shown", () =>
      rows(table, ([what, , description]) => `${what}: ${description}`, ([, value, description]) => {
        assert.strictEqual(OAuthError.describe(value), description)
      }))

    it("follows 8 causes, and terminates if they form a cycle", () => {
      const nest = (depth: number): Error => new Error(`e${depth}`, depth < 20 ? { cause: nest(depth + 1) } : undefined)
      assert.strictEqual(OAuthError.describe(nest(1)), "e1: e2: e3: e4: e5: e6: e7: e8")
      const circle = new Error("a")
      circle.cause = circle
      assert.strictEqual(OAuthError.describe(circle), "a")
    })

    it("control characters are removed before the text is cut", () => {
      const secret = "s".repeat(1000)
      assert.strictEqual(
        OAuthError.describe(new Error(`not a header: ${secret}`), (text) => text.replaceAll(secret, "***")),
        "not a header: ***"
      )
    })

    it("describeCause: describes a failure, a defect or an interruption", () => {
      assert.strictEqual(OAuthError.describeCause(Cause.fail(new Error("failed"))), "failed")
      assert.strictEqual(OAuthError.describeCause(Cause.die("died")), "died")
      assert.match(OAuthError.describeCause(Cause.interrupt(Effect.runSync(Effect.fiberId))), /^Interrupted/)
    })
  })

  describe("oneLine", () => {
    const table: ReadonlyArray<readonly [text: string, line: string]> = [
      ["a\r\nb", "a b"],
      ["  a  b  ", "a  b"],
      ["a\u0000\u001b[31mb", "a [31mb"],
      ["a\u007f\u0085\u009fb", "a b"],
      ["a\u2028b\u2029c", "a b c"],
      ["\n\t", ""],
      ["ünïcödé 💥", "ünïcödé 💥"]
    ]
    it("turns any text into one line", () =>
      rows(table, ([text]) => JSON.stringify(text), ([text, line]) => {
        assert.strictEqual(OAuthError.oneLine(text), line)
      }))

    it("cuts at 300 characters, and marks the cut", () => {
      assert.strictEqual(OAuthError.oneLine("x".repeat(300)), "x".repeat(300))
      assert.strictEqual(OAuthError.oneLine("x".repeat(301)), `${"x".repeat(300)}…`)
    })

    it.prop(
      "is one line without control characters, of at most 301",
      [anyString({ maxLength: 500 })],
      ([text]) => {
        const line = OAuthError.oneLine(text)
        assert.notMatch(line, /[\p{Cc}\u2028\u2029]/u)
        assert.isAtMost(line.length, 301)
        assert.strictEqual(line, line.trim())
      }
    )
  })
})
