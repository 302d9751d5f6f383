/**
 * `@effect-alf/core` on Node: its HTTP client, Redis, and everything wired.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as ConnectionQueue from "./ConnectionQueue.js"

/**
 * @since 0.1.0
 */
export * as ContentCoding from "./ContentCoding.js"

/**
 * @since 0.1.0
 */
export * as ForwardingHandler from "./ForwardingHandler.js"

/**
 * @since 0.1.0
 */
export * as HttpProxy from "./HttpProxy.js"

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
export * as RedisConnection from "./RedisConnection.js"

/**
 * @since 0.1.0
 */
export * as RedisError from "./RedisError.js"

/**
 * @since 0.1.0
 */
export * as RedisNotices from "./RedisNotices.js"

/**
 * @since 0.1.0
 */
export * as RedisTokenStore from "./RedisTokenStore.js"

/**
 * @since 0.1.0
 */
export * as RequestTarget from "./RequestTarget.js"

/**
 * @since 0.1.0
 */
export * as SwitchedDispatcher from "./SwitchedDispatcher.js"

/**
 * @since 0.1.0
 */
export * as TlsCertificate from "./TlsCertificate.js"

/**
 * @since 0.1.0
 */
export * as UndiciExchange from "./UndiciExchange.js"

/**
 * @since 0.1.0
 */
export * as UndiciHttpClient from "./UndiciHttpClient.js"

/**
 * @since 0.1.0
 */
export * as UndiciResponse from "./UndiciResponse.js"
