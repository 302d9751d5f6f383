/**
 * How a test's authorization server answers requests about a token that it
 * issued: revocation (RFC 7009) and introspection (RFC 7662).
 */
import * as Effect from "effect/Effect"
import type * as Types from "effect/Types"
import type * as TestExchange from "../TestExchange.js"
import * as ClientAuthentication from "./ClientAuthentication.js"
import * as Grants from "./Grants.js"
import type * as Tokens from "./Tokens.js"

/** Answers requests about tokens; adds the error to the record. */
export interface TestTokenQueries {
  /**
   * Revoking a refresh token revokes everything that came of it (RFC 7009 §2.1); an unknown token counts as revoked
   * (§2.2).
   */
  readonly revoke: (request: Types.Mutable<TestExchange.TokenQuery>, now: number) => Effect.Effect<TestExchange.Reply>
  /** The response about an invalid token says only that (RFC 7662 §2.2). */
  readonly introspect: (
    request: Types.Mutable<TestExchange.TokenQuery>,
    now: number
  ) => Effect.Effect<TestExchange.Reply>
}

/** Reads a request about a token, without checking it. */
export const read = ({ body, ...request }: TestExchange.Arrival): Types.Mutable<TestExchange.TokenQuery> => {
  const params = Array.from(new URLSearchParams(new TextDecoder().decode(body)))
  // RFC 6749 §3.2: a parameter without a value counts as omitted
  const form = new Map(params.filter(([, value]) => value !== ""))
  const presented = ClientAuthentication.read(request.authorization, params)
  const client = presented === "several" ? undefined : presented
  return {
    ...request,
    params,
    clientId: client?.clientId,
    clientAuth: client?.method,
    token: form.get("token"),
    tokenTypeHint: form.get("token_type_hint"),
    error: undefined
  }
}

/** Makes the responses of a server that authenticates its client by `authenticate`. */
export const make = (options: {
  readonly issuer: string
  readonly clientId: string
  readonly tokens: Tokens.TestTokens
  readonly authenticate: Grants.TestGrants["authenticate"]
}): TestTokenQueries => {
  const { authenticate, clientId, issuer, tokens } = options

  const answering =
    (answer: (token: string, now: number) => TestExchange.Reply): TestTokenQueries["revoke"] => (request, now) =>
      authenticate(request, now).pipe(
        Effect.filterOrElse(
          () => request.token !== undefined,
          () => Grants.refuse(400, "invalid_request", "token is missing")
        ),
        Effect.map(() => answer(request.token ?? "", now)),
        Effect.catchAll(({ error, reply }) => {
          request.error = error
          return Effect.succeed(reply)
        })
      )

  const describe = (value: string, now: number): object => {
    const token = tokens.find(value, now)
    if (token === undefined) {
      return tokens.findRefreshToken(value, now) === undefined
        ? { active: false }
        : { active: true, client_id: clientId, iss: issuer }
    }
    const audience = [...token.resources, ...token.audiences]
    return {
      active: true,
      client_id: clientId,
      iss: issuer,
      iat: Math.floor(token.issuedAt / 1000),
      token_type: token.thumbprint === undefined ? "Bearer" : "DPoP",
      ...token.expiresAt === undefined ? {} : { exp: Math.floor(token.expiresAt / 1000) },
      ...token.scope === undefined ? {} : { scope: token.scope },
      ...audience.length === 0 ? {} : { aud: audience },
      // RFC 9449 §6.2
      ...token.thumbprint === undefined ? {} : { cnf: { jkt: token.thumbprint } }
    }
  }

  return {
    revoke: answering((value, now) => {
      const family = tokens.findRefreshToken(value, now)?.family
      if (family !== undefined) tokens.revokeFamily(family)
      else if (tokens.find(value, now) !== undefined) tokens.revoke(value)
      return {}
    }),
    introspect: answering((value, now) => ({ headers: Grants.noStore, body: describe(value, now) }))
  }
}
