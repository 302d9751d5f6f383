/**
 * How a test's authorization server authenticates its client (RFC 6749 §2.3,
 * RFC 7523 §3): by its secret, or by an assertion, whose signature it verifies.
 */
import type * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import type * as JwtSigner from "../../JwtSigner.js"
import type { ClientAuthMethod } from "../TestExchange.js"

/** The credentials of a request. */
export interface Presented {
  readonly method: ClientAuthMethod
  readonly clientId: string | undefined
  /** The secret, or the assertion. */
  readonly proof: string | undefined
}

/** Reads the credentials of a request; `"several"` if there are more than RFC 6749 §2.3 allows. */
export const read = (
  authorization: string | undefined,
  params: UrlParams.UrlParams
): Presented | "several" | undefined => {
  // RFC 6749 §3.2: a parameter without a value counts as omitted
  const form = new Map(params.filter(([, value]) => value !== ""))
  const basic = /^Basic +(\S+) *$/i.exec(authorization ?? "")?.[1]
  const secret = form.get("client_secret")
  const assertion = form.get("client_assertion")
  const clientId = form.get("client_id")
  if ([basic, secret, assertion].filter((proof) => proof !== undefined).length > 1) return "several"
  if (basic !== undefined) return fromBasic(basic)
  if (assertion !== undefined) {
    // RFC 7521 §4.2: without its type it means nothing
    return form.get("client_assertion_type") === assertionType ? fromAssertion(assertion, clientId) : undefined
  }
  if (clientId === undefined) return undefined
  return { method: secret === undefined ? "none" : "client_secret_post", clientId, proof: secret }
}

/** RFC 7523 §2.2. */
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** RFC 6749 §2.3.1: both are form-encoded first. */
const fromBasic = (basic: string): Presented | undefined => {
  const pair = Either.getOrElse(Encoding.decodeBase64String(basic), () => "")
  const colon = pair.indexOf(":")
  return colon === -1 ? undefined : {
    method: "client_secret_basic",
    clientId: formDecode(pair.slice(0, colon)),
    proof: formDecode(pair.slice(colon + 1))
  }
}

const formDecode = (text: string): string => new URLSearchParams(`=${text.replaceAll("&", "%26")}`).get("") ?? ""

const fromAssertion = (assertion: string, clientId: string | undefined): Presented => {
  const decoded = Option.liftThrowable(() => ({
    alg: jose.decodeProtectedHeader(assertion).alg,
    sub: jose.decodeJwt(assertion).sub
  }))()
  return {
    method: Option.exists(decoded, ({ alg }) => alg?.startsWith("HS") === true)
      ? "client_secret_jwt"
      : "private_key_jwt",
    // RFC 7521 §4.2: client_id is optional
    clientId: clientId ?? Option.getOrUndefined(decoded)?.sub,
    proof: assertion
  }
}

/** What the server knows of its client. */
export interface Known {
  readonly clientId: string
  readonly methods: ReadonlyArray<ClientAuthMethod>
  /** The public key of the client's assertions. */
  readonly clientKey: JwtSigner.Jwk | undefined
  /** The accepted audiences of assertions. */
  readonly audiences: ReadonlyArray<string>
}

/** Makes the check of credentials. Accepts an assertion once. */
export const make = (known: Known): (
  presented: Presented,
  secret: Redacted.Redacted,
  now: number
) => Effect.Effect<boolean> => {
  const seen = new Set<string>()

  const verify = async (assertion: string, key: CryptoKey | Uint8Array, now: number) => {
    const { payload } = await jose.jwtVerify(assertion, key, {
      issuer: known.clientId,
      subject: known.clientId,
      audience: [...known.audiences],
      currentDate: new Date(now),
      requiredClaims: ["exp", "jti"]
    })
    const isNew = !seen.has(String(payload.jti))
    seen.add(String(payload.jti))
    return isNew
  }

  const verifyWith = (
    assertion: string,
    key: () => CryptoKey | Uint8Array | Promise<CryptoKey | Uint8Array>,
    now: number
  ) => Effect.orElseSucceed(Effect.tryPromise(async () => verify(assertion, await key(), now)), () => false)

  return ({ clientId, method, proof }, secret, now) => {
    if (clientId !== known.clientId || !known.methods.includes(method)) return Effect.succeed(false)
    if (method === "none") return Effect.succeed(true)
    if (proof === undefined) return Effect.succeed(false)
    const { clientKey } = known
    switch (method) {
      case "client_secret_basic":
      case "client_secret_post":
        return Effect.succeed(proof === Redacted.value(secret))
      case "client_secret_jwt":
        return verifyWith(proof, () => new TextEncoder().encode(Redacted.value(secret)), now)
      case "private_key_jwt":
        return clientKey === undefined
          ? Effect.succeed(false)
          : verifyWith(proof, () => jose.importJWK(clientKey as jose.JWK, jose.decodeProtectedHeader(proof).alg), now)
    }
  }
}
