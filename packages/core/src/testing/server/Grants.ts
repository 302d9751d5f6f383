/**
 * How a test's authorization server answers a token request: RFC 6749 §4.4, §5
 * and §6, RFC 8707, RFC 9449 §5, and what a test denies.
 */
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Types from "effect/Types"
import type { Denial } from "../TestExchange.js"
import type * as TestExchange from "../TestExchange.js"
import * as ClientAuthentication from "./ClientAuthentication.js"
import type * as Proofs from "./Proofs.js"
import type * as Tokens from "./Tokens.js"

/** What the server allows its client; `TestAuthorizationServer` has the defaults. */
export interface Options extends ClientAuthentication.Known {
  readonly clientSecret: Redacted.Redacted
  readonly grantTypes: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string> | undefined
  readonly dpop: "optional" | "required" | "ignored"
}

/** Decides token requests. */
export interface TestGrants {
  /** The server's own response; adds what it finds out to the record. */
  readonly answer: (
    request: Types.Mutable<TestExchange.TokenRequest>,
    now: number
  ) => Effect.Effect<TestExchange.Reply>
  /** RFC 6749 §3.2 and §2.3: checks the form and the client. */
  readonly authenticate: (
    request: Pick<TestExchange.TokenRequest, "authorization" | "headers" | "method" | "params">,
    now: number
  ) => Effect.Effect<void, Refusal>
  readonly deny: (denial: Denial) => void
  readonly allow: (denial: Denial) => void
  readonly rotateSecret: (secret: Redacted.Redacted) => void
}

/** Reads a token request, without checking it. */
export const read = ({ body, ...request }: TestExchange.Arrival): Types.Mutable<TestExchange.TokenRequest> => {
  const params = Array.from(new URLSearchParams(new TextDecoder().decode(body)))
  // RFC 6749 §3.2: a parameter without a value counts as omitted
  const sent = params.filter(([, value]) => value !== "")
  const form = new Map(sent)
  const presented = ClientAuthentication.read(request.authorization, params)
  const client = presented === "several" ? undefined : presented
  return {
    ...request,
    params,
    clientId: client?.clientId,
    clientAuth: client?.method,
    grantType: form.get("grant_type"),
    scope: form.get("scope"),
    resources: UrlParams.getAll(sent, "resource"),
    audiences: UrlParams.getAll(sent, "audience"),
    proof: undefined,
    token: undefined,
    error: undefined
  }
}

