/** The servers that know fewer methods than oidc-provider, and an API that trusts them: started once for the process. */
import * as BetterAuthServer from "@effect-alf/servers/authorization/BetterAuthServer"
import * as NodeOAuthServer from "@effect-alf/servers/authorization/NodeOAuthServer"
import * as ProtectedApi from "@effect-alf/servers/authorization/ProtectedApi"
import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import * as TsOAuth2Server from "@effect-alf/servers/authorization/TsOAuth2Server"
import * as Certificates from "@effect-alf/servers/Certificate"
import { Context, Effect, Layer, Redacted, Scope } from "effect"
import { audience, once, secret } from "./World.js"

/** Nothing in it needs to be encoded. */
export const plainSecret = Redacted.make("a-secret-of-letters-and-digits-01")

const make = Effect.scopedWith(Effect.fnUntraced(function*(filesScope) {
  const authority = yield* Scope.extend(Certificates.make, filesScope)
  const es256 = yield* SigningKey.shared("ES256")
  const clients = [
    { id: "basic", secret: plainSecret },
    { id: "raw", secret },
    { id: "post", secret },
    { id: "none" }
  ]
  const nodeOAuth = yield* NodeOAuthServer.make({ clients, audience, lifetime: "1 minute" })
  const tsOAuth2 = yield* TsOAuth2Server.make({ clients, audience, lifetime: "1 minute", scope: "read write" })
  const betterAuth = yield* BetterAuthServer.make({
    clients: [
      { id: "basic", authentication: { method: "client_secret_basic", secret } },
      { id: "post", authentication: { method: "client_secret_post", secret } },
      { id: "key-ES256", authentication: { method: "private_key_jwt", keys: [es256.publicJwk] } },
      { id: "dpop-basic", authentication: { method: "client_secret_basic", secret }, binding: "DPoP" }
    ],
    audience,
    lifetime: "1 minute",
    scope: "read write"
  })
  const trusted = [nodeOAuth, tsOAuth2, betterAuth]
  return { nodeOAuth, tsOAuth2, betterAuth, es256, api: yield* ProtectedApi.make({ trusted, audience, authority }) }
}))

export class OtherServers extends Context.Tag("@effect-alf/servers/test/OtherServers")<
  OtherServers,
  Effect.Effect.Success<typeof make>
>() {
  static readonly layer = Layer.effect(OtherServers, once(make))
}
