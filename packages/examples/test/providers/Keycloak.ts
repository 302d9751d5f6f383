/** A realm of Keycloak: its metadata, its token endpoint, and an API that is in the audience of its tokens. */
import { Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as ProtectedApi from "./ProtectedApi.js"
import * as StandIn from "./StandIn.js"

export interface Keycloak extends StandIn.StandIn {
  readonly issuer: string
  readonly api: StandIn.StandIn
}

const realm = "/realms/shop"
const protocol = `${realm}/protocol/openid-connect`

export const make = (options: {
  readonly client: { readonly id: string; readonly secret: Redacted.Redacted }
  /** The authentication methods that the realm has: `client_secret_basic`, `client_secret_post`, and others in name only. */
  readonly methods: ReadonlyArray<string>
}): Effect.Effect<Keycloak, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { client, methods } = options
    const secret = Redacted.value(client.secret)
    const basic = `Basic ${Buffer.from(`${client.id}:${secret}`).toString("base64")}`

    const standIn = yield* StandIn.make(({ form, headers, method, path }, origin) =>
      Effect.gen(function*() {
        switch (`${method} ${path}`) {
          case `GET ${realm}/.well-known/openid-configuration`:
            return { status: 200, body: metadata(origin, methods) }
          case `GET ${protocol}/certs`:
            return yield* StandIn.keys
          case `POST ${protocol}/token`:
            break
          default:
            return yield* StandIn.refuse(404, { error: "Unable to find matching target resource method" })
        }
        const isKnown = headers.authorization === undefined
          ? methods.includes("client_secret_post") && form.client_id === client.id && form.client_secret === secret
          : methods.includes("client_secret_basic") && headers.authorization === basic
        // Says another error than `invalid_client`
        if (!isKnown) {
          return yield* StandIn.refuse(401, {
            error: "unauthorized_client",
            error_description: "Invalid client or Invalid client credentials"
          })
        }
        if (form.grant_type !== "client_credentials") {
          return yield* StandIn.refuse(400, {
            error: "unsupported_grant_type",
            error_description: "Unsupported grant_type"
          })
        }
        const scope = "email profile"
        const token = yield* StandIn.sign({
          iss: `${origin}${realm}`,
          aud: ["orders", "account"],
          sub: "0d0a6f6e-8a2f-4a43-9d5c-0f5b1f6f7a33",
          typ: "Bearer",
          azp: client.id,
          scope,
          preferred_username: `service-account-${client.id}`
        }, 300)
        return {
          status: 200,
          body: {
            access_token: token,
            expires_in: 300,
            refresh_expires_in: 0,
            token_type: "Bearer",
            "not-before-policy": 0,
            scope
          }
        }
      })
    )
    const issuer = `${standIn.origin}${realm}`
    const verify = ProtectedApi.verifyJwt(`${standIn.origin}${protocol}/certs`, issuer, "orders")
    return { ...standIn, issuer, api: yield* ProtectedApi.make(verify) }
  })

const metadata = (origin: string, methods: ReadonlyArray<string>) => {
  const at = `${origin}${protocol}`
  const algorithms = ["PS384", "RS384", "EdDSA", "ES384", "HS256", "HS512", "ES256", "RS256", "HS384", "ES512", "PS256"]
  return {
    issuer: `${origin}${realm}`,
    authorization_endpoint: `${at}/auth`,
    token_endpoint: `${at}/token`,
    introspection_endpoint: `${at}/token/introspect`,
    userinfo_endpoint: `${at}/userinfo`,
    end_session_endpoint: `${at}/logout`,
    frontchannel_logout_session_supported: true,
    jwks_uri: `${at}/certs`,
    check_session_iframe: `${at}/login-status-iframe.html`,
    grant_types_supported: ["authorization_code", "client_credentials", "implicit", "password", "refresh_token"],
    response_types_supported: ["code", "none", "id_token", "token"],
    subject_types_supported: ["public", "pairwise"],
    id_token_signing_alg_values_supported: algorithms,
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    claims_supported: ["iss", "sub", "aud", "exp", "iat"],
    claims_parameter_supported: true,
    scopes_supported: ["openid", "profile", "email", "service_account"],
    code_challenge_methods_supported: ["plain", "S256"],
    tls_client_certificate_bound_access_tokens: true,
    dpop_signing_alg_values_supported: algorithms.filter((name) => !name.startsWith("HS")),
    revocation_endpoint: `${at}/revoke`,
    backchannel_logout_supported: true,
    device_authorization_endpoint: `${at}/auth/device`,
    pushed_authorization_request_endpoint: `${at}/ext/par/request`,
    // Where nobody with a secret should go
    mtls_endpoint_aliases: {
      token_endpoint: `${origin}/mtls/token`,
      revocation_endpoint: `${origin}/mtls/revoke`,
      introspection_endpoint: `${origin}/mtls/introspect`
    },
    authorization_response_iss_parameter_supported: true
  }
}
