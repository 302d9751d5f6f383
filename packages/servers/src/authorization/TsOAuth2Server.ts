/**
 * `@jmondi/oauth2-server` (ts-oauth2-server): JWTs, `client_secret_basic`
 * (whose id and secret it does not decode), `client_secret_post` and, where a
 * client has no secret, `none`.
 */
import * as OAuth from "@jmondi/oauth2-server"
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import { randomUUID } from "node:crypto"
import * as Http from "node:http"
import * as Loopback from "../Loopback.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import * as ClientSecret from "./ClientSecret.js"
import * as SigningKey from "./SigningKey.js"
import * as TokenDesk from "./TokenDesk.js"

export interface Options {
  readonly clients: ReadonlyArray<ClientSecret.Client>
  readonly audience: string
  readonly lifetime: Duration.DurationInput
  readonly scope: string
}

export interface TsOAuth2Server extends AuthorizationServer {
  readonly jwksUri: string
  /** Registers a client, or changes its secret. */
  readonly register: (client: ClientSecret.Client) => Effect.Effect<void>
}

export const make = (options: Options): Effect.Effect<TsOAuth2Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clerk = yield* TokenDesk.make
    const key = yield* SigningKey.shared("ES256")
    const registered = ClientSecret.register(options.clients)
    const server = Http.createServer()
    const issuer = yield* Loopback.listen(server)
    const oauth = makeServer(issuer, options, registered, key)

    yield* Loopback.serve(server, (request, response) =>
      Effect.gen(function*() {
        if (request.url === "/jwks") return Loopback.json(response, 200, { keys: [key.publicJwk] })
        if (!(yield* clerk.admit(response))) return
        const params = yield* Loopback.form(request)
        const { body, status } = yield* answer(oauth, request, params)
        clerk.note(TokenDesk.describe(request, params, status, JSON.stringify(body)))
        Loopback.json(response, status, body)
      }))

    return {
      ...clerk.desk,
      name: "@jmondi/oauth2-server",
      issuer,
      tokenEndpoint: `${issuer}/token`,
      jwksUri: `${issuer}/jwks`,
      register: (client) => Effect.sync(() => registered.set(client))
    }
  })

const answer = (oauth: OAuth.AuthorizationServer, request: Http.IncomingMessage, params: URLSearchParams) =>
  Effect.promise(async () => {
    try {
      return await oauth.respondToAccessTokenRequest(
        new OAuth.OAuthRequest({
          body: Object.fromEntries(params),
          query: {},
          headers: request.headers as Record<string, string>
        })
      )
    } catch (error) {
      if (!OAuth.isOAuthError(error)) throw error
      return { status: error.status, body: { error: error.errorType, error_description: error.errorDescription } }
    }
  })

const makeServer = (
  issuer: string,
  { audience, lifetime, scope }: Options,
  clients: ClientSecret.Clients,
  key: SigningKey.SigningKey
): OAuth.AuthorizationServer => {
  const scopes = scope.split(" ").map((name) => ({ name }))
  const never = () => Promise.reject(new Error("Not of this grant"))
  const oauth = new OAuth.AuthorizationServer(
    {
      getByIdentifier: async (id) => ({
        id,
        name: id,
        // Whether there is one: it is compared below
        secret: clients.isPublic(id) ? null : "registered",
        redirectUris: [],
        allowedGrants: ["client_credentials"],
        scopes
      }),
      isClientValid: async (grantType, client, secret) =>
        client.allowedGrants.includes(grantType) && clients.check(client.id, secret)
    },
    {
      issueToken: async (client, granted, user) => ({
        accessToken: randomUUID(),
        accessTokenExpiresAt: new Date(),
        client,
        scopes: granted,
        user: user ?? null
      }),
      persist: async () => {},
      issueRefreshToken: never,
      revoke: never,
      isRefreshTokenRevoked: never,
      getByRefreshToken: never
    },
    {
      getAllByIdentifiers: async (names) => scopes.filter(({ name }) => names.includes(name)),
      finalize: async (granted) => granted
    },
    {
      sign: (payload) =>
        new Jose.SignJWT(payload as Jose.JWTPayload)
          .setProtectedHeader({ alg: key.algorithm, kid: key.id, typ: "at+jwt" })
          .sign(key.key),
      extraTokenFields: ({ client }) => ({ iss: issuer, aud: audience, client_id: client.id }),
      verify: never,
      decode: () => null
    },
    { issuer }
  )
  oauth.enableGrantType("client_credentials", new OAuth.DateInterval(`${Duration.toSeconds(lifetime)}s`))
  return oauth
}
