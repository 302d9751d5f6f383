/**
 * The options of a client that the variables set, beside those that the app
 * gives, and the variable's name for each that is wrong.
 */
import * as ClientAuth from "@effect-alf/core/ClientAuth"
import * as Environment from "@effect-alf/core/Environment"
import * as LayerOptions from "@effect-alf/core/LayerOptions"
import type { InvalidOption, InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Origin from "@effect-alf/core/Origin"
import type * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type * as TokenProvider from "@effect-alf/core/TokenProvider"
import type { TokenRequest } from "@effect-alf/core/TokenRequest"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpOption from "../http/HttpOption.js"
import * as NodeHttp from "../NodeHttp.js"
import type * as RedisTokenStore from "../RedisTokenStore.js"
import * as StoreVariables from "../store/StoreVariables.js"

/** The variables in addition to those of core. */
export const added = { ...StoreVariables.variables, ...NodeHttp.variables }

/** Every variable. */
type Variables = typeof Environment.variables & typeof added

/** The options that variables set. Each may be missing. */
export interface Options<R, ES, RS>
  extends
    Origin.Options,
    Pick<TokenRequest, "audience" | "resource" | "scope">,
    Pick<TokenEndpoint.Options, "bearerTypes" | "tokenField">,
    Pick<TokenProvider.Options, "maxWait" | "refreshAhead">
{
  readonly tokenEndpoint?: string | URL | undefined
  readonly issuer?: string | URL | undefined
  readonly clientId?: string | undefined
  readonly clientSecret?: ClientAuth.Secret<R> | undefined
  readonly clientAuth?: ClientAuth.ClientAuth<R> | undefined
  readonly redis?: RedisTokenStore.Options | undefined
  readonly tokenStore?: Layer.Layer<TokenStore, ES, RS> | undefined
  readonly tokenRequest?: Pick<TokenEndpoint.Options, "timeout"> | undefined
  readonly http?: NodeHttp.Options | HttpOption.Client | undefined
}

/** The settings of the variables and of the app's options together. */
export interface Inspection<R, ES, RS> {
  /** The options that variables set, in place of the app's. */
  readonly options: Options<R, ES, RS>
  /** The store of `ALF_STORE_URL`, unless the app gives one itself. */
  readonly store: Layer.Layer<TokenStore, InvalidOptions> | undefined
  /** Fails with all variables that are missing or wrong, or contradict each other. */
  readonly check: Effect.Effect<void, InvalidOptions>
  /** Names the variable instead of the option at fault, if a variable set it. */
  readonly rename: (problem: InvalidOption) => InvalidOption
}

/** Reads the variables, for an app that gives these options itself. */
export const inspect = <R, ES, RS>(
  given: Options<R, ES, RS> & Environment.Options
): Effect.Effect<Inspection<R, ES, RS>, ConfigError.ConfigError> =>
  Effect.map(Environment.inspectWith(added, given), ({ check, environment }) => {
    const options = setBy(environment, given)
    const clientAuth = options.clientAuth ?? given.clientAuth
    const required: ReadonlyArray<Environment.Alternatives> = [
      ["tokenEndpoint", "issuer"],
      ["clientId"],
      ...(clientAuth === undefined ? [["clientSecret", "clientSecretFile", "clientKeyFile"] as const] : []),
      ...((options.baseUrl ?? options.origins) === undefined ? [["baseUrl", "origins"] as const] : [])
    ]
    const isStoreSet = given.tokenStore === undefined && environment.storeUrl !== undefined
    return {
      options,
      store: isStoreSet ? tokenStore(environment, given.redis) : undefined,
      check: LayerOptions.collect([check, Environment.requireEach(environment, required)]),
      rename: nameIn(environment, given, required)
    }
  })

const setBy = <R, ES, RS>(
  environment: Environment.Reading<Variables>,
  options: Options<R, ES, RS>
): Options<R, ES, RS> => {
  const { connectTimeout, proxy, redisPrefix, redisUrl } = environment
  return {
    ...(options.clientAuth === undefined && credentials(environment)),
    tokenEndpoint: environment.tokenEndpoint,
    issuer: environment.issuer,
    clientId: environment.clientId,
    scope: environment.scope ?? options.scope,
    resource: environment.resource ?? options.resource,
    audience: environment.audience ?? options.audience,
    bearerTypes: environment.bearerTypes ?? options.bearerTypes,
    tokenField: environment.tokenField ?? options.tokenField,
    baseUrl: environment.baseUrl ?? options.baseUrl,
    origins: environment.origins ?? options.origins,
    maxWait: environment.maxWait ?? options.maxWait,
    refreshAhead: environment.refreshAhead ?? options.refreshAhead,
    allowInsecure: environment.allowInsecure ?? options.allowInsecure,
    tokenRequest: { ...options.tokenRequest, timeout: environment.timeout ?? options.tokenRequest?.timeout },
    redis: options.tokenStore !== undefined || (redisUrl ?? options.redis) === undefined
      ? options.redis
      : environment.storeUrl !== undefined
      ? undefined
      : { ...options.redis, url: redisUrl ?? options.redis?.url, prefix: redisPrefix ?? options.redis?.prefix },
    http: HttpOption.isClient(options.http) ? options.http : {
      ...options.http,
      connectTimeout: connectTimeout ?? options.http?.connectTimeout,
      proxy: proxy ?? options.http?.proxy
    }
  }
}

/** The client authentication that the variables define. */
export const credentials = (
  environment: Environment.Environment
): Pick<TokenEndpoint.Options, "clientSecret" | "clientAuth"> => {
  const { clientAuth, clientKeyFile, clientKeyId: keyId, clientSecretFile } = environment
  if (clientAuth === "none") return { clientAuth: ClientAuth.none }
  if (clientKeyFile !== undefined) {
    return { clientAuth: ClientAuth.privateKeyJwt({ key: readFile(clientKeyFile), keyId }) }
  }
  const clientSecret = clientSecretFile === undefined ? environment.clientSecret : readFile(clientSecretFile)
  return clientSecret === undefined || clientAuth === undefined || clientAuth === "private_key_jwt"
    ? { clientSecret }
    : { clientAuth: bySecret[clientAuth](clientSecret) }
}

const bySecret = {
  client_secret_basic: ClientAuth.clientSecretBasic<never>,
  client_secret_post: ClientAuth.clientSecretPost<never>,
  client_secret_jwt: ClientAuth.clientSecretJwt<never>
}

const readFile = (path: string) => Effect.provide(ClientAuth.secretFile(path), fileSystem)

// Loaded only by an app that names a file
const fileSystem = Layer.unwrapEffect(
  Effect.map(Effect.promise(() => import("@effect/platform-node/NodeFileSystem")), ({ layer }) => layer)
)

/** The store that the variables name, if they name one. Its code is loaded when the layer is built. */
export const tokenStore = (
  environment: Environment.Reading<Variables>,
  redis?: RedisTokenStore.Options
): Layer.Layer<TokenStore, InvalidOptions> | undefined =>
  (environment.storeUrl ?? environment.redisUrl) === undefined ? undefined : Layer.unwrapEffect(
    Effect.map(Effect.promise(() => import("../store/StoreUrl.js")), ({ layer }) => layer(environment, redis))
  )

/** Names the variable of an option at fault; for a missing option, all variables that could set it. */
const nameIn = <R, ES, RS>(
  environment: Environment.Reading<Variables>,
  options: Options<R, ES, RS>,
  required: ReadonlyArray<Environment.Alternatives>
) => {
  const { names } = environment
  const isFromOptions = (key: keyof Variables) =>
    environment[key] === undefined && (key !== "redisUrl" || options.redis?.url !== undefined)
  return ({ description, option }: InvalidOption): InvalidOption => {
    const key = variableOfOption[option.replace(/^NodeAuthedHttpClient\./, "")]
    if (key === undefined) return { option, description }
    const absence = required.filter((keys) => keys.some((alternative) => alternative === key)).map((keys) =>
      Environment.absenceOf(environment, keys)
    )
    if (absence[0] !== undefined) return absence[0]
    return isFromOptions(key) ? { option, description } : {
      option: names[key].name,
      description: description.replace("set allowInsecure", `set ${names.allowInsecure.name}`)
    }
  }
}

const variableOfOption: Readonly<Record<string, keyof Variables>> = {
  tokenEndpoint: "tokenEndpoint",
  issuer: "issuer",
  clientId: "clientId",
  clientSecret: "clientSecret",
  clientAuth: "clientAuth",
  tokenField: "tokenField",
  baseUrl: "baseUrl",
  origins: "origins",
  "tokenRequest.timeout": "timeout",
  maxWait: "maxWait",
  refreshAhead: "refreshAhead",
  "redis.url": "redisUrl",
  "redis.prefix": "redisPrefix",
  "http.proxy": "proxy",
  "http.connectTimeout": "connectTimeout"
}
