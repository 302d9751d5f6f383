/**
 * Looks at everything between an app and its API, in the order in which one
 * thing needs the other, and brings findings; it says nothing by itself.
 */
import * as AccessToken from "@effect-alf/core/AccessToken"
import * as AuthorizationServer from "@effect-alf/core/AuthorizationServer"
import * as Environment from "@effect-alf/core/Environment"
import {
  describe,
  type DiscoveryError,
  type InvalidOptions,
  oneLine,
  type TokenRequestError
} from "@effect-alf/core/OAuthError"
import * as Origin from "@effect-alf/core/Origin"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import * as WwwAuthenticate from "@effect-alf/core/WwwAuthenticate"
import * as HttpProxy from "@effect-alf/node/HttpProxy"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import * as NodeHttp from "@effect-alf/node/NodeHttp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { constFalse } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Finding from "./Finding.js"
import * as JwtClaims from "./JwtClaims.js"
import { defaultPrefix, Naming } from "./Naming.js"
import * as Network from "./Network.js"
import { type Party, Problem } from "./Problem.js"
import * as ServerClock from "./ServerClock.js"
import * as StoreAddress from "./StoreAddress.js"
import * as StoreCheck from "./StoreCheck.js"

/** What the doctor works with. */
export interface Options {
  /** A path of the API, or its whole address, to be asked for with the token. */
  readonly api: Option.Option<string>
  /** Opens the store that the environment names. */
  readonly openStore: (
    environment: NodeAuthedHttpClient.NodeEnvironment
  ) => Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope>
  /** What the environment says of proxies that the app does not read. */
  readonly unreadProxies: ReadonlyArray<Network.Unread>
}

/** Reads the configuration, and runs all checks. */
export const examine = (options: Options): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  Effect.gen(function*() {
    const journal = yield* Finding.makeJournal
    const settings = yield* journal.note("configuration", readSettings)
    if (Option.isNone(settings)) {
      yield* journal.skip("the configuration comes first", ...Finding.checks.slice(1))
    } else {
      yield* Effect.all([
        Effect.scoped(examineServers(journal, settings.value, options)),
        Effect.scoped(examineStore(journal, settings.value, options))
      ], { concurrency: "unbounded", discard: true })
    }
    return yield* journal.findings
  })

// -----------------------------------------------------------------------------
// configuration
// -----------------------------------------------------------------------------

type Settings = NodeAuthedHttpClient.NodeEnvironment & { readonly clientId: string }

const readSettings: Effect.Effect<Finding.Passed<Settings>, Problem> = Effect.gen(function*() {
  const environment = yield* Effect.mapError(
    NodeAuthedHttpClient.readEnvironment(),
    (error) =>
      error._tag === "InvalidOptions"
        ? wrong(error.problems[0].option)(error)
        : Problem.Wrong({ variable: "The environment", description: `cannot be read: ${oneLine(describe(error))}` })
  )
  const { clientAuth, clientId, issuer, names, tokenEndpoint } = environment
  const groups: ReadonlyArray<ReadonlyArray<keyof typeof NodeAuthedHttpClient.variables>> = [
    ["tokenEndpoint", "issuer"],
    ["clientId"],
    ...(clientAuth === "none" ? [] : [["clientSecret", "clientSecretFile", "clientKeyFile"] as const])
  ]
  const missing = groups.filter((keys) => keys.every((key) => environment[key] === undefined))
  const empty = missing.flat().map((key) => names[key]).find(({ isSet }) => isSet)
  if (empty !== undefined) {
    return yield* Effect.fail(Problem.Wrong({ variable: empty.name, description: "is empty" }))
  }
  const { prefix } = yield* Naming
  // Another prefix may be that of the app's own variables
  const unread = (yield* Environment.findUnread(environment)).filter(({ meant }) =>
    meant !== undefined || prefix === defaultPrefix
  )
  if (missing.length > 0 || clientId === undefined) {
    return yield* Effect.fail(Problem.Missing({
      variables: missing.map((keys) => keys.map((key) => names[key].name).join(" or ")),
      unread
    }))
  }
  return {
    says: `client ${clientId} at ${tokenEndpoint ?? issuer}`,
    value: { ...environment, clientId },
    concern: unread.length === 0 ? undefined : Problem.Unread({ variables: unread })
  }
})