/** Makes the decision from the issued tokens and the known proofs. */
export const make = (
  options: Options,
  tokens: Tokens.TestTokens,
  proofs: Proofs.TestProofs
): TestGrants => {
  const isClient = ClientAuthentication.make(options)
  const denied = new Set<string>()
  let secret = options.clientSecret

  const isDenied = (denial: Denial) => denied.has(JSON.stringify(denial))

  const authenticate = Effect.fnUntraced(function*(
    request: Pick<TestExchange.TokenRequest, "authorization" | "headers" | "method" | "params">,
    now: number
  ) {
    if (request.method !== "POST") return yield* refuse(405, "invalid_request", "only POST", { allow: "POST" })
    const contentType = request.headers["content-type"]?.split(";")[0].trim().toLowerCase()
    if (contentType !== "application/x-www-form-urlencoded") {
      return yield* refuse(400, "invalid_request", "the body is not application/x-www-form-urlencoded")
    }
    const repeated = repeatedParam(request.params)
    if (repeated !== undefined) return yield* refuse(400, "invalid_request", `${repeated} is repeated`)
    const presented = ClientAuthentication.read(request.authorization, request.params)
    if (presented === "several") {
      return yield* refuse(400, "invalid_request", "the client authenticates in more than one way")
    }
    if (presented === undefined || !(yield* isClient(presented, secret, now))) {
      return yield* refuse(401, "invalid_client", "the client is unknown or its credentials are wrong", {
        "www-authenticate": "Basic realm=\"test\""
      })
    }
  })

  /** Checks whether the client may have what it requests. */
  const authorize = Effect.fnUntraced(function*(request: TestExchange.TokenRequest) {
    const { audiences, clientId, grantType, resources, scope } = request
    if (clientId !== undefined && isDenied({ client: clientId })) {
      return yield* refuse(403, "access_denied", "the client is denied any token")
    }
    if (grantType === undefined) return yield* refuse(400, "invalid_request", "grant_type is missing")
    if (!options.grantTypes.includes(grantType)) {
      return yield* refuse(400, "unsupported_grant_type", `only ${options.grantTypes.join(" and ")}`)
    }
    if (isDenied({ grant: grantType })) {
      return yield* refuse(400, "unauthorized_client", "the client is denied this grant")
    }
    const asked = scope?.split(" ") ?? []
    if (asked.some((scope) => options.scopes?.includes(scope) === false)) {
      return yield* refuse(400, "invalid_scope", "a scope is unknown")
    }
    if (asked.some((scope) => isDenied({ scope }))) {
      return yield* refuse(400, "invalid_scope", "the client is denied a scope")
    }
    if ([...resources, ...audiences].some((resource) => isDenied({ resource }))) {
      return yield* refuse(400, "invalid_target", "the client is denied a resource")
    }
  })

  /** RFC 9449 §5: the proof decides whether the token is bound. */
  const prove = Effect.fnUntraced(function*({ headers, method, time, url }: TestExchange.TokenRequest) {
    const proof = options.dpop === "ignored" ? undefined : headers.dpop
    if (proof !== undefined) {
      return yield* Effect.catchAll(
        proofs.verify({ side: "token", method, url, proof, now: time }),
        ({ description, error }) => refuse(400, error, description)
      )
    }
    return options.dpop === "required"
      ? yield* refuse(400, "invalid_dpop_proof", "there is no DPoP proof")
      : undefined
  })

  const issue = Effect.fnUntraced(function*(request: TestExchange.TokenRequest, now: number) {
    const { audiences, params, proof, resources } = request
    // RFC 6749 §3.3: a scope has at least one token
    const scope = request.scope ??
      (options.scopes?.filter((scope) => !isDenied({ scope })).join(" ") || undefined)
    const purpose = { scope, resources, audiences, thumbprint: proof?.thumbprint }
    if (request.grantType !== "refresh_token") return { token: tokens.issue(purpose, now), next: undefined }
    const refreshToken = new Map(params).get("refresh_token")
    if (!refreshToken) return yield* refuse(400, "invalid_request", "refresh_token is missing")
    const refreshed = tokens.refresh(refreshToken, purpose, now)
    return refreshed ?? (yield* refuse(400, "invalid_grant", "the refresh token is not valid"))
  })

  const grant = Effect.fnUntraced(function*(request: Types.Mutable<TestExchange.TokenRequest>, now: number) {
    // However long the response takes, assertion and proof are as old as on arrival
    yield* authenticate(request, request.time)
    yield* authorize(request)
    request.proof = yield* prove(request)
    const { next, token } = yield* issue(request, now)
    request.token = token.value
    return {
      headers: noStore,
      body: {
        access_token: token.value,
        token_type: token.thumbprint === undefined ? "Bearer" : "DPoP",
        ...token.expiresAt === undefined ? {} : { expires_in: (token.expiresAt - now) / 1000 },
        ...token.scope === undefined ? {} : { scope: token.scope },
        ...next === undefined ? {} : { refresh_token: next }
      }
    }
  })

  return {
    authenticate,
    answer: (request, now) =>
      Effect.catchAll(grant(request, now), ({ error, reply }) => {
        request.error = error
        return Effect.succeed(reply)
      }),
    deny: (denial) => denied.add(JSON.stringify(denial)),
    allow: (denial) => denied.delete(JSON.stringify(denial)),
    rotateSecret: (newSecret) => {
      secret = newSecret
    }
  }
}

/** Keeps secrets out of caches (RFC 6749 §5.1). */
export const noStore: Readonly<Record<string, string>> = { "cache-control": "no-store", pragma: "no-cache" }

/** An error of RFC 6749 §5.2, and its response. */
export interface Refusal {
  readonly error: string
  readonly reply: TestExchange.Reply
}

/** Refuses a request. */
export const refuse = (
  status: number,
  error: string,
  description: string,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<never, Refusal> =>
  Effect.fail({
    error,
    reply: { status, headers: { ...noStore, ...headers }, body: { error, error_description: description } }
  })

// RFC 6749 §3.2; RFC 8707 §2 and RFC 8693 §2.1 allow these two to be repeated
const repeatedParam = (params: UrlParams.UrlParams): string | undefined => {
  const names = params.map(([name]) => name).filter((name) => name !== "resource" && name !== "audience")
  return names.find((name, index) => names.indexOf(name) !== index)
}
