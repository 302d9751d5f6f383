/** A protected API that looks at each token itself. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import * as StandIn from "./StandIn.js"

/** Why a token is not good, if it is not. */
export type Verify = (token: string) => Effect.Effect<void, string>

export const make = (verify: Verify): Effect.Effect<StandIn.StandIn, never, Scope.Scope> =>
  StandIn.make(({ headers }) =>
    Effect.gen(function*() {
      const token = /^Bearer ([\w.~+/-]+=*)$/.exec(headers.authorization ?? "")?.[1]
      const refuse = (challenge: string) => StandIn.refuse(401, {}, { "www-authenticate": challenge })
      if (token === undefined) return yield* refuse("Bearer")
      return yield* Effect.matchEffect(verify(token), {
        onFailure: (reason) => refuse(`Bearer error="invalid_token", error_description="${reason}"`),
        onSuccess: () => Effect.succeed({ status: 200, body: { item: "tea" } })
      })
    })
  )

/** A JWT that is signed by one of these keys, from this issuer, and for this API. */
export const verifyJwt = (jwksUri: string, issuer: string, audience: string): Verify => {
  const keys = Jose.createRemoteJWKSet(new URL(jwksUri))
  const required = { issuer, audience, requiredClaims: ["exp", "sub"], algorithms: ["ES256"] }
  return (token) =>
    Effect.tryPromise({
      try: () => Jose.jwtVerify(token, keys, required),
      catch: () => "the token is not good"
    })
}
