/**
 * `@effect-alf/core` on Node: its HTTP client, Redis, and everything wired.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as NodeAuthedHttpClient from "./NodeAuthedHttpClient.js"

/**
 * @since 0.1.0
 */
export * as NodeHttp from "./NodeHttp.js"

/**
 * @since 0.1.0
 */
export * as RedisTokenStore from "./RedisTokenStore.js"
