/**
 * A form that an authenticated client posts to an authorization server (RFC
 * 6749 §2.3), authenticating anew each time: shared by the token, revocation
 * and introspection endpoints.
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import type { LazyArg } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import { AccessToken, type ProofKey } from "../AccessToken.js"
import type * as AuthorizationServer from "../AuthorizationServer.js"
import * as ClientAuth from "../ClientAuth.js"
import * as Redaction from "../disclosure/Redaction.js"
import type * as Grant from "../Grant.js"
import * as LayerOptions from "../LayerOptions.js"
import { type AuthorizationServerError, type InvalidOptions, isCredentialsError } from "../OAuthError.js"
import * as Origin from "../Origin.js"
import type * as ProvenForm from "./ProvenForm.js"
import * as ServerExchange from "./ServerExchange.js"

/**
 * The default limit of one attempt: longer than it takes to find out that there
 * is no connection, and short enough that a caller (`maxWait`) learns after a
 * second attempt which server did not answer.
 */
export const defaultTimeout: Duration.Duration = Duration.seconds(8)

// The largest tokens seen (with group claims) are some 30 kB
const defaultMaxResponseBytes = 256 * 1024

/** Where a form goes, and how the client authenticates there. */
export interface Destination<out R = never> {
  readonly url: URL
  /** The authorization server's issuer identifier, if known. */
  readonly issuer: string | undefined
  readonly clientAuth: ClientAuth.ClientAuth<R>
}

/** What is sent in addition to the client's credentials. */
interface Form {
  readonly params: ReadonlyArray<readonly [name: string, value: string | Redacted.Redacted]>
  /** Makes further parameters for each attempt, which may be secret. */
  readonly grant?: Grant.Grant | undefined
}

/** Makes the sender of forms to one endpoint. `ServerError` is the class of its errors. */
export const make = Effect.fnUntraced(function*<E extends AuthorizationServerError, D, R = never>(
  ServerError: ServerExchange.ErrorClass<E>,
  destination: Effect.Effect<Destination<R>, D>,
  options: Bounds & Pick<AuthorizationServer.RequestOptions<R>, "headers" | "requestInit"> & {
    readonly proofKey?: ProofKey | undefined
    readonly tokenField?: string | undefined
  }
) {
  const { clientId, timeout } = options
  const services = yield* Effect.context<R>()
  const exchange = yield* ServerExchange.make(ServerError, options)
  const ownHeaders = Headers.fromInput(options.headers)
  const ownSecrets = yield* Redaction.secretsOf(ownHeaders)
  const proofs = options.proofKey?.sending as ProvenForm.Sending | undefined

  /** Sends a form; `attempt` counts from 1 and reaches the client authentication. */
  return (form: Form, attempt: number): Effect.Effect<ServerExchange.Answer<E>, E | D> =>
    Effect.flatMap(destination, ({ clientAuth, issuer, url }) => {
      const endpoint = `${url.origin}${url.pathname}`
      const context: ClientAuth.Context = { clientId, endpoint: url.href, issuer, attempt }
      const failure = (reason: "ClientAuth" | "Timeout", description: string) =>
        new ServerError({ endpoint, reason, description })
      /** What the attempt waits for when its time is over. */
      let awaited = "answer"

      const obtain = <A>(
        what: string,
        effect: LazyArg<Effect.Effect<A, unknown, R>>,
        secretsIn: (obtained: A) => ReadonlyArray<Redacted.Redacted>
      ) =>
        Effect.suspend(() => {
          awaited = what
          return Effect.provide(effect(), services)
        }).pipe(
          Effect.catchAllCause((cause) =>
            Effect.fail(failure("ClientAuth", `the ${what} are unavailable${sayWhy(cause)}`))
          ),
          Effect.flatMap((obtained) => {
            awaited = "answer"
            return secretsIn(obtained).some(isMissing)
              ? Effect.fail(failure("ClientAuth", `the ${what} are empty`))
              : Effect.succeed(obtained)
          })
        )

      const authenticate = obtain(
        `${clientAuth.method} credentials`,
        () => clientAuth.authenticate(context),
        ({ headers, params, secrets }) => redactedOf(headers, params, secrets)
      )

      const post = Effect.fnUntraced(function*({ headers, params, secrets }: ClientAuth.Credentials) {
        const { grant } = form
        const granted = grant === undefined
          ? {}
          : yield* obtain(`parameters of the grant ${grant.type}`, () => grant.params(context), redactedOf)
        // Never sent twice (RFC 6749 §3.2): the request's parameters replace those of the grant
        const beside = pairs(granted).filter(([name]) => !form.params.some(([given]) => given === name))
        const sent = [...form.params, ...beside]
        const sendWith = (proof: ClientAuth.Credentials["headers"]) => {
          const secretHeaders = Record.map({ ...headers, ...proof }, reveal)
          return exchange(endpoint, makeRequest(url, { ...ownHeaders, ...secretHeaders }, sent, params), [
            ...ownSecrets,
            ...Object.values(secretHeaders),
            ...redactedOf(params, secrets, Object.fromEntries(sent)).map(reveal)
          ])
        }
        return yield* proofs === undefined ? sendWith(undefined) : proofs.form(url, sendWith)
      })

      const authenticatedPost = Effect.flatMap(
        authenticate,
        (credentials) =>
          Effect.catchIf(post(credentials), mayBeRotated(credentials), (error) =>
            authenticate.pipe(
              Effect.filterOrFail(({ version }) => !Equal.equals(version, credentials.version)),
              Effect.orElseFail(() => error),
              Effect.flatMap(post)
            ))
      )

      // What was signed for the first request may be invalid for the second: both are made anew
      const answer = proofs === undefined
        ? authenticatedPost
        : Effect.catchIf(authenticatedPost, proofs.wantsNonce, () => authenticatedPost)

      // The limit must hold even for what cannot be interrupted: the app's own effects or client, or the caller, such
      // as a finalizer
      return Effect.timeoutFail(Effect.interruptible(Effect.disconnect(answer)), {
        duration: timeout,
        onTimeout: () => failure("Timeout", `no ${awaited} within ${Duration.format(timeout)}`)
      })
    })
})

