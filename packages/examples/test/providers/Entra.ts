/** A tenant of Microsoft Entra whose apps prove themselves by certificates and federated credentials, and its tokens. */
import { Command, FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Effect, Redacted } from "effect"
import type { Scope } from "effect"
import * as Jose from "jose"
import { createHash, type KeyObject, X509Certificate } from "node:crypto"
import * as ProtectedApi from "./ProtectedApi.js"
import * as StandIn from "./StandIn.js"

export interface App {
  /** In PEM. */
  readonly certificates?: ReadonlyArray<string>
  readonly federated?: FederatedCredential
}

/** Whose assertions are good for an app. */
export interface FederatedCredential {
  readonly issuer: string
  readonly subject: string
  readonly publicJwk: Jose.JWK
}

export interface Entra extends StandIn.StandIn {
  readonly verify: ProtectedApi.Verify
  /** `jti` of the assertions that brought a token. */
  readonly assertions: ReadonlyArray<string>
}

export const tenant = "8f4f6e3c-2f0f-4a57-9f3a-5f8f2f5d1c11"
export const scope = "api://orders/.default"
const orders = "5f1b0e0a-7c43-4f0e-8f5d-3d3f1f9b6a22"

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

export const make = (
  apps: Readonly<Record<string, App>>,
  /** The endpoint of version 1 and managed identities write numbers as strings. */
  options: { readonly numbersAsStrings?: boolean } = {}
): Effect.Effect<Entra, never, Scope.Scope> =>
  Effect.gen(function*() {
    const assertions: Array<string> = []

    const standIn = yield* StandIn.make(({ form, headers, method, path }, origin) =>
      Effect.gen(function*() {
        const [, directory, ...rest] = path.split("/")
        if (rest.join("/") === "discovery/v2.0/keys") return yield* StandIn.keys
        if (method !== "POST" || rest.join("/") !== "oauth2/v2.0/token") return yield* StandIn.notFound
        if (directory !== tenant) {
          return yield* refuse(400, "invalid_request", 90002, `Tenant '${directory}' not found.`)
        }
        const { client_assertion: assertion, client_assertion_type, client_id, grant_type, scope: asked = "" } = form
        if (grant_type !== "client_credentials") {
          return yield* refuse(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        }
        const app = apps[client_id]
        if (app === undefined) {
          return yield* refuse(400, "unauthorized_client", 700016, `Application '${client_id}' was not found.`)
        }
        if (client_assertion_type !== assertionType || assertion === undefined || headers.authorization !== undefined) {
          return yield* refuse(401, "invalid_client", 7000218, "The request must contain 'client_assertion'.")
        }
        const jti = yield* StandIn.read(assertion).claims.iss === client_id
          ? byCertificate(client_id, app, assertion, `${origin}${path}`)
          : byFederation(app, assertion)
        if (asked.includes(" ") || !asked.endsWith("/.default")) {
          return yield* refuse(
            400,
            "invalid_scope",
            1002012,
            `The scope ${asked} is not valid: it must end in /.default.`
          )
        }
        if (asked !== scope) return yield* refuse(400, "invalid_resource", 500011, `The resource was not found.`)
        assertions.push(jti)
        const token = yield* StandIn.sign({
          aud: orders,
          iss: `${origin}/${tenant}/v2.0`,
          sub: client_id,
          azp: client_id,
          azpacr: "2",
          roles: ["Orders.Read"],
          tid: tenant,
          ver: "2.0"
        }, 3599)
        const expires = options.numbersAsStrings === true ? "3599" : 3599
        return {
          status: 200,
          body: { token_type: "Bearer", expires_in: expires, ext_expires_in: expires, access_token: token }
        }
      })
    )

    const byCertificate = Effect.fnUntraced(
      function*(clientId: string, app: App, assertion: string, endpoint: string) {
        const { header } = StandIn.read(assertion)
        const certificate = (app.certificates ?? []).map((pem) => new X509Certificate(pem)).find(({ raw }) =>
          header["x5t#S256"] === hash("sha256", raw) && (header.x5t ?? hash("sha1", raw)) === hash("sha1", raw)
        )
        if (certificate === undefined) {
          return yield* refuse(401, "invalid_client", 700027, "The certificate is not registered on the application.")
        }
        const { aud, jti, sub } = yield* verify(assertion, certificate.publicKey, ["PS256", "RS256"])
        if (aud !== endpoint) {
          return yield* refuse(401, "invalid_client", 700023, "Client assertion audience does not match.")
        }
        if (sub !== clientId) {
          return yield* refuse(401, "invalid_client", 700021, "The subject is not the application.")
        }
        if (jti === undefined || assertions.includes(jti)) {
          return yield* refuse(401, "invalid_client", 50027, "The assertion has no identifier of its own.")
        }
        return jti
      }
    )

    return {
      ...standIn,
      assertions,
      verify: ProtectedApi.verifyJwt(
        `${standIn.origin}/${tenant}/discovery/v2.0/keys`,
        `${standIn.origin}/${tenant}/v2.0`,
        orders
      )
    }
  })

const byFederation = Effect.fnUntraced(function*({ federated }: App, assertion: string) {
  const { claims } = StandIn.read(assertion)
  if (federated === undefined || claims.iss !== federated.issuer) {
    return yield* refuse(401, "invalid_client", 700211, `No federated identity for issuer '${claims.iss}'.`)
  }
  if (claims.sub !== federated.subject) {
    return yield* refuse(401, "invalid_client", 700213, `No federated identity for subject '${claims.sub}'.`)
  }
  if (![claims.aud].flat().includes("api://AzureADTokenExchange")) {
    return yield* refuse(401, "invalid_client", 700212, `No federated identity for audience '${claims.aud}'.`)
  }
  const { jti = "" } = yield* verify(assertion, federated.publicJwk, ["RS256", "ES256"])
  return jti
})

const verify = (assertion: string, key: KeyObject | Jose.JWK, algorithms: Array<string>) =>
  Effect.tryPromise(() =>
    Jose.jwtVerify(assertion, key, { algorithms, requiredClaims: ["exp", "nbf", "iat"], clockTolerance: 5 })
  ).pipe(
    Effect.map(({ payload }) => payload),
    Effect.catchAll(() => refuse(401, "invalid_client", 700024, "The client assertion is not good, or not now."))
  )

const hash = (algorithm: string, der: Uint8Array) => createHash(algorithm).update(der).digest("base64url")

const refuse = (status: number, error: string, code: number, description: string) => {
  const trace = { trace_id: crypto.randomUUID(), correlation_id: crypto.randomUUID() }
  const timestamp = new Date().toISOString().replace("T", " ").replace(/\.\d+/, "")
  return StandIn.refuse(status, {
    error,
    error_description:
      `AADSTS${code}: ${description} Trace ID: ${trace.trace_id} Correlation ID: ${trace.correlation_id} Timestamp: ${timestamp}`,
    error_codes: [code],
    timestamp,
    ...trace,
    error_uri: `https://login.microsoftonline.com/error?code=${code}`
  })
}

/** A certificate for a key, signed by itself, as it is uploaded. */
export const certificate = (key: Redacted.Redacted): Effect.Effect<string> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const file = yield* fs.makeTempFileScoped()
    yield* fs.writeFileString(file, Redacted.value(key))
    return yield* Command.string(
      Command.make("openssl", "req", "-x509", "-new", "-key", file, "-subj", "/CN=orders", "-days", "2")
    )
  }).pipe(Effect.scoped, Effect.orDie, Effect.provide(NodeContext.layer))
