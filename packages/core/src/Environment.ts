/**
 * The variables of core's layers, read through the app's ConfigProvider, which
 * by default is the environment.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as LayerOptions from "./LayerOptions.js"
import { type InvalidOption, InvalidOptions } from "./OAuthError.js"

/**
 * A variable. An empty one counts as not set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Variable<out A> {
  /** Its name without a prefix of the ConfigProvider. */
  readonly name: string
  /** What it sets, in one line. */
  readonly description: string
  readonly isSecret: boolean
  readonly config: Config.Config<A | undefined>
  /** The same, but missing data is an error. */
  readonly required: Config.Config<A>
}

/**
 * Makes a variable. `parse` returns the value, or what is wrong, in words that
 * follow the variable's name. It is not called for an empty text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A>(
  name: string,
  description: string,
  parse: (text: string) => Either.Either<A, string>,
  isSecret = false
): Variable<A> => {
  // Two primitives: an error of a mapped Config would not contain the prefix
  const primitive = <B>(whenEmpty: Either.Either<B, string>): Config.Config<A | B> =>
    Config.nested(
      Config.primitive(description, (text) => {
        const parsed: Either.Either<A | B, string> = text.trim() === "" ? whenEmpty : parse(text)
        return Either.mapLeft(parsed, (problem) => ConfigError.InvalidData([], problem))
      }),
      name
    )
  return {
    name,
    description,
    isSecret,
    config: Config.orElseIf(primitive(Either.right(undefined)), {
      if: ConfigError.isMissingDataOnly,
      orElse: () => Config.succeed(undefined)
    }),
    required: primitive(Either.left("is empty"))
  }
}

/**
 * A text, without the spaces around it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (name: string, description: string) => make(name, description, (text) => Either.right(text.trim()))

/**
 * A text that is never shown, without the line break at its end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const secret = (name: string, description: string) =>
  make(name, description, (text) => Either.right(Redacted.make(text.replace(/(\r?\n)+$/, ""))), true)

/**
 * Items separated by spaces or commas.
 *
 * @since 0.1.0
 * @category constructors
 */
export const list = (name: string, description: string) =>
  make(name, description, (text) => Either.right(text.split(/[\s,]+/).filter((item) => item !== "")))

/**
 * A duration, such as `10 seconds`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const duration = (name: string, description: string) =>
  make(name, description, (text) =>
    Duration.decodeUnknown(text.trim()).pipe(
      Option.filter(() => !text.trim().startsWith("-")),
      Either.fromOption(() => "is not a duration, such as \"10 seconds\" or \"500 millis\"")
    ))

/**
 * One of these words, in any case.
 *
 * @since 0.1.0
 * @category constructors
 */
export const oneOf = <const A extends string>(name: string, description: string, values: ReadonlyArray<A>) =>
  make(name, description, (text) =>
    Either.fromNullable(
      values.find((value) => value === text.trim().toLowerCase()),
      () => `is not one of ${values.join(", ")}`
    ))

/**
 * `true` or `false`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const flag = (name: string, description: string) =>
  make(name, description, (text) =>
    /^(true|false)$/i.test(text.trim())
      ? Either.right(text.trim().toLowerCase() === "true")
      : Either.left("is neither true nor false"))

/** IANA "OAuth Token Endpoint Authentication Methods". */
const clientAuthMethods = [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "private_key_jwt",
  "none"
] as const

/**
 * The variables of core's layers.
 *
 * @since 0.1.0
 * @category variables
 */
