/** A credential for each tenant: its client is built when it is first needed, and closed when it was idle for long. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Config, Effect, Layer, LayerMap } from "effect"

/** Where an app asks its vault, this one reads ACME_CLIENT_ID and ACME_CLIENT_SECRET. */
const clientOf = (tenant: string) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const options = yield* Config.all({
      tokenEndpoint: Config.string("ALF_TOKEN_ENDPOINT"),
      baseUrl: Config.string("ALF_BASE_URL"),
      clientId: Config.string(`${tenant}_CLIENT_ID`),
      clientSecret: Config.redacted(`${tenant}_CLIENT_SECRET`)
    })
    return NodeAuthedHttpClient.layer(options)
  }))

export class Tenants extends LayerMap.Service<Tenants>()("app/Tenants", {
  lookup: clientOf,
  // What it keeps of connections and tokens goes then
  idleTimeToLive: "10 minutes"
}) {}

const order = Effect.flatMap(AuthedHttpClient.AuthedHttpClient, (client) => client.get("/orders/1"))

/** What a tenant's own request handler would do. */
export const statusFor = (tenant: string) =>
  Effect.map(order, ({ status }) => status).pipe(Effect.provide(Tenants.get(tenant)))

export const main = Effect.forEach(["ACME", "INITECH", "ACME"], statusFor).pipe(Effect.provide(Tenants.Default))
