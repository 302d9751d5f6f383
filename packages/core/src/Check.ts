/**
 * Checks of layer options: every layer says which option is wrong when it is
 * built, not when the first request fails.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidOptions } from "./OAuthError.js"
import * as Origin from "./Origin.js"

/**
 * Fails with an `InvalidOptions` that names the option.
 *
 * @since 0.1.0
 * @category constructors
 */
export const invalid = (option: string, description: string): Effect.Effect<never, InvalidOptions> =>
  Effect.fail(new InvalidOptions({ option, description }))

/**
 * A text that must be there.
 *
 * @since 0.1.0
 * @category checks
 */
export const text = (option: string, value: string): Effect.Effect<string, InvalidOptions> => {
  if (typeof value !== "string") return invalid(option, "is missing")
  return value.trim() === "" ? invalid(option, "is empty") : Effect.succeed(value)
}

/**
 * A secret that must be there, `Redacted`, and not empty.
 *
 * @since 0.1.0
 * @category checks
 */
export const secret = (option: string, value: Redacted.Redacted): Effect.Effect<Redacted.Redacted, InvalidOptions> => {
  if (value === undefined || value === null) return invalid(option, "is missing")
  if (!Redacted.isRedacted(value)) return invalid(option, "must be made by Redacted.make")
  // Redacted.make(process.env.SECRET!) holds undefined where the variable is not set
  const secret: unknown = Redacted.value(value)
  if (typeof secret !== "string") return invalid(option, secret === undefined ? "is missing" : "is not a string")
  return secret.trim() === "" ? invalid(option, "is empty") : Effect.succeed(value)
}

/**
 * A duration that is not negative. Effect reads a negative duration as zero,
 * which would hide the mistake.
 *
 * @since 0.1.0
 * @category checks
 */
export const duration = (
  option: string,
  value: Duration.DurationInput
): Effect.Effect<Duration.Duration, InvalidOptions> => {
  if (isNegative(value)) return invalid(option, "is negative")
  if (isNaN(value)) return invalid(option, "is not a duration")
  return Effect.try({
    try: () => Duration.decode(value),
    catch: () => new InvalidOptions({ option, description: "is not a duration" })
  })
}

/**
 * A duration longer than zero.
 *
 * @since 0.1.0
 * @category checks
 */
export const positiveDuration = (
  option: string,
  value: Duration.DurationInput
): Effect.Effect<Duration.Duration, InvalidOptions> =>
  Effect.filterOrElse(
    duration(option, value),
    (value) => Duration.greaterThan(value, Duration.zero),
    () => invalid(option, "must be longer than zero")
  )

const isNegative = (value: Duration.DurationInput): boolean => {
  if (typeof value === "string") return value.trim().startsWith("-")
  if (Array.isArray(value)) return value[0] < 0 || value[1] < 0
  return (typeof value === "number" || typeof value === "bigint") && value < 0
}

const isNaN = (value: Duration.DurationInput): boolean =>
  Array.isArray(value) ? value.some(Number.isNaN) : Number.isNaN(value)

/**
 * A whole number of at least one.
 *
 * @since 0.1.0
 * @category checks
 */
export const positiveInteger = (option: string, value: number): Effect.Effect<number, InvalidOptions> =>
  Number.isInteger(value) && value > 0 ? Effect.succeed(value) : invalid(option, "must be a whole number above zero")

/**
 * An absolute http or https address without credentials or fragment, on https
 * or loopback unless `allowInsecure` says otherwise.
 *
 * @since 0.1.0
 * @category checks
 */
export const url = Effect.fnUntraced(function*(
  option: string,
  value: string | URL,
  options?: { readonly allowInsecure?: boolean | undefined }
) {
  const given = yield* text(option, value instanceof URL ? value.href : value)
  if (!URL.canParse(given)) return yield* invalid(option, "is not an absolute URL")
  const parsed = new URL(given)
  if (parsed.protocol !== "https:" && parsed.protocol !== "http:") {
    return yield* invalid(option, `must be an https URL, not ${parsed.protocol}`)
  }
  if (parsed.username !== "" || parsed.password !== "") return yield* invalid(option, "must not hold credentials")
  // An empty fragment leaves its mark in the text alone
  if (parsed.href.includes("#")) return yield* invalid(option, "must not have a fragment")
  if (options?.allowInsecure !== true && !Origin.isSecure(parsed)) {
    return yield* invalid(option, `is http to ${parsed.hostname}: use https, or set allowInsecure`)
  }
  return parsed
})
