declare module "simple-oauth2" {
  export class AccessToken {
    readonly token: { readonly access_token: string }
    expired(expirationWindowSeconds?: number): boolean
  }
  export class ClientCredentials {
    constructor(options: {
      readonly client: { readonly id: string; readonly secret: string }
      readonly auth: { readonly tokenHost: string; readonly tokenPath: string }
    })
    getToken(params: object): Promise<AccessToken>
    createToken(token: { readonly access_token: string; readonly expires_in: number }): AccessToken
  }
}