/** What a layer has against an option is said of the variable that holds it. */
const wrong = (variable: string) => ({ problems: [{ description }, ...others] }: InvalidOptions): Problem =>
  Problem.Wrong({
    variable,
    description: [description, ...others.map(({ description, option }) => `${option} ${description}`)].join("; ")
  })

const checkAddress = (
  variable: string,
  address: string,
  { allowInsecure }: Pick<Settings, "allowInsecure">
): Effect.Effect<URL, Problem> => {
  const url = Option.liftThrowable((address: string) => new URL(address))(address)
  return Option.isSome(url) && url.value.protocol === "http:" && !Origin.isSecure(url.value) && allowInsecure !== true
    ? Effect.fail(Problem.Insecure({ variable, host: url.value.host }))
    : Effect.mapError(Origin.checkUrl(variable, address, { allowInsecure }), wrong(variable))
}

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

const steps = [
  ["proxy", Network.checkProxy],
  ["name", Network.checkName],
  ["connection", Network.checkConnection],
  ["certificate", Network.checkCertificate]
] as const

const reachServer = Effect.fnUntraced(function*(
  journal: Finding.Journal,
  address: Option.Option<URL>,
  findRoute: (party: Party, url: URL) => Effect.Effect<Network.Route, Problem>
) {
  const names = steps.map(([check]) => check)
  if (Option.isNone(address)) {
    yield* journal.skip("the address comes first", ...names)
    return false
  }
  for (const [index, [check, step]] of steps.entries()) {
    if (check === "certificate" && address.value.protocol === "http:") {
      yield* journal.skip("http has none", check)
    } else {
      const passed = yield* journal.note(
        check,
        Effect.flatMap(findRoute("authorization server", address.value), step)
      )
      if (Option.isNone(passed)) {
        yield* journal.skip(`the ${check} comes first`, ...names.slice(index + 1))
        return false
      }
    }
  }
  return true
})

const examineServers = Effect.fnUntraced(function*(journal: Finding.Journal, settings: Settings, options: Options) {
  const { issuer, names, tokenEndpoint } = settings
  const proxy = settings.proxy ?? "environment"
  const proxies = yield* Effect.either(HttpProxy.make(proxy))
  // With a wrong proxy nothing is requested
  const http = NodeHttp.layer({
    proxy: Either.isLeft(proxies) ? false : proxy,
    connectTimeout: settings.connectTimeout
  })
  const findRoute = (party: Party, url: URL): Effect.Effect<Network.Route, Problem> =>
    Either.mapBoth(proxies, {
      onLeft: (error) => wrong(/ from (\w+)$/.exec(error.problems[0].option)?.[1] ?? names.proxy.name)(error),
      onRight: (proxies) => Network.route(party, url, proxies, options.unreadProxies)
    })

  const variable = (tokenEndpoint === undefined ? names.issuer : names.tokenEndpoint).name
  const address = yield* journal.note(
    "address",
    Effect.map(
      checkAddress(variable, tokenEndpoint ?? issuer ?? "", settings),
      (url) => ({ says: url.origin, value: url })
    )
  )
  const examination = Effect.gen(function*() {
    const observed = yield* ServerClock.observe(yield* HttpClient.HttpClient)
    yield* Effect.gen(function*() {
      const isReached = yield* reachServer(journal, address, findRoute)
      const token = isReached ? yield* examineToken(journal, settings) : Option.none()
      if (!isReached) yield* journal.skip("the server cannot be reached", "discovery", "credentials")
      if (Option.isNone(token)) {
        yield* journal.skip("there is no token", "scope", "lifetime")
      } else {
        yield* journal.note("scope", checkScope(settings, token.value))
        yield* journal.note("lifetime", checkLifetime(token.value))
      }
      const reading = yield* observed.reading
      if (Option.isNone(reading) || Option.isNone(address)) {
        yield* journal.skip("no server has answered", "clock")
      } else {
        yield* journal.note("clock", ServerClock.compare(reading, token, address.value.host))
      }
      yield* examineApi(journal, settings, options, token, address, findRoute)
    }).pipe(Effect.provideService(HttpClient.HttpClient, observed.client))
  })
  yield* Effect.catchAll(
    Effect.provide(examination, http),
    (error) => journal.note("proxy", Effect.fail(wrong(names.connectTimeout.name)(error)))
  )
})

