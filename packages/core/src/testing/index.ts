/**
 * What an app needs for its tests: an authorization server in memory,
 * replacements for the real layers, and the contract of every token store.
 *
 * @since 0.1.0
 */

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
export * as TestExchange from "./TestExchange.js"

/**
 * @since 0.1.0
 */
export * as TestTokenEndpoint from "./TestTokenEndpoint.js"

/**
 * @since 0.1.0
 */
export * as TestTokenStore from "./TestTokenStore.js"

/**
 * @since 0.1.0
 */
export * as TokenStoreContract from "./TokenStoreContract.js"
