/**
 * Callers that wait for one result, each until its own deadline. A thousand may
 * wait at once: they share one timer, and an interruption, which is rare, costs
 * nothing in advance.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as OAuthMetrics from "../OAuthMetrics.js"

/** Callers that wait for a result. */
export interface WaitingCallers<A, E> {
  /** Waits until the deadline (epoch milliseconds). Interrupting the caller does not affect others. */
  readonly wait: (caller: Fiber.RuntimeFiber<unknown, unknown>, deadline: number) => Effect.Effect<A, E>
  /** There is no result before this time (epoch milliseconds): callers whose wait ends by then fail at once. */
  readonly nothingBefore: (time: number) => void
  /** Gives the result to all waiting callers and to later ones. Only the first call counts. */
  readonly tell: (exit: Exit.Exit<A, E>) => void
}

/** Callers with the same deadline (epoch milliseconds). */
interface Wait<A, E> {
  readonly deadline: number
  readonly callers: Set<(exit: Exit.Exit<A, E>) => void>
}

/** Makes the place where callers wait; `timeIsOver` is the error of a caller whose wait timed out. */
export const make = <A, E>(timeIsOver: () => E, options: {
  /** Runs a timer. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly update: OAuthMetrics.Update
}): WaitingCallers<A, E> => {
  const { fork, now, update } = options
  // Ordered by deadline; a new one is nearly always the last
  const waits: Array<Wait<A, E>> = []
  let timer: Fiber.RuntimeFiber<void> | undefined
  let told: Exit.Exit<A, E> | undefined
  let earliest = 0

  const tellAll = (ended: ReadonlyArray<Wait<A, E>>, exit: Exit.Exit<A, E>) => {
    for (const { callers } of ended) {
      for (const hear of callers) hear(exit)
    }
  }

  /** A clock that was set back, or a timer that was late, does not prolong a wait. */
  const setTimer = (since: number) => {
    timer?.unsafeInterruptAsFork(FiberId.none)
    const { deadline } = waits[0]
    const millis = deadline - Math.max(since, now())
    timer = fork(Effect.interruptible(Effect.map(Effect.sleep(millis), () => timerEnded(deadline))))
  }

  const endUntil = (deadline: number) => {
    const left = waits.findIndex((wait) => wait.deadline > deadline)
    tellAll(waits.splice(0, left < 0 ? Infinity : left), Exit.fail(timeIsOver()))
  }

  const timerEnded = (deadline: number) => {
    timer = undefined
    endUntil(deadline)
    if (waits.length > 0) setTimer(deadline)
  }

  const callersUntil = (deadline: number) => {
    let index = waits.length
    while (index > 0 && waits[index - 1].deadline > deadline) index--
    if (index > 0 && waits[index - 1].deadline === deadline) return waits[index - 1].callers
    const callers: Wait<A, E>["callers"] = new Set()
    waits.splice(index, 0, { deadline, callers })
    if (index === 0) setTimer(now())
    return callers
  }

  return {
    wait: (caller, deadline) =>
      Effect.async((resume) => {
        if (told !== undefined) return resume(told)
        const since = now()
        if (deadline <= Math.max(earliest, since)) return resume(Exit.fail(timeIsOver()))
        const callers = callersUntil(deadline)
        const stop = () => {
          update(OAuthMetrics.tokenWaiters, -1)
          // A clock that was set back must not reduce the sum
          update(OAuthMetrics.tokenWaitDuration, Math.max(0, now() - since) / 1000)
        }
        // An interrupted fiber ends, and observing that costs a fraction of `Effect.onInterrupt`
        const leave = () => {
          if (callers.delete(hear)) stop()
        }
        const hear = (exit: Exit.Exit<A, E>) => {
          caller.removeObserver(leave)
          stop()
          resume(exit)
        }
        callers.add(hear)
        update(OAuthMetrics.tokenWaiters, 1)
        caller.addObserver(leave)
      }),
    nothingBefore: (time) => {
      earliest = time
      endUntil(time)
    },
    tell: (exit) => {
      if (told !== undefined) return
      told = exit
      timer?.unsafeInterruptAsFork(FiberId.none)
      tellAll(waits.splice(0), exit)
    }
  }
}