export const variables = {
  tokenEndpoint: text("ALF_TOKEN_ENDPOINT", "The URL of the token endpoint"),
  issuer: text(
    "ALF_ISSUER",
    "The issuer, whose metadata contains the token endpoint if `ALF_TOKEN_ENDPOINT` is not set"
  ),
  clientId: text("ALF_CLIENT_ID", "The client id"),
  clientSecret: secret("ALF_CLIENT_SECRET", "The client secret"),
  clientSecretFile: text("ALF_CLIENT_SECRET_FILE", "A file with the client secret"),
  clientKeyFile: text(
    "ALF_CLIENT_KEY_FILE",
    "A file with the private key for `private_key_jwt`: PEM (PKCS#8) or JWK"
  ),
  clientKeyId: text("ALF_CLIENT_KEY_ID", "The `kid` of the key"),
  clientAuth: oneOf(
    "ALF_CLIENT_AUTH",
    `How the client authenticates: ${
      clientAuthMethods.map((method) => `\`${method}\``).join(", ")
    }. The default is what the issuer's metadata supports, else \`client_secret_basic\``,
    clientAuthMethods
  ),
  scope: text("ALF_SCOPE", "The scopes, separated by spaces"),
  resource: list("ALF_RESOURCE", "The resources that tokens are for (RFC 8707), separated by spaces"),
  audience: text("ALF_AUDIENCE", "The audience, for Auth0 and others"),
  bearerTypes: list("ALF_BEARER_TYPES", "Further values of `token_type` that mean Bearer, separated by spaces"),
  tokenField: text("ALF_TOKEN_FIELD", "The field of the response that contains the token, such as `id_token`"),
  baseUrl: text("ALF_BASE_URL", "The base of relative URLs; tokens may be sent to its origin"),
  origins: list("ALF_ORIGINS", "The origins that tokens may be sent to, separated by spaces"),
  timeout: duration("ALF_TOKEN_REQUEST_TIMEOUT", "The time limit of one attempt of a token request"),
  maxWait: duration("ALF_MAX_WAIT", "How long a caller waits for a token"),
  refreshAhead: duration("ALF_REFRESH_AHEAD", "How long before its expiry a token is renewed in the background"),
  allowInsecure: flag("ALF_ALLOW_INSECURE", "`true` allows http to other machines, for development")
}

/**
 * The variables of `TokenEndpoint.layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const tokenEndpoint = {
  tokenEndpoint: variables.tokenEndpoint.config,
  issuer: variables.issuer.config,
  clientId: variables.clientId.required,
  clientSecret: variables.clientSecret.config,
  scope: variables.scope.config,
  resource: variables.resource.config,
  audience: variables.audience.config,
  bearerTypes: variables.bearerTypes.config,
  tokenField: variables.tokenField.config,
  timeout: variables.timeout.config,
  allowInsecure: variables.allowInsecure.config
}

/**
 * The variables of `TokenProvider.layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const tokenProvider = {
  maxWait: variables.maxWait.config,
  refreshAhead: variables.refreshAhead.config
}

/**
 * The variables of `AuthedHttpClient.layerConfig`.
 *
 * @since 0.1.0
 * @category configurations
 */
export const authedHttpClient = {
  ...tokenProvider,
  baseUrl: variables.baseUrl.config,
  origins: variables.origins.config,
  allowInsecure: variables.allowInsecure.config
}

/**
 * The values of variables, and their names with the prefix of the
 * ConfigProvider.
 *
 * @since 0.1.0
 * @category models
 */
export type Reading<V extends Variables> = ValuesOf<V> & {
  readonly names: { readonly [K in keyof V]: LayerOptions.Name }
}

/**
 * Variables by the names of the options that they set.
 *
 * @since 0.1.0
 * @category models
 */
export type Variables = Readonly<Record<string, Variable<unknown>>>

/**
 * The values of variables.
 *
 * @since 0.1.0
 * @category models
 */
export type ValuesOf<V extends Variables> = {
  readonly [K in keyof V]: V[K] extends Variable<infer A> ? A | undefined : never
}

/**
 * The values of the variables of this module.
 *
 * @since 0.1.0
 * @category models
 */
export type Values = ValuesOf<typeof variables>

/**
 * The same, with their names.
 *
 * @since 0.1.0
 * @category models
 */
export type Environment = Reading<typeof variables>

/**
 * How variables are read.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** What names begin with in place of `ALF`: with `BILLING` it is `BILLING_CLIENT_ID`. */
  readonly prefix?: string | undefined
}

/**
 * The values of variables, and what is wrong with them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inspection<V extends Variables> {
  /** A variable that is wrong is left out. */
  readonly environment: Environment & Reading<V>
  /** Fails with all variables that are wrong, or contradict each other. */
  readonly check: Effect.Effect<void, InvalidOptions>
}

