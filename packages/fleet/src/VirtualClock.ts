/**
 * Time that stands still while anything can go on, and then jumps to the next
 * sleeper. TestClock looks whether all fibers are suspended by real timers, some
 * milliseconds for each step; this runs hundreds of thousands of steps a second.
 */
import { Clock, Duration, Effect, Either, type Exit, Scheduler } from "effect"

interface Timer {
  readonly at: number
  /** Timers of the same time end in the order in which they were set. */
  readonly order: number
  task: (() => void) | undefined
}

// Far enough from zero that no skewed clock is before it
const beginning = 1_000_000_000_000

export class VirtualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private readonly timers: Array<Timer> = []
  private time = beginning
  private lastOrder = 0

  unsafeCurrentTimeMillis(): number {
    return this.time
  }

  unsafeCurrentTimeNanos(): bigint {
    return BigInt(this.time) * 1_000_000n
  }

  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.unsafeCurrentTimeMillis())

  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.unsafeCurrentTimeNanos())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => Effect.sync(this.schedule(duration, () => resume(Effect.void))))
  }

  /** Milliseconds since the clock was made. */
  elapsed(): number {
    return this.time - beginning
  }

  /** Runs a task when so much time has passed; what it returns takes that back. */
  schedule(delay: Duration.DurationInput, task: () => void): () => void {
    const millis = Duration.toMillis(delay)
    if (millis === Number.POSITIVE_INFINITY) return () => {}
    const timer: Timer = { at: this.time + Math.max(0, Math.ceil(millis)), order: ++this.lastOrder, task }
    this.push(timer)
    return () => {
      timer.task = undefined
    }
  }

  /** Jumps to the next timer and ends it; `false` when there is none. */
  advance(): boolean {
    for (let timer = this.pop(); timer !== undefined; timer = this.pop()) {
      if (timer.task === undefined) continue
      this.time = timer.at
      timer.task()
      return true
    }
    return false
  }

  private push(timer: Timer) {
    const { timers } = this
    let index = timers.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(timer, timers[parent])) break
      timers[index] = timers[parent]
      index = parent
    }
    timers[index] = timer
  }

  private pop(): Timer | undefined {
    const { timers } = this
    const first = timers[0]
    const last = timers.pop()
    if (last === undefined || first === last) return first
    let index = 0
    for (let child = 1; child < timers.length; child = 2 * index + 1) {
      if (child + 1 < timers.length && isBefore(timers[child + 1], timers[child])) child++
      if (!isBefore(timers[child], last)) break
      timers[index] = timers[child]
      index = child
    }
    timers[index] = last
    return first
  }
}

const isBefore = (a: Timer, b: Timer) => a.at < b.at || (a.at === b.at && a.order < b.order)

// A fiber that wakes up may set a timer for the same moment
const settle = Effect.repeatN(Effect.sleep(0), 2)

/** Lets so much time pass; fibers that wait for its end continue first. */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  Effect.zipRight(Effect.sleep(duration), settle)

/**
 * Runs an effect to its end, synchronously and in no real time. `Left` if all
 * fibers wait and no timer is set.
 */
export const run = <A, E>(
  effect: Effect.Effect<A, E>,
  clock: VirtualClock = new VirtualClock()
): Either.Either<Exit.Exit<A, E>, "deadlock"> => {
  const scheduler = new Scheduler.ControlledScheduler()
  const fiber = Effect.runFork(Effect.withClock(effect, clock), { scheduler })
  for (;;) {
    while (scheduler.tasks.buckets.length > 0) scheduler.step()
    const exit = fiber.unsafePoll()
    if (exit !== null) return Either.right(exit)
    if (!clock.advance()) return Either.left("deadlock")
  }
}

// The body of a response is read in one; nothing that is in memory needs more
const turns = 3

/**
 * The same for an effect that also waits for promises, as for the bodies of responses: these are kept before time goes
 * on, where nothing of the machine is behind them.
 */
export const runPromise = async <A, E>(effect: Effect.Effect<A, E>): Promise<Exit.Exit<A, E>> => {
  const clock = new VirtualClock()
  const scheduler = new Scheduler.ControlledScheduler()
  const fiber = Effect.runFork(Effect.withClock(effect, clock), { scheduler })
  for (;;) {
    do {
      while (scheduler.tasks.buckets.length > 0) scheduler.step()
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
    } while (scheduler.tasks.buckets.length > 0)
    const exit = fiber.unsafePoll()
    if (exit !== null) return exit
    if (!clock.advance()) throw new Error("Everybody waits for something that no timer will bring")
  }
}
