/** What tests of the tokens of a provider begin with. */
import { AccessToken, OAuthMetrics, TokenStore } from "@effect-alf/core"
import { TestTokenEndpoint } from "@effect-alf/core/testing"
import { DateTime, Duration, Effect, Function, Redacted } from "effect"
import * as Adoption from "../../src/provider/Adoption.js"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import * as OtherProcesses from "../../src/provider/OtherProcesses.js"
import * as RenewalLog from "../../src/provider/RenewalLog.js"
import * as TokenCache from "../../src/provider/TokenCache.js"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as SharedTokens from "../../src/store/SharedTokens.js"
import * as Sharing from "../../src/store/Sharing.js"

const defaultLifetime = Duration.hours(1)

/** A token that lives for 1000 s from 0 on: renewed from 800 s on, fresh until 900 s. */
export const token = (name: string) =>
  AccessToken.make({ value: Redacted.make(name), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1000 seconds" })

/** Slots that tokens are taken into, and a store in which others may have some. */
export const make = Effect.fnUntraced(function*(isShared = true) {
  const time = { now: 0 }
  const { endpoint } = yield* TestTokenEndpoint.make()
  const memory = yield* TokenStore.makeMemory()
  const store = yield* BoundedStore.make(memory, { timeout: Duration.seconds(1) })
  const tokens = SharedTokens.make(store, { defaultLifetime })
  const slots = TokenCache.make(endpoint, Sharing.of(yield* TokenStore.makeMemory()), 10)
  const acceptances = new OriginVerdicts.Acceptances()
  const adoption = Adoption.make({
    acceptances,
    refreshAhead: Duration.seconds(200),
    expiryLeeway: Duration.seconds(100),
    defaultLifetime,
    jitter: 0,
    slots,
    fleet: { isShared, tokens },
    log: RenewalLog.make({ fork: Effect.runFork, now: () => time.now }),
    now: () => time.now,
    update: yield* OAuthMetrics.makeUpdate
  })
  const others = OtherProcesses.make({
    adoption,
    fleet: { isWriting: Function.constFalse, tokens, watch: () => Effect.void },
    fork: Effect.runFork,
    now: () => time.now,
    slots
  })
  return { acceptances, adoption, others, slot: slots.of(undefined), slots, time, tokens }
})
