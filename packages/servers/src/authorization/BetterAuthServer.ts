/**
 * The OAuth provider of Better Auth: JWTs, `client_secret_basic`,
 * `client_secret_post` and `private_key_jwt`, DPoP without nonces, and a
 * discovery document where RFC 8414 has it.
 */
import { oauthProvider } from "@better-auth/oauth-provider"
import { betterAuth, type BetterAuthPlugin } from "better-auth"
import { memoryAdapter } from "better-auth/adapters/memory"
import { jwt } from "better-auth/plugins"
import { Duration, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import { createHash, randomBytes } from "node:crypto"
import * as Http from "node:http"
import * as Loopback from "../Loopback.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type * as Registration from "./Registration.js"
import * as TokenDesk from "./TokenDesk.js"

export type Client = Registration.Client<
  | Registration.SharedSecret<"client_secret_basic" | "client_secret_post">
  | Registration.PublicKeys,
  "DPoP"
>

export interface Options {
  readonly clients: ReadonlyArray<Client>
  readonly audience: string
  readonly lifetime: Duration.DurationInput
  readonly scope: string
}

export interface BetterAuthServer extends AuthorizationServer {
  readonly jwksUri: string
  /** Registers a client, or changes what it proves itself with. */
  readonly register: (client: Client) => Effect.Effect<void>
}

const tokenPath = "/oauth2/token"

export const make = (options: Options): Effect.Effect<BetterAuthServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clerk = yield* TokenDesk.make
    const server = Http.createServer()
    const issuer = yield* Loopback.listen(server)
    const { handler, register } = makeHandler(issuer, options)
    options.clients.forEach(register)

    yield* Loopback.serve(server, (request, response) =>
      Effect.gen(function*() {
        const isTokenRequest = request.url === tokenPath
        if (isTokenRequest && !(yield* clerk.admit(response))) return
        const params = yield* Loopback.form(request)
        const answer = yield* Effect.promise(() => handler(toRequest(issuer, request, params)))
        const body = yield* Effect.promise(() => answer.text())
        if (isTokenRequest) clerk.note(TokenDesk.describe(request, params, answer.status, body))
        response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body)
      }))

    return {
      ...clerk.desk,
      name: "@better-auth/oauth-provider",
      issuer,
      tokenEndpoint: issuer + tokenPath,
      jwksUri: `${issuer}/jwks`,
      register: (client) => Effect.sync(() => register(client))
    }
  })

const toRequest = (
  origin: string,
  { headers, method = "GET", url = "/" }: Http.IncomingMessage,
  form: URLSearchParams
) =>
  new Request(origin + url, {
    method,
    headers: headers as Record<string, string>,
    ...(method === "POST" ? { body: form.toString() } : {})
  })

const tables = [
  ...["user", "session", "account", "verification", "jwks", "rateLimit", "oauthClient", "oauthResource"],
  ...["oauthClientResource", "oauthRefreshToken", "oauthAccessToken", "oauthConsent", "oauthClientAssertion"]
]

/** Each row once, as a primary key would have it: by that the server knows the assertions and proofs it has seen. */
class Table extends Array<{ readonly id: string }> {
  override push(...rows: ReadonlyArray<{ readonly id: string }>): number {
    if (rows.some(({ id }) => this.some((row) => row.id === id))) throw new Error("The row is there already")
    return super.push(...rows)
  }
}

const makeHandler = (issuer: string, { audience, lifetime, scope }: Options) => {
  const scopes = scope.split(" ")
  const clients: Array<Record<string, unknown>> = []
  const database = { ...Object.fromEntries(tables.map((name) => [name, new Table()])), oauthClient: clients }
  const { handler } = betterAuth({
    baseURL: issuer,
    basePath: "/",
    secret: randomBytes(32).toString("hex"),
    database: memoryAdapter(database),
    logger: { disabled: true },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    plugins: [
      jwt({ jwks: { keyPairConfig: { alg: "ES256" } }, jwt: { issuer } }),
      oauthProvider({
        loginPage: "/none",
        consentPage: "/none",
        scopes,
        // Of a token request that names none, tokens are opaque and without an audience
        resources: [{ identifier: audience, accessTokenTtl: Duration.toSeconds(lifetime), allowedScopes: scopes }],
        enforcePerClientResources: false,
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true }
        // It is one but for exactOptionalPropertyTypes
      }) as BetterAuthPlugin
    ]
  })
  const register = ({ authentication, binding, id }: Client) => {
    const others = clients.filter(({ clientId }) => clientId !== id)
    clients.splice(0, clients.length, ...others, {
      id,
      clientId: id,
      disabled: false,
      tokenEndpointAuthMethod: authentication.method,
      grantTypes: ["client_credentials"],
      scopes,
      clientCredentialsScopes: scopes,
      redirectUris: [],
      dpopBoundAccessTokens: binding === "DPoP",
      ...("secret" in authentication ? { clientSecret: digest(Redacted.value(authentication.secret)) } : {}),
      ...("keys" in authentication ? { jwks: JSON.stringify({ keys: authentication.keys }) } : {}),
      createdAt: new Date(),
      updatedAt: new Date()
    })
  }
  return { handler, register }
}

/** As the server keeps secrets. */
const digest = (secret: string) => createHash("sha256").update(secret).digest("base64url")
