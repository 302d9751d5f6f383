/**
 * A process that asks hostile token endpoints for tokens.
 *
 * Memory is what is on V8's heap and beside it (buffers, zlib), above what was
 * there before the batch of rows, garbage included: V8 tells it before each of
 * its collections, where it is at its highest, and a timer in between. Rows of
 * a batch run together, and the memory of all of them counts for each. While a
 * server floods the client until its time is over, V8 leaves tens of megabytes
 * of buffers lying that were read and are done with, whoever reads: there
 * garbage is collected each time that the server lets time pass, and what is
 * held counts.
 *
 * The clock of a job stands still until its server lets time pass, so that it
 * makes no difference how fast the machine is.
 */
import { ClientAuth, TokenEndpoint } from "@effect-alf/core"
import { RetryPolicy } from "@effect-alf/core"
import type { AccessToken, OAuthError } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient } from "@effect/platform"
import {
  Array as Arr,
  Cause,
  Clock,
  DateTime,
  Duration,
  Effect,
  Exit,
  FiberRef,
  HashSet,
  Logger,
  LogLevel,
  ManagedRuntime,
  Option,
  Redacted,
  Schedule,
  Tracer
} from "effect"
import { setImmediate } from "node:timers/promises"
import { inspect } from "node:util"
import { GCProfiler, getHeapStatistics } from "node:v8"
import { hang } from "../../../core/test/support/hang.js"
import * as Secrets from "../../../core/test/support/Secrets.js"
import { pause, startsAt, timeLimit } from "../../src/hostile/Behaviour.js"
import { issued } from "../../src/hostile/Token.js"
import {
  assertion,
  clientId,
  clientSecret,
  type Job,
  type Message,
  type Outcome,
  type Report,
  type Result
} from "./Job.js"

const uncaught: Array<string> = []
process.on("uncaughtException", (error) => uncaught.push(`uncaughtException ${String(error)}`))
process.on("unhandledRejection", (error) => uncaught.push(`unhandledRejection ${String(error)}`))

const runtimes = { fetch: ManagedRuntime.make(FetchHttpClient.layer), undici: ManagedRuntime.make(NodeHttp.layer()) }

interface Pace {
  readonly clock: Clock.Clock
  /** Waits until so many milliseconds have passed since the start. */
  readonly passed: (millis: number) => Effect.Effect<void>
  readonly letPass: (millis: number) => void
}

const makePace = (): Pace => {
  let sleepers: ReadonlyArray<{ readonly until: number; readonly wake: () => void }> = []
  let passed = 0
  const now = () => startsAt + passed
  const nanos = () => BigInt(now()) * 1_000_000n
  const sleepUntil = (until: number) =>
    Effect.async<void>((resume) => {
      if (until <= passed) return resume(Effect.void)
      const sleeper = { until, wake: () => resume(Effect.void) }
      sleepers = [...sleepers, sleeper]
      return Effect.sync(() => {
        sleepers = sleepers.filter((other) => other !== sleeper)
      })
    })
  return {
    clock: {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: now,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) => {
        const millis = Duration.toMillis(duration)
        // Between two attempts there is no server to let time pass
        return millis < pause ? Effect.yieldNow() : Effect.suspend(() => sleepUntil(passed + millis))
      }
    },
    passed: sleepUntil,
    letPass: (millis) => {
      passed += millis
      const due = sleepers.filter(({ until }) => until <= passed)
      sleepers = sleepers.filter(({ until }) => until > passed)
      for (const { wake } of due) wake()
    }
  }
}

/** By the names of the jobs under way. */
const paces = new Map<string, Pace>()

/** Proves itself in every way at once, so that each secret can be echoed. */
const clientAuth: ClientAuth.ClientAuth = {
  method: "everything",
  authenticate: (context) =>
    Effect.map(ClientAuth.clientSecretBasic(Redacted.make(clientSecret)).authenticate(context), (credentials) => ({
      ...credentials,
      params: { client_secret: Redacted.make(clientSecret), client_assertion: Redacted.make(assertion) }
    }))
}

const retry = Schedule.intersect(
  RetryPolicy.exponential({ base: "5 millis", times: 1 }),
  RetryPolicy.retryAfter("10 millis")
)

