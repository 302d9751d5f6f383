import { TokenRequest } from "@effect-alf/core"

/** Resolves the requests of one client as its endpoint would; `bind` changes what its tokens are bound to. */
export const make = (defaults: TokenRequest.TokenRequest = {}) => {
  const client = { endpoint: "https://auth.test/token", clientId: "test-client", authMethod: "client_secret_basic" }
  let binding: string | undefined
  return {
    resolve: (request?: TokenRequest.TokenRequest) =>
      TokenRequest.resolve({ ...client, binding }, TokenRequest.merge(defaults, request)),
    isCurrent: (request: TokenRequest.ResolvedTokenRequest) => request.binding === binding,
    bind: (thumbprint: string) => {
      binding = thumbprint
    }
  }
}
