/**
 * One authorization server for all processes, and the `TokenEndpoint` of each of
 * them. It knows which tokens are good, by the true time.
 */
import { AccessToken, OAuthError, RetryPolicy, type TokenEndpoint, TokenRequest } from "@effect-alf/core"
import { DateTime, Duration, Effect, Function, Option, Redacted, Schedule } from "effect"
import type { Dice, Range } from "./Dice.js"
import type { Machine } from "./Machine.js"
import * as ModelRefreshTokens from "./ModelRefreshTokens.js"
import type { VirtualClock } from "./VirtualClock.js"

/** `refuses` answers 503, `denies` answers `invalid_client`, `hangs` does not answer. */
export type Condition = "works" | "refuses" | "denies" | "hangs"

/**
 * - `new`: a new token for every request.
 * - `same`: the same token as long as more than `renewsWithin` remains of it.
 * - `single`: a new token ends all earlier ones of the client, whatever their scope.
 * - `bound`: a token is good only on the machine that asked for it.
 */
export type Issue = "new" | "same" | "single" | "bound"

export interface Options {
  readonly issue: Issue
  readonly lifetime: number
  /** From the request to the answer. */
  readonly latency: Range
  readonly renewsWithin: number
  /** How long a process waits for the answer to one attempt. */
  readonly timeout: number
  /** Tokens are asked for with refresh tokens that take each other's place. */
  readonly refresh?: ModelRefreshTokens.Options | undefined
}

export const defaultOptions: Options = {
  issue: "new",
  lifetime: 3_600_000,
  latency: [40, 120],
  renewsWithin: 0,
  timeout: 10_000
}

export interface Issued {
  readonly value: string
  readonly scope: string
  readonly machine: Machine
  readonly issuedAt: number
  readonly endsAt: number
  revokedAt: number | undefined
}

/** A token request as it arrived. */
export interface Arrival {
  readonly at: number
  readonly scope: string
  readonly machine: Machine
}

/** The scope of a process's requests that name none. */
export const defaultScope = "read"

const url = "https://auth.test/token"

const retry = Schedule.whileInput(RetryPolicy.standard, OAuthError.isTransient)

const refused = new OAuthError.TokenEndpointError({
  reason: "Status",
  endpoint: url,
  status: 503,
  description: "no OAuth error in an empty body"
})

const denied = new OAuthError.TokenEndpointError({
  reason: "OAuth",
  endpoint: url,
  status: 401,
  error: "invalid_client",
  description: "invalid_client"
})

const invalidGrant = new OAuthError.TokenEndpointError({
  reason: "OAuth",
  endpoint: url,
  status: 400,
  error: "invalid_grant",
  description: "invalid_grant"
})

const timedOut = new OAuthError.TokenEndpointError({ reason: "Timeout", endpoint: url, description: "no answer" })

export interface ModelEndpoint {
  /** The endpoint as a process sees it. */
  readonly connect: (machine: Machine) => TokenEndpoint.TokenEndpoint["Type"]
  readonly setCondition: (condition: Condition) => void
  /** Each answer takes so much longer. */
  readonly setDelay: (delay: number) => void
  /** Ends every token issued so far. */
  readonly revokeAll: () => void
  readonly find: (value: string) => Issued | undefined
  /** Neither revoked nor over. */
  readonly isGood: (value: string) => boolean
  /** Whether a token is good on one machine only. */
  readonly isBound: boolean
  /** Every token so far, the oldest first. */
  readonly issued: ReadonlyArray<Issued>
  readonly arrivals: ReadonlyArray<Arrival>
  readonly refreshTokens: ModelRefreshTokens.ModelRefreshTokens | undefined
  /** Where a token request is under way now. */
  readonly asking: ReadonlySet<Machine>
}

