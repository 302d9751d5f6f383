/**
 * Whether the store does what the provider needs: a round trip under a key of
 * its own, which is gone afterwards.
 */
import type { TokenStoreError } from "@effect-alf/core/OAuthError"
import type { Entry, TokenStore } from "@effect-alf/core/TokenStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Passed } from "./Finding.js"
import { Problem } from "./Problem.js"
import type { StoreAddress } from "./StoreAddress.js"

// What is left by a doctor that was killed is gone by then
const timeToLive = Duration.seconds(10)
// A call within one data centre takes a few; the provider gives up after 500
const slowMillis = 100

/**
 * Writes, reads, replaces and removes an entry, and takes a lease; then says how
 * long a call takes. `key` must be new.
 */
export const check = (
  store: TokenStore["Type"],
  address: StoreAddress,
  key: string
): Effect.Effect<Passed<void>, Problem> =>
  Effect.gen(function*() {
    const times: Array<number> = []
    const step = <A>(
      name: string,
      call: Effect.Effect<A, TokenStoreError>,
      expected: (answer: A) => boolean
    ): Effect.Effect<void, Problem> =>
      Effect.timed(call).pipe(
        Effect.mapError(problemOf(name, address)),
        Effect.flatMap(([duration, answer]) => {
          times.push(Duration.toMillis(duration))
          return expected(answer)
            ? Effect.void
            : Effect.fail(Problem.StoreBroken({ step: name, description: "the answer is not what was written" }))
        })
      )
    const is = (expected: boolean) => (answer: boolean) => answer === expected
    const holds = (version: string) => (found: Option.Option<Entry>) =>
      Option.exists(found, (entry) => entry.version === version && entry.payload === version)
    const write = (version: string, replaces: Option.Option<string>) =>
      store.set(key, { version, payload: version, timeToLive }, replaces)

    yield* step("reading", store.get(key), Option.isNone)
    yield* step("writing", write("first", Option.none()), is(true))
    yield* step("reading what was written", store.get(key), holds("first"))
    yield* step("a write that comes too late", write("late", Option.some("other")), is(false))
    yield* step("replacing", write("second", Option.some("first")), is(true))
    yield* step("reading what was replaced", store.get(key), holds("second"))
    yield* step("a lease", store.acquireLease(key, "one", timeToLive), is(true))
    yield* step("a lease that another one holds", store.acquireLease(key, "other", timeToLive), is(false))
    yield* step("giving a lease back", store.releaseLease(key, "one"), () => true)
    yield* step("removing", store.remove(key, "second"), is(true))
    yield* step("reading what was removed", store.get(key), Option.isNone)

    // Of one that was slow the network or this process may be the cause
    const median = times.sort((one, other) => one - other)[Math.floor(times.length / 2)] ?? 0
    const millis = Math.max(1, Math.round(median))
    return {
      says: `write, read, compare-and-set and lease work, in ${millis} ms each`,
      value: undefined,
      concern: millis > slowMillis ? Problem.StoreSlow({ store: address, millis }) : undefined
    }
  })

// A store that answers has the reason Unavailable too: only what it says tells that it runs
const wrongPassword =
  /WRONGPASS|NOAUTH|ERR AUTH|invalid password|unauthenticated|authentication fail(ure|ed)|Access denied .*using password/i
const readOnly =
  /READONLY|MISCONF|OOM |SERVER_ERROR out of memory|read-only|readonly database|No space left|disk is full/
const refusal =
  /^(ERR|NOPERM|ERROR|CLIENT_ERROR|SERVER_ERROR)\b|permission denied for|command denied|createTable creates it$/

const problemOf = (step: string, store: StoreAddress) => ({ description, reason }: TokenStoreError): Problem => {
  if (reason === "InvalidEntry") return Problem.StoreBroken({ step, description })
  if (reason === "Unavailable") {
    if (wrongPassword.test(description)) return Problem.StorePassword({ store, description })
    if (readOnly.test(description)) return Problem.StoreReadOnly({ store, description })
    if (refusal.test(description)) return Problem.StoreRefuses({ step, description })
  }
  return Problem.StoreDown({ store, description })
}
