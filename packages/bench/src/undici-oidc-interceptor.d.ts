declare module "undici-oidc-interceptor" {
  import type { Dispatcher } from "undici"
  export default function createOidcInterceptor(options: {
    readonly idpTokenUrl: string
    readonly clientId: string
    readonly clientSecret: string
    readonly urls: ReadonlyArray<string>
  }): Dispatcher.DispatcherComposeInterceptor
}
