/** Whether a response rejects the token of its request (RFC 6750 §3.1). */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Option from "effect/Option"
import type { AccessToken } from "../AccessToken.js"
import * as WwwAuthenticate from "../WwwAuthenticate.js"

/** What a resource can have against a request that another token of the same kind would not change. */
const otherErrors: ReadonlyArray<string> = [
  // RFC 6750 §3.1
  "invalid_request",
  "insufficient_scope",
  // RFC 9470 §3
  "insufficient_user_authentication",
  // RFC 9449 §7.1 and §9
  "invalid_dpop_proof",
  "use_dpop_nonce"
]

/**
 * Whether a response is about the token: a 401 that does not say what it is about
 * may be, and whatever the status, so is `invalid_token`.
 */
export const isRejection = (
  response: HttpClientResponse.HttpClientResponse,
  { token }: { readonly token: AccessToken }
): boolean => {
  // The hot path
  if (response.status < 400) return false
  const code = WwwAuthenticate.errorCode(
    WwwAuthenticate.fromResponse(response),
    token.proofKey === undefined ? "bearer" : "dpop"
  )
  return response.status === 401
    ? !Option.exists(code, (code) => otherErrors.includes(code))
    : Option.contains(code, "invalid_token")
}
