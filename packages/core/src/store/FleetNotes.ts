/**
 * What the processes of a fleet tell each other in addition to tokens: that the
 * endpoint has just failed, so wait (the pace), and that renewals for a
 * resource were fruitless, so stop (the pause). Each note is an ordinary entry
 * under a derived key; its time is the store's.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { fingerprint } from "../disclosure/Fingerprint.js"
import type { BoundedStore } from "./BoundedStore.js"
import { randomName } from "./SharedTokens.js"

/** Renewals for an origin are paused for `remaining` milliseconds, for the `count`th time in a row. */
export interface Pause {
  readonly count: number
  readonly remaining: number
}

/** The first pause: long enough to stop a storm, and too short to be noticed during a deployment. */
const firstHold = 1_000
const maxHold = 60_000

/** The pause after `count` fruitless renewals in a row. */
export const nthPause = (count: number): Pause => ({
  count,
  remaining: Math.min(maxHold, firstHold * 2 ** (count - 1))
})

/** How often it happened, and for how many milliseconds it is in force. */
export interface Note {
  readonly count: number
  /** Zero or less if only the count is still known. */
  readonly remaining: number
}

/** A note that was read. */
export interface Found extends Note {
  readonly version: string
}

/** Reads and writes the notes of a store. If the store fails, there are none. */
export interface FleetNotes {
  readonly read: (key: string) => Effect.Effect<Option.Option<Found>>
  /** Returns `false` and does nothing if another process has written since. */
  readonly write: (key: string, note: Note, replaces: Option.Option<string>) => Effect.Effect<boolean>
  readonly remove: (key: string, version: string) => Effect.Effect<void>
  /** Removes a note that this process has not read. */
  readonly forget: (key: string) => Effect.Effect<void>
  /** Counts a pause, unless one is in force; returns the one that is in force then. */
  readonly countPause: (key: string, atLeast: Pause) => Effect.Effect<Pause>
}

/** The key of a key's pace. */
export const paceKey = (key: string): string => `${key}#pace`

/** The key of the claim to ask without a key's lease. */
export const claimKey = (key: string): string => `${key}#claim`

/** The key of a key's pause for an origin. */
export const pauseKey = (key: string, origin: string): string => `${key}#pause:${fingerprint(origin)}`

/** How long the count outlasts the note, so that the next note finds it. */
const countMemory = Duration.toMillis("2 minutes")

/** No note is in force for longer: a store that ignores lifetimes must not stop a fleet for ever. */
const maxRemaining = Duration.toMillis("1 minute")

const maxCount = 1_000_000

/** How many notes in force are remembered. */
const maxSeen = 1_000

const Payload = Schema.suspend(() =>
  Schema.parseJson(Schema.Struct({
    v: Schema.Literal(1),
    count: Schema.Int.pipe(Schema.between(1, maxCount)),
    memory: Schema.NonNegative
  }))
)

const encode = Schema.encodeSync(Payload)

const decode = Schema.decodeUnknownOption(Payload)

/** A process without others reads and writes no notes. */
export const none: FleetNotes = {
  read: () => Effect.succeedNone,
  write: () => Effect.succeed(true),
  remove: () => Effect.void,
  forget: () => Effect.void,
  countPause: (_, pause) => Effect.succeed(pause)
}

/** The notes of a store. */
export const make = (store: BoundedStore): FleetNotes => {
  /** The notes in force and their ends by this clock (epoch milliseconds): a later reading can only shorten them. */
  const seen = new Map<string, { readonly version: string; readonly endsAt: number }>()

  const remember = (key: string, note: Found) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const known = seen.get(key)
      const remaining = known?.version === note.version ? Math.min(note.remaining, known.endsAt - now) : note.remaining
      if (seen.size >= maxSeen) seen.clear()
      seen.set(key, { version: note.version, endsAt: now + remaining })
      return { ...note, remaining }
    })

  const read = (key: string) =>
    Effect.flatMap(
      store.get(key, ({ payload, timeToLive, version }): Found =>
        Option.match(decode(payload), {
          // An unreadable note may be overwritten
          onNone: () => ({ count: 0, remaining: 0, version }),
          onSome: ({ count, memory }) => {
            const remaining = Duration.toMillis(timeToLive) - memory
            return { count, remaining: remaining > maxRemaining ? -Infinity : remaining, version }
          }
        })),
      (answer) => {
        const found = Option.flatten(answer)
        if (Option.isSome(found) && found.value.remaining > 0) return Effect.asSome(remember(key, found.value))
        return Effect.succeed(found)
      }
    )
  const write = (key: string, { count, remaining }: Note, replaces: Option.Option<string>) =>
    Effect.flatMap(randomName, (version) =>
      Effect.map(
        store.set(key, {
          version,
          payload: encode({ v: 1, count: Math.min(count, maxCount), memory: countMemory }),
          timeToLive: Duration.millis(remaining + countMemory)
        }, replaces),
        Option.getOrElse(() => true)
      ))
  return {
    read,
    write,
    remove: store.remove,
    forget: (key) =>
      Effect.flatMap(
        read(key),
        Option.match({ onNone: () => Effect.void, onSome: ({ version }) => store.remove(key, version) })
      ),
    countPause: Effect.fnUntraced(function*(key, atLeast) {
      const found = yield* read(key)
      if (Option.isSome(found) && found.value.remaining > 0) return found.value
      const counted = Option.match(found, { onNone: () => 0, onSome: ({ count }) => count })
      const pause = nthPause(Math.max(atLeast.count, counted + 1))
      yield* write(key, pause, Option.map(found, ({ version }) => version))
      return pause
    })
  }
}
