/**
 * What `npm run demo` does: alf's README against a real authorization server
 * and a small protected API, both in this process, with all that goes over the
 * wire.
 */
import type { OAuthError, TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Console, Effect, Either, Layer, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import * as AuthorizationServer from "./AuthorizationServer.js"
import * as ProtectedApi from "./ProtectedApi.js"
import * as SharedStore from "./SharedStore.js"
import * as Style from "./Style.js"
import * as Timeline from "./Timeline.js"
import * as Tour from "./Tour.js"
import * as Wire from "./Wire.js"

const usage = `Usage: npm run demo [-- --store name]

Runs an Effect app against a real authorization server and a protected API, and shows what it asks
and what goes over the wire for it.

  --store   where the tokens are kept: ${SharedStore.list}.
            The demo starts and stops the server, or uses the Redis that REDIS_URL names
  --redis   is short for --store redis
  --help    shows this text`

const clientId = "shop"
const clientSecret = Redacted.make(randomBytes(32).toString("base64url"))

const Servers = ProtectedApi.layer(Tour.documents).pipe(
  Layer.provideMerge(AuthorizationServer.layer({
    clients: [{ id: clientId, secret: clientSecret }],
    scope: "read write",
    resources: Object.fromEntries(
      Object.entries(Tour.collections).map(([name, settings]) => [ProtectedApi.resource(name), settings])
    ),
    defaultResource: ProtectedApi.resource("orders")
  })),
  Layer.provideMerge(Wire.layer)
)

type Store = Layer.Layer<TokenStore.TokenStore, OAuthError.InvalidOptions>

/** The library, as an app puts it together. */
const Client = (tokenStore: Store | undefined) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { tokenEndpoint } = yield* AuthorizationServer.AuthorizationServer
    const { url } = yield* ProtectedApi.ProtectedApi
    return NodeAuthedHttpClient.layer({
      tokenEndpoint,
      clientId,
      clientSecret,
      baseUrl: url,
      tokenStore,
      // The API is next door: a token that still lives for this long gets there in time
      expiryLeeway: "100 millis",
      http: { proxy: false }
    })
  }))

const tour = Effect.fnUntraced(function*(name: string, tokenStore?: Store) {
  const { issuer } = yield* AuthorizationServer.AuthorizationServer
  const { url } = yield* ProtectedApi.ProtectedApi
  const style = yield* Style.Style
  const timeline = yield* Timeline.Timeline
  yield* Console.log(`${style.bold("effect-alf")}: what an app asks, and what goes over the wire for it

   authorization server   ${issuer} (oidc-provider)
   protected API          ${url}
   tokens are kept        in ${name}`)
  yield* Effect.provide(
    Effect.all([Tour.putGetDelete, Tour.reuse, Tour.expiry, Tour.revocation, Tour.outage], { discard: true }),
    Client(tokenStore)
  )
  if (tokenStore !== undefined) yield* Effect.provide(Tour.sharing, Client(tokenStore))
  return yield* timeline.summary
}, Effect.provide(Layer.provideMerge(Timeline.layer, Layer.merge(Servers, Style.layer))))

const withStore = (store: SharedStore.Name) => {
  const { layer, start } = SharedStore.all[store]
  // People may have a Redis already
  const server = store === "redis"
    ? Effect.map(RedisServer.shared, ({ name, ...address }) => ({ name, address }))
    : Effect.map(start, ({ address, name }) => ({ name, address }))
  return Effect.scoped(Effect.flatMap(server, ({ address, name }) => tour(name, layer(address))))
}

const fail = (message: string) => Effect.as(Console.error(message), false)

/** Brings whether everything was as it should be. */
export const run = (flags: ReadonlyArray<string>): Effect.Effect<boolean> => {
  const parsed = SharedStore.fromArgs(flags)
  if (Either.isLeft(parsed)) return fail(parsed.left)
  const { rest, store = rest.includes("--redis") ? "redis" : undefined } = parsed.right
  const unknown = rest.find((flag) => flag !== "--redis" && flag !== "--help")
  if (unknown !== undefined) return fail(`The demo does not know ${unknown}: it takes --store, --redis and --help.`)
  if (rest.includes("--help")) return Effect.as(Console.log(usage), true)
  return Effect.matchEffect(store === undefined ? tour("memory") : withStore(store), {
    onFailure: (error) => fail(error.message),
    onSuccess: (passed) => passed ? Effect.succeed(true) : fail("The demo did not show what it should.")
  })
}
