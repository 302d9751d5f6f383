/** The tokens that a test's authorization server issued, and their states. */
import * as Duration from "effect/Duration"
import type * as Types from "effect/Types"
import type { IssuedRefreshToken, IssuedToken } from "../TestExchange.js"

/** How tokens are issued; `TestAuthorizationServer` has the defaults. */
export interface Options {
  readonly lifetime: Duration.DurationInput | "none"
  readonly tokenPrefix: string
  /** Whether a used refresh token is replaced. */
  readonly rotatesRefreshTokens: boolean
  /** How long a replaced refresh token is still accepted. */
  readonly refreshGracePeriod: Duration.DurationInput
}

/** What a token is for. */
export type Purpose = Pick<IssuedToken, "scope" | "resources" | "audiences" | "thumbprint">

interface RefreshToken extends Types.Mutable<IssuedRefreshToken> {
  readonly usedAt: Array<number>
  /** The access tokens for which it was exchanged. */
  readonly accessTokens: Array<Types.Mutable<IssuedToken>>
}

/** Issues, expires and revokes tokens. All times are epoch milliseconds. */
export interface TestTokens extends ReturnType<typeof make> {}

/** Makes the memory of a server, initially empty. */
export const make = (options: Options) => {
  const tokens = new Map<string, Types.Mutable<IssuedToken>>()
  const refreshTokens = new Map<string, RefreshToken>()
  const gracePeriod = Duration.toMillis(options.refreshGracePeriod)
  let lifetime = millisOf(options.lifetime)
  let returnsSame = false
  let onlyOneIsActive = false

  const isValid = (token: IssuedToken, now: number) =>
    !token.revoked && (token.expiresAt === undefined || now < token.expiresAt)

  const some = (value: string | undefined) =>
    value === undefined ? Array.from(tokens.values()) : [tokens.get(value)].filter((token) => token !== undefined)

  const revoke = (value?: string) => {
    for (const token of some(value)) token.revoked = true
  }

  const issue = (purpose: Purpose, now: number): Types.Mutable<IssuedToken> => {
    if (returnsSame) {
      const wanted = describe(purpose)
      for (const token of tokens.values()) {
        if (isValid(token, now) && describe(token) === wanted) return token
      }
    }
    if (onlyOneIsActive) revoke()
    const token: Types.Mutable<IssuedToken> = {
      ...purpose,
      value: `${options.tokenPrefix}${tokens.size + 1}`,
      issuedAt: now,
      expiresAt: lifetime === undefined ? undefined : now + lifetime,
      revoked: false
    }
    tokens.set(token.value, token)
    return token
  }

  const issueRefreshToken = (family?: string): IssuedRefreshToken => {
    const value = `${options.tokenPrefix}refresh-${refreshTokens.size + 1}`
    const token = { value, family: family ?? value, usedAt: [], revoked: false, accessTokens: [] }
    refreshTokens.set(value, token)
    return token
  }

  const revokeFamily = (family: string) => {
    for (const token of refreshTokens.values()) {
      if (token.family !== family) continue
      token.revoked = true
      for (const accessToken of token.accessTokens) accessToken.revoked = true
    }
  }

  const canBeUsed = (token: RefreshToken, now: number): boolean =>
    !token.revoked &&
    (!options.rotatesRefreshTokens || token.usedAt.length === 0 || now - token.usedAt[0] < gracePeriod)

  return {
    issue: (purpose: Purpose, now: number): IssuedToken => issue(purpose, now),
    issueRefreshToken,
    /** RFC 6749 §6: the next access token and refresh token; `undefined` if the given one is invalid. */
    refresh: (value: string | undefined, purpose: Purpose, now: number) => {
      const used = refreshTokens.get(value ?? "")
      if (used === undefined) return undefined
      if (!canBeUsed(used, now)) {
        // It was replaced, and may have been stolen (RFC 9700 §4.14.2)
        revokeFamily(used.family)
        return undefined
      }
      used.usedAt.push(now)
      const token = issue(purpose, now)
      used.accessTokens.push(token)
      return { token, next: options.rotatesRefreshTokens ? issueRefreshToken(used.family).value : undefined }
    },
    /** A valid token by its value. */
    find: (value: string, now: number): IssuedToken | undefined => {
      const token = tokens.get(value)
      return token !== undefined && isValid(token, now) ? token : undefined
    },
    /** A valid refresh token by its value. */
    findRefreshToken: (value: string, now: number): IssuedRefreshToken | undefined => {
      const token = refreshTokens.get(value)
      return token !== undefined && canBeUsed(token, now) ? token : undefined
    },
    /** Revokes one token, or all. */
    revoke,
    /** Revokes all refresh tokens of a family, and the access tokens that came with them (RFC 7009 §2.1). */
    revokeFamily,
    /** Expires one token, or all. */
    expire: (value: string | undefined, now: number) => {
      for (const token of some(value)) {
        if (isValid(token, now)) token.expiresAt = now
      }
    },
    setLifetime: (newLifetime: Duration.DurationInput | "none") => {
      lifetime = millisOf(newLifetime)
    },
    /** Whether a valid token is issued again. */
    returnSame: (enabled: boolean) => {
      returnsSame = enabled
    },
    /** Whether a new token revokes all earlier ones. */
    onlyOneActive: (enabled: boolean) => {
      onlyOneIsActive = enabled
    },
    issued: (): ReadonlyArray<IssuedToken> => Array.from(tokens.values(), (token) => ({ ...token })),
    refreshTokens: (): ReadonlyArray<IssuedRefreshToken> =>
      Array.from(
        refreshTokens.values(),
        ({ family, revoked, usedAt, value }) => ({ family, revoked, usedAt: usedAt.slice(), value })
      )
  }
}

const describe = ({ audiences, resources, scope, thumbprint }: Purpose) =>
  JSON.stringify([scope, resources, audiences, thumbprint])

const millisOf = (lifetime: Duration.DurationInput | "none"): number | undefined => {
  const millis = lifetime === "none" ? Infinity : Duration.toMillis(lifetime)
  return Number.isFinite(millis) ? millis : undefined
}
