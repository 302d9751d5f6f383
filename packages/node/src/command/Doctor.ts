/**
 * Looks at everything between an app and its API, in the order in which one
 * thing needs the other, and brings findings; it says nothing by itself.
 *
 * @since 0.1.0
 */
import * as AccessToken from "@effect-alf/core/AccessToken"
import * as AuthorizationServer from "@effect-alf/core/AuthorizationServer"
import * as Check from "@effect-alf/core/Check"
import * as ClientAuth from "@effect-alf/core/ClientAuth"
import { describe, InvalidOptions, oneLine, type TokenEndpointError } from "@effect-alf/core/OAuthError"
import * as Origin from "@effect-alf/core/Origin"
import * as Route from "@effect-alf/core/Route"
import * as TokenEndpoint from "@effect-alf/core/TokenEndpoint"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import * as WwwAuthenticate from "@effect-alf/core/WwwAuthenticate"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constFalse } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Proxies } from "../HttpProxy.js"
import * as Finding from "./Finding.js"
import * as JwtClaims from "./JwtClaims.js"
import * as Network from "./Network.js"
import { type Party, Problem } from "./Problem.js"
import * as ServerClock from "./ServerClock.js"
import * as StoreCheck from "./StoreCheck.js"

/**
 * What the doctor works with.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** A path of the API, or its whole address, to be asked for with the token. */
  readonly api: Option.Option<string>
  /** The proxies that requests go through. */
  readonly proxies: Effect.Effect<Proxies | undefined, InvalidOptions>
  /** Opens the store that an address names. */
  readonly openStore: (url: Redacted.Redacted) => Effect.Effect<TokenStore["Type"], InvalidOptions, Scope.Scope>
  /** The names of all variables of the environment, to find slips. */
  readonly variables: ReadonlyArray<string>
  /** What the environment says of proxies that the app does not read. */
  readonly unreadProxies: ReadonlyArray<Network.Unread>
}

/**
 * Runs all checks. The client must go through the same proxies.
 *
 * @since 0.1.0
 * @category constructors
 */
export const examine = Effect.fnUntraced(function*(options: Options) {
  const journal = yield* Finding.makeJournal
  const settings = yield* journal.note("configuration", readSettings(options.variables))
  if (Option.isNone(settings)) {
    yield* journal.skip("the configuration comes first", ...Finding.checks.slice(1))
    return yield* journal.findings
  }
  const observed = yield* ServerClock.observe(yield* HttpClient.HttpClient)
  const clock = Effect.map(observed.reading, (reading) => ({ reading }))
  yield* Effect.all([
    Effect.scoped(examineServers(journal, settings.value, options, clock)).pipe(
      Effect.provideService(HttpClient.HttpClient, observed.client)
    ),
    Effect.scoped(examineStore(journal, settings.value, options))
  ], { concurrency: "unbounded", discard: true })
  return yield* journal.findings
})

// -----------------------------------------------------------------------------
// configuration
// -----------------------------------------------------------------------------

interface Settings {
  readonly tokenUrl: string | undefined
  readonly issuer: string | undefined
  readonly clientId: string
  readonly clientSecret: Redacted.Redacted
  readonly scope: string | undefined
  readonly baseUrl: string | undefined
  readonly redisUrl: Redacted.Redacted | undefined
}

const knownVariables = [
  "ALF_TOKEN_URL",
  "ALF_ISSUER",
  "ALF_CLIENT_ID",
  "ALF_CLIENT_SECRET",
  "ALF_SCOPE",
  "ALF_BASE_URL",
  "ALF_REDIS_URL"
]

const readVariable = (name: string): Effect.Effect<string | undefined, Problem> =>
  Config.option(Config.string(name)).pipe(
    Effect.mapBoth({
      onFailure: (error: ConfigError.ConfigError) =>
        Problem.Wrong({ variable: name, description: `cannot be read: ${oneLine(describe(error))}` }),
      onSuccess: Option.getOrUndefined
    }),
    Effect.filterOrFail(
      (value) => value === undefined || value.trim() !== "",
      () => Problem.Wrong({ variable: name, description: "is empty" })
    )
  )