/**
 * Lets an effect read variables that begin with another prefix than `ALF`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withPrefix = ({ prefix }: Options) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  prefix === undefined ?
    effect :
    Effect.configProviderWith((provider) =>
      Effect.withConfigProvider(effect, ConfigProvider.mapInputPath(provider, (name) => prefixed(name, { prefix })))
    )

/**
 * The name of a variable under a prefix.
 *
 * @since 0.1.0
 * @category accessors
 */
export const prefixed = (name: string, { prefix = "ALF" }: Options): string => name.replace(/^ALF(?=_)/, () => prefix)

/**
 * Reads the variables of this module and others. It fails only if the
 * ConfigProvider fails; `check` of the result fails with those that are wrong.
 *
 * @since 0.1.0
 * @category accessors
 */
export const inspectWith = <V extends Variables>(
  others: V,
  options: Options = {}
): Effect.Effect<Inspection<V>, ConfigError.ConfigError> => {
  const all: Variables = { ...variables, ...others }
  const inspect = Effect.gen(function*() {
    const names = yield* Effect.all(Record.map(all, ({ name }) => nameOf(name)))
    const read = yield* Effect.all(Record.map(all, ({ config }, key) =>
      Effect.catchIf(
        Effect.map(LayerOptions.load(config), Either.right),
        ConfigError.isInvalidData,
        ({ message }) => Effect.succeed(Either.left(LayerOptions.error(names[key].name, message)))
      )))
    const values = Record.map(read, Either.getOrUndefined)
    const environment = { ...values, names } as Environment & Reading<V>
    const check = LayerOptions.collect([...Object.values(read), checkCredentials(environment)])
    return { environment, check }
  })
  return withPrefix(options)(inspect)
}

/**
 * Reads the variables of this module and others. The error names those that are
 * wrong or contradict each other, with their prefix, and shows no value.
 *
 * @since 0.1.0
 * @category accessors
 */
export const readWith = <V extends Variables>(
  others: V,
  options?: Options
): Effect.Effect<Environment & Reading<V>, InvalidOptions | ConfigError.ConfigError> =>
  Effect.flatMap(inspectWith(others, options), ({ check, environment }) => Effect.as(check, environment))

/**
 * Reads the variables of this module.
 *
 * @since 0.1.0
 * @category accessors
 */
export const read: Effect.Effect<Environment, InvalidOptions | ConfigError.ConfigError> = readWith({})

/**
 * Variables of which at least one is required.
 *
 * @since 0.1.0
 * @category models
 */
export type Alternatives = readonly [keyof Values, ...ReadonlyArray<keyof Values>]

/**
 * Fails unless at least one variable of each group is set. The error names the
 * variables of a group without one, and a similar name that is set and may be
 * misspelt. If one of a group is empty, the error names only that one.
 *
 * @since 0.1.0
 * @category checks
 */
export const requireEach = (
  environment: Environment,
  groups: ReadonlyArray<Alternatives>
): Effect.Effect<void, InvalidOptions> =>
  Effect.gen(function*() {
    const absences = groups.flatMap((keys) => {
      const absence = absenceOf(environment, keys)
      return absence === undefined ? [] : [{ ...absence, names: keys.map((key) => environment.names[key]) }]
    })
    if (!Arr.isNonEmptyArray(absences)) return
    const unread = yield* findUnread(environment)
    const problems = Arr.map(absences, ({ description, names, option }) => {
      const slip = names.some(({ isSet }) => isSet)
        ? undefined
        : unread.find(({ meant }) => names.some(({ name }) => name === meant))
      return { option, description: slip === undefined ? description : `${description}, but ${slip.name} is` }
    })
    return yield* Effect.fail(new InvalidOptions({ problems }))
  })

/**
 * The error of a group without a value: it names all variables of the group, or
 * the one that is set but empty.
 *
 * @since 0.1.0
 * @category accessors
 */
export const absenceOf = (environment: Environment, keys: Alternatives): InvalidOption | undefined => {
  if (keys.some((key) => environment[key] !== undefined)) return undefined
  const names = keys.map((key) => environment.names[key])
  const empty = names.find(({ isSet }) => isSet)
  return empty === undefined
    ? { option: names.map(({ name }) => name).join(" or "), description: "is not set" }
    : { option: empty.name, description: "is empty" }
}

