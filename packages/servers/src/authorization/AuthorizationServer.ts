/** What all the authorization servers here have in common. */
import type { Duration, Effect, Redacted } from "effect"
import type * as Jose from "jose"
import type { TokenDesk } from "./TokenDesk.js"

/** What an access token says, whether it is a JWT (RFC 9068) or the server has told it (RFC 7662). */
export interface Claims extends Jose.JWTPayload {
  readonly client_id?: string
  readonly scope?: string
  /** What the token is bound to (RFC 7800 §3.1). */
  readonly cnf?: Readonly<Record<string, unknown>>
}

/** How an API comes to trust the tokens of a server. */
export interface TokenIssuer {
  readonly issuer: string
  /** Where its tokens are JWTs: the keys that they are signed with. */
  readonly jwksUri?: string | undefined
  /** Where they are opaque: what they say while they are good. */
  readonly introspect?: ((token: Redacted.Redacted) => Effect.Effect<Claims | undefined>) | undefined
}

export interface AuthorizationServer extends TokenDesk, TokenIssuer {
  /** The name of its package. */
  readonly name: string
  readonly tokenEndpoint: string
}

export interface Resource {
  readonly format: "JWT" | "opaque"
  readonly lifetime: Duration.DurationInput
}
