/** A tenant of Auth0 with one API. */
import { Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as ProtectedApi from "./ProtectedApi.js"
import * as StandIn from "./StandIn.js"

export interface Auth0 extends StandIn.StandIn {
  readonly api: StandIn.StandIn
}

export const audience = "https://orders.example.com"

export const make = (
  client: { readonly id: string; readonly secret: Redacted.Redacted }
): Effect.Effect<Auth0, never, Scope.Scope> =>
  Effect.gen(function*() {
    const denied = (status: number, description: string) =>
      StandIn.refuse(status, { error: "access_denied", error_description: description })

    const standIn = yield* StandIn.make(({ form, headers, method, path }, origin) =>
      Effect.gen(function*() {
        if (path === "/.well-known/jwks.json") return yield* StandIn.keys
        if (method !== "POST" || path !== "/oauth/token") return yield* StandIn.notFound
        if (form.grant_type !== "client_credentials") {
          return yield* StandIn.refuse(403, {
            error: "unsupported_grant_type",
            error_description: `Unsupported grant type: ${form.grant_type}`
          })
        }
        // Says another error than `invalid_client`
        if (
          headers.authorization !== undefined || form.client_id !== client.id ||
          form.client_secret !== Redacted.value(client.secret)
        ) {
          return yield* denied(401, "Unauthorized")
        }
        if (form.audience === undefined) {
          return yield* denied(403, "No audience parameter was provided, and no default audience has been configured")
        }
        if (form.audience !== audience) return yield* denied(403, `Service not found: ${form.audience}`)
        const scope = "read:orders"
        const token = yield* StandIn.sign({
          iss: `${origin}/`,
          sub: `${client.id}@clients`,
          aud: audience,
          azp: client.id,
          gty: "client-credentials",
          scope
        }, 86400)
        return { status: 200, body: { access_token: token, scope, expires_in: 86400, token_type: "Bearer" } }
      })
    )
    const { origin } = standIn
    const verify = ProtectedApi.verifyJwt(`${origin}/.well-known/jwks.json`, `${origin}/`, audience)
    return { ...standIn, api: yield* ProtectedApi.make(verify) }
  })
