/**
 * One store for all processes, with the true time as its clock, and a
 * connection for each of them over a network that delays, loses and lies.
 */
import { OAuthError, TokenStore } from "@effect-alf/core"
import { Duration, Effect, Option, Stream } from "effect"
import type { Dice, Range } from "./Dice.js"
import type { Machine } from "./Machine.js"
import type { VirtualClock } from "./VirtualClock.js"

type Store = TokenStore.TokenStore["Type"]
type Method = OAuthError.TokenStoreError["method"]

/** `fails` answers every call with an error, `hangs` does not answer. */
export type Condition = "works" | "fails" | "hangs"

export interface Options {
  /** From the call to the store and back. */
  readonly latency: Range
  /** By how much a late call is late: its caller has given up, yet it is executed. */
  readonly lateness: Range
  /** How often a notice does not arrive; 1 for never any. */
  readonly noticeLoss: number
}

export const defaultOptions: Options = { latency: [1, 5], lateness: [600, 3_000], noticeLoss: 0 }

interface Stored {
  readonly version: string
  readonly payload: string
  readonly endsAt: number
}

interface Lease {
  readonly owner: string
  readonly endsAt: number
}

interface Change {
  readonly at: number
  readonly undo: () => void
}

interface Subscriber {
  readonly machine: Machine
  readonly notify: (key: string) => void
  readonly disconnect: () => void
}

export interface ModelStore {
  /** The store as a process sees it. */
  readonly connect: (machine: Machine) => Store
  /** For one process, or for all where none is named. */
  readonly setCondition: (condition: Condition, machine?: Machine) => void
  readonly setNoticeLoss: (rate: number) => void
  /** How often a call is late from now on. */
  readonly setLateRate: (rate: number) => void
  /** The spare takes over, without what was written last. */
  readonly failOver: (lost: number) => void
  /** Calls so far, those included that got no answer. */
  readonly commands: () => number
  /** Calls so far that did not work, or not in time. */
  readonly disturbances: () => number
  /** Writes so far that replaced what their writer had not seen. */
  readonly blindWrites: () => number
}

