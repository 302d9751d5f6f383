/**
 * panva's certified oidc-provider, with every way to authenticate a client,
 * tokens bound to certificates (RFC 8705) and keys (RFC 9449), JWT (RFC 9068)
 * or opaque tokens for resources (RFC 8707), introspection (RFC 7662),
 * revocation (RFC 7009) and the grants that need no user.
 */
import { Duration, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import type * as Jose from "jose"
import type { X509Certificate } from "node:crypto"
import { randomBytes } from "node:crypto"
import * as Http from "node:http"
import * as Https from "node:https"
import type { TLSSocket } from "node:tls"
import type { ClientMetadata } from "oidc-provider"
import { InvalidTarget } from "oidc-provider/lib/helpers/errors.js"
import { Provider } from "oidc-provider/lib/provider.js"
import * as Certificate from "../Certificate.js"
import * as Loopback from "../Loopback.js"
import * as AssertionGrants from "./AssertionGrants.js"
import type { AuthorizationServer, Claims, Resource } from "./AuthorizationServer.js"
import * as OidcStore from "./OidcStore.js"
import type * as Registration from "./Registration.js"
import * as SigningKey from "./SigningKey.js"
import * as TokenDesk from "./TokenDesk.js"

export type Client = Registration.Client<
  | Registration.SharedSecret<"client_secret_basic" | "client_secret_post" | "client_secret_jwt">
  | Registration.PublicKeys
  | Registration.CertificateSubject
  | Registration.SelfSignedCertificates
  | Registration.Nothing,
  "certificate" | "DPoP"
>

export interface Options {
  readonly clients: ReadonlyArray<Client>
  readonly resources: Readonly<Record<string, Resource>>
  /** The resource of a token request that names none. */
  readonly defaultResource: string
  readonly scope: string
  /** Vouches for the server, and for clients with `tls_client_auth`. Without one there is no https. */
  readonly authority?: Certificate.Authority | undefined
  /** Whether a proof must have a nonce of the server (RFC 9449 §8). The default is `true`. */
  readonly requireNonce?: boolean | undefined
  /** The public keys of those whose assertions are good, by their issuer identifiers. */
  readonly trusted?: Readonly<Record<string, ReadonlyArray<Jose.JWK>>> | undefined
  /** Is given the http server before any request comes. */
  readonly tap?: ((server: Http.Server) => void) | undefined
  /** Is told of each answer that carries a new token. */
  readonly issued?: ((response: Http.ServerResponse, token: string) => void) | undefined
}

export interface OidcProvider extends AuthorizationServer {
  readonly jwksUri: string
  readonly introspect: (token: Redacted.Redacted) => Effect.Effect<Claims | undefined>
  /** Revokes an opaque token. */
  readonly revoke: (token: Redacted.Redacted) => Effect.Effect<void>
  /** Over TLS, where clients present their certificates; the same as for others without an authority. */
  readonly mtlsTokenEndpoint: string
  readonly introspectionEndpoint: string
  readonly revocationEndpoint: string
  /** Registers a client, or changes what it proves itself with. */
  readonly register: (client: Client) => Effect.Effect<void>
  /** A refresh token as one that a user's consent has led to. */
  readonly issueRefreshToken: (clientId: string) => Effect.Effect<Redacted.Redacted>
  /** Forgets all that was issued. A JWT remains good for those who do not ask. */
  readonly revokeAll: Effect.Effect<void>
}

const tokenPath = "/token"
const introspectionPath = "/token/introspection"
const revocationPath = "/token/revocation"

/** Listens on http, which names the issuer, and on https, which only the certificates are for. */
export const make = (
  options: Options
): Effect.Effect<OidcProvider, Certificate.CertificateError, Scope.Scope> =>
  Effect.gen(function*() {
    const clerk = yield* TokenDesk.make
    const plain = Http.createServer()
    options.tap?.(plain)
    const issuer = yield* Loopback.listen(plain)
    const tls = options.authority === undefined
      ? undefined
      : Https.createServer(yield* Certificate.serverOptions(options.authority))
    const alias = tls === undefined ? issuer : yield* Loopback.listen(tls)
    const key = yield* SigningKey.shared("ES256")
    const store = OidcStore.make()
    const provider = makeProvider(issuer, alias, options, key, store, clerk)
    const register = (client: Client) => store.setClient(toMetadata(client))
    register(operator)
    options.clients.forEach(register)

    const callback = provider.callback()
    const handler: Loopback.Handler = (request, response) =>
      Effect.gen(function*() {
        if (request.url === tokenPath && !(yield* clerk.admit(response))) return
        yield* Effect.promise(() => callback(request, response))
      })
    yield* Loopback.serve(plain, handler)
    if (tls !== undefined) yield* Loopback.serve(tls, handler)

    return {
      ...clerk.desk,
      name: "oidc-provider",
      issuer,
      tokenEndpoint: issuer + tokenPath,
      mtlsTokenEndpoint: alias + tokenPath,
      introspectionEndpoint: issuer + introspectionPath,
      revocationEndpoint: issuer + revocationPath,
      jwksUri: `${issuer}/jwks`,
      introspect: (token) => Effect.promise(() => introspect(issuer + introspectionPath, token)),
      revoke: (token) => Effect.promise(() => askAsOperator(issuer + revocationPath, token)),
      register: (client) => Effect.sync(() => register(client)),
      issueRefreshToken: (clientId) =>
        Effect.promise(() => issueRefreshToken(provider, clientId, options.defaultResource, options.scope)),
      revokeAll: Effect.sync(store.forgetTokens)
    }
  })

/** Stands for the API and its operator, who may look at every token and revoke it. */
const operator = {
  id: "operator",
  authentication: { method: "client_secret_basic", secret: Redacted.make(randomBytes(32).toString("hex")) }
} satisfies Client

const askAsOperator = async (endpoint: string, token: Redacted.Redacted): Promise<Response> => {
  const { authentication: { secret }, id } = operator
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${id}:${Redacted.value(secret)}`)}` },
    body: new URLSearchParams({ token: Redacted.value(token) })
  })
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}`)
  return response
}

const introspect = async (endpoint: string, token: Redacted.Redacted): Promise<Claims | undefined> => {
  const response = await askAsOperator(endpoint, token)
  const { active, ...claims } = await response.json() as Claims & { readonly active: boolean }
  return active ? claims : undefined
}

const issueRefreshToken = async (provider: Provider, clientId: string, resource: string, scope: string) => {
  const client = await provider.Client.find(clientId)
  if (client === undefined) throw new Error(`No client ${clientId}`)
  const grant = new provider.Grant({ clientId, accountId: clientId })
  grant.addResourceScope(resource, scope)
  const token = new provider.RefreshToken({
    client,
    accountId: clientId,
    grantId: await grant.save(),
    gty: "authorization_code",
    resource,
    scope: `${scope} offline_access`,
    rotations: 0
  })
  return Redacted.make(await token.save())
}

const grantTypes = [
  "client_credentials",
  "refresh_token",
  AssertionGrants.jwtBearer,
  AssertionGrants.tokenExchange
]

const toMetadata = ({ authentication, binding, id, scope }: Client): ClientMetadata => ({
  client_id: id,
  token_endpoint_auth_method: authentication.method,
  grant_types: grantTypes,
  redirect_uris: [],
  response_types: [],
  ...("secret" in authentication ? { client_secret: Redacted.value(authentication.secret) } : {}),
  ...("keys" in authentication ? { jwks: { keys: authentication.keys } } : {}),
  ...("subject" in authentication ? { tls_client_auth_subject_dn: authentication.subject } : {}),
  ...("certificates" in authentication
    ? { jwks: { keys: authentication.certificates.map(({ jwk }) => jwk) } }
    : {}),
  ...(scope === undefined ? {} : { scope }),
  ...(binding === "certificate" ? { tls_client_certificate_bound_access_tokens: true } : {}),
  ...(binding === "DPoP" ? { dpop_bound_access_tokens: true } : {})
})

const signingAlgorithms = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const,
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const
]

// oidc-provider counts in whole seconds and so cuts up to one off: tokens live one longer than they say
const roundingSeconds = 1

const makeProvider = (
  issuer: string,
  alias: string,
  options: Options,
  key: SigningKey.SigningKey,
  store: OidcStore.OidcStore,
  clerk: TokenDesk.Clerk
): Provider => {
  const seconds = (lifetime: Duration.DurationInput) => Duration.toSeconds(lifetime) + roundingSeconds
  const provider = new Provider(issuer, {
    adapter: store.adapter,
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    jwks: { keys: [Redacted.value(key.jwk)] },
    scopes: [...options.scope.split(" "), "offline_access"],
    clientAuthMethods: [
      ...["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"] as const,
      ...["tls_client_auth", "self_signed_tls_client_auth", "none"] as const
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: ["HS256", "HS384", "HS512", ...signingAlgorithms],
      dPoPSigningAlgValues: [...signingAlgorithms]
    },
    findAccount: (_, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    rotateRefreshToken: true,
    discovery: {
      mtls_endpoint_aliases: {
        token_endpoint: alias + tokenPath,
        introspection_endpoint: alias + introspectionPath,
        revocation_endpoint: alias + revocationPath
      }
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_, { clientId }, token) => owns(clientId, token) },
      revocation: { enabled: true, allowedPolicy: (_, { clientId }, token) => owns(clientId, token) },
      dPoP: {
        enabled: true,
        nonceSecret: randomBytes(32),
        requireNonce: () => options.requireNonce ?? true
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: ({ socket }) => certificateOf(socket),
        certificateAuthorized: ({ socket }) => (socket as TLSSocket).authorized,
        certificateSubjectMatches: ({ socket }, property, expected) =>
          property === "tls_client_auth_subject_dn" && certificateOf(socket)?.subject === expected
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => options.defaultResource,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, name) => {
          const resource = options.resources[name]
          if (resource === undefined) throw new InvalidTarget()
          return {
            scope: options.scope,
            audience: name,
            accessTokenFormat: resource.format === "JWT" ? "jwt" : "opaque",
            accessTokenTTL: seconds(resource.lifetime)
          }
        }
      }
    },
    ttl: {
      AccessToken: (_, { resourceServer }) => resourceServer?.accessTokenTTL ?? seconds("1 minute"),
      ClientCredentials: (_, { resourceServer }) => resourceServer?.accessTokenTTL ?? seconds("1 minute"),
      Grant: seconds("1 day"),
      RefreshToken: seconds("1 day")
    }
  })
  AssertionGrants.register(provider, {
    own: [key.publicJwk],
    trusted: new Map(Object.entries(options.trusted ?? {}))
  })
  provider.use(async (context, next) => {
    await next()
    const { body, oidc, path, res, status } = context
    if (path !== tokenPath) return
    if (status === 200) {
      options.issued?.(res, body.access_token)
      body.expires_in -= roundingSeconds
    }
    clerk.note({
      clientId: oidc?.client?.clientId,
      grantType: oidc?.params?.grant_type?.toString(),
      method: status === 200 ? oidc?.client?.clientAuthMethod : undefined,
      status,
      error: body?.error
    })
  })
  return provider
}

const owns = (clientId: string, token: { readonly clientId?: string | undefined }) =>
  clientId === operator.id || clientId === token.clientId

const certificateOf = (socket: Http.IncomingMessage["socket"]): X509Certificate | undefined =>
  "getPeerX509Certificate" in socket ? (socket as TLSSocket).getPeerX509Certificate() : undefined
