/** How a row of the contract looks at a store. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { TokenStoreError } from "../../OAuthError.js"
import type { Entry, TokenStore } from "../../TokenStore.js"

/** Why a row fails. */
export class Violation extends Data.Error<{ readonly expected: string; readonly actual: string }> {}

export const violation = (expected: string, actual: string) => new Violation({ expected, actual })

/** What a store may promise. */
export type Claim = "compareAndSet" | "leases" | "expiry" | "notices"

/** A row's access to the store. */
export interface Probe {
  readonly store: TokenStore["Type"]
  /** The same store as another process sees it. */
  readonly other: TokenStore["Type"]
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  readonly shortTime: Duration.Duration
  /** A key that nobody else uses. */
  readonly key: string
}

/** A row, and the promises that it is about. */
export interface RowSource {
  readonly name: string
  readonly claims: ReadonlyArray<Claim>
  readonly check: (probe: Probe) => Effect.Effect<void, Violation | TokenStoreError, Scope.Scope>
}

// What a failed row leaves behind expires within a minute
export const longTime = Duration.minutes(1)

const randomText = Effect.map(
  Effect.all([Random.nextInt, Random.nextInt, Random.nextInt]),
  (parts) => parts.map((part) => Math.abs(part).toString(36)).join("")
)

export const randomKey = Effect.map(randomText, (text) => `contract-${text}`)

export const makeEntry = (payload: string, timeToLive: Duration.Duration = longTime): Effect.Effect<Entry> =>
  Effect.map(randomText, (version) => ({ version, payload, timeToLive }))

export const expect = (condition: boolean, expected: string, actual: string) =>
  condition ? Effect.void : violation(expected, actual)

export const show = (entry: Option.Option<Entry>): string =>
  Option.match(entry, {
    onNone: () => "there was no entry",
    onSome: ({ payload, timeToLive, version }) =>
      `there was version ${version} with ${payload.length} characters for ${Duration.format(timeToLive)}`
  })

/** Reads a key and compares version and payload. */
export const expectEntry = (probe: Probe, key: string, entry: Entry, when: string) =>
  Effect.flatMap(
    probe.store.get(key),
    (found) =>
      expect(
        Option.isSome(found) && found.value.version === entry.version && found.value.payload === entry.payload,
        `the entry ${when}`,
        show(found)
      )
  )

export const expectNone = (probe: Probe, key: string, when: string) =>
  Effect.flatMap(probe.store.get(key), (found) => expect(Option.isNone(found), `no entry ${when}`, show(found)))

/** Reads the remaining lifetime of an entry that was just written with the lifetime `set`. */
export const expectTime = (probe: Probe, key: string, set: Duration.Duration) =>
  Effect.flatMap(probe.store.get(key), (found) => {
    // A server may be slow, but a wrong unit of time is far below
    const least = Duration.times(set, 0.5)
    return expect(
      Option.exists(found, ({ timeToLive }) => Duration.between(timeToLive, { minimum: least, maximum: set })),
      `between ${Duration.format(least)} and ${Duration.format(set)} to remain`,
      show(found)
    )
  })

export const expectAnswer = (
  answer: boolean,
  call: Effect.Effect<boolean, TokenStoreError>,
  when: string
) =>
  Effect.flatMap(
    call,
    (actual) => expect(actual === answer, `${answer} from ${when}`, `the answer was ${String(actual)}`)
  )

/** Writes to an empty key. */
export const put = (probe: Probe, key: string, entry: Entry) =>
  expectAnswer(true, probe.store.set(key, entry, Option.none()), "set on a key that holds nothing")

export const contenders = ["a", "b", "c", "d", "e", "f", "g", "h"]

/** Slightly longer, as a timer may fire early. */
export const past = (duration: Duration.Duration) => Duration.times(duration, 1.2)