interface CapturedSpan {
  readonly name: string
  readonly attributes: ReadonlyMap<string, unknown>
  readonly events: ReadonlyArray<unknown>
  readonly links: Array<Tracer.SpanLink>
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** Everything that is logged and traced while an effect runs. */
const captured = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const logs: Array<unknown> = []
  const spans: Array<CapturedSpan> = []
  const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message, spans }) => {
    logs.push({ level: logLevel.label, message, cause, annotations: Array.from(annotations), spans: Array.from(spans) })
  })
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const events: Array<unknown> = []
      const record: CapturedSpan = { name, attributes, events, links: Array.from(links), exit: undefined }
      spans.push(record)
      return {
        _tag: "Span",
        spanId: String(spans.length),
        traceId: "hostile",
        name,
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (_, exit) => {
          record.exit = exit
        },
        attribute: (key, value) => void attributes.set(key, value),
        event: (name, _, attributes) => void events.push({ name, attributes }),
        addLinks: (links) => void record.links.push(...links)
      }
    },
    context: (f) => f()
  })
  return {
    logs,
    spans,
    effect: Effect.exit(effect).pipe(
      Effect.withTracer(tracer),
      Effect.locally(FiberRef.currentLoggers, HashSet.make(logger)),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
  }
}

const plant = (text: string) =>
  Effect.logTrace(text).pipe(
    Effect.zipRight(Effect.annotateCurrentSpan("planted", text)),
    Effect.zipRight(Effect.sync(() => {
      process.stdout.write(`${text}\n`)
      process.stderr.write(`${Buffer.from(`planted ${text}`).toString("base64")}\n`)
    })),
    Effect.zipRight(Effect.die(new Error(text))),
    Effect.withSpan("plant")
  )

const secrets = [clientSecret, assertion, issued].flatMap((secret) => [
  secret,
  // A text may be cut within a secret
  secret.slice(0, 12),
  secret.slice(-12)
])

const outcomeOf = (
  exit: Exit.Exit<AccessToken.AccessToken, OAuthError.TokenRequestError | OAuthError.InvalidOptions>
): Outcome => {
  if (Exit.isSuccess(exit)) {
    const { expiresAt, obtainedAt, scope, value } = exit.value
    return {
      _tag: "Token",
      token: Redacted.value(value),
      lifetime: Option.getOrNull(
        Option.map(expiresAt, (end) => Duration.toSeconds(DateTime.distanceDuration(obtainedAt, end)))
      ),
      scope: Option.getOrNull(scope)
    }
  }
  const failure = Cause.failureOption(exit.cause)
  if (Option.isNone(failure) || failure.value._tag === "InvalidOptions") {
    return { _tag: "Defect", message: Cause.pretty(exit.cause) }
  }
  const { error, message, reason, retryAfter } = failure.value
  return {
    _tag: "Error",
    reason,
    message,
    error: error ?? null,
    retryAfter: retryAfter === undefined ? null : Math.min(Duration.toSeconds(retryAfter), Number.MAX_VALUE)
  }
}

const ask = (job: Job) => {
  const pace = makePace()
  const program = Effect.gen(function*() {
    const options = { clientId, timeout: job.realTimeout ?? timeLimit, retry }
    const endpoint = yield* job.consumer === "discovery"
      ? TokenEndpoint.makeDiscovery({
        ...options,
        issuer: job.origin,
        metadataUrl: `${job.origin}/metadata`,
        clientSecret: Redacted.make(clientSecret)
      })
      : TokenEndpoint.make({ ...options, tokenEndpoint: `${job.origin}/token`, clientAuth })
    for (let number = 1; number < job.asks; number++) {
      yield* endpoint.request(endpoint.resolve())
      // Until the server has done what it does after its answer
      yield* pace.passed(number * pause)
    }
    if (job.planted !== undefined) return yield* plant(job.planted)
    return yield* endpoint.request(endpoint.resolve())
  })
  return Effect.suspend(() => {
    const { effect, logs, spans } = captured(Effect.scoped(program))
    const start = performance.now()
    paces.set(job.name, pace)
    return (job.realTimeout === undefined ? Effect.withClock(effect, pace.clock) : effect).pipe(
      Effect.disconnect,
      Effect.timeoutTo({
        duration: hang,
        onSuccess: (exit) => exit,
        onTimeout: () => Exit.die(new Error("neither the client nor the server comes to an end"))
      }),
      Effect.map((exit) => ({ exit, logs, spans, time: performance.now() - start })),
      Effect.ensuring(Effect.sync(() => paces.delete(job.name)))
    )
  })
}

