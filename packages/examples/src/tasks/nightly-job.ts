/**
 * A nightly job reads an order from an API. After a transient failure the next night tries again; a definite failure
 * pages the owner.
 */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { Context, Effect, Schema } from "effect"

export class Pager extends Context.Tag("@effect-alf/examples/tasks/nightly-job/Pager")<Pager, {
  readonly page: (message: string) => Effect.Effect<void>
}>() {}

interface Failure {
  readonly message: string
}

const tryTomorrow = ({ message }: Failure) => Effect.as(Effect.logWarning(message), "tomorrow" as const)

const pageOwner = ({ message }: Failure) =>
  Effect.flatMap(Pager, ({ page }) => Effect.as(page(message), "paged" as const))

/** The transient failures were retried already. */
const judge = (error: Failure & { readonly isTransient: boolean }) =>
  error.isTransient ? tryTomorrow(error) : pageOwner(error)

const job = Effect.gen(function*() {
  const client = HttpClient.filterStatusOk(yield* AuthedHttpClient.AuthedHttpClient)
  const response = yield* client.get("/orders/1")
  return yield* HttpClientResponse.schemaBodyJson(Schema.Struct({ item: Schema.String }))(response)
})

export const main = job.pipe(
  Effect.provide(NodeAuthedHttpClient.layerEnv()),
  Effect.catchTags({
    // There is no token
    TokenEndpointError: judge,
    DiscoveryError: judge,
    TokenProviderError: judge,
    // The settings are wrong
    ConfigError: pageOwner,
    InvalidOptions: pageOwner,
    OriginNotAllowed: pageOwner,
    // The API fails
    RequestError: (error) => error.reason === "Transport" ? tryTomorrow(error) : pageOwner(error),
    ResponseError: (error) => error.response.status >= 500 ? tryTomorrow(error) : pageOwner(error),
    ParseError: pageOwner
  })
)
