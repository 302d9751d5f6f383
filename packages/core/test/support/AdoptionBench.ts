/** What tests of the tokens of a provider begin with. */
import { AccessToken, TokenStore } from "@effect-alf/core"
import { DateTime, Duration, Effect, Redacted } from "effect"
import { constFalse, constVoid, identity } from "effect/Function"
import * as Adoption from "../../src/provider/Adoption.js"
import * as OriginVerdicts from "../../src/provider/OriginVerdicts.js"
import * as OtherProcesses from "../../src/provider/OtherProcesses.js"
import * as RenewalLog from "../../src/provider/RenewalLog.js"
import * as TokenCache from "../../src/provider/TokenCache.js"
import * as BoundedStore from "../../src/store/BoundedStore.js"
import * as SharedTokens from "../../src/store/SharedTokens.js"
import * as Sharing from "../../src/store/Sharing.js"
import * as TokenRequests from "./TokenRequests.js"

const defaultLifetime = Duration.hours(1)

/** A token that lives for 1000 s from 0 on: renewed from 800 s on, fresh until 900 s. */
export const token = (name: string) =>
  AccessToken.make({ value: Redacted.make(name), obtainedAt: DateTime.unsafeMake(0), expiresIn: "1000 seconds" })

/** Slots that tokens are taken into; other processes may have some too. */
export const make = (fleet: Pick<Sharing.Fleet, "isShared" | "tokens"> = { ...Sharing.none, isShared: true }) => {
  const time = { now: 0 }
  const slots = TokenCache.make(TokenRequests.make(), { keyOf: identity, nameOf: identity }, 10)
  const acceptances = new OriginVerdicts.Acceptances()
  const adoption = Adoption.make({
    acceptances,
    refreshAhead: Duration.seconds(200),
    expiryLeeway: Duration.seconds(100),
    defaultLifetime,
    jitter: 0,
    slots,
    fleet,
    log: RenewalLog.make({ fork: Effect.runFork, now: () => time.now }),
    now: () => time.now,
    update: constVoid
  })
  return { acceptances, adoption, slot: slots.of(undefined), slots, time }
}

/** The same over a store in which other processes may have tokens. */
export const makeShared = Effect.gen(function*() {
  const store = yield* BoundedStore.make(yield* TokenStore.makeMemory(), { timeout: Duration.seconds(1) })
  const tokens = SharedTokens.make(store, { defaultLifetime })
  const bench = make({ isShared: true, tokens })
  const others = OtherProcesses.make({ isWriting: constFalse, tokens, watch: () => Effect.void })({
    adoption: bench.adoption,
    fork: Effect.runFork,
    now: () => bench.time.now,
    slots: bench.slots
  })
  return { ...bench, others, tokens }
})
