/**
 * `@node-oauth/oauth2-server`, the successor of oauth2-server: opaque tokens,
 * `client_secret_basic` (whose id and secret it does not decode),
 * `client_secret_post` and, where a client has no secret, `none`.
 */
import OAuth2Server from "@node-oauth/oauth2-server"
import { Duration, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import * as Loopback from "../Loopback.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import * as ClientSecret from "./ClientSecret.js"
import * as TokenDesk from "./TokenDesk.js"

export interface Options {
  readonly clients: ReadonlyArray<ClientSecret.Client>
  readonly audience: string
  readonly lifetime: Duration.DurationInput
}

export interface NodeOAuthServer extends AuthorizationServer {
  /** Registers a client, or changes its secret. */
  readonly register: (client: ClientSecret.Client) => Effect.Effect<void>
  readonly revokeAll: Effect.Effect<void>
}

export const make = ({ audience, clients, lifetime }: Options): Effect.Effect<NodeOAuthServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clerk = yield* TokenDesk.make
    const registered = ClientSecret.register(clients)
    const tokens = new Map<string, OAuth2Server.Token>()
    const model: OAuth2Server.ClientCredentialsModel = {
      getClient: async (id, secret) => registered.check(id, secret) && { id, grants: ["client_credentials"] },
      getUserFromClient: async ({ id }) => ({ id }),
      saveToken: async (token, client, user) => {
        const saved = { ...token, client, user }
        tokens.set(token.accessToken, saved)
        return saved
      },
      getAccessToken: async (token) => tokens.get(token)
    }
    const oauth = new OAuth2Server({
      model,
      accessTokenLifetime: Duration.toSeconds(lifetime),
      requireClientAuthentication: { client_credentials: false }
    })

    const server = Http.createServer()
    const issuer = yield* Loopback.listen(server)
    yield* Loopback.serve(server, (request, response) =>
      Effect.gen(function*() {
        if (!(yield* clerk.admit(response))) return
        const params = yield* Loopback.form(request)
        const answer = new OAuth2Server.Response({ headers: {} })
        yield* Effect.promise(() =>
          oauth.token(
            new OAuth2Server.Request({
              headers: request.headers as Record<string, string>,
              method: request.method ?? "",
              query: {},
              body: Object.fromEntries(params)
            }),
            answer
          ).catch(() => undefined)
        )
        const status = answer.status ?? 500
        clerk.note(TokenDesk.describe(request, params, status, JSON.stringify(answer.body)))
        Loopback.json(response, status, answer.body, answer.headers)
      }))

    return {
      ...clerk.desk,
      name: "@node-oauth/oauth2-server",
      issuer,
      tokenEndpoint: `${issuer}/token`,
      introspect: (token) =>
        Effect.promise(async () => {
          const request = new OAuth2Server.Request({
            headers: { authorization: `Bearer ${Redacted.value(token)}` },
            method: "GET",
            query: {}
          })
          const found = await oauth.authenticate(request, new OAuth2Server.Response({ headers: {} })).catch(() =>
            undefined
          )
          return found && { iss: issuer, aud: audience, client_id: found.client.id, sub: found.client.id }
        }),
      register: (client) => Effect.sync(() => registered.set(client)),
      revokeAll: Effect.sync(() => tokens.clear())
    }
  })
