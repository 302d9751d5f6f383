/**
 * An API on loopback, over http and https, that believes nothing: it verifies
 * each token, what it is bound to, and the proof for that.
 */
import { Data, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import * as Http from "node:http"
import * as Https from "node:https"
import type { TLSSocket } from "node:tls"
import * as Certificate from "../Certificate.js"
import * as Loopback from "../Loopback.js"
import type { Claims, TokenIssuer } from "./AuthorizationServer.js"
import * as ProofVerifier from "./ProofVerifier.js"

/** What was found out about a request that was let in. It is the answer, too. */
export interface Verified {
  readonly issuer: string
  readonly client: string | undefined
  readonly subject: string | undefined
  readonly scope: string | undefined
  readonly format: "JWT" | "opaque"
  readonly binding: "none" | "certificate" | "DPoP"
  /** What was verified, in words. */
  readonly checks: ReadonlyArray<string>
}

/** A request and how it was answered, without anything secret. */
export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly scheme: string | undefined
  readonly status: number
  readonly error: string | undefined
  readonly verified: Verified | undefined
}

export interface Options {
  /** Whose tokens are good. */
  readonly trusted: ReadonlyArray<TokenIssuer>
  readonly audience: string
  readonly authority: Certificate.Authority
  /** Whether a proof must have a nonce of this API (RFC 9449 §9). The default is `true`. */
  readonly requireNonce?: boolean | undefined
  /** The scope that a path needs, if any. */
  readonly scopeFor?: ((path: string) => string | undefined) | undefined
}

export interface ProtectedApi {
  readonly url: string
  /** The same over TLS, where clients present their certificates. */
  readonly tlsUrl: string
  readonly requests: Effect.Effect<ReadonlyArray<ApiRequest>>
  /** Clients learn of the new nonce with the next answer; proofs with the one before it are good until then. */
  readonly rotateNonce: Effect.Effect<void>
  /** Neither this nonce nor the one before it is good any more. */
  readonly expireNonces: Effect.Effect<void>
  /** No token that has been seen until now is let in again. */
  readonly denyAll: Effect.Effect<void>
}

