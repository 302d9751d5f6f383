/**
 * The renewals of a provider, each in a fiber and under a root span of its own:
 * how a renewal starts, how callers wait for it, and what its result means. It
 * is independent of any caller.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { AccessToken } from "../AccessToken.js"
import * as ErrorAttributes from "../disclosure/ErrorAttributes.js"
import { TokenProviderError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import * as Sharing from "../store/Sharing.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import * as Adoption from "./Adoption.js"
import * as Cooldown from "./Cooldown.js"
import * as HeldToken from "./HeldToken.js"
import type { Flight } from "./KeyState.js"
import * as KeyState from "./KeyState.js"
import * as OriginVerdicts from "./OriginVerdicts.js"
import type { OtherProcesses } from "./OtherProcesses.js"
import * as Renewal from "./Renewal.js"
import type { RenewalLog } from "./RenewalLog.js"
import type { Reports } from "./Reports.js"
import type { Slot } from "./TokenCache.js"
import * as TokenCache from "./TokenCache.js"
import * as WaitingCallers from "./WaitingCallers.js"

/**
 * Renewals in progress. `undefined` instead of a token means that a renewal
 * obtained nothing, and that a caller who still needs a token asks again.
 */
export interface Flights {
  /** Starts a renewal, unless one of this key is in progress. */
  readonly launch: (slot: Slot, reason: OAuthMetrics.RenewalReason, origin: string) => Flight
  /** Waits for a flight until the deadline (epoch milliseconds). Interrupting the caller does not affect the flight. */
  readonly join: (flight: Flight, deadline: number) => Effect.Effect<AccessToken | undefined, Cooldown.Failure>
  /** The provider is closed: fails all waiting callers. */
  readonly abandon: (error: TokenProviderError) => void
}

/** A waiting span is linked to the renewal's span, up to this many. */
const maxLinks = 32

