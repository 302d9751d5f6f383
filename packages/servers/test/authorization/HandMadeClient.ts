/** A client without any code of effect-alf: the servers reject the same requests of every client. */
import type * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import type * as Certificate from "@effect-alf/servers/Certificate"
import { Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import { createHash, randomUUID } from "node:crypto"
import * as Undici from "undici"

export interface Answer {
  readonly status: number
  readonly headers: Undici.Headers
  readonly body: {
    readonly [name: string]: any
  }
}

export interface Request {
  readonly method?: string
  readonly form?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly dispatcher?: Undici.Dispatcher | undefined
}

export const send = (url: string, { dispatcher, form, headers, method }: Request = {}): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await Undici.fetch(url, {
      method: method ?? (form === undefined ? "GET" : "POST"),
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
      ...(headers === undefined ? {} : { headers }),
      ...(dispatcher === undefined ? {} : { dispatcher })
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) }
  })

/** Asks for a token by client credentials. */
export const ask = (
  tokenEndpoint: string,
  { form, ...request }: Request
): Effect.Effect<Answer> => send(tokenEndpoint, { form: { grant_type: "client_credentials", ...form }, ...request })

const encode = (text: string) => new URLSearchParams({ "": text }).toString().slice(1)

export const basic = (id: string, secret: Redacted.Redacted, encoded = true) => {
  const pair = [id, Redacted.value(secret)].map((text) => encoded ? encode(text) : text).join(":")
  return { authorization: `Basic ${btoa(pair)}` }
}

/** The parameters of `private_key_jwt` and `client_secret_jwt`. */
export const assertion = (
  key: SigningKey.SigningKey | Redacted.Redacted,
  clientId: string,
  audience: string,
  claims: Jose.JWTPayload = {}
): Effect.Effect<Record<string, string>> =>
  Effect.promise(async () => ({
    client_id: clientId,
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: await sign(key, { iss: clientId, sub: clientId, aud: audience, ...claims })
  }))

export const sign = (key: SigningKey.SigningKey | Redacted.Redacted, claims: Jose.JWTPayload): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  const jwt = new Jose.SignJWT({ jti: randomUUID(), iat: now, exp: now + 60, ...claims })
  return Redacted.isRedacted(key)
    ? jwt.setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(Redacted.value(key)))
    : jwt.setProtectedHeader({ alg: key.algorithm, kid: key.id }).sign(key.key)
}

/** Connections on which a certificate is presented, or none. */
export const connections = (
  authority: Pick<Certificate.Authority, "certificate">,
  certificate?: Pick<Certificate.Certificate, "certificate" | "key">
): Effect.Effect<Undici.Dispatcher, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Undici.Agent({
        connect: {
          ca: authority.certificate,
          ...(certificate === undefined
            ? {}
            : { cert: certificate.certificate, key: Redacted.value(certificate.key) })
        }
      })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  )

export interface ProofOptions {
  readonly method?: string
  readonly url: string
  readonly token?: string | undefined
  readonly nonce?: string | undefined
  readonly claims?: Jose.JWTPayload
  readonly header?: Partial<Jose.JWTHeaderParameters>
}

/** A DPoP proof (RFC 9449 §4.2). */
export const proof = (
  { key, publicJwk }: SigningKey.SigningKey,
  { claims = {}, header, method = "GET", nonce, token, url }: ProofOptions
): Effect.Effect<string> =>
  Effect.promise(() => {
    const { alg, use: _use, kid: _kid, ...jwk } = publicJwk
    return new Jose.SignJWT({
      jti: randomUUID(),
      iat: Math.floor(Date.now() / 1000),
      htm: method,
      htu: url,
      ...(token === undefined ? {} : { ath: createHash("sha256").update(token).digest("base64url") }),
      ...(nonce === undefined ? {} : { nonce }),
      ...claims
    }).setProtectedHeader({ alg: alg!, typ: "dpop+jwt", jwk, ...header }).sign(key)
  })
