/** What the stand-ins for known servers have in common: how requests reach them, and how they answer. */
import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import * as Loopback from "@effect-alf/servers/Loopback"
import { Data, Effect } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import * as Http from "node:http"

export interface Request {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  /** The form in its body, if it is one, with each name once. */
  readonly form: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Http.OutgoingHttpHeaders
}

/** What a request is refused with, in the shape that the real server gives it. */
export class Refusal extends Data.TaggedError("Refusal")<Answer> {}

export const refuse = (
  status: number,
  body: unknown,
  headers?: Http.OutgoingHttpHeaders
): Effect.Effect<never, Refusal> => Effect.fail(new Refusal({ status, body, ...(headers && { headers }) }))

export const notFound = refuse(404, { error: "not_found" })

export interface StandIn {
  readonly origin: string
  /** The requests so far and how they were answered: `POST /token 200`. */
  readonly answers: Effect.Effect<ReadonlyArray<string>>
}

/** A server on loopback that gives each request to the handler, which knows the server's own origin. */
export const make = (
  handle: (request: Request, origin: string) => Effect.Effect<Answer, Refusal>
): Effect.Effect<StandIn, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = Http.createServer()
    const origin = yield* Loopback.listen(server)
    const answers: Array<string> = []
    yield* Loopback.serve(server, (incoming, response) =>
      Effect.gen(function*() {
        const { headers, method = "", url = "" } = incoming
        const path = url.split("?")[0]
        const isForm = headers["content-type"]?.split(";")[0] === "application/x-www-form-urlencoded"
        const pairs = isForm ? Array.from(yield* Loopback.form(incoming)) : []
        incoming.resume()
        const form = Object.fromEntries(pairs)
        const answer = yield* Effect.merge(
          // RFC 6749 §3.2: a parameter must not be there twice
          pairs.length > Object.keys(form).length
            ? refuse(400, { error: "invalid_request" })
            : handle({ method, path, headers, form }, origin)
        )
        answers.push(`${method} ${path} ${answer.status}`)
        Loopback.json(response, answer.status, answer.body, answer.headers)
      }))
    return { origin, answers: Effect.sync(() => answers.slice()) }
  })

/** The header and the claims of a JWT, without verification. */
export const read = (
  jwt: string | undefined
): { readonly header: Jose.ProtectedHeaderParameters; readonly claims: Jose.JWTPayload } => {
  try {
    return { header: Jose.decodeProtectedHeader(jwt ?? ""), claims: Jose.decodeJwt(jwt ?? "") }
  } catch {
    return { header: {}, claims: {} }
  }
}

/** What the servers sign with. The real ones have RSA keys, which take long to make. */
export const key = SigningKey.shared("ES256")

export const sign = (claims: Jose.JWTPayload, lifetime: number): Effect.Effect<string> =>
  Effect.flatMap(
    key,
    ({ algorithm, id, key }) =>
      Effect.promise(() =>
        new Jose.SignJWT({ jti: crypto.randomUUID(), ...claims })
          .setProtectedHeader({ alg: algorithm, kid: id, typ: "JWT" })
          .setIssuedAt()
          .setExpirationTime(`${lifetime}s`)
          .sign(key)
      )
  )

/** The public key of `sign`, at the address that a server has for it. */
export const keys: Effect.Effect<Answer> = Effect.map(key, ({ publicJwk }) => ({
  status: 200,
  body: { keys: [publicJwk] }
}))