const examineToken = Effect.fnUntraced(function*(journal: Finding.Journal, settings: Settings) {
  const { issuer, names, tokenEndpoint } = settings
  if (tokenEndpoint !== undefined || issuer === undefined) {
    yield* journal.skip(`${names.tokenEndpoint.name} says where the endpoint is`, "discovery")
  } else if (Option.isNone(yield* journal.note("discovery", checkDiscovery(settings, issuer)))) {
    yield* journal.skip("discovery comes first", "credentials")
    return Option.none<AccessToken.AccessToken>()
  }
  return yield* journal.note("credentials", checkCredentials(settings))
})

const checkDiscovery = (
  { allowInsecure, names }: Settings,
  issuer: string
): Effect.Effect<Finding.Passed<void>, Problem, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const server = yield* Effect.mapError(
      AuthorizationServer.make({ issuer, allowInsecure }),
      wrong(names.issuer.name)
    )
    const endpoint = yield* server.endpoint("token_endpoint").pipe(
      Effect.catchAll((error) => Effect.flatMap(describeDiscovery(issuer, error), Effect.fail))
    )
    return { says: `the token endpoint is ${endpoint.href}`, value: undefined }
  }).pipe(Effect.scoped)

const describeDiscovery = Effect.fnUntraced(function*(issuer: string, error: DiscoveryError) {
  const named = /^issuer is (\S+), not /.exec(error.description)?.[1]
  if (named !== undefined) return Problem.OtherIssuer({ issuer, named: named.replace(/:$/, "") })
  const { origin } = new URL(issuer)
  const { status = 0 } = error
  const around = status >= 400 && status < 500 ? yield* lookAround(origin) : undefined
  return around?.issuer !== undefined && around.issuer !== issuer
    ? Problem.OtherIssuer({ issuer, named: around.issuer })
    : Problem.NoMetadata({ issuer, description: error.message })
})

/** What a server says of itself at the usual places, whatever its issuer is. */
interface Around {
  readonly issuer: string | undefined
  readonly tokenEndpoint: string | undefined
  readonly methods: ReadonlyArray<string>
}

const aroundTimeout = Duration.seconds(4)

const lookAround = (origin: string): Effect.Effect<Around, never, HttpClient.HttpClient> =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    Effect.firstSuccessOf(
      ["oauth-authorization-server", "openid-configuration"].map((name) =>
        client.get(`${origin}/.well-known/${name}`).pipe(
          Effect.flatMap(({ json }) => json),
          Effect.scoped,
          Effect.timeout(aroundTimeout),
          Effect.filterOrFail(Predicate.isReadonlyRecord),
          Effect.map(({ issuer, token_endpoint, token_endpoint_auth_methods_supported: methods }): Around => ({
            issuer: Predicate.isString(issuer) ? oneLine(issuer) : undefined,
            tokenEndpoint: Predicate.isString(token_endpoint) ? oneLine(token_endpoint) : undefined,
            methods: Array.isArray(methods) ? methods.filter(Predicate.isString).map(oneLine) : []
          }))
        )
      )
    ).pipe(Effect.orElseSucceed((): Around => ({ issuer: undefined, tokenEndpoint: undefined, methods: [] }))))

// -----------------------------------------------------------------------------
// token
// -----------------------------------------------------------------------------

