/**
 * Two grants that oidc-provider leaves to its users: JWTs as authorization
 * grants (RFC 7523 §2.1) and token exchange (RFC 8693). With the scope
 * `offline_access` they also give a refresh token, which that server rotates.
 */
import * as Jose from "jose"
import type { Provider, TokenEndpointGrantContext } from "oidc-provider"
import { InvalidGrant, InvalidRequest } from "oidc-provider/lib/helpers/errors.js"
import * as Grants from "oidc-provider/lib/helpers/grants.js"

export const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
export const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
const jwtType = "urn:ietf:params:oauth:token-type:jwt"

export interface Options {
  /** The public keys of those whose assertions are good, by their issuer identifiers. */
  readonly trusted: ReadonlyMap<string, ReadonlyArray<Jose.JWK>>
  /** The server's own public keys, for its tokens as subject tokens. */
  readonly own: ReadonlyArray<Jose.JWK>
}

/** Teaches the grants to a server. */
export const register = (provider: Provider, { own, trusted }: Options): void => {
  /** The subject of a JWT of somebody trusted. */
  const verify = async (assertion: string, audience: ReadonlyArray<string>): Promise<string> => {
    const { iss = "" } = decode(assertion)
    const keys = iss === provider.issuer ? own : trusted.get(iss)
    if (keys === undefined) throw new InvalidGrant(`${iss} is not trusted`)
    const { payload } = await Jose.jwtVerify(assertion, Jose.createLocalJWKSet({ keys: [...keys] }), {
      issuer: iss,
      requiredClaims: ["exp", "sub"],
      ...(iss === provider.issuer ? {} : { audience: [...audience] })
    }).catch((error: Error) => {
      throw new InvalidGrant(`the assertion is not good: ${error.message}`)
    })
    return payload.sub!
  }

  const here = (context: TokenEndpointGrantContext) => [provider.issuer, context.oidc.urlFor("token")]

  provider.registerGrantType<{ readonly assertion?: string }>(jwtBearer, async (context) => {
    const { assertion } = context.oidc.params
    if (assertion === undefined) throw new InvalidRequest("assertion is missing")
    const subject = await verify(assertion, here(context))
    const { exp = 0, iss = "", jti } = Jose.decodeJwt(assertion)
    if (jti !== undefined && !await provider.ReplayDetection.unique(iss, jti, exp)) {
      throw new InvalidGrant("the assertion has been used")
    }
    await issue(provider, context, subject, jwtBearer)
  }, ["assertion", "scope", "resource"])

  provider.registerGrantType<SubjectToken>(tokenExchange, async (context) => {
    const { subject_token: token, subject_token_type: type } = context.oidc.params
    if (token === undefined) throw new InvalidRequest("subject_token is missing")
    if (type !== accessTokenType && type !== jwtType) throw new InvalidRequest("subject_token_type is not supported")
    const subject = isJwt(token)
      ? await verify(token, here(context))
      : type === accessTokenType
      ? await introspect(provider, token)
      : undefined
    if (subject === undefined) throw new InvalidGrant("the subject token is not good")
    await issue(provider, context, subject, tokenExchange, accessTokenType)
  }, ["subject_token", "subject_token_type", "requested_token_type", "audience", "scope", "resource"])
}

interface SubjectToken {
  readonly subject_token?: string
  readonly subject_token_type?: string
}

const isJwt = (token: string) => token.split(".").length === 3

const decode = (assertion: string): Jose.JWTPayload => {
  try {
    return Jose.decodeJwt(assertion)
  } catch {
    throw new InvalidGrant("the assertion is no JWT")
  }
}

const introspect = async (provider: Provider, token: string): Promise<string | undefined> => {
  const found = await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token)
  if (found === undefined || !found.isValid) return undefined
  return "accountId" in found ? found.accountId : found.clientId
}

const issue = async (
  provider: Provider,
  context: TokenEndpointGrantContext,
  subject: string,
  grantType: string,
  issuedTokenType?: string
): Promise<void> => {
  const { client } = context.oidc
  const proof = await Grants.validateDpop(provider, context)
  Grants.checkDpopRequired(provider, context, proof)
  const certificate = Grants.checkMtlsCert(provider, context)
  const [resourceServer] = await Grants.resolveRequestedResources(provider, context)
  if (resourceServer === undefined) throw new InvalidRequest("resource is missing")
  const requested = Array.from(Grants.validateClientScope(provider, context))
  const known = new Set(resourceServer.scope.split(" "))
  const scope = requested.filter((name) => known.has(name)).join(" ")

  const grant = new provider.Grant({ clientId: client.clientId, accountId: subject })
  grant.addResourceScope(resourceServer.identifier(), scope)
  const grantId = await grant.save()
  const common = { client, accountId: subject, grantId, gty: grantType }
  const accessToken = new provider.AccessToken({ ...common, resourceServer, scope })
  if (certificate !== undefined) accessToken.setThumbprint("x5t", certificate)
  if (proof !== undefined) {
    await Grants.checkDpopReplay(provider, context, proof, client.clientId)
    accessToken.setThumbprint("jkt", proof.thumbprint)
  }
  const value = await accessToken.save()
  let refreshToken: string | undefined
  if (requested.includes("offline_access")) {
    const token = new provider.RefreshToken({
      ...common,
      resource: resourceServer.identifier(),
      scope: requested.join(" "),
      rotations: 0
    })
    await Grants.applyRefreshTokenBindings(provider, context, accessToken, token)
    refreshToken = await token.save()
  }
  context.body = Grants.buildTokenResponse(provider, {
    accessToken: value,
    tokenType: accessToken.tokenType,
    expiresIn: accessToken.expiration,
    issuedTokenType,
    refreshToken,
    scope: scope === "" ? undefined : scope
  })
}
