/** How the tests run an example: as the environment of a process would have it, but within this one. */
import * as Loopback from "@effect-alf/servers/Loopback"
import { ConfigProvider, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import { hang } from "../../../core/test/support/hang.js"
import { AuthorizationServer } from "../../src/AuthorizationServer.js"
import { ProtectedApi } from "../../src/ProtectedApi.js"
import * as Shop from "../Shop.js"

// No limit that a busy machine reaches
const patient = Object.fromEntries(
  ["ALF_TOKEN_REQUEST_TIMEOUT", "ALF_CONNECT_TIMEOUT", "ALF_MAX_WAIT"].map((name) => [name, `${hang} millis`])
)

/** Runs an example for the servers at hand. */
export const run = <A, E, R>(main: Effect.Effect<A, E, R>, variables: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const { tokenEndpoint } = yield* AuthorizationServer
    const { url } = yield* ProtectedApi
    const environment = new Map(Object.entries({
      ALF_TOKEN_ENDPOINT: tokenEndpoint,
      ALF_CLIENT_ID: Shop.client.id,
      ALF_CLIENT_SECRET: Redacted.value(Shop.client.secret),
      ALF_BASE_URL: url,
      ...patient,
      ...variables
    }))
    return yield* Effect.withConfigProvider(main, ConfigProvider.fromMap(environment, { pathDelim: "_" }))
  })

/** What went over the wire to the servers at hand. */
export const seen = Effect.gen(function*() {
  const { tokenRequests } = yield* AuthorizationServer
  const { requests } = yield* ProtectedApi
  return {
    token: (yield* tokenRequests).map(({ status }) => status),
    api: (yield* requests).map(({ method, status }) => `${method} ${status}`)
  }
})

/** The tokens issued so far, as an API sees them. */
export const issued = Effect.gen(function*() {
  const { tokenRequests } = yield* AuthorizationServer
  return (yield* tokenRequests).flatMap(({ issuedToken }) => issuedToken === undefined ? [] : [issuedToken])
})

/** Whether the header of an `Authorization` holds a good token. */
export const isAuthorized = (header: string | undefined) =>
  Effect.gen(function*() {
    const { introspect } = yield* AuthorizationServer
    const token = /^Bearer (.+)$/.exec(header ?? "")?.[1]
    return token !== undefined && (yield* introspect(Redacted.make(token))) !== undefined
  })

/** An API of a test's own; gives its origin. */
export const serve = (
  answer: (request: Http.IncomingMessage, response: Http.ServerResponse) => void
): Effect.Effect<string, never, Scope.Scope> => Loopback.listen(Http.createServer(answer))
