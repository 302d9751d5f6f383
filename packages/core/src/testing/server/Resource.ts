/** The resources of a test's authorization server: RFC 6750 §3 and RFC 9449 §7. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import type * as Types from "effect/Types"
import type { Echo, Handler } from "../TestExchange.js"
import type * as TestExchange from "../TestExchange.js"
import * as Proofs from "./Proofs.js"
import type * as Tokens from "./Tokens.js"

/** Decides requests to resources. */
export interface TestResource {
  /** The resource's own response; adds what it finds out to the record. */
  readonly answer: (
    request: Types.Mutable<TestExchange.ApiRequest>,
    now: number
  ) => Effect.Effect<TestExchange.Answer>
  /** Whether the resources of this origin reject every token. */
  readonly rejectOrigin: (origin: string, rejects: boolean) => void
  /** The scope that every token must have; several are separated by spaces. */
  readonly requireScope: (scope: string | undefined) => void
}

/** Reads a request to a resource, without checking it. */
export const read = (request: TestExchange.Arrival): Types.Mutable<TestExchange.ApiRequest> => {
  const [, scheme, token] = /^(Bearer|DPoP) +(\S+) *$/i.exec(request.authorization ?? "") ?? []
  return {
    ...request,
    scheme: token === undefined ? undefined : scheme.toLowerCase() === "dpop" ? "DPoP" : "Bearer",
    token,
    proof: undefined
  }
}

/** Makes the resources for the tokens that the authorization server issued. */
export const make = (
  handler: Handler,
  tokens: Tokens.TestTokens,
  proofs: Proofs.TestProofs
): TestResource => {
  const rejectingOrigins = new Set<string>()
  let requiredScope: string | undefined

  const judge = Effect.fnUntraced(function*(request: Types.Mutable<TestExchange.ApiRequest>, now: number) {
    const { headers, method, scheme, time, url } = request
    // RFC 6750 §3.1: a request without a token gets no error code
    if (scheme === undefined || request.token === undefined) return yield* refuse(401, "Bearer realm=\"test\"")
    const invalid = refuse(401, `${scheme} realm="test", error="invalid_token"${scheme === "DPoP" ? algs : ""}`)
    if (scheme === "DPoP") {
      // However long the response takes, the proof is as old as on arrival
      request.proof = yield* Effect.catchAll(
        proofs.verify({ side: "api", method, url, proof: headers.dpop ?? "", token: request.token, now: time }),
        ({ error }) => refuse(401, `DPoP realm="test", error="${error}"${algs}`)
      )
    }
    const token = tokens.find(request.token, now)
    if (token === undefined || rejectingOrigins.has(new URL(url).origin)) return yield* invalid
    // RFC 9449 §7.2: a bound token is useless without its key
    if (token.thumbprint !== request.proof?.thumbprint) return yield* invalid
    const has = token.scope?.split(" ") ?? []
    if (requiredScope?.split(" ").some((scope) => !has.includes(scope)) === true) {
      return yield* refuse(403, `${scheme} realm="test", error="insufficient_scope", scope="${requiredScope}"`)
    }
    return token
  })

  return {
    answer: (request, now) =>
      Effect.flatMap(
        Effect.either(judge(request, now)),
        Either.match({
          onLeft: (reply) => Effect.succeed<TestExchange.Answer>(reply),
          onRight: (token) => handler({ ...request }, { ...token })
        })
      ),
    rejectOrigin: (origin, rejects) => {
      if (rejects) rejectingOrigins.add(new URL(origin).origin)
      else rejectingOrigins.delete(new URL(origin).origin)
    },
    requireScope: (scope) => {
      requiredScope = scope
    }
  }
}

// RFC 9449 §7.1
const algs = `, algs="${Proofs.algorithms.join(" ")}"`

const refuse = (status: number, challenge: string): Effect.Effect<never, TestExchange.Reply> =>
  Effect.fail({ status, headers: { "www-authenticate": challenge } })

/** The handler that answers with an `Echo`. */
export const echo: Handler = (request, token) => {
  const { pathname, searchParams } = new URL(request.url)
  const body: typeof Echo.Encoded = {
    method: request.method,
    path: pathname,
    query: Object.fromEntries(searchParams),
    scope: token.scope ?? null,
    text: new TextDecoder().decode(request.body),
    base64: Encoding.encodeBase64(request.body)
  }
  return Effect.succeed({ body })
}
