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
import { TokenEndpointError, TokenProviderError } from "../OAuthError.js"
import * as OAuthMetrics from "../OAuthMetrics.js"
import * as Sharing from "../store/Sharing.js"
import type { TokenEndpoint } from "../TokenEndpoint.js"
import * as Adoption from "./Adoption.js"
import * as Cooldown from "./Cooldown.js"
import * as HeldToken from "./HeldToken.js"
import type { Flight } from "./KeyState.js"
import * as KeyState from "./KeyState.js"
import type { OtherProcesses } from "./OtherProcesses.js"
import type * as Renewal from "./Renewal.js"
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
export const make = (options: {
  readonly endpoint: TokenEndpoint["Type"]
  readonly slots: TokenCache.TokenCache
  readonly fleet: Pick<Sharing.Fleet, "tokens">
  readonly adoption: Adoption.Adoption
  readonly reports: Reports
  readonly others: OtherProcesses | undefined
  readonly log: RenewalLog
  readonly renew: (renewal: Renewal.Renewal) => Effect.Effect<Sharing.Outcome, Cooldown.Failure>
  readonly maxWait: Duration.Duration
  readonly failureCooldown: Duration.Duration
  /** Runs a flight until the provider closes. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly update: OAuthMetrics.Update
}): Flights => {
  const { adoption, endpoint, failureCooldown, fleet, fork, log, maxWait, now, others, renew, reports, slots, update } =
    options
  const cooldownMillis = Duration.toMillis(failureCooldown)
  const flights = new Set<Flight>()

  const credentials = Effect.map(Effect.timeoutOption(endpoint.credentials, maxWait), Option.flatten)

  const waits = (flight: Flight, what: string) => {
    if (flight.waitsFor?.what !== what) flight.waitsFor = { what, since: now() }
  }

  /** The endpoint's error tells more than that the wait timed out. */
  const waitIsOver = ({ lastError, waitsFor }: Flight): Cooldown.Failure =>
    lastError ?? new TokenProviderError({
      reason: "MaxWait",
      waited: maxWait,
      description: waitsFor && `${waitsFor.what} after ${Duration.format(now() - waitsFor.since)}`,
      retryAfter: failureCooldown
    })

  const obtain = Effect.fnUntraced(function*(slot: Slot, flight: Flight) {
    const { changed, origin, reason } = flight
    flight.span = Option.getOrUndefined(yield* Effect.option(Effect.currentSpan))
    if (KeyState.answering(slot.state, now()) !== undefined) {
      // What ends a cool-down early: a token of another process, or changed credentials
      const stored = Adoption.tokenOf(yield* adoption.look(slot, reason))
      if (stored !== undefined) return Sharing.Outcome.Adopted({ token: stored })
      if (KeyState.mayChange(slot.state)) slot.apply(KeyState.credentialsRead(yield* credentials))
      const failure = KeyState.answering(slot.state, now())
      flight.isAnswered = failure !== undefined
      if (failure !== undefined) return yield* failure
    }
    return yield* renew({
      key: slot.key,
      request: slot.request,
      reason,
      origin,
      sharesTokens: TokenCache.sharesTokens(slot),
      deadline: now() + Duration.toMillis(maxWait),
      accept: (given) => {
        const token = adoption.again(slot, given)
        return token === given || now() < HeldToken.life(token).expiresAt
          ? Effect.succeed(token)
          : new TokenEndpointError({
            reason: "InvalidResponse",
            endpoint: endpoint.address,
            status: 200,
            description: "the token is the same as before, and it has expired",
            // A server that returns the same token until it expires returns another one then
            retryAfter: Duration.zero
          })
      },
      isAdoptable: (token) => adoption.isAdoptable(slot, token, reason),
      look: adoption.look(slot, reason),
      changed,
      waitIsOver: () => waitIsOver(flight),
      onAsk: () => {
        flight.attempts++
        flight.callers.nothingBefore(0)
        waits(flight, `attempt ${flight.attempts} at ${endpoint.address} is still running`)
        if (reason === "rejection") reports.asked(slot, origin)
      },
      onBusy: (notBefore = 0) => {
        waits(flight, `another process is requesting a token from ${endpoint.address}, and has not stored one`)
        flight.callers.nothingBefore(notBefore)
      },
      onFailure: (error, notBefore) => {
        flight.lastError = error
        flight.failedAt = now()
        flight.callers.nothingBefore(notBefore)
      }
    })
  })

  // ---------------------------------------------------------------------------
  // how it ends
  // ---------------------------------------------------------------------------

  const land = (slot: Slot, flight: Flight, exit: Exit.Exit<AccessToken | undefined, Cooldown.Failure>) => {
    slot.apply(KeyState.ended(flight))
    flights.delete(flight)
    flight.callers.tell(exit)
  }

  const failed = (slot: Slot, flight: Flight, failure: Cooldown.Failure | undefined) => {
    const { failedAt, isAnswered, lastError, reason } = flight
    if (isAnswered || slots.isClosed()) return Effect.void
    const error = failure ?? new TokenProviderError({ reason: "Defect" })
    const at = failure === lastError ? failedAt ?? now() : now()
    const failing: KeyState.Failing = { error, reason, at, cooldown: cooldownMillis }
    const isAlive = HeldToken.isAlive(slot.state.held, now())
    log.failed(slot, !isAlive ? "missing" : reason === "rejection" ? "rejected" : "serves", error)
    // A defect is a bug in a custom endpoint: waiting callers get it
    const fails = reason === "background"
      ? KeyState.failedInBackground
      : failure === undefined
      ? KeyState.died
      : KeyState.failedWaiting
    const from = now()
    slot.apply(fails(failing, from))
    return fails !== KeyState.failedWaiting || Cooldown.isPassing(error)
      ? Effect.void
      : Effect.map(credentials, (failed) => slot.apply(KeyState.failedWith(failed, from)))
  }

  /** Only this process uses such a token: what it is bound to is only likely, and a 401 corrects it. */
  const adoptRebound = (slot: Slot, held: HeldToken.HeldToken) => {
    if (slot.state.held === undefined && KeyState.flightOf(slot.state) === undefined) adoption.found(slot, held)
  }

  const issued = (slot: Slot, flight: Flight, token: AccessToken, replaces: Option.Option<string>) => {
    const { origin, reason } = flight
    const held = adoption.hold(token, true)
    adoption.take(slot, held)
    // The key or certificate that binds tokens changed during the request, probably before the server saw it
    const isCurrent = endpoint.isCurrent(slot.request)
    if (!isCurrent) adoptRebound(slots.of(slot.source), held)
    if (reason === "rejection") reports.renewed(slot, origin, HeldToken.identity(held))
    land(slot, flight, Exit.succeed(token))
    if (!isCurrent || !TokenCache.sharesTokens(slot)) return Effect.void
    // Nobody waits for this; a closing process can afford its bounded calls
    return Effect.flatMap(
      fleet.tokens.write(slot.key, token, replaces),
      (isWritten) => isWritten || others === undefined ? Effect.void : others.overtaken(slot, token, reason)
    )
  }

  const arrive = (slot: Slot, flight: Flight, outcome: Sharing.Outcome): Effect.Effect<void> => {
    switch (outcome._tag) {
      case "Issued":
        return Effect.ensuring(
          Effect.suspend(() => issued(slot, flight, outcome.token, outcome.replaces)),
          outcome.finish
        )
      case "Adopted":
        adoption.take(slot, adoption.hold(outcome.token, false))
        break
      case "Held":
        others?.paused(slot, flight.origin, outcome.hold)
        break
      case "Busy":
        slot.apply(KeyState.busyElsewhere(outcome.again, now()))
    }
    land(slot, flight, Exit.succeed(outcome._tag === "Adopted" ? outcome.token : undefined))
    return Effect.void
  }

  /** The outcome is recorded in the span, and in the metrics if the endpoint or the fleet was asked. */
  const record = (flight: Flight, exit: Exit.Exit<Sharing.Outcome, Cooldown.Failure>) => {
    if (Exit.isInterrupted(exit)) return
    const outcome = flight.outcome = Exit.isSuccess(exit)
      ? exit.value._tag.toLowerCase() as Lowercase<Sharing.Outcome["_tag"]>
      : "failed"
    flight.span?.attribute("oauth.outcome", outcome)
    flight.span?.attribute("oauth.renewal.attempts", flight.attempts)
    if (!flight.isAnswered) update(OAuthMetrics.tokenRenewals(flight.reason, outcome), 1)
  }

  const fly = (slot: Slot, flight: Flight): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const exit = yield* obtain(slot, flight).pipe(
          ErrorAttributes.annotateSpan,
          Effect.onExit((exit) => Effect.sync(() => record(flight, exit))),
          Effect.withSpan("TokenProvider.renew", {
            root: true,
            captureStackTrace: false,
            attributes: { "oauth.renewal.reason": flight.reason, "oauth.token.key": slot.name }
          }),
          Effect.interruptible,
          restore,
          Effect.exit
        )
        if (Exit.isSuccess(exit)) return yield* arrive(slot, flight, exit.value)
        const afterwards = failed(slot, flight, Option.getOrUndefined(Cause.failureOption(exit.cause)))
        // An endpoint that interrupts itself must not interrupt waiting callers
        land(slot, flight, Exit.isInterrupted(exit) ? Exit.die(Cause.squash(exit.cause)) : Exit.failCause(exit.cause))
        yield* Effect.interruptible(afterwards)
      })
    ).pipe(
      // After any other failure, such as an invalid token, the key must not wait for ever
      Effect.onError((cause) => Effect.sync(() => land(slot, flight, Exit.failCause(cause))))
    )

  // ---------------------------------------------------------------------------
  // how it is waited for
  // ---------------------------------------------------------------------------

  /** The spans of a wait and of the flight are linked to each other. */
  const traced = <A, E extends Cooldown.Failure>(flight: Flight, waiting: Effect.Effect<A, E>) =>
    Effect.useSpan("TokenProvider.wait", {
      captureStackTrace: false,
      attributes: { "oauth.renewal.reason": flight.reason },
      links: flight.span?.sampled ? [linkTo(flight.span)] : []
    }, (span) => {
      if (span.sampled && flight.links < maxLinks) {
        flight.links++
        flight.span?.addLinks([linkTo(span)])
      }
      return Effect.withParentSpan(ErrorAttributes.annotateSpan(waiting), span)
    })

  return {
    launch: (slot, reason, origin) => {
      const flight: Flight = KeyState.makeFlight(
        reason,
        origin,
        WaitingCallers.make({
          timeIsOver: () => waitIsOver(flight),
          onBegin: () => update(OAuthMetrics.tokenWaiters, 1),
          onEnd: (waited) => {
            update(OAuthMetrics.tokenWaiters, -1)
            // A clock that was set back must not reduce the sum
            update(OAuthMetrics.tokenWaitDuration, Math.max(0, waited) / 1000)
          },
          fork,
          now
        })
      )
      slot.apply(KeyState.started(flight, cooldownMillis, now()))
      flights.add(flight)
      fork(fly(slot, flight))
      return flight
    },
    join: (flight, deadline) =>
      Effect.withFiberRuntime((caller) => {
        const waiting = flight.callers.wait(caller, deadline)
        // A thousand callers may wait: none pays for a span that nobody records
        return caller.getFiberRef(FiberRef.currentTracerEnabled) ? traced(flight, waiting) : waiting
      }),
    abandon: (error) => {
      for (const flight of flights) flight.callers.tell(Exit.fail(error))
      flights.clear()
    }
  }
}

const linkTo = (span: Tracer.Span): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} })
