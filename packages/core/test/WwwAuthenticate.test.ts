import { WwwAuthenticate } from "@effect-alf/core"
import { Headers, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, FastCheck as fc, Option } from "effect"
import { anyString } from "./support/anyString.js"
import { rows } from "./support/Rows.js"
import { runs } from "./support/Runs.js"

const challenge = (
  scheme: string,
  rest: Readonly<Record<string, string>> | string = {}
): WwwAuthenticate.Challenge => ({
  scheme,
  token68: typeof rest === "string" ? Option.some(rest) : Option.none(),
  params: typeof rest === "string" ? {} : rest
})

/** Each row is a header and what it says. */
const table = (
  title: string,
  table: Record<string, ReadonlyArray<WwwAuthenticate.Challenge>>
) =>
  it(title, () =>
    rows(
      Object.entries(table),
      ([header]) => header,
      ([header, challenges]) => deepStrictEqual(WwwAuthenticate.parse(header), challenges)
    ))

const response = (status: number, headers: ReadonlyArray<string>) =>
  HttpClientResponse.fromWeb(
    HttpClientRequest.get("https://api.test"),
    new Response(null, { status, headers: headers.map((header): [string, string] => ["www-authenticate", header]) })
  )

describe("WwwAuthenticate", () => {
  describe("parse (RFC 9110 §11.6.1)", () => {
    table("the examples of the RFCs", {
      "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"": [
        challenge("basic", { realm: "simple" }),
        challenge("newauth", { realm: "apps", type: "1", title: "Login to \"apps\"" })
      ],
      "Bearer realm=\"example\", error=\"invalid_token\", error_description=\"The access token expired\"": [
        challenge("bearer", { realm: "example", error: "invalid_token", error_description: "The access token expired" })
      ],
      "DPoP error=\"use_dpop_nonce\", error_description=\"Resource server requires nonce in DPoP proof\"": [
        challenge("dpop", {
          error: "use_dpop_nonce",
          error_description: "Resource server requires nonce in DPoP proof"
        })
      ],
      "Bearer error=\"insufficient_user_authentication\", error_description=\"More\", acr_values=\"myACR\"": [
        challenge("bearer", {
          error: "insufficient_user_authentication",
          error_description: "More",
          acr_values: "myACR"
        })
      ],
      "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"7ypf/xlj9XX\"": [
        challenge("digest", {
          realm: "http-auth@example.org",
          qop: "auth, auth-int",
          algorithm: "SHA-256",
          nonce: "7ypf/xlj9XX"
        })
      ]
    })

    table("as servers write it", {
      // Microsoft Entra and Graph
      "Bearer realm=\"\", authorization_uri=\"https://login.example/common/oauth2/authorize\", error=\"invalid_token\"":
        [
          challenge("bearer", {
            realm: "",
            authorization_uri: "https://login.example/common/oauth2/authorize",
            error: "invalid_token"
          })
        ],
      // Microsoft's continuous access evaluation: claims in base64 with padding
      "Bearer realm=\"\", client_id=\"0000\", error=\"insufficient_claims\", claims=\"eyJhIjp7fX0==\"": [
        challenge("bearer", { realm: "", client_id: "0000", error: "insufficient_claims", claims: "eyJhIjp7fX0==" })
      ],
      // Google
      "Bearer realm=\"https://accounts.google.com/\", error=invalid_token": [
        challenge("bearer", { realm: "https://accounts.google.com/", error: "invalid_token" })
      ],
      // Keycloak's adapters, and a registry
      "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"Token is not active\"": [
        challenge("bearer", { realm: "shop", error: "invalid_token", error_description: "Token is not active" })
      ],
      "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:a/b:pull,push\"": [
        challenge("bearer", {
          realm: "https://auth.example/token",
          service: "registry",
          scope: "repository:a/b:pull,push"
        })
      ],
      // AWS
      "Bearer scope=\"orders/read\" error=\"insufficient_scope\"": [
        challenge("bearer", { scope: "orders/read", error: "insufficient_scope" })
      ],
      // MCP servers (RFC 9728 §5.1)
      "Bearer resource_metadata=\"https://r.example/.well-known/oauth-protected-resource\"": [
        challenge("bearer", { resource_metadata: "https://r.example/.well-known/oauth-protected-resource" })
      ],
      // IIS, GitHub, and servers that name no more than the scheme
      "Negotiate, NTLM, Basic realm=\"x\"": [
        challenge("negotiate"),
        challenge("ntlm"),
        challenge("basic", { realm: "x" })
      ],
      "Negotiate oYIBFTCCARGgAwoBAKELBgkqhkiG9xIBAgI=": [
        challenge("negotiate", "oYIBFTCCARGgAwoBAKELBgkqhkiG9xIBAgI=")
      ],
      "Basic realm=\"GitHub\"": [challenge("basic", { realm: "GitHub" })],
      Bearer: [challenge("bearer")],
      "Bearer, DPoP algs=\"ES256 PS256\"": [challenge("bearer"), challenge("dpop", { algs: "ES256 PS256" })]
    })

    table("spaces, commas and case do not matter", {
      "": [],
      " ,\t, ,": [],
      "BEARER Realm=\"A\", ERROR=\"B\"": [challenge("bearer", { realm: "A", error: "B" })],
      ",, ,Bearer , , realm = \"x\" ,, error\t=\ty ,": [challenge("bearer", { realm: "x", error: "y" })],
      "Bearer\t  realm=x": [challenge("bearer", { realm: "x" })],
      "Bearer ,DPoP": [challenge("bearer"), challenge("dpop")],
      "Negotiate abc== , Basic realm=x": [challenge("negotiate", "abc=="), challenge("basic", { realm: "x" })],
      "Negotiate a-._~+/9": [challenge("negotiate", "a-._~+/9")]
    })

    table("quoted strings", {
      "Bearer realm=\"\"": [challenge("bearer", { realm: "" })],
      "Bearer realm=\"a, b=c, Basic x\"": [challenge("bearer", { realm: "a, b=c, Basic x" })],
      "Bearer realm=\"\\\\\\\"\\a\"": [challenge("bearer", { realm: "\\\"a" })],
      "Bearer realm=\"é 🙂\t\"": [challenge("bearer", { realm: "é 🙂\t" })]
    })

    table("what cannot be read is left out, the rest is kept", {
      "realm=\"x\", Bearer error=a": [challenge("bearer", { error: "a" })],
      "\"x\", Bearer error=a": [challenge("bearer", { error: "a" })],
      "=, (), Bearer error=a": [challenge("bearer", { error: "a" })],
      "Bearer realm=, error=\"a\"": [challenge("bearer", { error: "a" })],
      "Bearer abc, error=\"a\"": [challenge("bearer", { error: "a" })],
      "Bearer scope=read write, error=a": [challenge("bearer", { scope: "read", error: "a" })],
      "Bearer error_uri=https://help/?a=b, error=a": [
        challenge("bearer", { error_uri: "https://help/?a=b", error: "a" })
      ],
      "Bearer error_description=\"The \"a, b\" token\", error=a": [
        challenge("bearer", { error_description: "The ", error: "a" })
      ],
      "Bearer realm=\"x\"y=z, error=a": [challenge("bearer", { realm: "x", y: "z", error: "a" })],
      "Bearer realm=x; error=a, uri=b": [challenge("bearer", { realm: "x;", error: "a", uri: "b" })],
      "Bearer error=a, error=b": [challenge("bearer", { error: "a" })],
      "Bearer realm=x, Ba(sic realm=y, DPoP": [challenge("bearer", { realm: "x" }), challenge("dpop")],
      "Bearer error=a, realm=\"x, DPoP error=b": [challenge("bearer", { error: "a" })],
      "Bearer error=a, realm=\"x\\": [challenge("bearer", { error: "a" })],
      "Bearer error=a, x\"y, DPoP": [challenge("bearer", { error: "a" })]
    })

    it("names of Object.prototype are parameters like others", () => {
      const [{ params }] = WwwAuthenticate.parse("Bearer __proto__=a, constructor=b, error=c")
      deepStrictEqual(Object.entries(params), [["__proto__", "a"], ["constructor", "b"], ["error", "c"]])
      assert.strictEqual(Object.getPrototypeOf(params), Object.prototype)
    })

    it("of a header above 16 KiB, complete elements at its start are parsed", () => {
      const long = `Bearer error=a, ${"x=y, ".repeat(3_000)}`
      const read = WwwAuthenticate.parse(`${long}, z${"z".repeat(2_000)}=end, DPoP error=b`)
      deepStrictEqual(read, [challenge("bearer", { error: "a", x: "y" })])
      deepStrictEqual(WwwAuthenticate.parse("x".repeat(20_000)), [])
    })
  })

  describe("properties", () => {
    const tokens = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9a-z-]{1,12}$/)
    const params = fc.uniqueArray(fc.tuple(tokens, anyString({ maxLength: 20 })), {
      selector: ([name]) => name,
      maxLength: 5
    }).map((entries): Record<string, string> => Object.fromEntries(entries))
    const challenges = fc.array(
      fc.tuple(tokens, fc.oneof(params, fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,20}={0,2}$/)))
        .map(([scheme, rest]) => challenge(scheme, rest)),
      { maxLength: 5 }
    )

    it.prop("a formatted challenge is parsed as the same challenge", [challenges], ([challenges]) => {
      deepStrictEqual(WwwAuthenticate.parse(WwwAuthenticate.print(challenges)), challenges)
    })

    it.prop("headers joined by a comma are parsed in order", [challenges, challenges], ([one, other]) => {
      const joined = `${WwwAuthenticate.print(one)}, ${WwwAuthenticate.print(other)}`
      deepStrictEqual(WwwAuthenticate.parse(joined), [...one, ...other])
    })

    it.prop(
      "case, white space and empty list elements do not matter",
      [challenges, fc.infiniteStream(fc.constantFrom("", " ", "\t", " \t ")), fc.infiniteStream(fc.boolean())],
      ([challenges, spaces, upper]) => {
        const space = () => spaces.next().value
        const spell = (text: string) => upper.next().value ? text.toUpperCase() : text
        const written = challenges.map(({ params, scheme, token68 }) => {
          const list = Object.entries(params).map(([name, value]) =>
            `${spell(name)}${space()}=${space()}"${value.replace(/["\\]/g, "\\$&")}"${space()}`
          )
          return `${spell(scheme)} ${space()}${Option.getOrElse(token68, () => list.join(`,${space()},`))}`
        }).join(`${space()},${space()}`)
        deepStrictEqual(WwwAuthenticate.parse(written), challenges)
      }
    )

    const adversarial = fc.oneof(
      anyString({ maxLength: 200 }),
      fc.string({ unit: fc.constantFrom(..."\"\\,= \tab:/é"), maxLength: 200 }),
      fc.array(fc.constantFrom("Bearer", " ", ",", "error", "=", "\"", "\\", "a", "=="), { maxLength: 60 })
        .map((parts) => parts.join(""))
    )

    it.prop(
      "any text is parsed as challenges that can be printed and parsed again",
      [adversarial],
      ([text]) => {
        const challenges = WwwAuthenticate.parse(text)
        for (const { params, scheme, token68 } of challenges) {
          assert.match(scheme, /^[^\s,="A-Z]+$/)
          assert.isTrue(Option.isNone(token68) || Object.keys(params).length === 0)
        }
        deepStrictEqual(WwwAuthenticate.parse(WwwAuthenticate.print(challenges)), challenges)
        WwwAuthenticate.error(challenges)
      },
      runs(2_000)
    )

    it.prop("a valid challenge before invalid text is kept", [adversarial], ([text]) => {
      const [first] = WwwAuthenticate.parse(`Bearer realm="a", error="invalid_token", ${text}`)
      assert.strictEqual(first.scheme, "bearer")
      assert.strictEqual(first.params.realm, "a")
      assert.strictEqual(first.params.error, "invalid_token")
    })

    const repeated = [
      "a",
      "\"",
      "\\",
      ",",
      "=",
      " ",
      "\t",
      "a ",
      "a=",
      "a,",
      "a =",
      "a=\"",
      "\"\\",
      "\\\"",
      "a=\"\\\",",
      "Bearer ",
      "a=b,",
      "a/",
      "a= ",
      "Bearer a=",
      "(",
      "(\"",
      "a\"",
      "===",
      "a==,",
      "\"\",",
      "A \t"
    ]

    it("time is proportional to the length, for any repetition", () => {
      const time = (text: string) => {
        const start = performance.now()
        WwwAuthenticate.parse(text)
        return performance.now() - start
      }
      // Of 16 times the length proportional time is 16 times as long, quadratic time 256 times
      const isProportional = (text: string) => {
        let part = Infinity
        let whole = Infinity
        return Array.from({ length: 50 }).some(() => {
          part = Math.min(part, time(text.slice(0, 1024)))
          whole = Math.min(whole, time(text))
          return whole < part * 64
        })
      }
      for (const begin of ["", "Bearer ", "Bearer realm=\"", "Bearer a=", "("]) {
        for (const part of repeated) {
          const text = (begin + part.repeat(16 * 1024)).slice(0, 16 * 1024)
          assert.isTrue(isProportional(text), `${begin}${part}...`)
        }
      }
    })
  })

  describe("fromHeaders, fromResponse", () => {
    it("several headers are one list", () => {
      deepStrictEqual(
        WwwAuthenticate.fromResponse(response(401, ["Negotiate", "Bearer error=\"a\"", "Basic realm=b"])),
        [challenge("negotiate"), challenge("bearer", { error: "a" }), challenge("basic", { realm: "b" })]
      )
    })

    it("without the header there is no challenge", () => {
      deepStrictEqual(WwwAuthenticate.fromResponse(response(401, [])), [])
      deepStrictEqual(WwwAuthenticate.fromHeaders(Headers.fromInput({ "WWW-Authenticate": "Bearer" })), [
        challenge("bearer")
      ])
    })
  })

  describe("error", () => {
    const error = (header: string) => Option.getOrUndefined(WwwAuthenticate.error(WwwAuthenticate.parse(header)))

    it("RFC 6750 §3: contains the fields of the challenge", () => {
      deepStrictEqual(
        error(
          "Bearer realm=\"x\", error=\"insufficient_scope\", error_description=\"no\tmore\", error_uri=\"https://help\", " +
            "scope=\" read  write \""
        ),
        {
          scheme: "bearer",
          code: "insufficient_scope",
          description: Option.some("no more"),
          uri: Option.some("https://help"),
          scope: ["read", "write"],
          acrValues: [],
          maxAge: Option.none()
        }
      )
    })

    it("RFC 9470 §3: contains how the user must have authenticated", () => {
      const found = error(
        "Bearer error=\"insufficient_user_authentication\", acr_values=\"gold silver\", max_age=\"5\""
      )
      deepStrictEqual(found?.acrValues, ["gold", "silver"])
      deepStrictEqual(found?.maxAge, Option.some(Duration.seconds(5)))
    })

    it("leaves out a max_age that is not a number of seconds", () =>
      rows(
        ["", "-1", "1.5", "soon", "99999999999"],
        (max_age) => `leaves out a max_age of ${JSON.stringify(max_age)}`,
        (max_age) => {
          deepStrictEqual(error(`Bearer error=a, max_age="${max_age}"`)?.maxAge, Option.none())
        }
      ))

    it("RFC 9449 §7.1: if a resource accepts both schemes, the challenge of the used scheme comes first", () => {
      const challenges = WwwAuthenticate.parse("Bearer error=a, DPoP error=b, Bearer error=c")
      const code = (scheme?: "bearer" | "dpop") =>
        Option.map(WwwAuthenticate.error(challenges, scheme), ({ code }) => code)
      deepStrictEqual(
        ["bearer", "dpop", undefined].map((scheme) => code(scheme as "bearer")),
        ["a", "b", "a"].map(Option.some)
      )
      deepStrictEqual(
        WwwAuthenticate.error(WwwAuthenticate.parse("Bearer error=a"), "dpop").pipe(Option.map(({ code }) => code)),
        Option.some("a")
      )
    })

    const codes: Record<string, string | undefined> = {
      "Bearer error=\"invalid_token\"": "bearer invalid_token",
      "Basic realm=x, Bearer, DPoP algs=ES256, error=use_dpop_nonce": "dpop use_dpop_nonce",
      "Bearer error=a, DPoP error=b": "bearer a",
      "Bearer error=\"\", DPoP error=b": "dpop b",
      "Basic error=a": undefined,
      "Bearer realm=error": undefined,
      "Negotiate error": undefined,
      "error=invalid_token": undefined,
      "": undefined
    }
    it("returns the error code, if there is one", () =>
      rows(
        Object.entries(codes),
        ([header, code]) => `finds ${code ?? "none"} in ${JSON.stringify(header)}`,
        ([header, code]) => {
          const found = error(header)
          assert.strictEqual(found && `${found.scheme} ${found.code}`, code)
        }
      ))
  })

  describe("insufficientScope (RFC 6750 §3.1)", () => {
    it("is found in a response of any status that reports it", () =>
      rows([401, 403], (status) => `is there in a ${status} that says so`, (status) => {
        const found = WwwAuthenticate.insufficientScope(
          response(status, ["Bearer error=\"insufficient_scope\", scope=\"admin\""])
        )
        deepStrictEqual(Option.map(found, ({ scope }) => scope), Option.some(["admin"]))
      }))

    it("is not found in other responses", () => {
      for (const headers of [[], ["Bearer"], ["Bearer error=\"invalid_token\", scope=\"admin\""]]) {
        deepStrictEqual(WwwAuthenticate.insufficientScope(response(403, headers)), Option.none())
      }
    })
  })
})
