/**
 * An OAuth 2 client for apps that call protected APIs on their own behalf.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as AcceptedTokens from "./AcceptedTokens.js"

/**
 * @since 0.1.0
 */
export * as AccessToken from "./AccessToken.js"

/**
 * A request with the address that it goes to. Each request of a client is one, so
 * platform's requests are made of it only where somebody looks at them.
 *
 * @since 0.1.0
 */
export * as AddressedRequest from "./AddressedRequest.js"

/**
 * @since 0.1.0
 */
export * as Adoption from "./Adoption.js"

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
export * as AuthenticatedPost from "./AuthenticatedPost.js"

/**
 * @since 0.1.0
 */
export * as AuthorizationServer from "./AuthorizationServer.js"

/**
 * @since 0.1.0
 */
export * as BoundedStore from "./BoundedStore.js"

/**
 * @since 0.1.0
 */
export * as Check from "./Check.js"

/**
 * @since 0.1.0
 */
export * as ClientAuth from "./ClientAuth.js"

/**
 * @since 0.1.0
 */
export * as ClientAuthChoice from "./ClientAuthChoice.js"

/**
 * @since 0.1.0
 */
export * as ClientCertificate from "./ClientCertificate.js"

/**
 * @since 0.1.0
 */
export * as ClosingRevocation from "./ClosingRevocation.js"

/**
 * @since 0.1.0
 */
export * as ConfiguredLayer from "./ConfiguredLayer.js"

/**
 * @since 0.1.0
 */
export * as Cooldown from "./Cooldown.js"

/**
 * @since 0.1.0
 */
export * as DPoP from "./DPoP.js"

/**
 * @since 0.1.0
 */
export * as Environment from "./Environment.js"

/**
 * @since 0.1.0
 */
export * as ErrorAttributes from "./ErrorAttributes.js"

/**
 * @since 0.1.0
 */
export * as Fingerprint from "./Fingerprint.js"

/**
 * @since 0.1.0
 */
export * as FleetNotes from "./FleetNotes.js"

/**
 * @since 0.1.0
 */
export * as Grant from "./Grant.js"

/**
 * @since 0.1.0
 */
export * as HeldToken from "./HeldToken.js"

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
export * as Outages from "./Outages.js"

/**
 * @since 0.1.0
 */
export * as PayloadCipher from "./PayloadCipher.js"

/**
 * @since 0.1.0
 */
export * as Redaction from "./Redaction.js"

/**
 * @since 0.1.0
 */
export * as Redirect from "./Redirect.js"

/**
 * @since 0.1.0
 */
export * as RefreshTokens from "./RefreshTokens.js"

/**
 * @since 0.1.0
 */
export * as RejectedTokens from "./RejectedTokens.js"

/**
 * @since 0.1.0
 */
export * as Renewal from "./Renewal.js"

/**
 * @since 0.1.0
 */
export * as Replay from "./Replay.js"

/**
 * @since 0.1.0
 */
export * as RequestScope from "./RequestScope.js"

/**
 * @since 0.1.0
 */
export * as RequestSignature from "./RequestSignature.js"

/**
 * @since 0.1.0
 */
export * as RetryPolicy from "./RetryPolicy.js"

/**
 * @since 0.1.0
 */
export * as Route from "./Route.js"

/**
 * @since 0.1.0
 */
export * as ServerExchange from "./ServerExchange.js"

/**
 * @since 0.1.0
 */
export * as ServerHabits from "./ServerHabits.js"

/**
 * @since 0.1.0
 */
export * as SharedTokens from "./SharedTokens.js"

/**
 * @since 0.1.0
 */
export * as SigningKey from "./SigningKey.js"

/**
 * @since 0.1.0
 */
export * as StoredToken from "./StoredToken.js"

/**
 * @since 0.1.0
 */
export * as TestAnswer from "./TestAnswer.js"

/**
 * @since 0.1.0
 */
export * as TestAuthedHttpClient from "./TestAuthedHttpClient.js"

/**
 * @since 0.1.0
 */
export * as TestAuthorizationServer from "./TestAuthorizationServer.js"

/**
 * @since 0.1.0
 */
export * as TestClientAuth from "./TestClientAuth.js"

/**
 * @since 0.1.0
 */
export * as TestGrants from "./TestGrants.js"

/**
 * @since 0.1.0
 */
export * as TestProofs from "./TestProofs.js"

/**
 * @since 0.1.0
 */
export * as TestRequest from "./TestRequest.js"

/**
 * @since 0.1.0
 */
export * as TestResource from "./TestResource.js"

/**
 * @since 0.1.0
 */
export * as TestTokenEndpoint from "./TestTokenEndpoint.js"

/**
 * @since 0.1.0
 */
export * as TestTokenStore from "./TestTokenStore.js"

/**
 * What a test's authorization server answers when it is asked about a token
 * that it has issued: its revocation (RFC 7009) and its introspection
 * (RFC 7662).
 *
 * @since 0.1.0
 */
export * as TestTokenQueries from "./TestTokenQueries.js"

/**
 * @since 0.1.0
 */
export * as TestTokens from "./TestTokens.js"

/**
 * @since 0.1.0
 */
export * as TokenAttempts from "./TokenAttempts.js"

/**
 * @since 0.1.0
 */
export * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * @since 0.1.0
 */
export * as TokenFlights from "./TokenFlights.js"

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
export * as TokenResponse from "./TokenResponse.js"

/**
 * @since 0.1.0
 */
export * as TokenRevocation from "./TokenRevocation.js"

/**
 * @since 0.1.0
 */
export * as TokenSlots from "./TokenSlots.js"

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
export * as TokenStoreContract from "./TokenStoreContract.js"

/**
 * @since 0.1.0
 */
export * as TokenUse from "./TokenUse.js"

/**
 * @since 0.1.0
 */
export * as UnsignedResponse from "./UnsignedResponse.js"

/**
 * @since 0.1.0
 */
export * as Verdicts from "./Verdicts.js"

/**
 * @since 0.1.0
 */
export * as WaitingCallers from "./WaitingCallers.js"

/**
 * @since 0.1.0
 */
export * as WwwAuthenticate from "./WwwAuthenticate.js"