const readSettings = (variables: ReadonlyArray<string>): Effect.Effect<Finding.Passed<Settings>, Problem> =>
  Effect.gen(function*() {
    const tokenUrl = yield* readVariable("ALF_TOKEN_URL")
    const issuer = yield* readVariable("ALF_ISSUER")
    const clientId = yield* readVariable("ALF_CLIENT_ID")
    const clientSecret = yield* readVariable("ALF_CLIENT_SECRET")
    if ((tokenUrl ?? issuer) === undefined || clientId === undefined || clientSecret === undefined) {
      return yield* Effect.fail(Problem.Missing({
        variables: [
          ...((tokenUrl ?? issuer) === undefined ? ["ALF_TOKEN_URL or ALF_ISSUER"] : []),
          ...(clientId === undefined ? ["ALF_CLIENT_ID"] : []),
          ...(clientSecret === undefined ? ["ALF_CLIENT_SECRET"] : [])
        ],
        unread: variables.filter((name) => /^ALF_/i.test(name) && !knownVariables.includes(name)).sort()
      }))
    }
    const redisUrl = yield* readVariable("ALF_REDIS_URL")
    const settings: Settings = {
      tokenUrl,
      issuer,
      clientId,
      clientSecret: Redacted.make(clientSecret),
      scope: yield* readVariable("ALF_SCOPE"),
      baseUrl: yield* readVariable("ALF_BASE_URL"),
      redisUrl: redisUrl === undefined ? undefined : Redacted.make(redisUrl)
    }
    return { says: `client ${clientId} at ${tokenUrl ?? issuer}`, value: settings }
  })

/** What a layer has against an option is said of the variable that holds it. */
const wrong = (variable: string) => ({ description }: InvalidOptions): Problem =>
  Problem.Wrong({ variable, description })

const checkAddress = (variable: string, address: string): Effect.Effect<URL, Problem> => {
  const url = Option.liftThrowable((address: string) => new URL(address))(address)
  return Option.isSome(url) && url.value.protocol === "http:" && !Origin.isSecure(url.value)
    ? Effect.fail(Problem.Insecure({ variable, host: url.value.host }))
    : Effect.mapError(Check.url(variable, address), wrong(variable))
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

const isPlain = ({ url }: Network.Route) => url.protocol === "http:"

const reachServer = Effect.fnUntraced(function*(journal: Finding.Journal, route: Network.Route) {
  for (const [index, [check, step]] of steps.entries()) {
    if (check === "certificate" && isPlain(route)) {
      yield* journal.skip("http has none, and stays on this machine", check)
    } else if (Option.isNone(yield* journal.note(check, step(route)))) {
      yield* journal.skip(`${check} comes first`, ...steps.slice(index + 1).map(([check]) => check))
      return false
    }
  }
  return true
})

const examineServers = Effect.fnUntraced(function*(
  journal: Finding.Journal,
  settings: Settings,
  options: Options,
  clock: Effect.Effect<{ readonly reading: Option.Option<ServerClock.Reading> }>
) {
  const { issuer, tokenUrl } = settings
  const variable = tokenUrl === undefined ? "ALF_ISSUER" : "ALF_TOKEN_URL"
  const address = yield* journal.note(
    "address",
    Effect.map(checkAddress(variable, tokenUrl ?? issuer ?? ""), (url) => ({ says: url.origin, value: url }))
  )
  const proxies = yield* Effect.either(options.proxies)
  const findRoute = (party: Party, url: URL): Effect.Effect<Network.Route, Problem> =>
    Effect.mapBoth(proxies, {
      onFailure: ({ description, option }) =>
        Problem.Wrong({ variable: /from (\w+)$/.exec(option)?.[1] ?? "HTTPS_PROXY", description }),
      onSuccess: (proxies) => Network.route(party, url, proxies, options.unreadProxies)
    })

  const token = yield* Effect.gen(function*() {
    if (Option.isNone(address)) {
      yield* journal.skip("the address comes first", "proxy", "name", "connection", "certificate")
      return Option.none<AccessToken.AccessToken>()
    }
    const route = yield* Effect.either(findRoute("authorization server", address.value))
    if (route._tag === "Left") {
      yield* journal.note("proxy", Effect.fail(route.left))
      yield* journal.skip("the proxy comes first", "name", "connection", "certificate")
      return Option.none<AccessToken.AccessToken>()
    }
    return (yield* reachServer(journal, route.right))
      ? yield* examineToken(journal, settings)
      : (yield* journal.skip("the server cannot be reached", "discovery", "credentials"), Option.none())
  })
  if (Option.isNone(address)) yield* journal.skip("the address comes first", "discovery", "credentials")

  if (Option.isNone(token)) {
    yield* journal.skip("there is no token", "scope", "lifetime")
  } else {
    yield* journal.note("scope", checkScope(settings, token.value))
    yield* journal.note("lifetime", checkLifetime(token.value))
  }
  const { reading } = yield* clock
  if (Option.isNone(reading) || Option.isNone(address)) {
    yield* journal.skip("no server has answered", "clock")
  } else {
    yield* journal.note("clock", ServerClock.compare(reading, token, address.value.host))
  }
  yield* examineApi(journal, settings, options, token, address, findRoute)
})

const examineToken = Effect.fnUntraced(function*(journal: Finding.Journal, settings: Settings) {
  const { issuer, tokenUrl } = settings
  if (tokenUrl !== undefined || issuer === undefined) {
    yield* journal.skip("ALF_TOKEN_URL says where the endpoint is", "discovery")
  } else if (Option.isNone(yield* journal.note("discovery", checkDiscovery(issuer)))) {
    yield* journal.skip("discovery comes first", "credentials")
    return Option.none<AccessToken.AccessToken>()
  }
  return yield* journal.note("credentials", checkCredentials(settings))
})

const checkDiscovery = (
  issuer: string
): Effect.Effect<Finding.Passed<void>, Problem, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Effect.mapError(AuthorizationServer.make({ issuer }), wrong("ALF_ISSUER"))
    const endpoint = yield* server.endpoint("token_endpoint").pipe(
      Effect.catchAll((error) => Effect.flatMap(describeDiscovery(issuer, error), Effect.fail))
    )
    return { says: `the token endpoint is ${endpoint.href}`, value: undefined }
  })

