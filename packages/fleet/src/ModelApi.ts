/**
 * The protected resources: each origin judges the token of every request, by
 * what the authorization server knows of it.
 */
import { Effect } from "effect"
import type { Dice, Range } from "./Dice.js"
import type { Machine } from "./Machine.js"
import type { ModelEndpoint } from "./ModelEndpoint.js"
import type { VirtualClock } from "./VirtualClock.js"

/** What a request is for: the origin it goes to, and the scope that its token needs. */
export interface Target {
  readonly origin: string
  readonly scope: string
}

/**
 * `accepted` is a 200, anything else a 401 and its reason. `refused`: this origin
 * takes no token at all. `mixed`: the token is of another scope.
 */
export type Verdict = "accepted" | "refused" | "expired" | "revoked" | "bound" | "mixed" | "unknown"

export interface Options {
  /** From the request to the answer. */
  readonly latency: Range
}

export const defaultOptions: Options = { latency: [5, 30] }

export interface ModelApi {
  /** Sends a request with a token and returns the status of the response. */
  readonly send: (machine: Machine, target: Target, token: string) => Effect.Effect<200 | 401>
  /** Whether an origin refuses every token from now on. */
  readonly setRefusing: (origin: string, refuses: boolean) => void
  readonly counts: ReadonlyMap<Verdict, number>
  /** The tokens of a scope with which these machines had their last success, as far as they are good still. */
  readonly inUse: (scope: string, machines: Iterable<Machine>) => ReadonlySet<string>
}

export const make = (
  time: VirtualClock,
  dice: Dice,
  endpoint: ModelEndpoint,
  options: Options = defaultOptions
): ModelApi => {
  const refusing = new Set<string>()
  const counts = new Map<Verdict, number>()
  const lastAccepted = new Map<Machine, Map<string, string>>()

  const judge = (machine: Machine, { origin, scope }: Target, value: string): Verdict => {
    const token = endpoint.find(value)
    if (token === undefined) return "unknown"
    if (token.scope !== scope) return "mixed"
    if (token.revokedAt !== undefined) return "revoked"
    if (token.endsAt <= time.elapsed()) return "expired"
    if (endpoint.isBound && token.machine !== machine) return "bound"
    return refusing.has(origin) ? "refused" : "accepted"
  }

  return {
    send: (machine, target, token) =>
      Effect.async<200 | 401>((resume) => {
        if (!machine.isAlive()) return
        const there = dice.within(options.latency) / 2
        const back = dice.within(options.latency) / 2
        time.schedule(there, () => {
          const verdict = judge(machine, target, token)
          counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
          if (verdict === "accepted") {
            const mine = lastAccepted.get(machine) ?? new Map<string, string>()
            lastAccepted.set(machine, mine.set(target.scope, token))
          }
          machine.after(back, () => resume(Effect.succeed(verdict === "accepted" ? 200 : 401)))
        })
      }),
    setRefusing: (origin, refuses) => {
      if (refuses) refusing.add(origin)
      else refusing.delete(origin)
    },
    counts,
    inUse: (scope, machines) => {
      const tokens = new Set<string>()
      for (const machine of machines) {
        const token = lastAccepted.get(machine)?.get(scope)
        if (token !== undefined && endpoint.isGood(token)) tokens.add(token)
      }
      return tokens
    }
  }
}
