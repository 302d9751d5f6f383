/**
 * A real authorization server, panva's certified oidc-provider, on a free
 * loopback port: the client credentials grant with JWT (RFC 9068) or opaque
 * tokens for a resource (RFC 8707), introspection (RFC 7662) and revocation
 * (RFC 7009).
 */
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Duration, Effect, FiberSet, Layer, Redacted, Schema } from "effect"
import * as Jose from "jose"
import { randomBytes } from "node:crypto"
import * as Http from "node:http"
import type { Adapter, AdapterPayload } from "oidc-provider"
import { InvalidTarget } from "oidc-provider/lib/helpers/errors.js"
import { Provider } from "oidc-provider/lib/provider.js"
import * as Loopback from "./Loopback.js"
import { type Exchange, Wire } from "./Wire.js"

/** What an API does with a token that it cannot read itself (RFC 7662 §2.2). */
export interface Introspection {
  readonly active: boolean
  readonly aud?: string | undefined
}

export class AuthorizationServer extends Context.Tag("@effect-alf/examples/AuthorizationServer")<
  AuthorizationServer,
  {
    readonly issuer: string
    readonly tokenEndpoint: string
    readonly jwksUri: string
    readonly introspect: (token: Redacted.Redacted) => Effect.Effect<Introspection>
    /** Revokes an opaque token. */
    readonly revoke: (token: Redacted.Redacted) => Effect.Effect<void>
    /** The token requests so far, whatever became of them. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<Exchange>>
    /** The next token requests get this status in place of an answer. */
    readonly failNext: (times: number, status?: number, headers?: Http.OutgoingHttpHeaders) => Effect.Effect<void>
    /** How long token requests take from now on. */
    readonly delay: (duration: Duration.DurationInput) => Effect.Effect<void>
  }
>() {}

export interface Client {
  readonly id: string
  readonly secret: Redacted.Redacted
  /** What it may ask for; everything when it is left out. */
  readonly scope?: string | undefined
}

export interface Resource {
  readonly format: "jwt" | "opaque"
  readonly lifetime: Duration.DurationInput
}

export interface Options {
  readonly clients: ReadonlyArray<Client>
  readonly resources: Readonly<Record<string, Resource>>
  /** The resource of a token request that names none. */
  readonly defaultResource: string
  readonly scope: string
}

export const make = Effect.fnUntraced(function*(options: Options) {
  const wire = yield* Wire
  const http = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const server = wire.tap(serverName, Http.createServer())
  const issuer = yield* Loopback.listen(server)
  const callback = yield* makeProvider(issuer, options, wire)

  let latency = Duration.zero
  let failures = { times: 0, status: 503, headers: {} as Http.OutgoingHttpHeaders }

  const answer = (request: Http.IncomingMessage, response: Http.ServerResponse) =>
    Effect.gen(function*() {
      if (request.url === tokenPath) {
        yield* Effect.sleep(latency)
        if (failures.times > 0) {
          failures.times--
          response.writeHead(failures.status, failures.headers).end()
          return
        }
      }
      yield* Effect.promise(() => callback(request, response))
    })

  const fork = yield* FiberSet.makeRuntime<never>()
  server.on("request", (request, response) => fork(answer(request, response)))

  const ask = (path: string, token: Redacted.Redacted) =>
    HttpClientRequest.post(issuer + path).pipe(
      HttpClientRequest.basicAuth(operator.id, operator.secret),
      HttpClientRequest.bodyUrlParams({ token: Redacted.value(token) }),
      http.execute
    )

  return AuthorizationServer.of({
    issuer,
    tokenEndpoint: issuer + tokenPath,
    jwksUri: `${issuer}/jwks`,
    introspect: (token) =>
      ask("/token/introspection", token).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(IntrospectionResponse)),
        Effect.orDie
      ),
    revoke: (token) => Effect.orDie(ask("/token/revocation", token)),
    tokenRequests: Effect.map(wire.exchanges, (exchanges) => exchanges.filter(isTokenRequest)),
    failNext: (times, status = 503, headers = {}) =>
      Effect.sync(() => {
        failures = { times, status, headers }
      }),
    delay: (duration) =>
      Effect.sync(() => {
        latency = Duration.decode(duration)
      })
  })
})