/** The client that sends requests, and their limits. */
export interface Bounds {
  readonly clientId: string
  readonly timeout: Duration.Duration
  readonly maxResponseBytes: number
}

/** Checks the client and the limits of its requests. */
export const check = (
  name: string,
  options: Pick<AuthorizationServer.RequestOptions, keyof Bounds>
): Effect.Effect<Bounds, InvalidOptions> =>
  LayerOptions.collect({
    clientId: LayerOptions.text(`${name}.clientId`, options.clientId),
    timeout: LayerOptions.positiveDuration(`${name}.timeout`, options.timeout ?? defaultTimeout),
    maxResponseBytes: LayerOptions.positiveInteger(
      `${name}.maxResponseBytes`,
      options.maxResponseBytes ?? defaultMaxResponseBytes
    )
  })

/** A request about one token (RFC 7009 §2.1, RFC 7662 §2.1). */
type AboutToken<A, E> = (
  token: AccessToken | Redacted.Redacted,
  hint?: "access_token" | "refresh_token"
) => Effect.Effect<A, E>

/** The URL of the endpoint, and the option that provides it. */
interface Address<D> {
  readonly option: string
  readonly at: AuthorizationServer.Address<D>
}

/** Makes the sender of requests about a token. */
export const aboutToken = <E extends AuthorizationServerError, D, R>(
  name: string,
  ServerError: ServerExchange.ErrorClass<E>,
  address: Address<D>,
  options: AuthorizationServer.EndpointOptions<R>
): Effect.Effect<AboutToken<ServerExchange.Answer<E>, E | D>, InvalidOptions, HttpClient.HttpClient | R> =>
  Effect.map(
    makeAt(name, ServerError, address, options),
    (post): AboutToken<ServerExchange.Answer<E>, E | D> => (token, hint) =>
      post({
        params: [
          ["token", token instanceof AccessToken ? token.value : token],
          ...(hint === undefined ? [] : [["token_type_hint", hint] as const])
        ]
      }, 1)
  )

