/**
 * An authorization server and a resource that hold a client to RFC 9449, in
 * memory: every proof is verified, and each side may ask for nonces.
 */
import { HttpBody, HttpClient, HttpClientResponse } from "@effect/platform"
import { Effect } from "effect"
import * as jose from "jose"
import { createHash } from "node:crypto"

export const tokenUrl = "https://auth.example.com/token"
export const apiUrl = "https://api.example.com"

export interface Options {
  /** Whether the token endpoint wants a nonce. */
  readonly tokenNonce?: boolean | undefined
  /** Whether the resource wants a nonce. */
  readonly apiNonce?: boolean | undefined
  readonly tokenType?: string | undefined
  /** A challenge of the resource that comes before that for DPoP. */
  readonly otherChallenge?: string | undefined
  readonly now: () => number
}

export interface Exchange {
  readonly to: "token" | "api"
  readonly status: number
  readonly jti: unknown
  readonly nonce: unknown
  readonly authorization: string | undefined
  readonly clientAssertion: string | null
}

export const make = (options: Options) => {
  const exchanges: Array<Exchange> = []
  const seen = new Set<unknown>()
  const tokens = new Map<string, string>()
  const nonces = { token: 1, api: 1 }
  let issued = 0

  const verify = async (
    proof: string | undefined,
    to: Exchange["to"],
    method: string,
    url: URL,
    token: string | undefined
  ) => {
    if (proof === undefined) throw new Error("no proof")
    const { payload, protectedHeader } = await jose.jwtVerify(proof, jose.EmbeddedJWK, {
      typ: "dpop+jwt",
      currentDate: new Date(options.now())
    })
    const { ath, htm, htu, iat, jti, nonce } = payload
    const wanted = to === "token" ? options.tokenNonce === true : options.apiNonce === true
    if (seen.has(jti)) throw new Error("replayed")
    seen.add(jti)
    if (htm !== method || htu !== url.origin + url.pathname) throw new Error("for another request")
    if (Math.abs((iat ?? 0) * 1000 - options.now()) > 5_000) throw new Error("stale")
    const digest = token === undefined ? undefined : createHash("sha256").update(token).digest("base64url")
    if (ath !== digest) throw new Error("for another token")
    if ("d" in (protectedHeader.jwk ?? {})) throw new Error("a private key")
    const jkt = await jose.calculateJwkThumbprint(protectedHeader.jwk as jose.JWK)
    return { jkt, jti, nonce, isFresh: !wanted || nonce === `${to}-nonce-${nonces[to]}` }
  }

  const answer = async (request: Request): Promise<Response> => {
    const url = new URL(request.url)
    const to = url.href === tokenUrl ? "token" : "api"
    const authorization = request.headers.get("authorization") ?? undefined
    const token = to === "api" ? /^DPoP (.+)$/.exec(authorization ?? "")?.[1] : undefined
    const form = new URLSearchParams(await request.text())
    const record = (status: number, proof?: { readonly jti: unknown; readonly nonce: unknown }) =>
      exchanges.push({
        to,
        status,
        jti: proof?.jti,
        nonce: proof?.nonce,
        authorization,
        clientAssertion: form.get("client_assertion")
      })
    const refuse = (error: string, nonce?: string) => {
      const headers = nonce === undefined ? {} : { "dpop-nonce": nonce }
      return to === "token"
        ? Response.json({ error }, { status: 400, headers })
        : new Response(null, {
          status: 401,
          headers: { ...headers, "www-authenticate": `${options.otherChallenge ?? ""}DPoP error="${error}"` }
        })
    }
    const proof = await verify(request.headers.get("dpop") ?? undefined, to, request.method, url, token).catch(String)
    if (typeof proof === "string") {
      record(to === "token" ? 400 : 401)
      return refuse("invalid_dpop_proof")
    }
    const nonce = `${to}-nonce-${nonces[to]}`
    if (!proof.isFresh) {
      record(to === "token" ? 400 : 401, proof)
      return refuse("use_dpop_nonce", nonce)
    }
    if (to === "token") {
      record(200, proof)
      const value = `bound-token-${++issued}`
      tokens.set(value, proof.jkt)
      return Response.json({ access_token: value, token_type: options.tokenType ?? "DPoP", expires_in: 3600 })
    }
    if (token === undefined || tokens.get(token) !== proof.jkt) {
      record(401, proof)
      return refuse("invalid_token")
    }
    record(200, proof)
    return Response.json({ ok: true }, { headers: options.apiNonce === true ? { "dpop-nonce": nonce } : {} })
  }

  const client = HttpClient.make((request, url) =>
    Effect.map(
      Effect.promise(() =>
        answer(
          new Request(url, {
            method: request.method,
            headers: request.headers,
            ...(HttpBody.isHttpBody(request.body) && request.body._tag === "Uint8Array"
              ? { body: request.body.body as Uint8Array<ArrayBuffer> }
              : {})
          })
        )
      ),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  )

  return {
    client,
    exchanges,
    /** From now on another nonce is asked for. */
    rotateNonce: (to: Exchange["to"]) => {
      nonces[to]++
    },
    revokeAll: () => tokens.clear()
  }
}
