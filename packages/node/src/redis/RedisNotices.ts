/**
 * Change notices by Redis' publish and subscribe. The script that writes a key
 * also publishes it, on one channel per prefix; in a cluster this reaches the
 * subscribers of every node.
 */
import { TokenStoreError } from "@effect-alf/core/OAuthError"
import type { TokenStore } from "@effect-alf/core/TokenStore"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid, identity } from "effect/Function"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { answerWithin, type Connection, type Listener } from "./RedisConnection.js"
import * as RedisError from "./RedisError.js"

/**
 * The end of a script that has written `KEYS[1]`. `ARGV[1]` is the sender, or
 * empty to notify nobody; `ARGV[2]` is the key as the store knows it. The
 * prefix of `KEYS[1]` before it is that of the channel too. A user without
 * permission to publish can still write.
 */
export const publish = `
if ARGV[1] ~= '' then
  local prefix = string.sub(KEYS[1], 1, -(#ARGV[2] + 3))
  redis.pcall('PUBLISH', prefix .. 'changes', ARGV[1] .. ' ' .. ARGV[2])
end
`

/** Publishes and receives notices. */
export interface RedisNotices {
  /** The first two arguments of a script that ends with `publish`. */
  readonly announce: (key: string) => readonly [sender: string, key: string]
  /** The notices of other processes. */
  readonly changes: TokenStore["Type"]["changes"]
}

/**
 * The notices of one store. The listening connection exists while anybody
 * listens, and is restored automatically; it fails only if the server refuses
 * the subscription.
 */
export const make = Effect.fnUntraced(function*(
  { keyPrefix, listener }: Connection,
  { commandTimeout, prefix }: { readonly commandTimeout: Duration.Duration; readonly prefix: string }
) {
  const sender = randomUUID()
  const channel = `${keyPrefix}${prefix}changes`
  // Notes about a key have keys with a #, and do not concern processes that hold its token
  const announce: RedisNotices["announce"] = (key) => [key.includes("#") ? "" : sender, key]
  const through = (changes: RedisNotices["changes"]): RedisNotices => ({ announce, changes })
  if (listener === undefined) return through(Stream.never)

  // Beyond this a slow listener misses notices, which is allowed
  const notices = yield* PubSub.sliding<string>(256)

  const receive = (message: string) => {
    const notice = /^([0-9a-f-]{36}) (.+)$/s.exec(message)
    if (notice !== null && notice[1] !== sender) notices.unsafeOffer(notice[2])
  }

  const listenOn = ({ authenticated, redis }: Listener) => {
    const ended = Effect.async<void>((resume) => {
      redis.on("error", constVoid)
      redis.on("end", () => resume(Effect.void))
      redis.on("message", (_, message) => receive(message))
    })
    const ask = answerWithin(commandTimeout)
    // Without traffic, a connection would not detect that the server hangs
    const alive = Effect.repeat(
      Effect.catchIf(ask(() => redis.ping()), RedisError.isReply, () => Effect.void),
      Schedule.spaced(Duration.times(commandTimeout, pingPause))
    )
    const connected = Effect.tryPromise({ try: () => redis.connect(), catch: identity })
    const subscribed = Effect.zipRight(connected, ask(() => authenticated().then(() => redis.subscribe(channel))))
    return Effect.raceFirst(ended, Effect.zipRight(subscribed, alive))
  }

  /** Listens until the connection is lost. */
  const listen = Effect.acquireUseRelease(
    listener,
    Option.match({ onNone: () => Effect.void, onSome: listenOn }),
    Option.match({
      onNone: () => Effect.void,
      onSome: ({ redis }) => Effect.sync(() => redis.disconnect())
    })
  ).pipe(
    Effect.catchAll((error) => RedisError.isReply(error) ? Effect.fail(refusal(channel, error)) : Effect.void)
  )

  const listening = yield* RcRef.make({
    acquire: Effect.gen(function*() {
      const refused = yield* Deferred.make<never, TokenStoreError>()
      yield* Effect.repeat(listen, reconnect).pipe(
        Effect.catchAll((error) => Deferred.fail(refused, error)),
        Effect.interruptible,
        Effect.forkScoped
      )
      return refused
    })
  })

  return through(Stream.unwrapScoped(Effect.gen(function*() {
    const received = yield* PubSub.subscribe(notices)
    const refused = yield* listening
    return Stream.interruptWhenDeferred(Stream.fromQueue(received), refused)
  })))
})

// Rare for a server, and quick enough for notices, whose loss does no harm
const pingPause = 5

// The same delays as for the command connection, with jitter so that a fleet does not reconnect at once
const reconnect = Schedule.exponential("50 millis").pipe(
  Schedule.union(Schedule.spaced("1 second")),
  Schedule.jittered,
  Schedule.resetAfter("10 seconds")
)

const refusal = (channel: string, error: unknown) =>
  new TokenStoreError({
    method: "changes",
    reason: "Unavailable",
    description: `Redis refuses a subscription to ${channel}: ${RedisError.describe(error)}`
  })
