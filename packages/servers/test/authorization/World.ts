/** oidc-provider, and the APIs that trust it: started once for the process, and stopped with it. */
import * as OidcProvider from "@effect-alf/servers/authorization/OidcProvider"
import * as ProtectedApi from "@effect-alf/servers/authorization/ProtectedApi"
import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import * as Certificates from "@effect-alf/servers/Certificate"
import { Context, Effect, Layer, Record, Redacted, Scope } from "effect"

export const audience = "urn:api"
/** The same API, for clients that want opaque tokens of oidc-provider. */
export const opaqueAudience = "urn:api:opaque"

export const secret = Redacted.make("a secret of 32 characters or more, +/=&%")
export const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519"
]

export const workloadIssuer = "https://workload.example"

/** Without files: they are removed when all certificates are made, as a test process has no hook for its end. */
export type Certificate = Omit<Certificates.Certificate, "certificateFile" | "keyFile">

const withoutFiles = ({ certificateFile: _, keyFile: __, ...certificate }: Certificates.Certificate): Certificate =>
  certificate

const makeCertificates = (authority: Certificates.Authority) =>
  Effect.all({
    vouched: authority.forClient("vouched"),
    otherSubject: authority.forClient("other"),
    forged: authority.selfSigned("vouched"),
    selfSigned: authority.selfSigned("self-signed"),
    renewed: authority.selfSigned("self-signed"),
    stranger: authority.selfSigned("stranger"),
    first: authority.selfSigned("rotating"),
    second: authority.selfSigned("rotating")
  }, { concurrency: 2 })

const make = Effect.scopedWith(Effect.fnUntraced(function*(filesScope) {
  const authority = yield* Scope.extend(Certificates.make, filesScope)
  const certificates = Record.map(yield* makeCertificates(authority), withoutFiles)
  const { selfSigned } = certificates
  const keys = yield* Effect.forEach(algorithms, SigningKey.shared, { concurrency: "unbounded" })
  const workloadKey = yield* SigningKey.make("ES256")
  const oidc = yield* OidcProvider.make({
    authority,
    clients: [
      { id: "basic", authentication: { method: "client_secret_basic", secret } },
      { id: "id with +:&%/", authentication: { method: "client_secret_basic", secret } },
      { id: "post", authentication: { method: "client_secret_post", secret } },
      { id: "secret-jwt", authentication: { method: "client_secret_jwt", secret } },
      ...keys.map(({ algorithm, publicJwk }): OidcProvider.Client => ({
        id: `key-${algorithm}`,
        authentication: { method: "private_key_jwt", keys: [publicJwk] }
      })),
      { id: "tls", authentication: { method: "tls_client_auth", subject: "CN=vouched" }, binding: "certificate" },
      {
        id: "self-signed-tls",
        authentication: { method: "self_signed_tls_client_auth", certificates: [selfSigned] },
        binding: "certificate"
      },
      { id: "bound-basic", authentication: { method: "client_secret_basic", secret }, binding: "certificate" },
      { id: "dpop-basic", authentication: { method: "client_secret_basic", secret }, binding: "DPoP" },
      { id: "none", authentication: { method: "none" } },
      { id: "rotating", authentication: { method: "client_secret_basic", secret } }
    ],
    resources: {
      [audience]: { format: "JWT", lifetime: "1 minute" },
      [opaqueAudience]: { format: "opaque", lifetime: "1 minute" }
    },
    defaultResource: audience,
    scope: "read write",
    trusted: { [workloadIssuer]: [workloadKey.publicJwk] }
  })
  const trusted = [oidc]
  const scopeFor = (path: string) => path === "/written" ? "write" : undefined
  return {
    authority: { certificate: authority.certificate },
    ...certificates,
    keys: new Map(keys.map((key) => [key.algorithm, key])),
    workloadKey,
    oidc,
    api: yield* ProtectedApi.make({ trusted, audience, authority, scopeFor }),
    opaqueApi: yield* ProtectedApi.make({ trusted, audience: opaqueAudience, authority, scopeFor })
  }
}))

/** Starts servers with the first test that needs them; they stop with the process. */
export const once = <A, E>(make: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  Effect.runSync(Effect.cached(Scope.extend(make, Effect.runSync(Scope.make()))))

export class World extends Context.Tag("@effect-alf/servers/test/World")<
  World,
  Effect.Effect.Success<typeof make>
>() {
  static readonly layer = Layer.effect(World, once(make))
}
