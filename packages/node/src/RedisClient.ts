/**
 * What a Redis store is told: where its servers are and how they are reached, or a client that the app has already.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * What a store needs of a Redis client: ioredis' `Redis` and `Cluster` have it,
 * and over them it can listen for change notices as well.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly evalsha: (sha1: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
  readonly eval: (script: string, numberOfKeys: number, ...args: Array<string>) => Promise<unknown>
}

/**
 * Options by the names that ioredis has for them; its own type need not be there where another store is used.
 *
 * @since 0.1.0
 * @category options
 */
export interface IoredisOptions {
  readonly tls?: object | undefined
  readonly sentinels?:
    | ReadonlyArray<{ readonly host?: string | undefined; readonly port?: number | undefined }>
    | undefined
  /** Of the primary that sentinels know. */
  readonly name?: string | undefined
  /** Of a socket. */
  readonly path?: string | undefined
  readonly [option: string]: any
}

/**
 * Where the servers are, and how they are reached.
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
  /**
   * How long one attempt to connect may take, and how long the layer waits for the first one. The default is
   * 2 seconds.
   */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Further options of ioredis, such as `tls`, `sentinels` or `path` (of a socket); in a cluster they are those of every
   * node. Those that keep every call bounded and the connection coming back are always ours.
   */
  readonly redis?: IoredisOptions | undefined
  /** For a Redis Cluster; the credentials and the TLS of `url` and `redis` are those of every node. */
  readonly cluster?: ClusterAddress | undefined
}

/**
 * A Redis Cluster.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClusterAddress {
  /** Nodes to ask for all the others, beside the one that `url` names; the default port is 6379. */
  readonly nodes?: ReadonlyArray<{ readonly host: string; readonly port?: number | undefined }> | undefined
  /** Further options of ioredis, such as `natMap` or `dnsLookup`; those that keep every call bounded are always ours. */
  readonly options?: IoredisOptions | undefined
}
