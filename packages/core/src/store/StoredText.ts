/**
 * An entry in a backend that only gets and sets: a text with its own version
 * and expiry. Clients return texts in several forms.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** `TokenStore.Entry`, as a text holds it. */
interface Entry {
  readonly version: string
  readonly payload: string
  readonly timeToLive: Duration.Duration
}

const Fields = Schema.suspend(() =>
  Schema.Struct({
    version: Schema.NonEmptyString,
    payload: Schema.String,
    expiresAt: Schema.NullOr(Schema.Number)
  })
)

const Text = Schema.parseJson(Fields)

const encodeText = Schema.encodeSync(Text)

const decodeText = Schema.decodeUnknownOption(Text)

const decodeFields = Schema.decodeUnknownOption(Fields)

/** The text of an entry; `now` in epoch milliseconds. */
export const encode = ({ payload, timeToLive, version }: Entry, now: number): string => {
  const millis = Duration.toMillis(timeToLive)
  return encodeText({ version, payload, expiresAt: Number.isFinite(millis) ? now + millis : null })
}

/** Reads what a client returned: `None` if it is nothing or an expired entry; `undefined` if it is not an entry. */
export const decode = (given: unknown, now: number): Option.Option<Entry> | undefined => {
  const value = unwrap(given)
  if (value === undefined || value === "") return Option.none()
  // Some clients parse what looks like JSON
  const stored = Option.getOrUndefined(Predicate.isString(value) ? decodeText(value) : decodeFields(value))
  if (stored === undefined) return undefined
  const { expiresAt, payload, version } = stored
  const remaining = expiresAt === null ? Infinity : expiresAt - now
  return remaining > 0 ? Option.some({ version, payload, timeToLive: Duration.millis(remaining) }) : Option.none()
}

/** Unwraps an `Option`, an item of a Memcached client, and bytes. */
const unwrap = (given: unknown): unknown => {
  const found = Option.isOption(given) ? Option.getOrUndefined(given) : given
  const value = Predicate.hasProperty(found, "value") ? found.value : found
  if (Predicate.isNullable(value)) return undefined
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : value
}