export const layer = (options: Options): Layer.Layer<AuthorizationServer, never, Wire> =>
  Layer.scoped(AuthorizationServer, make(options)).pipe(Layer.provide(NodeHttpClient.layerUndici))

export const isTokenRequest = (exchange: Exchange): boolean =>
  exchange.server === serverName && exchange.path === tokenPath

const serverName = "authorization server"
const tokenPath = "/token"

const IntrospectionResponse = Schema.Struct({ active: Schema.Boolean, aud: Schema.optional(Schema.String) })

/** Stands for the API and its operator, who may look at every token and revoke it. */
const operator = { id: "operator", secret: Redacted.make(randomBytes(32).toString("hex")) }

// oidc-provider counts in whole seconds and so cuts up to one off: tokens live one longer than they say
const roundingSeconds = 1

const makeProvider = Effect.fnUntraced(function*(issuer: string, options: Options, wire: Wire["Type"]) {
  const { privateKey } = yield* Effect.promise(() => Jose.generateKeyPair("ES256", { extractable: true }))
  const key = yield* Effect.promise(() => Jose.exportJWK(privateKey))
  const seconds = (lifetime: Duration.DurationInput) => Duration.toSeconds(lifetime) + roundingSeconds

  const provider = new Provider(issuer, {
    adapter: makeAdapter(),
    clients: [operator, ...options.clients].map(({ id, secret, ...client }) => ({
      client_id: id,
      client_secret: Redacted.value(secret),
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      ...("scope" in client && client.scope !== undefined ? { scope: client.scope } : {})
    })),
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    jwks: { keys: [{ ...key, alg: "ES256", use: "sig", kid: "demo" }] },
    scopes: options.scope.split(" "),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === operator.id },
      revocation: { enabled: true, allowedPolicy: (_, client) => client.clientId === operator.id },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => options.defaultResource,
        getResourceServerInfo: (_, name) => {
          const resource = options.resources[name]
          if (resource === undefined) throw new InvalidTarget()
          return {
            scope: options.scope,
            audience: name,
            accessTokenFormat: resource.format,
            accessTokenTTL: seconds(resource.lifetime)
          }
        }
      }
    },
    ttl: { ClientCredentials: (_, { resourceServer }) => resourceServer?.accessTokenTTL ?? seconds("1 minute") }
  })
  provider.use(async (context, next) => {
    await next()
    const { body, path, res } = context
    if (path !== tokenPath || context.status !== 200) return
    wire.issued(res, body.access_token)
    body.expires_in -= roundingSeconds
  })
  return provider.callback()
})

const maxEntries = 10_000

/** The memory of one server; oidc-provider's own is shared by all that run in a process. */
const makeAdapter = () => {
  const entries = new Map<string, { readonly payload: AdapterPayload; readonly expiresAt: number }>()
  const find = async (key: string) => {
    const entry = entries.get(key)
    return entry !== undefined && Date.now() < entry.expiresAt ? entry.payload : undefined
  }
  const never = async () => undefined
  return (model: string): Adapter => ({
    find: (id) => find(`${model}:${id}`),
    upsert: async (id, payload, expiresIn = Number.POSITIVE_INFINITY) => {
      const now = Date.now()
      for (const [key, entry] of entries) {
        if (entry.expiresAt <= now || entries.size >= maxEntries) entries.delete(key)
      }
      entries.set(`${model}:${id}`, { payload, expiresAt: now + expiresIn * 1000 })
    },
    destroy: async (id) => {
      entries.delete(`${model}:${id}`)
    },
    // Of other grants than this one
    findByUid: never,
    findByUserCode: never,
    consume: never,
    revokeByGrantId: never
  })
}
