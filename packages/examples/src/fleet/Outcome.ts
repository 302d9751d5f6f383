/** What one client did in all processes together, how it went for its callers, and what can be measured in it. */
import type { Seen } from "./OAuthServer.js"
import type { Client, Report } from "./Traffic.js"

export interface Outcome extends Omit<Report, "client">, Seen {}

/** All that began at a time or later. */
export const make = (client: Client, seen: Seen, reports: ReadonlyArray<Report>, since: number): Outcome => {
  const own = reports.filter((report) => report.client === client)
  const isRecent = ({ at }: { readonly at: number }) => at >= since
  return {
    tokenRequests: seen.tokenRequests.filter(isRecent),
    apiRequests: seen.apiRequests.filter(isRecent),
    calls: own.flatMap(({ calls }) => calls.filter(isRecent)),
    waits: own.flatMap(({ waits }) => waits.filter(isRecent))
  }
}

export const tokenRequests = ({ tokenRequests }: Outcome): number => tokenRequests.length

export const rejections = ({ apiRequests }: Outcome): number =>
  apiRequests.filter(({ status }) => status === 401).length

export const servedCalls = ({ calls }: Outcome): number => calls.filter(({ status }) => status === 200).length

export const failedCalls = ({ calls }: Outcome): number => calls.filter(({ status }) => status !== 200).length

export const firstFailure = ({ calls }: Outcome): string | undefined => {
  const failed = calls.find(({ status }) => status !== 200)
  return failed && (failed.error ?? `status ${failed.status}`)
}

const longest = (times: ReadonlyArray<{ readonly millis: number }>) =>
  times.reduce((longest, { millis }) => Math.max(longest, millis), 0)

export const longestCall = ({ calls }: Outcome): number => longest(calls)

export const longestWait = ({ waits }: Outcome): number => longest(waits)

/** From the issue of the first new token until each of so many processes has presented a new one. */
export const spread = (processes: number) => ({ apiRequests, tokenRequests }: Outcome): number => {
  const tokens = new Set(tokenRequests.map(({ token }) => token))
  const firstUses = new Map<string, number>()
  for (const { at, process, token } of apiRequests) {
    if (tokens.has(token) && !firstUses.has(process)) firstUses.set(process, at)
  }
  const issued = tokenRequests.flatMap(({ issuedAt }) => issuedAt ?? [])
  return firstUses.size < processes ? Number.POSITIVE_INFINITY : Math.max(...firstUses.values()) - Math.min(...issued)
}
