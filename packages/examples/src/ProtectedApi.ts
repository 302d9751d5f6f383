/**
 * A small protected API on a free loopback port: collections of JSON documents
 * in memory, to be read and written with a token for the collection.
 */
import * as Loopback from "@effect-alf/servers/Loopback"
import { type HttpApp, HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer, Redacted } from "effect"
import * as Jose from "jose"
import * as Http from "node:http"
import { AuthorizationServer } from "./AuthorizationServer.js"
import { type Exchange, Wire } from "./Wire.js"

export class ProtectedApi extends Context.Tag("@effect-alf/examples/ProtectedApi")<
  ProtectedApi,
  {
    readonly url: string
    /** No longer accepts a token, although its signature is good. */
    readonly deny: (token: Redacted.Redacted) => Effect.Effect<void>
    /** The requests so far, rejected ones included. */
    readonly requests: Effect.Effect<ReadonlyArray<Exchange>>
  }
>() {}

/** The resource indicator (RFC 8707) of a collection, which its tokens must name as audience. */
export const resource = (collection: string): string => `urn:shop:${collection}`

export const make = Effect.fnUntraced(function*(initial: Readonly<Record<string, unknown>>) {
  const authorizationServer = yield* AuthorizationServer
  const wire = yield* Wire
  const jwks = Jose.createRemoteJWKSet(new URL(authorizationServer.jwksUri))
  const denied = new Set<string>()
  const documents = new Map(Object.entries(initial))

  /** Why a token is not good, if it is not. */
  const judge = (token: string, audience: string): Effect.Effect<void, string> => {
    if (denied.has(token)) return Effect.fail("the token was revoked")
    return token.includes(".") ? verifyJwt(token, audience) : introspect(token, audience)
  }

  const verifyJwt = (token: string, audience: string) =>
    Effect.tryPromise({
      try: () =>
        Jose.jwtVerify(token, jwks, {
          issuer: authorizationServer.issuer,
          audience,
          typ: "at+jwt",
          algorithms: ["ES256"]
        }),
      catch: (error) => error instanceof Jose.errors.JWTExpired ? "the token expired" : "the token is not valid"
    })

  const introspect = (token: string, audience: string) =>
    Effect.flatMap(authorizationServer.introspect(Redacted.make(token)), (claims) =>
      claims === undefined
        ? Effect.fail("the token expired or was revoked")
        : claims.aud === audience
        ? Effect.void
        : Effect.fail("the token is for another resource"))

  const authorize = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
    Effect.gen(function*() {
      const { headers, url } = yield* HttpServerRequest.HttpServerRequest
      const collection = url.split("/")[1]
      const token = /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1]
      if (token === undefined) return challenge("Bearer")
      return yield* Effect.matchEffect(judge(token, resource(collection)), {
        onFailure: (reason) => Effect.succeed(challenge(`Bearer error="invalid_token", error_description="${reason}"`)),
        onSuccess: () => app
      })
    })

  const id = Effect.map(HttpRouter.params, ({ collection, id }) => `${collection}/${id}`)

  const router = HttpRouter.empty.pipe(
    HttpRouter.get(
      "/:collection/:id",
      Effect.flatMap(
        id,
        (id) =>
          documents.has(id) ? HttpServerResponse.json(documents.get(id)) : HttpServerResponse.empty({ status: 404 })
      )
    ),
    HttpRouter.put(
      "/:collection/:id",
      Effect.gen(function*() {
        const { json } = yield* HttpServerRequest.HttpServerRequest
        const document = yield* json
        const key = yield* id
        const status = documents.has(key) ? 200 : 201
        documents.set(key, document)
        return yield* HttpServerResponse.json(document, { status })
      })
    ),
    HttpRouter.del(
      "/:collection/:id",
      Effect.map(id, (id) => HttpServerResponse.empty({ status: documents.delete(id) ? 204 : 404 }))
    ),
    HttpRouter.use(authorize)
  )

  const server = wire.tap(serverName, Http.createServer())
  server.on("request", yield* NodeHttpServer.makeHandler(router))
  const url = yield* Loopback.listen(server)

  return ProtectedApi.of({
    url,
    deny: (token) => Effect.sync(() => denied.add(Redacted.value(token))),
    requests: Effect.map(wire.exchanges, (exchanges) => exchanges.filter(isApiRequest))
  })
})

/** Takes the documents that are there from the beginning: `{ "orders/1": ... }`. */
export const layer = (
  initial: Readonly<Record<string, unknown>> = {}
): Layer.Layer<ProtectedApi, never, AuthorizationServer | Wire> => Layer.scoped(ProtectedApi, make(initial))

export const isApiRequest = (exchange: Exchange): boolean => exchange.server === serverName

const serverName = "api"

const challenge = (value: string) => HttpServerResponse.empty({ status: 401, headers: { "www-authenticate": value } })