export const make = (time: VirtualClock, dice: Dice, options: Options = defaultOptions): ModelEndpoint => {
  const issued: Array<Issued> = []
  const byValue = new Map<string, Issued>()
  const arrivals: Array<Arrival> = []
  const asking = new Set<Machine>()
  const refreshTokens = options.refresh && ModelRefreshTokens.make(time, options.refresh)
  let condition: Condition = "works"
  let delay = 0

  const isGood = (token: Issued) => token.revokedAt === undefined && token.endsAt > time.elapsed()

  const revokeAll = () => {
    for (const token of issued) token.revokedAt ??= time.elapsed()
  }

  const issue = (scope: string, machine: Machine): Issued => {
    if (options.issue === "same") {
      const last = issued.filter((token) => token.scope === scope).at(-1)
      if (last !== undefined && isGood(last) && last.endsAt - time.elapsed() > options.renewsWithin) return last
    }
    if (options.issue === "single") revokeAll()
    const token: Issued = {
      value: `${scope}-${issued.length + 1}`,
      scope,
      machine,
      issuedAt: time.elapsed(),
      endsAt: time.elapsed() + options.lifetime,
      revokedAt: undefined
    }
    issued.push(token)
    byValue.set(token.value, token)
    return token
  }

  const connect = (machine: Machine): TokenEndpoint.TokenEndpoint["Type"] => {
    const resolved = new Map<string, TokenRequest.ResolvedTokenRequest>()
    const resolve = (request?: TokenRequest.TokenRequest) => {
      const scope = TokenRequest.scopes(request?.scope ?? defaultScope).join(" ")
      let known = resolved.get(scope)
      if (known === undefined) {
        known = TokenRequest.resolve({ endpoint: url, clientId: "fleet", authMethod: "client_secret_basic" }, {
          scope,
          grant: refreshTokens?.grant
        })
        resolved.set(scope, known)
      }
      return known
    }

    const attempt = ({ grant, params }: TokenRequest.ResolvedTokenRequest) =>
      Effect.flatMap(ModelRefreshTokens.sent(grant), (refreshToken) => ask(params, refreshToken))

    const ask = (params: TokenRequest.ResolvedTokenRequest["params"], sent: string | undefined) =>
      Effect.async<AccessToken.AccessToken, OAuthError.TokenEndpointError>((resume) => {
        if (!machine.isAlive()) return
        const scope = params.find(([name]) => name === "scope")?.[1] ?? ""
        const obtainedAt = DateTime.unsafeMake(machine.clock.unsafeCurrentTimeMillis())
        const there = dice.within(options.latency) / 2
        const back = dice.within(options.latency) / 2 + delay
        asking.add(machine)
        const giveUp = machine.after(options.timeout, () => end(Effect.fail(timedOut)))
        const end = (answer: Effect.Effect<AccessToken.AccessToken, OAuthError.TokenEndpointError>) => {
          asking.delete(machine)
          giveUp()
          resume(answer)
        }
        time.schedule(there, () => {
          arrivals.push({ at: time.elapsed(), scope, machine })
          if (condition === "hangs") return
          if (condition !== "works") {
            const error = condition === "refuses" ? refused : denied
            machine.after(back, () => end(Effect.fail(error)))
            return
          }
          const refreshToken = sent === undefined ? undefined : refreshTokens?.use(sent)
          if (sent !== undefined && refreshToken === undefined) {
            machine.after(back, () => end(Effect.fail(invalidGrant)))
            return
          }
          const token = issue(scope, machine)
          // In whole seconds, as it is on the wire
          const expiresIn = Math.floor((token.endsAt - time.elapsed()) / 1_000) * 1_000
          machine.after(
            back,
            () =>
              end(Effect.succeed(AccessToken.make({
                value: Redacted.make(token.value),
                obtainedAt,
                expiresIn,
                scope,
                refreshToken: refreshToken === undefined ? undefined : Redacted.make(refreshToken)
              })))
          )
        })
        return Effect.sync(() => {
          asking.delete(machine)
          giveUp()
        })
      })

    return {
      address: "https://auth.test/token",
      resolve,
      isCurrent: Function.constTrue,
      attempt,
      request: (request) => Effect.retry(attempt(request), retry),
      timeout: Duration.millis(options.timeout),
      proofKey: undefined,
      retry,
      credentials: Effect.sync(Option.none)
    }
  }

  return {
    connect,
    setCondition: (next) => {
      condition = next
    },
    setDelay: (next) => {
      delay = next
    },
    revokeAll,
    find: (value) => byValue.get(value),
    isGood: (value) => {
      const token = byValue.get(value)
      return token !== undefined && isGood(token)
    },
    isBound: options.issue === "bound",
    issued,
    arrivals,
    refreshTokens,
    asking
  }
}
