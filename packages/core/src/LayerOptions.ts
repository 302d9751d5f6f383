/**
 * How a layer checks its options when it is built, and reads them from a
 * `Config`. Errors name the option, or the variable that it was read from, with
 * the prefix of the ConfigProvider.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import type { Concurrency } from "effect/Types"
import { type InvalidOption, InvalidOptions } from "./OAuthError.js"

/**
 * The name of a variable, and whether it is set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Name {
  /** As the environment writes it, with its prefix: `BILLING_TOKEN_ENDPOINT`. */
  readonly name: string
  readonly isSet: boolean
}

/**
 * Makes a layer of the options that a `Config` reads. Options that are not set
 * are left out, so that you can spread the others over your own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A extends object, ROut, E, RIn>(
  config: Config.Config.Wrap<A>,
  build: (configured: A) => Layer.Layer<ROut, E, RIn>
): Layer.Layer<ROut, E | ConfigError.ConfigError, RIn> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const configured = yield* load(unwrap(config))
    const names = yield* namesOf(config)
    return mapInvalid(
      build(configured),
      ({ description, option }) => ({ option: names[option.replace(/^\w+\./, "")] ?? option, description })
    )
  }))

/**
 * Changes the name of the option in an `InvalidOptions`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const mapInvalid = <ROut, E, RIn>(
  layer: Layer.Layer<ROut, E, RIn>,
  f: (problem: InvalidOption) => InvalidOption
): Layer.Layer<ROut, E, RIn> =>
  Layer.mapError(layer, (error) => error instanceof InvalidOptions ? rename(error, f) as E & InvalidOptions : error)

/**
 * The same error with other names or descriptions of its options.
 *
 * @since 0.1.0
 * @category combinators
 */
export const rename = ({ problems }: InvalidOptions, f: (problem: InvalidOption) => InvalidOption): InvalidOptions =>
  new InvalidOptions({ problems: Arr.map(problems, f) })

/**
 * Makes several checks, and names all options at fault at once. If all of them
 * are done, so is the result.
 *
 * @since 0.1.0
 * @category combinators
 */
export const collect: {
  <const Checks extends Several<Done>>(checks: Checks): Exit.Exit<Checked<Checks>, InvalidOptions>
  <const Checks extends Several<Check>>(
    checks: Checks,
    options?: { readonly concurrency?: Concurrency | undefined }
  ): Effect.Effect<Checked<Checks>, InvalidOptions>
} = <const Checks extends Several<Check>>(
  checks: Checks,
  options?: { readonly concurrency?: Concurrency | undefined }
): Exit.Exit<Checked<Checks>, InvalidOptions> => {
  // A fiber takes longer to run the checks that are done than for everything else in a layer
  const pending = Record.filter(checks as Readonly<Record<string, Check>>, (check) => !Exit.isExit(check))
  const gather = (others: Readonly<Record<string, Done>>) =>
    gatherDone(Object.assign(Array.isArray(checks) ? [] : {}, checks, others))
  return (Record.isEmptyRecord(pending)
    ? gather({})
    : Effect.flatMap(
      Effect.all(Record.map(pending, Effect.either), options),
      (eithers) => gather(Record.map(eithers, Exit.fromEither))
    )) as Exit.Exit<Checked<Checks>, InvalidOptions>
}

const gatherDone = (checks: Several<Done>): Done => {
  const values: Array<unknown> | Record<string, unknown> = Array.isArray(checks) ? [] : {}
  const errors: Array<InvalidOptions> = []
  for (const [name, check] of Object.entries<Done>(checks)) {
    if (Exit.isSuccess(check)) Object.assign(values, { [name]: check.value })
    else if (Cause.isFailType(check.cause)) errors.push(check.cause.error)
    else return check
  }
  return errors.length === 0 ? Exit.succeed(values) : Exit.fail(errors.reduce(merge))
}

/**
 * A check of options, which succeeds with their values.
 *
 * @since 0.1.0
 * @category models
 */
export type Check<A = unknown> = Effect.Effect<A, InvalidOptions>

/**
 * A check that is done.
 *
 * @since 0.1.0
 * @category models
 */
export type Done<A = unknown> = Exit.Exit<A, InvalidOptions>

/**
 * Checks in a list, or by name.
 *
 * @since 0.1.0
 * @category models
 */
