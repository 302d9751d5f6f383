/**
 * What `npm run demo` does: alf's README against a real authorization server
 * and a small protected API, both in this process, with all that goes over the
 * wire.
 */
import { NodeAuthedHttpClient, type RedisTokenStore } from "@effect-alf/node"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Console, Effect, Layer, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import * as AuthorizationServer from "./AuthorizationServer.js"
import * as ProtectedApi from "./ProtectedApi.js"
import * as Style from "./Style.js"
import * as Timeline from "./Timeline.js"
import * as Tour from "./Tour.js"
import * as Wire from "./Wire.js"

const usage = `Usage: npm run demo [-- --redis]

Runs an Effect app against a real authorization server and a protected API, and shows what it asks
and what goes over the wire for it.

  --redis   keeps the tokens in Redis: in the one that REDIS_URL names, else in a redis-server that
            the demo starts and stops
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

/** The library, as an app puts it together. */
const Client = (redis: RedisTokenStore.Options | undefined) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { tokenEndpoint } = yield* AuthorizationServer.AuthorizationServer
    const { url } = yield* ProtectedApi.ProtectedApi
    return NodeAuthedHttpClient.layer({
      tokenEndpoint,
      clientId,
      clientSecret,
      baseUrl: url,
      redis,
      // The API is next door: a token that still lives for this long gets there in time
      expiryLeeway: "100 millis",
      http: { proxy: false }
    })
  }))

const tour = Effect.fnUntraced(function*(store: string, redis: RedisTokenStore.Options | undefined) {
  const { issuer } = yield* AuthorizationServer.AuthorizationServer
  const { url } = yield* ProtectedApi.ProtectedApi
  const style = yield* Style.Style
  const timeline = yield* Timeline.Timeline
  yield* Console.log(`${style.bold("effect-alf")}: what an app asks, and what goes over the wire for it

   authorization server   ${issuer} (oidc-provider)
   protected API          ${url}
   tokens are kept        in ${store}`)
  yield* Effect.provide(
    Effect.all([Tour.putGetDelete, Tour.reuse, Tour.expiry, Tour.revocation, Tour.outage], { discard: true }),
    Client(redis)
  )
  if (redis !== undefined) yield* Effect.provide(Tour.sharing, Client(redis))
  return yield* timeline.summary
}, Effect.provide(Layer.provideMerge(Timeline.layer, Layer.merge(Servers, Style.layer))))

const withRedis = Effect.scoped(
  Effect.flatMap(RedisServer.shared, ({ name, prefix, url }) => tour(name, { url, prefix }))
)

const fail = (message: string) => Effect.as(Console.error(message), false)

/** Brings whether everything was as it should be. */
export const run = (flags: ReadonlyArray<string>): Effect.Effect<boolean> => {
  const unknown = flags.find((flag) => flag !== "--redis" && flag !== "--help")
  if (unknown !== undefined) return fail(`The demo does not know ${unknown}: it takes --redis and --help.`)
  if (flags.includes("--help")) return Effect.as(Console.log(usage), true)
  return Effect.matchEffect(flags.includes("--redis") ? withRedis : tour("memory", undefined), {
    onFailure: (error) => fail(error.message),
    onSuccess: (passed) => passed ? Effect.succeed(true) : fail("The demo did not show what it should.")
  })
}