const askForToken = (
  settings: Settings
): Effect.Effect<AccessToken.AccessToken, TokenRequestError | InvalidOptions, HttpClient.HttpClient> => {
  const {
    allowInsecure,
    audience,
    bearerTypes,
    clientId,
    issuer,
    resource,
    scope,
    timeout,
    tokenEndpoint,
    tokenField
  } = settings
  const options = {
    ...NodeAuthedHttpClient.credentials(settings),
    clientId,
    request: { audience, resource, scope },
    bearerTypes,
    tokenField,
    allowInsecure,
    timeout,
    retryWhile: constFalse
  }
  return Effect.flatMap(
    tokenEndpoint === undefined
      ? TokenEndpoint.makeDiscovery({ ...options, issuer: issuer ?? "" })
      : TokenEndpoint.make({ ...options, tokenEndpoint, issuer }),
    (endpoint) => endpoint.attempt(endpoint.resolve())
  ).pipe(Effect.scoped)
}

const checkCredentials = (
  settings: Settings
): Effect.Effect<Finding.Passed<AccessToken.AccessToken>, Problem, HttpClient.HttpClient> =>
  askForToken(settings).pipe(
    Effect.catchAll((error) =>
      Effect.flatMap(
        error._tag === "InvalidOptions"
          ? Effect.succeed(wrong(variableOf(settings, error.problems[0].option))(error))
          : describeRefusal(settings, error),
        Effect.fail
      )
    ),
    Effect.map((token) => ({ says: `a ${token.tokenType} token was issued`, value: token }))
  )

const variableOf = ({ names }: Settings, option: string): string => {
  const key = option.replace(/^TokenEndpoint\.(request\.)?/, "")
  return Object.entries(names).find(([name]) => name === key)?.[1].name ?? option
}