export type Several<A> = ReadonlyArray<A> | Readonly<Record<string, A>>

/**
 * The values of several checks.
 *
 * @since 0.1.0
 * @category models
 */
export type Checked<Checks> = {
  readonly [Name in keyof Checks]: Checks[Name] extends Check<infer A> ? A : never
}

/** An option that two parts of a layer reject is named once. */
const merge = ({ problems }: InvalidOptions, other: InvalidOptions): InvalidOptions =>
  new InvalidOptions({
    problems: Arr.unionWith(problems, other.problems, (one, another) => one.option === another.option)
  })

// Config.unwrap dies if a member is undefined
const unwrap = <A extends object>(wrapped: Config.Config.Wrap<A>): Config.Config<A> =>
  Config.map(Config.unwrap(Config.isConfig(wrapped) ? wrapped : defined(wrapped)), defined)

const defined = <A extends object>(members: A): A =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as A

const namesOf = (config: object): Effect.Effect<Record<string, string>> =>
  Config.isConfig(config) ? Effect.succeed({}) : Effect.map(
    Effect.all(Record.map(Record.filter({ ...config }, Config.isConfig), nameOf)),
    Record.filterMap(Option.flatMap(({ isSet, name }) => isSet ? Option.some(name) : Option.none()))
  )

/**
 * Reads a `Config`. `ConfigProvider.nested` cuts a value at its first comma;
 * this is an error here, so that half a secret is never used.
 *
 * @since 0.1.0
 * @category accessors
 */
export const load = <A>(config: Config.Config<A>): Effect.Effect<A, ConfigError.ConfigError> =>
  Effect.configProviderWith((provider) =>
    mapLoad(provider, (load) => (path, primitive, split) =>
      Effect.filterOrFail(
        load(path, primitive, split),
        (values) => split === true || values.length < 2,
        () =>
          ConfigError.InvalidData(
            [...path],
            "contains a comma, where ConfigProvider.nested splits it: use mapInputPath"
          )
      )).load(config)
  )

/**
 * The name of the variable that a `Config` reads; of several alternatives, the
 * first that is set. A constant has no name.
 *
 * @since 0.1.0
 * @category accessors
 */
export const nameOf = (config: Config.Config<unknown>): Effect.Effect<Option.Option<Name>> =>
  Effect.configProviderWith((provider) =>
    // Only an error contains the path
    mapLoad(provider, (load) => (path, primitive, split) => load(path, refuse(primitive), split)).load(config)
  ).pipe(
    Effect.match({
      onFailure: ConfigError.reduceWithContext(undefined, findName),
      onSuccess: () => Option.none()
    })
  )

const refuse = <A>(primitive: Config.Config.Primitive<A>): Config.Config.Primitive<A> =>
  Object.create(primitive, { parse: { value: () => Either.left(ConfigError.InvalidData([], "")) } })

const mapLoad = (
  { flattened }: ConfigProvider.ConfigProvider,
  f: (load: ConfigProvider.ConfigProvider.Flat["load"]) => ConfigProvider.ConfigProvider.Flat["load"]
): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromFlat(
    ConfigProvider.makeFlat({
      load: f((path, primitive, split) => flattened.load(path, primitive, split)),
      enumerateChildren: (path) => flattened.enumerateChildren(path),
      patch: flattened.patch
    })
  )

const nameAt = (isSet: boolean) => (_: unknown, path: ReadonlyArray<string>): Option.Option<Name> =>
  path.length === 0 ? Option.none() : Option.some({ name: path.join("_"), isSet })

const choose = (_: unknown, left: Option.Option<Name>, right: Option.Option<Name>): Option.Option<Name> =>
  Option.exists(right, ({ isSet }) => isSet) && !Option.exists(left, ({ isSet }) => isSet)
    ? right
    : Option.orElse(left, () => right)

const findName: ConfigError.ConfigErrorReducer<unknown, Option.Option<Name>> = {
  andCase: choose,
  orCase: choose,
  invalidDataCase: nameAt(true),
  missingDataCase: nameAt(false),
  sourceUnavailableCase: nameAt(false),
  unsupportedCase: nameAt(false)
}

// -----------------------------------------------------------------------------
// checks
// -----------------------------------------------------------------------------