export const make = (
  options: Options
): Effect.Effect<ProtectedApi, Certificate.CertificateError, Scope.Scope> =>
  Effect.gen(function*() {
    const plain = Http.createServer()
    const tls = Https.createServer(yield* Certificate.serverOptions(options.authority))
    const proofs = ProofVerifier.make()
    const requests: Array<ApiRequest> = []
    const seen = new Set<string>()
    const denied = new Set<string>()
    const issuers = options.trusted.map((trusted) => ({
      ...trusted,
      keys: trusted.jwksUri === undefined ? undefined : Jose.createRemoteJWKSet(new URL(trusted.jwksUri))
    }))

    const read = Effect.fnUntraced(function*(token: string, scheme: string) {
      const invalid = refuse(401, scheme, "invalid_token")
      if (denied.has(token)) return yield* invalid("the token was revoked")
      seen.add(token)
      if (isJwt(token)) {
        const iss = claimedIssuer(token)
        const keys = issuers.find(({ issuer }) => issuer === iss)?.keys
        if (keys === undefined) return yield* invalid("the issuer is not trusted")
        const claims: Claims = yield* Effect.tryPromise(() =>
          Jose.jwtVerify(token, keys, {
            issuer: iss!,
            audience: options.audience,
            requiredClaims: ["exp"],
            algorithms: ["ES256", "RS256"]
          })
        ).pipe(
          Effect.map(({ payload }) => payload),
          Effect.catchAll(({ error }) => invalid(String(error).replaceAll("\"", "'")))
        )
        return { claims, format: "JWT", checks: ["signature", "issuer", "audience", "expiry"] } as const
      }
      for (const { introspect, issuer } of issuers) {
        const claims = introspect === undefined ? undefined : yield* introspect(Redacted.make(token))
        if (claims === undefined) continue
        if (![claims.aud].flat().includes(options.audience)) return yield* invalid("the token is for another audience")
        return { claims: { iss: issuer, ...claims }, format: "opaque", checks: ["introspection", "audience"] } as const
      }
      return yield* invalid("the token is not known")
    })

    const verify = Effect.fnUntraced(function*(request: Http.IncomingMessage) {
      const [, scheme, token] = /^(Bearer|DPoP) ([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? "") ?? []
      if (token === undefined) return yield* refuse(401, "Bearer")()
      const isProven = scheme.toLowerCase() === "dpop"
      const { checks, claims, format } = yield* read(token, scheme)
      const { cnf = {} } = claims
      const bindings = Object.keys(cnf)
      const invalid = refuse(401, scheme, "invalid_token")
      if (bindings.some((name) => name !== "jkt" && name !== "x5t#S256")) {
        return yield* invalid("the token is bound to something unknown")
      }
      if (isProven !== (cnf.jkt !== undefined)) {
        return yield* invalid(isProven ? "the token is not bound to a key" : "the token is bound to a key")
      }
      const found: Array<string> = [...checks]
      if (cnf["x5t#S256"] !== undefined) {
        if (peerThumbprint(request) !== cnf["x5t#S256"]) {
          return yield* invalid("the token is bound to another certificate")
        }
        found.push("cnf x5t#S256")
      }
      if (isProven) {
        const requireNonce = options.requireNonce ?? true
        const thumbprint = yield* Effect.catchAll(
          proofs.verify({
            header: request.headers.dpop?.toString(),
            method: request.method ?? "",
            url: addressOf(request),
            token,
            requireNonce
          }),
          ({ error, message }) => refuse(401, "DPoP", error)(message)
        )
        if (thumbprint !== cnf.jkt) return yield* invalid("the token is bound to another key")
        found.push("cnf jkt", "proof", ...(requireNonce ? ["nonce"] : []))
      }
      const needed = options.scopeFor?.(pathOf(request))
      if (needed !== undefined) {
        if (!(claims.scope ?? "").split(" ").includes(needed)) {
          return yield* refuse(403, scheme, "insufficient_scope", { scope: needed })(`the scope ${needed} is needed`)
        }
        found.push("scope")
      }
      const verified: Verified = {
        issuer: claims.iss ?? "",
        client: claims.client_id,
        subject: claims.sub,
        scope: claims.scope,
        format,
        binding: isProven ? "DPoP" : bindings.length > 0 ? "certificate" : "none",
        checks: found
      }
      return verified
    })

    const handler: Loopback.Handler = (request, response) =>
      Effect.gen(function*() {
        const result = yield* Effect.either(verify(request))
        const refusal = result._tag === "Left" ? result.left : undefined
        const verified = result._tag === "Right" ? result.right : undefined
        const status = refusal?.status ?? 200
        requests.push({
          method: request.method ?? "",
          path: pathOf(request),
          scheme: request.headers.authorization?.split(" ")[0],
          status,
          error: refusal?.error,
          verified
        })
        request.resume()
        Loopback.json(response, status, verified ?? { error: refusal?.error }, {
          ...(refusal === undefined ? {} : { "www-authenticate": refusal.challenge }),
          ...(request.headers.dpop === undefined && refusal?.error !== "use_dpop_nonce"
            ? {}
            : { "dpop-nonce": proofs.nonce() })
        })
      })
    yield* Loopback.serve(plain, handler)
    yield* Loopback.serve(tls, handler)

    return {
      url: yield* Loopback.listen(plain),
      tlsUrl: yield* Loopback.listen(tls),
      requests: Effect.sync(() => requests.slice()),
      rotateNonce: Effect.sync(proofs.rotateNonce),
      expireNonces: Effect.sync(() => {
        proofs.rotateNonce()
        proofs.rotateNonce()
      }),
      denyAll: Effect.sync(() => seen.forEach((token) => denied.add(token)))
    }
  })

class Refusal extends Data.TaggedError("Refusal")<{
  readonly status: 401 | 403
  readonly error: string | undefined
  readonly challenge: string
}> {}

/** An answer with a challenge (RFC 6750 §3, RFC 9449 §7.1); without an error where there was no token (§3.1). */
const refuse =
  (status: 401 | 403, scheme: string, error?: string, params: Readonly<Record<string, string>> = {}) =>
  (description?: string) => {
    const isProven = scheme.toLowerCase() === "dpop"
    const attributes = Object.entries({
      ...(error === undefined ? {} : { error, error_description: description ?? "" }),
      ...params,
      ...(isProven ? { algs: "ES256 EdDSA" } : {})
    }).map(([name, value]) => `${name}="${value}"`)
    const challenge = [isProven ? "DPoP" : "Bearer", attributes.join(", ")].join(" ").trim()
    return Effect.fail(new Refusal({ status, error, challenge }))
  }

const isJwt = (token: string) => token.split(".").length === 3

const claimedIssuer = (token: string) => {
  try {
    return Jose.decodeJwt(token).iss
  } catch {
    return undefined
  }
}

const pathOf = ({ url = "/" }: Http.IncomingMessage) => url.split("?")[0]

const addressOf = ({ headers, socket, url = "/" }: Http.IncomingMessage) =>
  `${"encrypted" in socket ? "https" : "http"}://${headers.host}${url}`

const peerThumbprint = ({ socket }: Http.IncomingMessage) => {
  if (!("getPeerX509Certificate" in socket)) return undefined
  const certificate = (socket as TLSSocket).getPeerX509Certificate()
  return certificate === undefined ? undefined : Certificate.thumbprint(certificate)
}
