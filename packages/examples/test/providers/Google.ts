/** Google's token endpoint as service accounts meet it, and an API of Google's that knows its opaque tokens. */
import type * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import * as ProtectedApi from "./ProtectedApi.js"
import * as StandIn from "./StandIn.js"

export interface Google extends StandIn.StandIn {
  readonly tokenUri: string
  readonly api: StandIn.StandIn
}

const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
const maxLifetime = 3600
const scopePrefix = "https://www.googleapis.com/auth/"

/** Knows the public keys of its service accounts, by their email addresses. */
export const make = (
  accounts: Readonly<Record<string, ReadonlyArray<SigningKey.SigningKey>>>
): Effect.Effect<Google, never, Scope.Scope> =>
  Effect.gen(function*() {
    const issued = new Map<string, string>()

    const invalidGrant = (description: string) =>
      StandIn.refuse(400, { error: "invalid_grant", error_description: description })

    const standIn = yield* StandIn.make(({ form, headers, method, path }, origin) =>
      Effect.gen(function*() {
        if (method !== "POST" || path !== "/token") return yield* StandIn.notFound
        const { assertion, grant_type, ...others } = form
        if (grant_type !== grantType) {
          return yield* StandIn.refuse(400, {
            error: "unsupported_grant_type",
            error_description: `Invalid grant_type: ${grant_type}`
          })
        }
        // A service account is no OAuth client
        if (headers.authorization !== undefined || Object.keys(others).length > 0) {
          return yield* StandIn.refuse(401, {
            error: "invalid_client",
            error_description: "The OAuth client was not found."
          })
        }
        const { claims, header } = StandIn.read(assertion)
        const { aud, exp = 0, iat = 0, iss = "", scope, sub } = claims
        const keys = accounts[iss]
        if (keys === undefined) return yield* invalidGrant("Invalid grant: account not found")
        const key = keys.find(({ id }) => id === header.kid)
        if (key === undefined) return yield* invalidGrant("Invalid JWT Signature.")
        yield* Effect.tryPromise(() => Jose.jwtVerify(assertion, key.publicJwk, { algorithms: ["RS256"] })).pipe(
          Effect.catchAll(() => invalidGrant("Invalid JWT Signature."))
        )
        if (aud !== `${origin}/token`) return yield* invalidGrant("Invalid JWT: Failed audience check.")
        const now = Date.now() / 1000
        if (iat > now + 60 || exp <= iat || exp - iat > maxLifetime) {
          return yield* invalidGrant("Invalid JWT: Token must be short-lived (60 minutes). Check your iat and exp.")
        }
        if (sub !== undefined) {
          return yield* StandIn.refuse(401, {
            error: "unauthorized_client",
            error_description: "Client is unauthorized to retrieve access tokens using this method."
          })
        }
        if (typeof scope !== "string" || !scope.split(" ").every((name) => name.startsWith(scopePrefix))) {
          return yield* StandIn.refuse(400, {
            error: "invalid_scope",
            error_description: "Invalid OAuth scope or ID token audience provided."
          })
        }
        const token = `ya29.c.${crypto.randomUUID()}`
        issued.set(token, scope)
        return { status: 200, body: { access_token: token, expires_in: 3599, token_type: "Bearer" } }
      })
    )
    const api = yield* ProtectedApi.make((token) =>
      issued.get(token)?.includes(`${scopePrefix}devstorage.read_only`) === true
        ? Effect.void
        : Effect.fail("the token is not good for storage")
    )
    return { ...standIn, api, tokenUri: `${standIn.origin}/token` }
  })

/** The file that Google gives out for a key of a service account. */
export const keyFile = (email: string, key: SigningKey.SigningKey, tokenUri: string): string =>
  JSON.stringify({
    type: "service_account",
    project_id: "shop",
    private_key_id: key.id,
    private_key: Redacted.value(key.pem),
    client_email: email,
    client_id: "100000000000000000001",
    auth_uri: "https://accounts.google.com/o/oauth2/auth",
    token_uri: tokenUri,
    auth_provider_x509_cert_url: "https://www.googleapis.com/oauth2/v1/certs",
    universe_domain: "googleapis.com"
  })
