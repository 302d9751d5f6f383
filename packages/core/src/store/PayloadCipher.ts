/**
 * Encrypts what a store keeps: AES-256-GCM, by the runtime's WebCrypto. A
 * payload becomes a versioned envelope that names its key and decrypts only
 * under its store key.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as LayerOptions from "../LayerOptions.js"
import type { InvalidOptions } from "../OAuthError.js"
import { TokenStoreError } from "../OAuthError.js"

/** Documented by `EncryptedTokenStore`. */
interface EncryptionKey {
  readonly id: string
  readonly key: Redacted.Redacted<string | Uint8Array>
}

/** Encrypts payloads with one key, and decrypts those of all keys. */
export interface PayloadCipher {
  readonly seal: (storeKey: string, payload: string) => Effect.Effect<string, TokenStoreError>
  /** Fails with an `InvalidEntry` that says why the text does not decrypt. */
  readonly open: (storeKey: string, sealed: string) => Effect.Effect<string, TokenStoreError>
}

/**
 * Imports the keys once, so that nothing can read them. The first key encrypts.
 * `option` is the user's name for the keys.
 */
export const make: (
  option: string,
  keys: ReadonlyArray<EncryptionKey>
) => Effect.Effect<PayloadCipher, InvalidOptions> = Effect.fnUntraced(function*(option, keys) {
  if (!Array.isArray(keys) || keys.length === 0) {
    return yield* LayerOptions.invalid(option, "must contain at least one key")
  }
  const given: ReadonlyArray<Partial<EncryptionKey> | undefined> = keys
  const imported = yield* LayerOptions.collect(given.map((one, index) => {
    const name = `${option}[${index}]`
    const others = given.slice(0, index).map((other) => other?.id)
    return LayerOptions.collect([checkId(`${name}.id`, one?.id, others), importKey(`${name}.key`, one?.key)])
  }))
  const [[sealingId, sealingKey]] = imported
  const cryptoKeys = new Map(imported)

  return {
    seal: Effect.fnUntraced(function*(storeKey, payload) {
      // The security of GCM depends on it: Effect's Random can be seeded, and is no source of secrets
      const nonce = crypto.getRandomValues(new Uint8Array(nonceLength))
      const text = yield* Effect.promise(() =>
        crypto.subtle.encrypt(
          parameters(nonce, sealingId, storeKey),
          sealingKey,
          encoder.encode(encodePayload(payload))
        )
      )
      const sealed = encodeEnvelope({ v: 1, key: sealingId, nonce, text: new Uint8Array(text) })
      if (Option.isSome(sealed)) return sealed.value
      return yield* new TokenStoreError({
        method: "set",
        reason: "Unavailable",
        description: `encrypted, the entry would be longer than ${maxLength} characters`
      })
    }),
    open: Effect.fnUntraced(function*(storeKey, sealed) {
      const envelope = decodeEnvelope(sealed)
      if (Option.isNone(envelope)) {
        return yield* invalidEntry("it is not encrypted, or not in a way that this version knows")
      }
      const { key: id, nonce, text } = envelope.value
      const key = cryptoKeys.get(id)
      if (key === undefined) {
        return yield* invalidEntry(`it is encrypted with the key ${id}, which is not one of the configured keys`)
      }
      const decrypted = yield* Effect.option(
        Effect.tryPromise(() => crypto.subtle.decrypt(parameters(nonce, id, storeKey), key, new Uint8Array(text)))
      )
      const payload = Option.flatMap(decrypted, (bytes) => decodePayload(decoder.decode(bytes)))
      if (Option.isSome(payload)) return payload.value
      return yield* invalidEntry(`it was tampered with, moved here, or encrypted with another key named ${id}`)
    })
  }
})

const invalidEntry = (description: string) =>
  Effect.fail(new TokenStoreError({ method: "get", reason: "InvalidEntry", description }))

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

const keyLength = 32

const KeyId = Schema.String.pipe(Schema.pattern(/^[\w.:/-]{1,64}$/))

const isKeyId = Schema.is(KeyId)

const checkId = (option: string, id: string | undefined, others: ReadonlyArray<string | undefined>) => {
  if (!isKeyId(id)) return LayerOptions.invalid(option, "must be 1 to 64 ASCII letters, digits or any of . _ : / -")
  return others.includes(id) ? LayerOptions.invalid(option, "is also the id of another key") : Effect.succeed(id)
}

const importKey = Effect.fnUntraced(function*(option: string, key: EncryptionKey["key"] | undefined) {
  if (key === undefined || key === null) return yield* LayerOptions.invalid(option, "is missing")
  if (!Redacted.isRedacted(key)) return yield* LayerOptions.invalid(option, "must be made by Redacted.make")
  // Redacted.make(process.env.KEY!) contains undefined if the variable is not set
  const secret: unknown = Redacted.value(key)
  if (secret === undefined) return yield* LayerOptions.invalid(option, "is missing")
  const bytes = secret instanceof Uint8Array ? secret : decodeKey(secret)
  if (bytes?.length !== keyLength) {
    return yield* LayerOptions.invalid(
      option,
      `is not ${keyLength} bytes${typeof secret === "string" ? " of base64" : ""}`
    )
  }
  return yield* Effect.tryPromise({
    try: () => crypto.subtle.importKey("raw", new Uint8Array(bytes), "AES-GCM", false, ["encrypt", "decrypt"]),
    catch: () => LayerOptions.error(option, "cannot be used here: WebCrypto is missing (browsers have it on https)")
  })
})

const decodeKey = (secret: unknown): Uint8Array | undefined =>
  typeof secret === "string"
    ? Either.getOrUndefined(Encoding.decodeBase64Url(secret.replaceAll("+", "-").replaceAll("/", "_")))
    : undefined

// -----------------------------------------------------------------------------
// envelope
// -----------------------------------------------------------------------------

// NIST SP 800-38D §5.2.1.1: the length for which GCM is designed
const nonceLength = 12

// Far more than a token needs, and quick to decode
const maxLength = 1_048_576

const Envelope = Schema.compose(
  Schema.String.pipe(Schema.maxLength(maxLength)),
  Schema.parseJson(Schema.Struct({
    v: Schema.Literal(1),
    /** The id of the key. */
    key: KeyId,
    nonce: Schema.Uint8ArrayFromBase64Url.pipe(Schema.filter((bytes) => bytes.length === nonceLength)),
    /** The ciphertext, with its tag at the end. */
    text: Schema.Uint8ArrayFromBase64Url
  }))
)

const encodeEnvelope = Schema.encodeOption(Envelope)

// JSON and base64 have several texts for one value: only the one that was written is accepted
const decodeEnvelope = (text: string) =>
  Option.filter(Schema.decodeOption(Envelope)(text), (envelope) => Option.contains(encodeEnvelope(envelope), text))

// As JSON, because UTF-8 has no lone surrogates and TextDecoder drops a byte order mark
const Payload = Schema.parseJson(Schema.String)

const encodePayload = Schema.encodeSync(Payload)

const decodePayload = Schema.decodeOption(Payload)

const encoder = new TextEncoder()

const decoder = new TextDecoder()

const parameters = (nonce: Uint8Array, id: string, storeKey: string): AesGcmParams => ({
  name: "AES-GCM",
  iv: new Uint8Array(nonce),
  // What is outside the ciphertext and must not be exchanged
  additionalData: encoder.encode(JSON.stringify([1, id, storeKey]))
})
