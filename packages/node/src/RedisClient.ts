/**
 * How a Redis store connects: the address and options of its servers, or a
 * client that the app already has.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * What a store needs of a Redis client. With ioredis' `Redis` and `Cluster` it
 * can also listen for change notices.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly evalsha: (sha1: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
  readonly eval: (script: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
}

/**
 * Options as ioredis names them; its type is not required where another store
 * is used.
 *
 * @since 0.1.0
 * @category options
 */
export interface IoredisOptions {
  readonly tls?: object | undefined
  readonly sentinels?:
    | ReadonlyArray<{ readonly host?: string | undefined; readonly port?: number | undefined }>
    | undefined
  /** The name of the primary, for sentinels. */
  readonly name?: string | undefined
  /** The path of a socket. */
  readonly path?: string | undefined
  readonly [option: string]: any
}

/**
 * The address of the servers, and connection options.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * `redis://` or, for TLS, `rediss://`; then `[[user]:password@]host[:port][/database]`. `unix:///path` is a socket.
   * Required unless `redis` or `cluster` says where the server is.
   */
  readonly url?: string | URL | Redacted.Redacted | undefined
  /** The time limit of one connection attempt, and of the layer's wait for the first one. The default is 2 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Further options of ioredis, such as `tls`, `sentinels` or `path` (of a socket); in a cluster they apply to every
   * node. Options that bound calls and restore the connection cannot be overridden.
   */
  readonly redis?: IoredisOptions | undefined
  /** For a Redis Cluster; the credentials and TLS of `url` and `redis` apply to every node. */
  readonly cluster?: ClusterAddress | undefined
}

/**
 * A Redis Cluster.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClusterAddress {
  /** The first nodes, in addition to that of `url`, from which the others are discovered; the default port is 6379. */
  readonly nodes?: ReadonlyArray<{ readonly host: string; readonly port?: number | undefined }> | undefined
  /** Further options of ioredis, such as `natMap` or `dnsLookup`. Options that bound calls cannot be overridden. */
  readonly options?: IoredisOptions | undefined
}
