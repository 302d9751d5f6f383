/**
 * What the options of several layers have in common, and layers whose options
 * come from a configuration: an option at fault is named as the variable that it
 * came from, with the prefix that the ConfigProvider adds.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import type * as ClientAuth from "./ClientAuth.js"
import { InvalidOptions, type TokenEndpointError } from "./OAuthError.js"

/**
 * Who asks, and within what bounds. `clientAuth` takes precedence over
 * `clientSecret`, which is sent by HTTP Basic; one of the two is required.
 *
 * @since 0.1.0
 * @category options
 */
export interface RequestOptions<R = never> {
  readonly clientId: string
  /** The client secret, or an effect that is run at every request. */
  readonly clientSecret?: ClientAuth.Secret<R> | undefined
  readonly clientAuth?: ClientAuth.ClientAuth<R> | undefined
  /**
   * Further headers of the request; their values are kept out of spans, and those that platform's
   * `Headers.currentRedactedNames` names out of errors.
   */
  readonly headers?: Headers.Input | undefined
  /** Options for `fetch`, used when the HTTP client is platform's fetch client. */
  readonly requestInit?: RequestInit | undefined
  /** How long one attempt may take, from the credentials to the end of the answer's body. The default is 8 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** The default is 262,144 bytes. */
  readonly maxResponseBytes?: number | undefined
  /** Allows plain http to other machines. */
  readonly allowInsecure?: boolean | undefined
}

/**
 * The address of an endpoint, or an effect that finds it.
 *
 * @since 0.1.0
 * @category options
 */
export type Address = string | URL | Effect.Effect<URL, TokenEndpointError>

/**
 * Options of what posts to one address.
 *
 * @since 0.1.0
 * @category options
 */
export interface EndpointOptions<R = never> extends RequestOptions<R> {
  /** The endpoint's address, or an effect that finds it, as `endpoint` of an `AuthorizationServer` does. */
  readonly url: Address
  /** The authorization server's issuer identifier: the audience of the client's assertions, where there are any. */
  readonly issuer?: string | undefined
}

/**
 * What a variable is called where it is looked for, and whether it is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Name {
  /** As the environment writes it, prefix included: `BILLING_TOKEN_URL`. */
  readonly name: string
  readonly isSet: boolean
}

/**
 * Makes a layer of the options that a configuration holds. What it does not
 * hold is left out of them, so that they can be spread over others.
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
    return mapInvalid(build(configured), ({ description, option }) =>
      new InvalidOptions({ option: names[option.replace(/^\w+\./, "")] ?? option, description }))
  }))

/**
 * Says otherwise which option is at fault.
 *
 * @since 0.1.0
 * @category combinators
 */
export const mapInvalid = <ROut, E, RIn>(
  layer: Layer.Layer<ROut, E, RIn>,
  f: (error: InvalidOptions) => InvalidOptions
): Layer.Layer<ROut, E, RIn> =>
  Layer.mapError(layer, (error) => error instanceof InvalidOptions ? f(error) as E & InvalidOptions : error)

// Config.unwrap dies where a member is undefined
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
 * Reads a configuration. Behind `ConfigProvider.nested` a value ends at its
 * first comma: that is an error here, not half a secret.
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
          ConfigError.InvalidData([...path], "holds a comma, where ConfigProvider.nested cuts it: take mapInputPath")
      )).load(config)
  )

/**
 * What a configuration is called in the provider at hand: of several variables
 * that it may come from, the first one that is set. A constant has no name.
 *
 * @since 0.1.0
 * @category accessors
 */
export const nameOf = (config: Config.Config<unknown>): Effect.Effect<Option.Option<Name>> =>
  Effect.configProviderWith((provider) =>
    // Errors tell the path, values do not
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