/**
 * A variable that is set but not read.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnreadVariable {
  readonly name: string
  /** The variable whose name is similar: the likely one. */
  readonly meant: string | undefined
}

/**
 * The variables with the same prefix that are set but not read, such as
 * misspelt ones. The result is empty if the ConfigProvider cannot list its
 * names.
 *
 * @since 0.1.0
 * @category accessors
 */
export const findUnread = (
  { names }: { readonly names: Readonly<Record<string, LayerOptions.Name>> }
): Effect.Effect<ReadonlyArray<UnreadVariable>> => {
  const known = Object.values(names).map(({ name }) => name)
  const [, prefix = ""] = /^(.+_)CLIENT_ID$/.exec(names.clientId?.name ?? "") ?? []
  return Effect.map(
    prefix === "" ? Effect.succeed([]) : namesWith(prefix),
    (found) =>
      found.filter((name) => !known.includes(name)).sort().map((name) => ({ name, meant: nearest(name, known) }))
  )
}

/** The names that begin with a prefix, in any case. */
const namesWith = (prefix: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.configProviderWith(({ flattened }) => {
    const begins = (text: string, beginning: string) => text.toUpperCase().startsWith(beginning.toUpperCase())
    const search = (path: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, ConfigError.ConfigError> =>
      Effect.gen(function*() {
        const name = path.join("_")
        if (!begins(name, prefix) && !begins(prefix, path.length === 0 ? "" : `${name}_`)) return []
        const children = yield* flattened.enumerateChildren(path)
        const below = yield* Effect.forEach(children, (child) => search([...path, child]))
        const isSet = begins(name, prefix) && (yield* Effect.isSuccess(flattened.load(path, anyText, false)))
        return [...(isSet ? [name] : []), ...below.flat()]
      })
    return Effect.orElseSucceed(search([]), () => [])
  })

const anyText = Config.string() as Config.Config.Primitive<string>

/** The name that was likely meant, if most of its letters are there. */
const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const [meant] = Arr.sortWith(known, (other) => distance(name.toUpperCase(), other.toUpperCase()), Order.number)
  return distance(name.toUpperCase(), meant.toUpperCase()) * 3 <= name.length ? meant : undefined
}

/** How many letters one text has and the other lacks. */
const distance = (one: string, other: string): number =>
  Array.from(one).reduce((above, letter, index) => {
    const row = [index + 1]
    for (let i = 0; i < other.length; i++) {
      row.push(letter === other[i] ? above[i] : Math.min(row[i], above[i + 1]) + 1)
    }
    return row
  }, Array.from({ length: other.length + 1 }, (_, index) => index))[other.length]

const nameOf = (name: string): Effect.Effect<LayerOptions.Name> =>
  Effect.map(LayerOptions.nameOf(Config.string(name)), Option.getOrElse(() => ({ name, isSet: false })))

const checkCredentials = (environment: Environment): Effect.Effect<void, InvalidOptions> => {
  const { clientAuth, names } = environment
  const nameIfSet = (key: keyof Values) => environment[key] === undefined ? [] : [names[key].name]

  const [first, second] = [
    ...nameIfSet("clientSecret"),
    ...nameIfSet("clientSecretFile"),
    ...nameIfSet("clientKeyFile")
  ]
  if (second !== undefined) {
    return LayerOptions.invalid(first, `and ${second} are both set: the client authenticates with one of them`)
  }

  const [keyFile] = nameIfSet("clientKeyFile")
  const [keyId] = nameIfSet("clientKeyId")
  if (keyId !== undefined && keyFile === undefined) {
    return LayerOptions.invalid(keyId, `is set without ${names.clientKeyFile.name}: a secret has no key id`)
  }
  if (clientAuth === undefined) return Effect.void
  const isByKey = clientAuth === "private_key_jwt"
  if (first !== undefined && (clientAuth === "none" || isByKey !== (keyFile !== undefined))) {
    return LayerOptions.invalid(names.clientAuth.name, `is ${clientAuth}, which contradicts ${first}`)
  }
  return isByKey && keyFile === undefined
    ? LayerOptions.invalid(names.clientAuth.name, `is ${clientAuth}, which needs ${names.clientKeyFile.name}`)
    : Effect.void
}
