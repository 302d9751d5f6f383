/**
 * A service that calls an API with tokens, and tells at /health whether it has
 * one: what an orchestrator asks before it sends traffic here, and a person on
 * call reads first. The environment says for whom and where (ALF_TOKEN_ENDPOINT,
 * ALF_CLIENT_ID, ALF_CLIENT_SECRET, ALF_BASE_URL), and PORT.
 */
import { TokenProvider, type TokenStatus } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpServer } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Duration, Effect, Layer, Option, Schema } from "effect"
import { createServer } from "node:http"
import { pathToFileURL } from "node:url"

const Token = Schema.Struct({
  ageSeconds: Schema.Number,
  expiresInSeconds: Schema.optional(Schema.Number),
  source: Schema.Literal("issued", "adopted"),
  isRejected: Schema.Boolean
})

const fields = {
  token: Schema.optional(Token),
  isRenewing: Schema.Boolean,
  lastError: Schema.optional(Schema.String),
  store: Schema.Literal("unused", "working", "failing")
}

class Healthy extends Schema.Class<Healthy>("Healthy")({
  /** `degraded`: calls work, and somebody should look. */
  status: Schema.Literal("ok", "degraded"),
  ...fields
}) {}

class Unhealthy extends Schema.TaggedError<Unhealthy>()("Unhealthy", fields) {}

export const Api = HttpApi.make("Api").add(
  HttpApiGroup.make("health").add(
    HttpApiEndpoint.get("token", "/health").addSuccess(Healthy).addError(Unhealthy, { status: 503 })
  )
)

const seconds = (duration: Duration.Duration) => Math.floor(Duration.toSeconds(duration))

const describe = ({ isRenewing, lastError, store, token }: TokenStatus.TokenStatus) => ({
  token: Option.getOrUndefined(Option.map(token, ({ age, expiresIn, isRejected, source }) => ({
    ageSeconds: seconds(age),
    expiresInSeconds: Option.getOrUndefined(Option.map(expiresIn, seconds)),
    source,
    isRejected
  }))),
  isRenewing,
  // The message of an error holds no secret
  lastError: Option.getOrUndefined(Option.map(lastError, ({ error }) => error.message)),
  store
})

export const HealthLive = HttpApiBuilder.group(
  Api,
  "health",
  (handlers) =>
    Effect.map(
      TokenProvider.TokenProvider,
      (provider) =>
        handlers.handle("token", () =>
          Effect.flatMap(TokenProvider.status(provider), (status) => {
            const shown = describe(status)
            if (shown.token === undefined) return new Unhealthy(shown)
            const isDegraded = shown.lastError !== undefined || shown.token.isRejected || shown.store === "failing"
            return Effect.succeed(new Healthy({ status: isDegraded ? "degraded" : "ok", ...shown }))
          }))
    )
)

/** Starts in any case, and says in the log why there is no token yet. With `onFailure: "fail"` it would not start. */
export const Main = HttpApiBuilder.serve().pipe(
  HttpServer.withLogAddress,
  Layer.provide(HttpApiBuilder.api(Api)),
  Layer.provide(HealthLive),
  Layer.provide(TokenProvider.layerWarm({ onFailure: "log" }))
)

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  Main.pipe(
    Layer.provide(NodeAuthedHttpClient.layerEnv()),
    Layer.provide(NodeHttpServer.layerConfig(createServer, { port: Config.withDefault(Config.port("PORT"), 3000) })),
    Layer.launch,
    NodeRuntime.runMain
  )
}
