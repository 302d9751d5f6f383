/** The token request of a call, over that of its client. */
import * as TokenRequest from "../TokenRequest.js"

/** The same override merges to the same object, by which the endpoint knows its key. */
export const make = (defaults: TokenRequest.TokenRequest | undefined) => {
  if (defaults === undefined) return (request: TokenRequest.TokenRequest | undefined) => request
  const known = new WeakMap<TokenRequest.TokenRequest, TokenRequest.TokenRequest>()
  return (request: TokenRequest.TokenRequest | undefined) => {
    if (request === undefined) return defaults
    let merged = known.get(request)
    if (merged === undefined) {
      merged = TokenRequest.merge(defaults, request)
      known.set(request, merged)
    }
    return merged
  }
}
