/**
 * The contract of every `TokenStore`, as a list of named effects: run them
 * against your own store in any test framework.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { describeCause } from "../OAuthError.js"
import { TokenStore } from "../TokenStore.js"
import * as EntryRows from "./contract/EntryRows.js"
import * as LeaseRows from "./contract/LeaseRows.js"
import * as NoticeRows from "./contract/NoticeRows.js"
import { randomKey, Violation } from "./contract/Probe.js"

/**
 * A store violates the contract.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractViolation extends Data.TaggedError("ContractViolation")<{
  /** The name of the row. */
  readonly row: string
  readonly expected: string
  readonly actual: string
}> {
  override get message(): string {
    return `${this.row}: expected ${this.expected}, but ${this.actual}`
  }
}

/**
 * One requirement. Its keys are its own and new each time, so that rows can run
 * in parallel and again on the same store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row<R = never> {
  readonly name: string
  readonly effect: Effect.Effect<void, ContractViolation, TokenStore | R>
}

/**
 * What the store promises. Without a promise, the rows about it are omitted.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never> {
  /** Advances the store's time: `TestClock.adjust` for a store in memory, a real delay for a server. */
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  /** `set` does not overwrite a version that the writer has not seen. The default is `true`. */
  readonly compareAndSet?: boolean | undefined
  /** A lease has one owner at a time. The default is `true`. */
  readonly leases?: boolean | undefined
  /** Entries and leases expire. The default is `true`. */
  readonly expiry?: boolean | undefined
  /** `changes` reports what was written and removed. The default is `true`. */
  readonly notices?: boolean | undefined
  /**
   * The same store as another process sees it. Without it, nothing tests whether entries and leases are visible outside
   * the process, and a store that does not report a process's own writes gives no notice. The default is the store
   * itself.
   */
  readonly other?: Effect.Effect<TokenStore["Type"], unknown, R> | undefined
  /**
   * The lifetime of the entries and leases whose expiry is awaited: longer than a few calls of the store. The default
   * is 500 milliseconds.
   */
  readonly shortTime?: Duration.DurationInput | undefined
}

/**
 * The rows for a store with these promises.
 *
 * @example
 * ```ts
 * import { TokenStore } from "@effect-alf/core"
 * import { TokenStoreContract } from "@effect-alf/core/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect, TestClock } from "effect"
 *
 * describe("my store", () => {
 *   for (const row of TokenStoreContract.make({ advance: TestClock.adjust })) {
 *     it.effect(row.name, () => Effect.provide(row.effect, TokenStore.layerMemory()))
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(options: Options<R>): ReadonlyArray<Row<Exclude<R, Scope.Scope>>> => {
  const { advance, compareAndSet = true, expiry = true, leases = true, notices = true } = options
  const claims = { compareAndSet, expiry, leases, notices }
  const shortTime = Duration.decode(options.shortTime ?? defaultShortTime)
  return [...EntryRows.rows, ...LeaseRows.rows, ...NoticeRows.rows].filter((source) =>
    source.claims.every((claim) => claims[claim])
  ).map(({ check, claims, name }) => {
    const violation = (expected: string, actual: string) => new ContractViolation({ row: name, expected, actual })
    const row = Effect.gen(function*() {
      const store = yield* TokenStore
      const isForTwo = claims.includes("notices") || claims.includes("leases")
      const other = isForTwo && options.other !== undefined ? yield* options.other : store
      const key = yield* randomKey
      yield* check({ store, other, advance, shortTime, key })
    })
    return {
      name,
      effect: Effect.catchAllCause(Effect.scoped(row), (cause) => {
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        if (failure instanceof Violation) return Effect.fail(violation(failure.expected, failure.actual))
        return Cause.isInterruptedOnly(cause)
          ? Effect.interrupt
          : Effect.fail(violation("no failure", `it failed with: ${describeCause(cause)}`))
      })
    }
  })
}

// A healthy server answers within a millisecond, and a row makes some ten calls
const defaultShortTime = Duration.millis(500)