/** Makes the sender of forms to the URL in the options. */
const makeAt = Effect.fnUntraced(function*<E extends AuthorizationServerError, D, R = never>(
  name: string,
  ServerError: ServerExchange.ErrorClass<E>,
  { at, option }: Address<D>,
  options: AuthorizationServer.EndpointOptions<R>
) {
  const { issuer } = options
  const { address, bounds, clientAuth } = yield* LayerOptions.collect({
    address: Effect.isEffect(at)
      ? Effect.succeed(at)
      : Exit.map(Origin.checkUrl(`${name}.${option}`, at, options), Effect.succeed),
    clientAuth: clientAuthOf(name, options),
    bounds: check(name, options)
  })
  const destination = Effect.map(address, (url) => ({ url, issuer, clientAuth }))
  return yield* make(ServerError, destination, { ...options, ...bounds })
})

/** The client authentication of the options. */
export const clientAuthOf = <R>(
  name: string,
  options: Pick<AuthorizationServer.RequestOptions<R>, "clientAuth" | "clientSecret">
): Exit.Exit<ClientAuth.ClientAuth<R>, InvalidOptions> =>
  options.clientAuth === undefined
    ? Exit.map(clientSecretOf(name, options), (secret) => ClientAuth.clientSecretBasic(secret))
    : checkClientAuth(name, options.clientAuth)

/** The client secret of the options; an effect that reads it is checked when it runs. */
export const clientSecretOf = <R>(
  name: string,
  { clientSecret }: Pick<AuthorizationServer.RequestOptions<R>, "clientSecret">
): Exit.Exit<ClientAuth.Secret<R>, InvalidOptions> =>
  Effect.isEffect(clientSecret)
    ? Exit.succeed(clientSecret)
    : LayerOptions.secret(`${name}.clientSecret`, clientSecret as Redacted.Redacted)

/** Plain JavaScript may give the name of a method. */
export const checkClientAuth = <R>(
  name: string,
  clientAuth: ClientAuth.ClientAuth<R>
): Exit.Exit<ClientAuth.ClientAuth<R>, InvalidOptions> =>
  Exit.as(
    LayerOptions.type(
      `${name}.clientAuth`,
      clientAuth,
      Predicate.hasProperty("authenticate"),
      "one of those that ClientAuth has"
    ),
    clientAuth
  )

/**
 * Says why there are no credentials. A cause may contain anything, even a
 * secret: only what was made to be shown is reported.
 */
export const sayWhy = (cause: Cause.Cause<unknown>): string => {
  const failure = Cause.squash(cause)
  return isCredentialsError(failure) ? `: ${failure.description}` : ""
}

/** The server no longer accepts the credentials; Keycloak and Auth0 show this by the status alone. */
const mayBeRotated = ({ version }: ClientAuth.Credentials) => ({ error, status }: AuthorizationServerError): boolean =>
  version !== undefined && (error === "invalid_client" || (status === 401 && error !== "use_dpop_nonce"))

const makeRequest = (
  url: URL,
  headers: Readonly<Record<string, string>>,
  params: Form["params"],
  ofClient: ClientAuth.Credentials["params"] = {}
): HttpClientRequest.HttpClientRequest => {
  const form = new URLSearchParams()
  for (const [name, value] of params) form.append(name, reveal(value))
  for (const [name, value] of Object.entries(ofClient)) form.set(name, reveal(value))
  return HttpClientRequest.post(url.href).pipe(
    HttpClientRequest.setHeaders({
      accept: "application/json",
      // A small response must not decompress to a large one
      "accept-encoding": "identity",
      ...headers
    }),
    HttpClientRequest.bodyUrlParams(form)
  )
}

const pairs = (params: Grant.Params): Form["params"] =>
  Object.entries(params).flatMap(([name, value]) => Arr.ensure(value).map((value) => [name, value] as const))

type Values = Readonly<Record<string, unknown>> | ReadonlyArray<Redacted.Redacted> | undefined

const redactedOf = (...values: ReadonlyArray<Values>): ReadonlyArray<Redacted.Redacted> =>
  values.flatMap((values) => Object.values(values ?? {})).filter(Redacted.isRedacted) as Array<Redacted.Redacted>

const isMissing = (secret: Redacted.Redacted): boolean => {
  const value: unknown = Redacted.value(secret)
  return !Predicate.isString(value) || value.trim() === ""
}

const reveal = (value: string | Redacted.Redacted): string => typeof value === "string" ? value : Redacted.value(value)