const describeRefusal = (
  settings: Settings,
  error: TokenRequestError
): Effect.Effect<Problem, never, HttpClient.HttpClient> => {
  const { clientId, scope = "" } = settings
  const said = error.message
  if (error.error === "invalid_client" || error.status === 401) return describeRejection(settings, error)
  if (error.reason === "ClientAuth") {
    const { clientKeyFile, clientSecretFile, names } = settings
    const key = clientSecretFile !== undefined
      ? "clientSecretFile"
      : clientKeyFile !== undefined
      ? "clientKeyFile"
      : "clientAuth"
    return Effect.succeed(
      Problem.Wrong({ variable: names[key].name, description: `is of no use: ${error.description}` })
    )
  }
  if (error.error === "unauthorized_client" || error.error === "unsupported_grant_type") {
    return Effect.succeed(Problem.ClientForbidden({ clientId, said }))
  }
  if (error.error === "invalid_scope") return Effect.succeed(Problem.WrongScope({ scope, said }))
  const { status = 0 } = error
  const isElsewhere = error.error === undefined && (status === 404 || status === 405 || status === 410)
  // The pages of gateways are HTML too, with a status that says what they are about
  const isPage = status < 400 && /\(text\/html/.test(error.description)
  if (isElsewhere || error.reason === "Redirect" || isPage) {
    return Effect.map(lookAround(new URL(error.endpoint).origin), ({ tokenEndpoint }) =>
      Problem.NoTokenEndpoint({
        endpoint: error.endpoint,
        status,
        named: tokenEndpoint === error.endpoint ? undefined : tokenEndpoint
      }))
  }
  if (error.reason === "InvalidResponse") return Effect.succeed(Problem.TokenUnusable({ said }))
  const unanswered = error.reason === "Transport" || error.reason === "Timeout" || status === 429 || status >= 500
  return Effect.succeed(Problem.TokenRefused({ said, unanswered }))
}

/** The same secret is sent in the other usual way, once: it may be all that is wrong. */
const describeRejection = Effect.fnUntraced(function*(settings: Settings, error: TokenRequestError) {
  const { clientAuth, clientId, clientKeyFile, clientSecret, names, tokenEndpoint } = settings
  const { methods } = yield* lookAround(new URL(error.endpoint).origin)
  const [basic, post] = ["client_secret_basic", "client_secret_post"] as const
  const byDefault = tokenEndpoint !== undefined || methods.length === 0 || methods.includes(basic) ? basic : post
  const used = clientAuth ?? byDefault
  const taken = used === basic ? post : basic
  if (clientKeyFile === undefined && used !== "none") {
    const other = yield* Effect.either(askForToken({ ...settings, clientAuth: taken }))
    if (Either.isRight(other)) return Problem.WrongMethod({ used, taken, methods })
  }
  const key = clientKeyFile !== undefined
    ? "clientKeyFile"
    : clientSecret === undefined
    ? "clientSecretFile"
    : "clientSecret"
  const secret = clientSecret === undefined ? "" : Redacted.value(clientSecret)
  return Problem.WrongSecret({
    clientId,
    variable: names[key].name,
    kind: key === "clientKeyFile" ? "key" : "secret",
    said: error.message,
    methods,
    padded: secret !== secret.trim()
  })
})

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

const checkScope = (
  settings: Settings,
  token: AccessToken.AccessToken
): Effect.Effect<Finding.Passed<void>, Problem> => {
  const asked = words(settings.scope ?? "")
  const granted = Option.match(token.scope, { onNone: () => asked, onSome: words })
  const missing = asked.filter((scope) => !granted.includes(scope))
  return Effect.succeed({
    says: granted.length === 0 ? "none was requested" : oneLine(granted.join(" ")),
    value: undefined,
    concern: missing.length === 0 ? undefined : Problem.ScopeNarrowed({ missing, granted: oneLine(granted.join(" ")) })
  })
}

const shortestLifetime = Duration.minutes(1)
// Servers count in whole seconds, and some of them cut
const roundingSeconds = 5

const checkLifetime = (token: AccessToken.AccessToken): Effect.Effect<Finding.Passed<void>, Problem> => {
  if (Option.isNone(token.expiresAt)) {
    return Effect.succeed({ says: "", value: undefined, concern: Problem.LifetimeUnknown() })
  }
  const seconds = Math.round((token.expiresAt.value.epochMillis - token.obtainedAt.epochMillis) / 1000)
  const ownSeconds = Option.flatMap(JwtClaims.decode(token.value), (jwt) =>
    Option.zipWith(
      JwtClaims.date(jwt, "exp"),
      JwtClaims.date(jwt, "iat"),
      (exp, iat) => Math.round((exp.epochMillis - iat.epochMillis) / 1000)
    ))
  const concern = seconds < Duration.toSeconds(shortestLifetime)
    ? Problem.LifetimeShort({ seconds })
    : Option.isSome(ownSeconds) && ownSeconds.value + roundingSeconds < seconds
    ? Problem.LifetimeDiffers({ saidSeconds: seconds, tokenSeconds: ownSeconds.value })
    : undefined
  return Effect.succeed({ says: Duration.format(Duration.seconds(seconds)), value: undefined, concern })
}

// -----------------------------------------------------------------------------
// store
// -----------------------------------------------------------------------------

const examineStore = (journal: Finding.Journal, settings: Settings, options: Options) =>
  Option.match(StoreAddress.fromEnvironment(settings), {
    onNone: () =>
      journal.skip(`${settings.names.storeUrl.name} is not set: each process keeps tokens in its memory`, "store"),
    onSome: (address) =>
      Effect.asVoid(journal.note(
        "store",
        options.openStore(settings).pipe(
          Effect.mapError((error) => wrong(error.problems[0].option)(error)),
          Effect.flatMap((store) => StoreCheck.check(store, address, `doctor-${crypto.randomUUID()}`))
        )
      ))
  })

// -----------------------------------------------------------------------------
// API
// -----------------------------------------------------------------------------

const examineApi = Effect.fnUntraced(function*(
  journal: Finding.Journal,
  settings: Settings,
  options: Options,
  token: Option.Option<AccessToken.AccessToken>,
  server: Option.Option<URL>,
  findRoute: (party: Party, url: URL) => Effect.Effect<Network.Route, Problem>
) {
  const { baseUrl, names, origins } = settings
  const api = Option.getOrUndefined(options.api)
  if ((baseUrl ?? origins) === undefined && (api === undefined || !Origin.isAbsolute(api))) {
    return yield* journal.skip(
      `${names.baseUrl.name} is not set: the app says itself where tokens go`,
      "origin",
      "api network",
      "api"
    )
  }
  const target = yield* journal.note("origin", findTarget(settings, api))
  if (Option.isNone(target)) return yield* journal.skip("the origin comes first", "api network", "api")

  const url = new URL(target.value)
  if (Option.exists(server, ({ origin }) => origin === url.origin)) {
    yield* journal.skip("it is the authorization server's", "api network")
  } else {
    const reached = yield* journal.note("api network", Effect.flatMap(findRoute("API", url), reachApi))
    if (Option.isNone(reached)) return yield* journal.skip("the API cannot be reached", "api")
  }
  if (api === undefined) return yield* journal.skip("--api PATH calls it", "api")
  if (Option.isNone(token)) return yield* journal.skip("there is no token", "api")
  return yield* journal.note("api", checkApi(target.value, token.value))
})

/** The address to request: the app's own rules decide whether a token may go there. */
const findTarget = (
  settings: Settings,
  api: string | undefined
): Effect.Effect<Finding.Passed<string>, Problem> =>
  Effect.gen(function*() {
    const { allowInsecure, baseUrl, names, origins } = settings
    if (baseUrl !== undefined) yield* checkAddress(names.baseUrl.name, baseUrl, settings)
    for (const origin of origins ?? []) yield* checkAddress(names.origins.name, origin, settings)
    const whole = api !== undefined && Origin.isAbsolute(api)
      ? yield* checkAddress("--api", api, settings)
      : undefined
    const isSaid = (baseUrl ?? origins) !== undefined
    const route = yield* Effect.mapError(
      Origin.makeRoute({ baseUrl, origins: isSaid ? origins : [whole?.origin ?? ""], allowInsecure }),
      (error) => wrong((error.problems[0].option.endsWith("origins") ? names.origins : names.baseUrl).name)(error)
    )
    const address = api ?? (baseUrl === undefined ? origins?.[0] : undefined) ?? ""
    const url = route.complete(address)
    const origin = route.originOf(url)
    if (typeof origin !== "string") {
      return yield* Effect.fail(Problem.OriginForeign({ origin: origin.origin, allowed: origin.allowed }))
    }
    return { says: `tokens may go to ${origin}`, value: url }
  })

const reachApi = (route: Network.Route): Effect.Effect<Finding.Passed<void>, Problem> =>
  Effect.gen(function*() {
    for (const [check, step] of steps) {
      if (check !== "certificate" || route.url.protocol === "https:") yield* step(route)
    }
    const way = Option.match(route.proxy, { onNone: () => "", onSome: ({ origin }) => ` through ${origin}` })
    return { says: `${route.url.host} is reached${way}`, value: undefined }
  })

const apiTimeout = Duration.seconds(10)

const checkApi = (
  url: string,
  token: AccessToken.AccessToken
): Effect.Effect<Finding.Passed<void>, Problem, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const { origin, pathname } = new URL(url)
    const shown = `${origin}${pathname}`
    const request = HttpClientRequest.get(url).pipe(
      HttpClientRequest.setHeader("authorization", AccessToken.authorization(token))
    )
    const response = yield* client.execute(request).pipe(
      Effect.scoped,
      Effect.timeout(apiTimeout),
      Effect.mapError((error) =>
        Problem.ApiSilent({
          url: shown,
          // Not the error itself: it holds the request, and with it the token
          description: error._tag === "TimeoutException"
            ? `no answer within ${Duration.format(apiTimeout)}`
            : describe(error.cause ?? error.reason)
        })
      )
    )
    const { status } = response
    if (status === 401 || status === 403) {
      const said = WwwAuthenticate.fromResponse(response)
      const error = Option.getOrUndefined(WwwAuthenticate.error(said))
      return yield* Effect.fail(Problem.ApiRejects({
        url: shown,
        status,
        challenge: said.length === 0 ? undefined : oneLine(WwwAuthenticate.print(said)),
        error: error?.code,
        scope: error?.scope ?? []
      }))
    }
    if (status === 404 || status >= 500) return yield* Effect.fail(Problem.ApiFails({ url: shown, status }))
    return { says: `${shown} answers ${status}`, value: undefined }
  })
