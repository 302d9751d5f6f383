/**
 * @since 0.1.0
 */
export * as HttpProxy from "./HttpProxy.js"

/**
 * @since 0.1.0
 */
export * as MemcachedClient from "./MemcachedClient.js"

/**
 * @since 0.1.0
 */
export * as MemcachedTokenStore from "./MemcachedTokenStore.js"

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
export * as RedisClient from "./RedisClient.js"

/**
 * @since 0.1.0
 */
export * as RedisTokenStore from "./RedisTokenStore.js"

/**
 * @since 0.1.0
 */
export * as SqlTokenStore from "./SqlTokenStore.js"

/**
 * @since 0.1.0
 */
export * as TlsCertificate from "./TlsCertificate.js"
