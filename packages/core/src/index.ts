/**
 * @since 0.1.0
 */
export * as AccessToken from "./AccessToken.js"

/**
 * @since 0.1.0
 */
export * as AuthedCall from "./AuthedCall.js"

/**
 * @since 0.1.0
 */
export * as AuthedFetch from "./AuthedFetch.js"

/**
 * @since 0.1.0
 */
export * as AuthedHttpClient from "./AuthedHttpClient.js"

/**
 * @since 0.1.0
 */
export * as AuthorizationServer from "./AuthorizationServer.js"

/**
 * @since 0.1.0
 */
export * as ClientAuth from "./ClientAuth.js"

/**
 * @since 0.1.0
 */
export * as ClientCertificate from "./ClientCertificate.js"

/**
 * @since 0.1.0
 */
export * as LayerOptions from "./LayerOptions.js"

/**
 * @since 0.1.0
 */
export * as DPoP from "./DPoP.js"

/**
 * @since 0.1.0
 */
export * as EncryptedTokenStore from "./EncryptedTokenStore.js"

/**
 * @since 0.1.0
 */
export * as Environment from "./Environment.js"

/**
 * @since 0.1.0
 */
export * as Grant from "./Grant.js"

/**
 * @since 0.1.0
 */
export * as HttpTransport from "./HttpTransport.js"

/**
 * @since 0.1.0
 */
export * as JwtSigner from "./JwtSigner.js"

/**
 * @since 0.1.0
 */
export * as OAuthError from "./OAuthError.js"

/**
 * @since 0.1.0
 */
export * as OAuthMetrics from "./OAuthMetrics.js"

/**
 * @since 0.1.0
 */
export * as Origin from "./Origin.js"

/**
 * @since 0.1.0
 */
export * as RefreshTokenGrant from "./RefreshTokenGrant.js"

/**
 * @since 0.1.0
 */
export * as RetryPolicy from "./RetryPolicy.js"

/**
 * @since 0.1.0
 */
export * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * @since 0.1.0
 */
export * as TokenIntrospection from "./TokenIntrospection.js"

/**
 * @since 0.1.0
 */
export * as TokenProvider from "./TokenProvider.js"

/**
 * @since 0.1.0
 */
export * as TokenRequest from "./TokenRequest.js"

/**
 * @since 0.1.0
 */
export * as TokenRevocation from "./TokenRevocation.js"

/**
 * @since 0.1.0
 */
export * as TokenStatus from "./TokenStatus.js"

/**
 * @since 0.1.0
 */
export * as TokenStore from "./TokenStore.js"

/**
 * @since 0.1.0
 */
export * as WwwAuthenticate from "./WwwAuthenticate.js"
