/**
 * How a token is stored in an entry: a versioned envelope that a Schema checks
 * when it is read. It contains no time of any clock: only the remaining
 * lifetime, by the store's clock, crosses the store.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { AccessToken, maxLifetime } from "../AccessToken.js"
import type { ProofKey } from "../DPoP.js"
import { AccessTokenValue } from "../endpoint/TokenResponse.js"
import type { Entry } from "./BoundedStore.js"

// A suspended schema is built when it is first used: an app without a shared store does not wait for it
const Envelope = Schema.suspend(() =>
  Schema.parseJson(Schema.Struct({
    v: Schema.Literal(1),
    token: AccessTokenValue,
    type: Schema.Literal("Bearer", "DPoP"),
    scope: Schema.NullOr(Schema.String),
    /** Milliseconds from issue to expiry; `null` if unknown. */
    lifetime: Schema.NullOr(Schema.Positive),
    fields: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
  }))
)

const encodeEnvelope = Schema.encodeSync(Envelope)

const decodeEnvelope = Schema.decodeUnknownOption(Envelope)

/** The payload of a token's entry. It is a secret. */
export const encode = (token: AccessToken): string =>
  encodeEnvelope({
    v: 1,
    token: Redacted.value(token.value),
    type: token.proofKey === undefined ? "Bearer" : "DPoP",
    scope: Option.getOrNull(token.scope),
    lifetime: Option.getOrNull(
      Option.map(token.expiresAt, (expiresAt) => expiresAt.epochMillis - token.obtainedAt.epochMillis)
    ),
    ...(token.fields && { fields: Record.map(token.fields, Redacted.value) })
  })

/** The other secrets of a payload: a server may put anything into a field. */
export const fieldsOf = ({ fields }: AccessToken): ReadonlyArray<Redacted.Redacted> =>
  Object.values(fields ?? {})
    .map((field): unknown => JSON.stringify(Redacted.value(field)))
    // An empty text is no secret, and part of every text
    .filter((text): text is string => Predicate.isString(text) && text !== "\"\"")
    .map((text) => Redacted.make(text))

/**
 * Reads a stored token. It expires after the entry's remaining time, counted
 * from the start of the read, and never later than its lifetime allows. `None`
 * if the entry is not ours.
 */
export const decode = (
  entry: Entry,
  options: {
    readonly readAt: number
    readonly defaultLifetime: Duration.Duration
    /** The key that the tokens of this entry are bound to, if any. */
    readonly proofKey?: ProofKey | undefined
  }
): Option.Option<AccessToken> =>
  Option.zipWith(
    Option.filter(decodeEnvelope(entry.payload), ({ type }) => (type === "DPoP") === (options.proofKey !== undefined)),
    Duration.decodeUnknown(entry.timeToLive),
    ({ fields, lifetime, scope, token, type }, timeToLive) => {
      const whole = Math.min(lifetime ?? Duration.toMillis(options.defaultLifetime), Duration.toMillis(maxLifetime))
      const end = options.readAt + Math.min(Duration.toMillis(timeToLive), whole)
      return new AccessToken({
        value: Redacted.make(token),
        tokenType: type,
        obtainedAt: DateTime.unsafeMake(Math.floor(end - whole)),
        expiresAt: lifetime === null ? Option.none() : Option.some(DateTime.unsafeMake(Math.floor(end))),
        scope: Option.fromNullable(scope),
        ...(fields && { fields: Record.map(fields, (value) => Redacted.make(value)) }),
        ...(options.proofKey && { proofKey: options.proofKey })
      })
    }
  )
