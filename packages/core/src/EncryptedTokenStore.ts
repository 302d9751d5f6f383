/**
 * Encrypts the entries of any `TokenStore` with AES-256-GCM, by the runtime's
 * WebCrypto. An entry that is moved to another key of the store does not
 * decrypt.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { InvalidOptions } from "./OAuthError.js"
import * as PayloadCipher from "./store/PayloadCipher.js"
import { byTurns, type Entry, lastWriteWins, TokenStore } from "./TokenStore.js"

/**
 * An encryption key and its id, which entries contain.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncryptionKey {
  /**
   * 1 to 64 ASCII letters, digits or any of `.` `_` `:` `/` `-`. It is not secret. Never use the same id for another
   * key.
   */
  readonly id: string
  /** 32 random bytes, as they are or in base64 or base64url: `openssl rand -base64 32`. */
  readonly key: Redacted.Redacted<string | Uint8Array>
}

/**
 * The keys of the store.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * The first key encrypts; all of them decrypt. To rotate, add the new key behind the old one in every process, then
   * move it to the front, and remove the old one when its entries have expired.
   */
  readonly keys: ReadonlyArray<EncryptionKey>
}

/**
 * Encrypts the payloads of a store; keys, versions and lifetimes are not
 * encrypted. An entry that does not decrypt counts as unreadable and can be
 * overwritten.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  store: TokenStore["Type"],
  options: Options
): Effect.Effect<TokenStore["Type"], InvalidOptions> =>
  Effect.map(PayloadCipher.make("EncryptedTokenStore.keys", options.keys), (cipher) => {
    const open = (key: string, entry: Entry) =>
      Effect.map(cipher.open(key, entry.payload), (payload): Entry => ({ ...entry, payload }))

    return TokenStore.of({
      sharing: store.sharing.isShared ? byTurns : lastWriteWins,
      get: (key) => Effect.flatMap(store.get(key), Effect.transposeMapOption((entry) => open(key, entry))),
      set: Effect.fnUntraced(function*(key, entry, replaces) {
        const sealed = { ...entry, payload: yield* cipher.seal(key, entry.payload) }
        if (yield* store.set(key, sealed, replaces)) return true
        // An entry that does not decrypt counts as absent here, but the store may refuse to overwrite it
        const current = yield* store.get(key)
        const isReadable = Option.isSome(current) && (yield* Effect.isSuccess(open(key, current.value)))
        return !isReadable && (yield* store.set(key, sealed, Option.map(current, ({ version }) => version)))
      }),
      remove: (key, version) => store.remove(key, version),
      acquireLease: (key, owner, duration) => store.acquireLease(key, owner, duration),
      extendLease: (key, owner, duration) => store.extendLease(key, owner, duration),
      releaseLease: (key, owner) => store.releaseLease(key, owner),
      changes: store.changes
    })
  })

/**
 * Encrypts the store of a layer.
 *
 * @example
 * ```ts
 * import { EncryptedTokenStore, TokenStore } from "@effect-alf/core"
 * import { KeyValueStore } from "@effect/platform"
 * import { Config, Effect, Layer } from "effect"
 *
 * const layer = Layer.unwrapEffect(Effect.map(Config.redacted("STORE_KEY"), (key) =>
 *   TokenStore.layerKeyValueStore().pipe(
 *     EncryptedTokenStore.layer({ keys: [{ id: "2026-11", key }] }),
 *     Layer.provide(KeyValueStore.layerMemory)
 *   )))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: {
  (options: Options): <E, R>(
    self: Layer.Layer<TokenStore, E, R>
  ) => Layer.Layer<TokenStore, E | InvalidOptions, R>
  <E, R>(
    self: Layer.Layer<TokenStore, E, R>,
    options: Options
  ): Layer.Layer<TokenStore, E | InvalidOptions, R>
} = dual(
  2,
  <E, R>(self: Layer.Layer<TokenStore, E, R>, options: Options) =>
    Layer.provide(Layer.effect(TokenStore, Effect.flatMap(TokenStore, (store) => make(store, options))), self)
)
