/** A real authorization server, panva's certified oidc-provider, on a free loopback port, and the wire to it. */
import type { Claims, Resource } from "@effect-alf/servers/authorization/AuthorizationServer"
import * as OidcProvider from "@effect-alf/servers/authorization/OidcProvider"
import type { TokenDesk } from "@effect-alf/servers/authorization/TokenDesk"
import { Context, Effect, Layer, type Redacted } from "effect"
import { type Exchange, Wire } from "./Wire.js"

export class AuthorizationServer extends Context.Tag("@effect-alf/examples/AuthorizationServer")<
  AuthorizationServer,
  Pick<TokenDesk, "failNext" | "delay"> & {
    readonly issuer: string
    readonly tokenEndpoint: string
    readonly jwksUri: string
    /** What an API does with a token that it cannot read itself (RFC 7662): what a good one says. */
    readonly introspect: (token: Redacted.Redacted) => Effect.Effect<Claims | undefined>
    /** Revokes an opaque token. */
    readonly revoke: (token: Redacted.Redacted) => Effect.Effect<void>
    /** The token requests so far, whatever became of them. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<Exchange>>
  }
>() {}

export interface Client {
  readonly id: string
  readonly secret: Redacted.Redacted
  /** What it may ask for; everything when it is left out. */
  readonly scope?: string | undefined
}

export interface Options {
  readonly clients: ReadonlyArray<Client>
  readonly resources: Readonly<Record<string, Resource>>
  /** The resource of a token request that names none. */
  readonly defaultResource: string
  readonly scope: string
}

export const make = Effect.fnUntraced(function*({ clients, ...options }: Options) {
  const wire = yield* Wire
  const provider = yield* Effect.orDie(OidcProvider.make({
    ...options,
    clients: clients.map(({ secret, ...client }) => ({
      ...client,
      authentication: { method: "client_secret_basic", secret }
    })),
    tap: (server) => wire.tap(serverName, server),
    issued: wire.issued
  }))
  return AuthorizationServer.of({
    ...provider,
    tokenRequests: Effect.map(wire.exchanges, (exchanges) => exchanges.filter(isTokenRequest))
  })
})

export const layer = (options: Options): Layer.Layer<AuthorizationServer, never, Wire> =>
  Layer.scoped(AuthorizationServer, make(options))

export const isTokenRequest = (exchange: Exchange): boolean =>
  exchange.server === serverName && exchange.path === "/token"

const serverName = "authorization server"