type Asked = Effect.Effect.Success<ReturnType<typeof ask>>

type Shown = ReadonlyArray<readonly [what: string, value: unknown]>

const shownBy = ({ exit, logs, spans }: Asked): Shown => [
  ["thrown", exit],
  ["logged", logs],
  ...spans.flatMap(({ exit, ...span }) => [
    [`traced by ${span.name}`, span] as const,
    [`how ${span.name} ended`, exit] as const
  ])
]

const whereSeen = (shown: Shown, sought: ReadonlyArray<string>): ReadonlyArray<string> =>
  shown.flatMap(([what, value]) => {
    const [first, ...others] = Secrets.leaks(value, sought)
    return first === undefined ? [] : [`${what}: ${first} and ${others.length} other ways`]
  })

const inUse = () => {
  const { external_memory, used_heap_size } = getHeapStatistics()
  return used_heap_size + external_memory
}

/** Looks at the memory in use, for as long as it is measured. */
let sample = () => {}

const measured = async <A>(run: () => Promise<A>, collects: boolean): Promise<readonly [A, number]> => {
  globalThis.gc!()
  const before = inUse()
  let highest = before
  sample = () => {
    // The second time frees what the first one found
    if (collects) { for (let times = 0; times < 2; times++) globalThis.gc!() }
    highest = Math.max(highest, inUse())
  }
  const profiler = new GCProfiler()
  const timer = collects ? undefined : setInterval(sample, 2)
  if (!collects) profiler.start()
  const result = await run()
  sample()
  sample = () => {}
  clearInterval(timer)
  for (const { beforeGC: { heapStatistics } } of collects ? [] : profiler.stop().statistics) {
    highest = Math.max(highest, heapStatistics.usedHeapSize + heapStatistics.externalMemory)
  }
  return [result, highest - before]
}

const runBatch = async (jobs: ReadonlyArray<Job>): Promise<ReadonlyArray<Result>> => {
  const [all, memory] = await measured(
    () => runtimes[jobs[0].http].runPromise(Effect.forEach(jobs, ask, { concurrency: "unbounded" })),
    jobs[0].collects
  )
  const sought = jobs[0].planted === undefined ? secrets : [jobs[0].planted]
  const shown = all.map(shownBy)
  // One search of everything is much faster than many; only if it finds a secret, each result is searched
  const isClean = Secrets.leaks(shown, sought).length === 0
  return all.map(({ exit, time }, index) => ({
    name: jobs[index].name,
    outcome: outcomeOf(exit),
    time,
    memory,
    leaks: isClean ? [] : whereSeen(shown[index], sought)
  }))
}

const work = async (jobs: ReadonlyArray<Job>): Promise<ReadonlyArray<Result>> => {
  const results: Array<Result> = []
  for (const batch of Object.values(Arr.groupBy(jobs, ({ batch }) => batch))) results.push(...await runBatch(batch))
  await Promise.all(Object.values(runtimes).map((runtime) => runtime.dispose()))
  return results
}

const report = async (results: ReadonlyArray<Result>) => {
  process.channel!.unref()
  // Work in the background may still fail, until none is left; connections of fetch are part of it
  await new Promise((resolve) => process.once("beforeExit", resolve))
  process.send!({ results, uncaught } satisfies Report, () => process.exit())
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await setImmediate()
}

let arrived = Promise.resolve()

/** After what the server sent before: that is here already, and is read within a few turns of the event loop. */
const letPass = ({ millis, name }: Message & { readonly _tag: "LetPass" }) => {
  arrived = arrived.then(async () => {
    await turns(5)
    sample()
    paces.get(name)?.letPass(millis)
  })
}

process.on("message", (message: Message) => {
  if (message._tag === "LetPass") return letPass(message)
  void work(message.jobs).catch((error): ReadonlyArray<Result> => {
    uncaught.push(inspect(error))
    return []
  }).then(report)
})