export const make = (time: VirtualClock, dice: Dice, options: Options = defaultOptions): ModelStore => {
  const entries = new Map<string, Stored>()
  const leases = new Map<string, Lease>()
  const changes: Array<Change> = []
  const subscribers = new Set<Subscriber>()
  const conditions = new Map<Machine, Condition>()
  let conditionOfAll: Condition = "works"
  let { noticeLoss } = options
  let lateRate = 0
  let commands = 0
  let disturbances = 0
  let blindWrites = 0

  const conditionOf = (machine: Machine): Condition =>
    conditionOfAll === "works" ? conditions.get(machine) ?? "works" : conditionOfAll

  const find = <A extends { readonly endsAt: number }>(map: ReadonlyMap<string, A>, key: string): A | undefined => {
    const found = map.get(key)
    return found !== undefined && found.endsAt > time.elapsed() ? found : undefined
  }

  const put = <A>(map: Map<string, A>, key: string, value: A | undefined) => {
    const previous = map.get(key)
    const write = (value: A | undefined) => value === undefined ? map.delete(key) : map.set(key, value)
    changes.push({ at: time.elapsed(), undo: () => write(previous) })
    write(value)
  }

  const notify = (key: string) => {
    for (const { machine, notify } of subscribers) {
      if (conditionOf(machine) !== "works" || dice.happens(noticeLoss)) continue
      machine.after(dice.within(options.latency), () => notify(key))
    }
  }

  const compareAndSet: (key: string, entry: TokenStore.Entry, replaces: Option.Option<string>) => boolean = (
    key,
    { payload, timeToLive, version },
    replaces
  ) => {
    const current = find(entries, key)
    if (current !== undefined && !Option.contains(replaces, current.version)) return false
    put(entries, key, { version, payload, endsAt: time.elapsed() + Duration.toMillis(timeToLive) })
    notify(key)
    return true
  }

  const grant = (key: string, owner: string, duration: Duration.Duration) => {
    put(leases, key, { owner, endsAt: time.elapsed() + Duration.toMillis(duration) })
    return true
  }

  const disconnect = (isAffected: (machine: Machine) => boolean) => {
    for (const subscriber of subscribers) {
      if (isAffected(subscriber.machine)) subscriber.disconnect()
    }
  }

  const connect = (machine: Machine): Store => {
    const unavailable = (method: Method) =>
      new OAuthError.TokenStoreError({ method, reason: "Unavailable", description: "connection refused" })

    /** Once sent, a command is executed whether its caller still waits or not. */
    const command = <A>(method: Method, execute: () => A) =>
      Effect.async<A, OAuthError.TokenStoreError>((resume) => {
        if (!machine.isAlive()) return
        commands++
        const there = dice.within(options.latency) / 2
        const back = dice.within(options.latency) / 2
        const answer = (result: Effect.Effect<A, OAuthError.TokenStoreError>) =>
          machine.after(back, () => resume(result))
        const late = dice.happens(lateRate) ? dice.within(options.lateness) : 0
        if (late > 0) disturbances++
        time.schedule(there + late, () => {
          const condition = conditionOf(machine)
          if (condition === "works") {
            answer(Effect.succeed(execute()))
            return
          }
          disturbances++
          if (condition === "fails") answer(Effect.fail(unavailable(method)))
        })
      })

    return {
      sharing: TokenStore.byTurns,
      get: (key) =>
        command("get", () =>
          Option.map(Option.fromNullable(find(entries, key)), ({ endsAt, payload, version }) => ({
            payload,
            version,
            timeToLive: Duration.millis(endsAt - time.elapsed())
          }))),
      set: (key, entry, replaces) =>
        command("set", () => {
          const current = find(entries, key)
          const written = compareAndSet(key, entry, replaces)
          if (written && current !== undefined && !Option.contains(replaces, current.version)) blindWrites++
          return written
        }),
      remove: (key, version) =>
        command("remove", () => {
          if (find(entries, key)?.version !== version) return false
          put(entries, key, undefined)
          notify(key)
          return true
        }),
      acquireLease: (key, owner, duration) =>
        command("acquireLease", () => {
          const held = find(leases, key)
          const isFree = held === undefined || held.owner === owner ||
            held.endsAt - time.elapsed() > 10 * Duration.toMillis(duration)
          return isFree && grant(key, owner, duration)
        }),
      extendLease: (key, owner, duration) =>
        command("extendLease", () => find(leases, key)?.owner === owner && grant(key, owner, duration)),
      releaseLease: (key, owner) =>
        command("releaseLease", () => {
          if (find(leases, key)?.owner === owner) put(leases, key, undefined)
        }),
      changes: Stream.asyncPush<string, OAuthError.TokenStoreError>((emit) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const subscriber: Subscriber = {
              machine,
              notify: (key) => emit.single(key),
              disconnect: () => {
                subscribers.delete(subscriber)
                machine.after(dice.within(options.latency), () => emit.fail(unavailable("changes")))
              }
            }
            subscribers.add(subscriber)
            if (conditionOf(machine) === "fails") subscriber.disconnect()
            return subscriber
          }),
          (subscriber) => Effect.sync(() => subscribers.delete(subscriber))
        ), { bufferSize: "unbounded" })
    }
  }

  return {
    connect,
    setCondition: (condition, machine) => {
      if (machine === undefined) conditionOfAll = condition
      else conditions.set(machine, condition)
      disconnect((machine) => conditionOf(machine) === "fails")
    },
    setNoticeLoss: (rate) => {
      noticeLoss = rate
    },
    setLateRate: (rate) => {
      lateRate = rate
    },
    failOver: (lost) => {
      const from = time.elapsed() - lost
      for (let change = changes.at(-1); change !== undefined && change.at > from; change = changes.at(-1)) {
        change.undo()
        changes.pop()
      }
      disconnect(() => true)
    },
    commands: () => commands,
    disturbances: () => disturbances,
    blindWrites: () => blindWrites
  }
}
