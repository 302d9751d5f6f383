import { OAuthError } from "@effect-alf/core"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as RenewalLog from "../../src/provider/RenewalLog.js"
import * as ProviderBench from "../support/ProviderBench.js"
import * as TokenRequests from "../support/TokenRequests.js"

const unavailable = new OAuthError.TokenEndpointError({
  endpoint: "https://auth.test/token",
  reason: "Status",
  description: "no OAuth error in an empty body",
  status: 503
})

const refused = new OAuthError.TokenEndpointError({
  endpoint: "https://auth.test/token",
  reason: "OAuth",
  description: "invalid_client",
  status: 401,
  error: "invalid_client"
})

const serves = "Token renewal failed; the current token is used until it expires."
const missing = "No token is available: requests fail."
const is503 = "Token endpoint https://auth.test/token answered 503: no OAuth error in an empty body"
const is401 = "Token endpoint https://auth.test/token answered 401 invalid_client"

const make = () => {
  const requests = TokenRequests.make()
  const logs: Array<ProviderBench.Log> = []
  const time = { now: 0 }
  const log = RenewalLog.make({
    fork: (effect) => Effect.runSync(ProviderBench.collectLogs(logs)(effect)),
    now: () => time.now
  })
  return {
    ...log,
    requests,
    time,
    slot: (scope: string) => ({ name: scope, request: requests.resolve({ scope }) }),
    said: () => logs.splice(0).map(({ level, text }) => `${level} ${text}`)
  }
}

describe("RenewalLog", () => {
  it("logs once each when failing begins, gets worse and ends", () => {
    const { ended, failed, said, slot } = make()
    const key = slot("a")
    for (let i = 0; i < 3; i++) failed(key, "serves", unavailable)
    for (let i = 0; i < 3; i++) failed(key, "missing", unavailable)
    for (let i = 0; i < 3; i++) ended(key)
    deepStrictEqual(said(), [
      `Warning ${serves} ${is503}`,
      `Error ${missing} ${is503}`,
      "Info A token is available again"
    ])
  })

  it("a definite failure is an error from the start", () => {
    const { failed, said, slot } = make()
    failed(slot("a"), "serves", refused)
    failed(slot("b"), "serves", new OAuthError.TokenProviderError({ reason: "Defect" }))
    deepStrictEqual(said(), [`Error ${serves} ${is401}`, `Error ${serves} The token endpoint failed with a defect`])
  })

  it("logs the end also if tokens are bound to another key since", () => {
    const { ended, failed, requests, said, slot } = make()
    failed(slot("a"), "serves", unavailable)
    requests.bind("another-key")
    ended(slot("a"))
    deepStrictEqual(said(), [`Warning ${serves} ${is503}`, "Info Token renewal works again"])
  })

  it("another kind of failure is logged", () => {
    const { failed, said, slot } = make()
    failed(slot("a"), "missing", unavailable)
    failed(slot("a"), "missing", refused)
    deepStrictEqual(said(), [`Error ${missing} ${is503}`, `Error ${missing} ${is401}`])
  })

  it("of ten thousand keys that fail alike one is logged per minute, and only that one logs the end", () => {
    const { ended, failed, said, slot, time } = make()
    const keys = Array.from({ length: 10_000 }, (_, n) => slot(`${n}`))
    for (; time.now < 120_000; time.now += 30_000) {
      for (const key of keys) failed(key, "missing", unavailable)
    }
    for (const key of keys) ended(key)
    const line = `Error ${missing} ${is503}`
    deepStrictEqual(said(), [line, line, "Info A token is available again", "Info A token is available again"])
  })

  it("an intermittent failure is logged at most once a minute", () => {
    const { ended, failed, said, slot, time } = make()
    for (; time.now < 60_000; time.now += 1_000) {
      failed(slot("a"), "serves", unavailable)
      ended(slot("a"))
    }
    deepStrictEqual(said(), [`Warning ${serves} ${is503}`, "Info Token renewal works again"])
  })
})