/**
 * The error that names one option.
 *
 * @since 0.1.0
 * @category constructors
 */
export const error = (option: string, description: string): InvalidOptions =>
  new InvalidOptions({ problems: [{ option, description }] })

/**
 * Fails with the error that names one option.
 *
 * @since 0.1.0
 * @category constructors
 */
export const invalid = (option: string, description: string): Exit.Exit<never, InvalidOptions> =>
  Exit.fail(error(option, description))

/**
 * A required text of one line.
 *
 * @since 0.1.0
 * @category checks
 */
export const text = (option: string, value: string): Exit.Exit<string, InvalidOptions> => {
  if (value === undefined || value === null) return invalid(option, "is missing")
  if (typeof value !== "string") return invalid(option, "is not a string")
  return value.trim() === ""
    ? invalid(option, "is empty")
    : hasControlCharacters(value)
    ? invalid(option, "contains a line break or another control character")
    : Exit.succeed(value)
}

/**
 * Whether a text has control characters, which neither a client id nor a secret
 * may have (RFC 6749 A.1, A.2), such as the line break at the end of a file.
 * Characters beyond ASCII are allowed: servers understand their encoding.
 *
 * @since 0.1.0
 * @category checks
 */
// eslint-disable-next-line no-control-regex
export const hasControlCharacters = (text: string): boolean => /[\u0000-\u001f\u007f]/.test(text)

/**
 * A required secret: `Redacted`, of one line, not empty.
 *
 * @since 0.1.0
 * @category checks
 */
export const secret = (option: string, value: Redacted.Redacted): Exit.Exit<Redacted.Redacted, InvalidOptions> => {
  if (value === undefined || value === null) return invalid(option, "is missing")
  if (!Redacted.isRedacted(value)) return invalid(option, "must be made by Redacted.make")
  // Redacted.make(process.env.SECRET!) holds undefined where the variable is not set
  return Exit.as(text(option, Redacted.value(value)), value)
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
): Exit.Exit<Duration.Duration, InvalidOptions> => {
  const parts: ReadonlyArray<unknown> = Arr.ensure(value)
  if (parts.some(isNegative)) return invalid(option, "is negative")
  const decoded = Duration.decodeUnknown(value)
  return Option.isNone(decoded) || parts.some(Number.isNaN)
    ? invalid(option, "is not a duration")
    : Exit.succeed(decoded.value)
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
): Exit.Exit<Duration.Duration, InvalidOptions> =>
  Exit.flatMap(
    duration(option, value),
    (value) =>
      Duration.greaterThan(value, Duration.zero)
        ? Exit.succeed(value)
        : invalid(option, "must be longer than zero")
  )

const isNegative = (part: unknown): boolean =>
  typeof part === "string" ? part.trim().startsWith("-") : !Predicate.isObject(part) && (part as number | bigint) < 0

/**
 * An integer of at least one.
 *
 * @since 0.1.0
 * @category checks
 */
export const positiveInteger = (option: string, value: number): Exit.Exit<number, InvalidOptions> =>
  Number.isInteger(value) && value > 0 ? Exit.succeed(value) : invalid(option, "must be a whole number above zero")

/**
 * Checks the type of a value, which may be left out: plain JavaScript, or a
 * cast, may pass another type.
 *
 * @since 0.1.0
 * @category checks
 */
export const type = (
  option: string,
  value: unknown,
  isOfType: Predicate.Predicate<unknown>,
  expected: string
): Exit.Exit<void, InvalidOptions> =>
  value === undefined || isOfType(value) ? Exit.void : invalid(option, `is not ${expected}`)

/**
 * A list of texts, which may be left out.
 *
 * @since 0.1.0
 * @category checks
 */
export const texts = (option: string, value: ReadonlyArray<string> | undefined): Exit.Exit<void, InvalidOptions> =>
  type(option, value, isTexts, "a list of strings")

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(Predicate.isString)

/**
 * A text or a list of them, which may be left out.
 *
 * @since 0.1.0
 * @category checks
 */
export const textOrTexts = (
  option: string,
  value: string | ReadonlyArray<string> | undefined
): Exit.Exit<void, InvalidOptions> =>
  type(option, value, (value) => isTexts(Arr.ensure(value)), "a string or a list of strings")