const describeDiscovery = Effect.fnUntraced(function*(issuer: string, error: TokenEndpointError) {
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

type NeedsHttp = HttpClient.HttpClient | Scope.Scope

const askForToken = (
  settings: Settings,
  clientAuth?: ClientAuth.ClientAuth
): Effect.Effect<AccessToken.AccessToken, TokenEndpointError | InvalidOptions, NeedsHttp> => {
  const { clientId, clientSecret, issuer, scope, tokenUrl } = settings
  const options = {
    clientId,
    ...(clientAuth === undefined ? { clientSecret } : { clientAuth }),
    request: { scope },
    retryWhile: constFalse
  }
  return Effect.flatMap(
    tokenUrl === undefined
      ? TokenEndpoint.makeDiscovery({ ...options, issuer: issuer ?? "" })
      : TokenEndpoint.make({ ...options, url: tokenUrl, issuer }),
    (endpoint) => endpoint.attempt(endpoint.resolve())
  )
}

const checkCredentials = (
  settings: Settings
): Effect.Effect<Finding.Passed<AccessToken.AccessToken>, Problem, NeedsHttp> =>
  askForToken(settings).pipe(
    Effect.catchAll((error) =>
      Effect.flatMap(
        error instanceof InvalidOptions
          ? Effect.succeed(wrong(variableOf(error.option))(error))
          : describeRefusal(settings, error),
        Effect.fail
      )
    ),
    Effect.map((token) => ({ says: `a ${token.tokenType} token was given`, value: token }))
  )

const variableOf = (option: string): string => {
  switch (option) {
    case "TokenEndpoint.issuer":
      return "ALF_ISSUER"
    case "TokenEndpoint.clientId":
      return "ALF_CLIENT_ID"
    case "TokenEndpoint.clientSecret":
      return "ALF_CLIENT_SECRET"
    default:
      return "ALF_TOKEN_URL"
  }
}

const describeRefusal = (
  settings: Settings,
  error: TokenEndpointError
): Effect.Effect<Problem, never, NeedsHttp> => {
  const { clientId, scope = "" } = settings
  const said = error.message
  if (error.error === "invalid_client" || error.status === 401) return describeRejection(settings, error)
  if (error.error === "unauthorized_client" || error.error === "unsupported_grant_type") {
    return Effect.succeed(Problem.ClientForbidden({ clientId, said }))
  }
  if (error.error === "invalid_scope") return Effect.succeed(Problem.WrongScope({ scope, said }))
  const { status = 0 } = error
  const isElsewhere = error.error === undefined && (status === 404 || status === 405 || status === 410)
  if (isElsewhere || error.reason === "Redirect" || /\(text\/html/.test(error.description)) {
    return Effect.map(lookAround(new URL(error.endpoint).origin), ({ tokenEndpoint }) =>
      Problem.NoTokenEndpoint({
        endpoint: error.endpoint,
        status,
        named: tokenEndpoint === error.endpoint ? undefined : tokenEndpoint
      }))
  }
  const unanswered = error.reason === "Transport" || error.reason === "Timeout" || status === 429 || status >= 500
  return Effect.succeed(Problem.TokenRefused({ said, unanswered }))
}

/** The same secret is sent in the other usual way, once: it may be all that is wrong. */
const describeRejection = Effect.fnUntraced(function*(settings: Settings, error: TokenEndpointError) {
  const { clientId, clientSecret } = settings
  const { methods } = yield* lookAround(new URL(error.endpoint).origin)
  const basic = ClientAuth.secretBasic(clientSecret)
  const post = ClientAuth.secretPost(clientSecret)
  const isBasicUsed = settings.tokenUrl !== undefined || methods.length === 0 || methods.includes(basic.method)
  const [used, other] = isBasicUsed ? [basic, post] : [post, basic]
  const tried = yield* Effect.either(askForToken(settings, other))
  const secret = Redacted.value(clientSecret)
  return tried._tag === "Right"
    ? Problem.WrongMethod({ used: used.method, taken: other.method, methods })
    : Problem.WrongSecret({ clientId, said: error.message, methods, padded: secret !== secret.trim() })
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
    says: granted.length === 0 ? "none was asked for" : granted.join(" "),
    value: undefined,
    concern: missing.length === 0 ? undefined : Problem.ScopeNarrowed({ missing, granted: granted.join(" ") })
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

const examineStore = (journal: Finding.Journal, { redisUrl }: Settings, options: Options) =>
  redisUrl === undefined
    ? journal.skip("ALF_REDIS_URL is not set: each process keeps tokens in its memory", "store")
    : journal.note(
      "store",
      options.openStore(redisUrl).pipe(
        Effect.mapError(wrong("ALF_REDIS_URL")),
        Effect.flatMap((store) => StoreCheck.check(store, `doctor-${crypto.randomUUID()}`))
      )
    )

// -----------------------------------------------------------------------------
// API
// -----------------------------------------------------------------------------

const examineApi = Effect.fnUntraced(function*(
  journal: Finding.Journal,
  { baseUrl }: Settings,
  options: Options,
  token: Option.Option<AccessToken.AccessToken>,
  server: Option.Option<URL>,
  findRoute: (party: Party, url: URL) => Effect.Effect<Network.Route, Problem>
) {
  const api = Option.getOrUndefined(options.api)
  if (baseUrl === undefined && (api === undefined || !Origin.isAbsolute(api))) {
    return yield* journal.skip(
      "ALF_BASE_URL is not set: the app says itself where tokens go",
      "origin",
      "api network",
      "api"
    )
  }
  const target = yield* journal.note("origin", findTarget(baseUrl, api))
  if (Option.isNone(target)) return yield* journal.skip("the origin comes first", "api network", "api")

  const url = new URL(target.value)
  if (Option.exists(server, ({ origin }) => origin === url.origin)) {
    yield* journal.skip("it is the authorization server's", "api network")
  } else {
    const reached = yield* journal.note("api network", Effect.flatMap(findRoute("API", url), reachApi))
    if (Option.isNone(reached)) return yield* journal.skip("the API cannot be reached", "api")
  }
  if (api === undefined) return yield* journal.skip("--api PATH asks for something there", "api")
  if (Option.isNone(token)) return yield* journal.skip("there is no token", "api")
  return yield* journal.note("api", checkApi(target.value, token.value))
})

/** The address to ask for: the app's own rules decide whether a token may go there. */
const findTarget = (
  baseUrl: string | undefined,
  api: string | undefined
): Effect.Effect<Finding.Passed<string>, Problem> =>
  Effect.gen(function*() {
    const base = baseUrl === undefined ? undefined : yield* checkAddress("ALF_BASE_URL", baseUrl)
    if (api !== undefined && Origin.isAbsolute(api)) yield* checkAddress("--api", api)
    const route = yield* Effect.mapError(
      Route.make(base === undefined ? { origins: [new URL(api ?? "").origin] } : { baseUrl: baseUrl ?? "" }),
      wrong("ALF_BASE_URL")
    )
    const routed = route.of(HttpClientRequest.get(api ?? ""))
    if (routed.origin === undefined) {
      return yield* Effect.fail(Problem.OriginForeign({ origin: routed.error.origin, allowed: routed.error.allowed }))
    }
    return { says: `tokens may go to ${routed.origin}`, value: routed.request.url }
  })

const reachApi = (route: Network.Route): Effect.Effect<Finding.Passed<void>, Problem> =>
  Effect.gen(function*() {
    for (const [check, step] of steps) {
      if (check !== "certificate" || !isPlain(route)) yield* step(route)
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