/** Makes the flights of one provider. */
export const make = (
  options: Renewal.Options & {
    readonly endpoint: TokenEndpoint["Type"]
    readonly slots: TokenCache.TokenCache
    readonly adoption: Adoption.Adoption
    readonly reports: Reports
    readonly others: OtherProcesses | undefined
    readonly log: RenewalLog
    /** Runs a flight until the provider closes. */
    readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
    readonly update: OAuthMetrics.Update
  }
): Flights => {
  const { adoption, endpoint, failureCooldown, fleet, fork, log, maxWait, now, others, reports, slots, update } =
    options
  const renew = Renewal.make(options)
  const cooldownMillis = Duration.toMillis(failureCooldown)
  const flights = new Set<Flight>()

  const credentials = Effect.map(Effect.timeoutOption(endpoint.credentials, maxWait), Option.flatten)

  const fly = (slot: Slot, flight: Flight): Effect.Effect<void> => {
    const { callers, origin, reason } = flight

    const obtain = Effect.gen(function*() {
      if (KeyState.answering(slot.state, now()) !== undefined) {
        // What ends a cool-down early: a token of another process, or changed credentials
        const stored = Adoption.tokenOf(yield* adoption.look(slot, reason))
        if (stored !== undefined) return Sharing.Outcome.Adopted({ token: stored })
        if (KeyState.mayChange(slot.state)) slot.apply(KeyState.credentialsRead(yield* credentials))
        const failure = KeyState.answering(slot.state, now())
        flight.isAnswered = failure !== undefined
        if (failure !== undefined) return yield* failure
      }
      return yield* renew(slot, flight)
    })

    // -------------------------------------------------------------------------
    // how it ends
    // -------------------------------------------------------------------------

    const land = (exit: Exit.Exit<AccessToken | undefined, Cooldown.Failure>) => {
      slot.apply(KeyState.ended(flight))
      flights.delete(flight)
      callers.tell(exit)
    }

    const failed = (failure: Cooldown.Failure | undefined) => {
      const { failedAt, isAnswered, lastError } = flight
      if (isAnswered || slots.isClosed()) return Effect.void
      const error = failure ?? new TokenProviderError({ reason: "Defect" })
      const from = now()
      const at = failure === lastError ? failedAt ?? from : from
      const failing: KeyState.Failing = { error, reason, at, cooldown: cooldownMillis }
      const isAlive = HeldToken.isAlive(slot.state.held, from)
      log.failed(slot, !isAlive ? "missing" : reason === "rejection" ? "rejected" : "serves", error)
      // A defect is a bug in a custom endpoint: waiting callers get it
      const fails = reason === "background" || failure === undefined ? KeyState.failed : KeyState.failedWaiting
      slot.apply(fails(failing, from))
      return fails !== KeyState.failedWaiting || Cooldown.isPassing(error)
        ? Effect.void
        : Effect.map(credentials, (failed) => slot.apply(KeyState.failedWith(failed, from)))
    }

    const issued = (token: AccessToken, replaces: Option.Option<string>) => {
      const held = adoption.hold(token, true)
      adoption.take(slot, held)
      // The key or certificate that binds tokens changed during the request, probably before the server saw it
      const isCurrent = endpoint.isCurrent(slot.request)
      if (!isCurrent) {
        const rebound = slots.of(slot.source)
        const { state } = rebound
        // Only this process uses such a token: what it is bound to is only likely, and a 401 corrects it
        if (state.held === undefined && KeyState.flightOf(state) === undefined) adoption.found(rebound, held)
      }
      if (reason === "rejection") {
        reports.heard(slot, origin, OriginVerdicts.renewed(HeldToken.identity(held), origin, now()))
      }
      land(Exit.succeed(token))
      if (!isCurrent || !TokenCache.sharesTokens(slot)) return Effect.void
      // Nobody waits for this; a closing process can afford its bounded calls
      return Effect.flatMap(
        fleet.tokens.write(slot.key, token, replaces),
        (isWritten) => isWritten || others === undefined ? Effect.void : others.overtaken(slot, token, reason)
      )
    }

    const arrive = (outcome: Sharing.Outcome): Effect.Effect<void> => {
      switch (outcome._tag) {
        case "Issued":
          return Effect.ensuring(Effect.suspend(() => issued(outcome.token, outcome.replaces)), outcome.finish)
        case "Adopted":
          adoption.take(slot, adoption.hold(outcome.token, false))
          break
        case "Paused":
          others?.paused(slot, origin, outcome.pause)
          break
        case "Busy":
          slot.apply(KeyState.busyElsewhere(outcome.again, now()))
      }
      land(Exit.succeed(outcome._tag === "Adopted" ? outcome.token : undefined))
      return Effect.void
    }

    /** The outcome is recorded in the span, and in the metrics if the endpoint or the fleet was asked. */
    const record = (exit: Exit.Exit<Sharing.Outcome, Cooldown.Failure>) => {
      if (Exit.isInterrupted(exit)) return Effect.void
      const outcome = flight.outcome = Exit.isSuccess(exit)
        ? exit.value._tag.toLowerCase() as Lowercase<Sharing.Outcome["_tag"]>
        : "failed"
      if (!flight.isAnswered) update(OAuthMetrics.tokenRenewals(reason, outcome), 1)
      return Effect.annotateCurrentSpan({ "oauth.outcome": outcome, "oauth.renewal.attempts": flight.attempts })
    }

    const attributes = { "oauth.renewal.reason": reason, "oauth.token.key": slot.name }
    const obtained = ErrorAttributes.inSpan("TokenProvider.renew", { root: true, attributes }, (span) => {
      flight.span = span
      return Effect.onExit(obtain, record)
    })

    return Effect.uninterruptible(
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.interruptible(obtained))
        if (Exit.isSuccess(exit)) return yield* arrive(exit.value)
        const afterwards = failed(Option.getOrUndefined(Cause.failureOption(exit.cause)))
        // An endpoint that interrupts itself must not interrupt waiting callers
        land(Exit.isInterrupted(exit) ? Exit.die(Cause.squash(exit.cause)) : Exit.failCause(exit.cause))
        yield* Effect.interruptible(afterwards)
      })
    ).pipe(
      // After any other failure, such as an invalid token, the key must not wait for ever
      Effect.onError((cause) => Effect.sync(() => land(Exit.failCause(cause))))
    )
  }

  /** The spans of a wait and of the flight are linked to each other. */
  const traced = <A, E extends Cooldown.Failure>(flight: Flight, waiting: Effect.Effect<A, E>) =>
    ErrorAttributes.inSpan("TokenProvider.wait", {
      attributes: { "oauth.renewal.reason": flight.reason },
      links: flight.span?.sampled ? [linkTo(flight.span)] : []
    }, (span) => {
      if (span.sampled && flight.links < maxLinks) {
        flight.links++
        flight.span?.addLinks([linkTo(span)])
      }
      return waiting
    })

  return {
    launch: (slot, reason, origin) => {
      const callers: Flight["callers"] = WaitingCallers.make(() => Renewal.waitIsOver(flight, options), options)
      const flight = KeyState.makeFlight(reason, origin, callers)
      slot.apply(KeyState.started(flight, cooldownMillis, now()))
      flights.add(flight)
      fork(fly(slot, flight))
      return flight
    },
    join: (flight, deadline) =>
      Effect.withFiberRuntime((caller) => {
        const waiting = flight.callers.wait(caller, deadline)
        // A thousand callers may wait: where tracing is switched off, they make no spans
        return caller.getFiberRef(FiberRef.currentTracerEnabled) ? traced(flight, waiting) : waiting
      }),
    abandon: (error) => {
      for (const flight of flights) flight.callers.tell(Exit.fail(error))
      flights.clear()
    }
  }
}

const linkTo = (span: Tracer.Span): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} })
