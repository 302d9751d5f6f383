// The module behind oidc-provider's entry point, which does nothing but print a warning on Node 20

declare module "oidc-provider/lib/provider.js" {
  export { default as Provider } from "oidc-provider"
}

declare module "oidc-provider/lib/helpers/errors.js" {
  import { errors } from "oidc-provider"
  export import InvalidGrant = errors.InvalidGrant
  export import InvalidRequest = errors.InvalidRequest
  export import InvalidTarget = errors.InvalidTarget
}
