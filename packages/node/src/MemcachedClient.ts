/**
 * What a Memcached store connects to: servers, or a client of the app.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * What a store needs of a Memcached client: `Memcache` of the package `memcache`
 * has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  /** The connected servers that a key belongs to; only the first is asked. */
  readonly getNodesByKey: (key: string) => Promise<ReadonlyArray<Node>>
}

/**
 * The connection to one server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Node {
  /** Sends a command at once, and answers with its first line, or with the values that a multiline answer holds. */
  readonly command: (
    command: string,
    options?: { readonly isMultiline?: boolean; readonly requestedKeys?: Array<string> }
  ) => Promise<unknown>
}

/**
 * Where the servers are, and how they are reached.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * `host[:port]`; the default port is 11211. Several servers are separated by commas, or are the items of an array. The
   * text may begin with `memcached://[user:password@]`.
   *
   * A key belongs to one of several servers, by their names: all processes need the same names, in any order.
   */
  readonly servers: string | Redacted.Redacted | ReadonlyArray<string>
  /** For servers that require a password in Memcached's text protocol (`-Y`). `servers` may contain it instead. */
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  /** How long one attempt to connect may take. The default is 2 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
}
