/**
 * A `TokenStore` in memory that records its calls and can be made to fail, to
 * be slow, to hang or to contain garbage.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TokenStoreError } from "../OAuthError.js"
import * as TokenStore from "../TokenStore.js"

/**
 * A method of the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Method = TokenStoreError["method"]

/**
 * A call of the store with its arguments. `time` is its start, in epoch
 * milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Call =
  & { readonly time: number }
  & (
    | { readonly method: "get"; readonly key: string }
    | {
      readonly method: "set"
      readonly key: string
      readonly entry: TokenStore.Entry
      readonly replaces: Option.Option<string>
    }
    | { readonly method: "remove"; readonly key: string; readonly version: string }
    | {
      readonly method: "acquireLease" | "extendLease"
      readonly key: string
      readonly owner: string
      readonly duration: Duration.Duration
    }
    | { readonly method: "releaseLease"; readonly key: string; readonly owner: string }
    | { readonly method: "changes" }
  )

/**
 * Controls the store and records its calls. A control affects the methods that
 * it is given, or all of them if none is given.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestTokenStore extends Context.Tag("@effect-alf/core/testing/TestTokenStore")<
  TestTokenStore,
  {
    /** The calls so far, in order. */
    readonly calls: Effect.Effect<ReadonlyArray<Call>>
    /** The calls of one method so far, in order. */
    readonly callsOf: <M extends Method>(
      method: M
    ) => Effect.Effect<ReadonlyArray<Extract<Call, { readonly method: M }>>>
    /** Forgets the recorded calls. */
    readonly resetRecords: Effect.Effect<void>
    /** The current entries by key, of keys that were written through this store or its `backing`. */
    readonly entries: Effect.Effect<ReadonlyMap<string, TokenStore.Entry>>
    /** The memory behind the store, as another process sees it: it never fails and records nothing. */
    readonly backing: TokenStore.TokenStore["Type"]

    /** Fails calls with this description, until `undefined`. */
    readonly fail: (description: string | undefined, ...methods: ReadonlyArray<Method>) => Effect.Effect<void>
    /** Delays calls before they do anything. */
    readonly setDelay: (delay: Duration.DurationInput, ...methods: ReadonlyArray<Method>) => Effect.Effect<void>
    /** Whether calls from now on never complete. */
    readonly hang: (enabled: boolean, ...methods: ReadonlyArray<Method>) => Effect.Effect<void>
    /** Overwrites the payload of a key. It keeps the lifetime of the entry that it replaces, or lives an hour. */
    readonly corrupt: (key: string, payload: string) => Effect.Effect<void>
    /** Runs after each `get` has read and before it returns: the moment in which other processes write. */
    readonly afterGet: (hook: ((key: string) => Effect.Effect<void>) | undefined) => Effect.Effect<void>
  }
>() {}

/**
 * Puts the control between a store and its users: in a test of a fleet, each
 * process has its own control over one store. Its tokens count as shared: a
 * provider that closes leaves them, and `revocation` revokes none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (memory: TokenStore.TokenStore["Type"]): {
  readonly control: TestTokenStore["Type"]
  readonly store: TokenStore.TokenStore["Type"]
} => {
  let calls: Array<Call> = []
  let afterGet: (key: string) => Effect.Effect<void> = () => Effect.void
  let corruptions = 0
  const keys = new Set<string>()
  const failures = new Map<Method, string>()
  const delays = new Map<Method, Duration.Duration>()
  const hanging = new Set<Method>()

  // Providers must call its methods: by the default sharing of a store in memory they would bypass them
  const sharing = memory.sharing.isShared ? TokenStore.byTurns : TokenStore.lastWriteWins

  const backing = TokenStore.TokenStore.of({
    ...memory,
    sharing,
    set: (key, entry, replaces) =>
      Effect.suspend(() => {
        keys.add(key)
        return memory.set(key, entry, replaces)
      })
  })

  /** Does what a control set for the method, before the call itself. */
  const perturb = (method: Method): Effect.Effect<void, TokenStoreError> =>
    Effect.suspend(() => {
      if (hanging.has(method)) return Effect.never
      const description = failures.get(method)
      const outcome = description === undefined
        ? Effect.void
        : Effect.fail(new TokenStoreError({ method, reason: "Unavailable", description }))
      const delay = delays.get(method)
      return delay === undefined ? outcome : Effect.delay(outcome, delay)
    })

  const record = (call: CallWithoutTime): Effect.Effect<void, TokenStoreError> =>
    Effect.flatMap(Clock.currentTimeMillis, (time) => {
      calls.push({ time, ...call })
      return perturb(call.method)
    })

  return {
    store: TokenStore.TokenStore.of({
      sharing,
      get: (key) =>
        record({ method: "get", key }).pipe(
          Effect.zipRight(backing.get(key)),
          Effect.tap(() => afterGet(key))
        ),
      set: (key, entry, replaces) =>
        Effect.zipRight(record({ method: "set", key, entry, replaces }), backing.set(key, entry, replaces)),
      remove: (key, version) =>
        Effect.zipRight(record({ method: "remove", key, version }), backing.remove(key, version)),
      acquireLease: (key, owner, duration) =>
        Effect.zipRight(
          record({ method: "acquireLease", key, owner, duration }),
          backing.acquireLease(key, owner, duration)
        ),
      extendLease: (key, owner, duration) =>
        Effect.zipRight(
          record({ method: "extendLease", key, owner, duration }),
          backing.extendLease(key, owner, duration)
        ),
      releaseLease: (key, owner) =>
        Effect.zipRight(record({ method: "releaseLease", key, owner }), backing.releaseLease(key, owner)),
      changes: Stream.unwrap(Effect.as(record({ method: "changes" }), backing.changes))
    }),
    control: TestTokenStore.of({
      calls: Effect.sync(() => calls.slice()),
      callsOf: <M extends Method>(method: M) =>
        Effect.sync(() =>
          calls.filter((call): call is Extract<Call, { readonly method: M }> => call.method === method)
        ),
      resetRecords: Effect.sync(() => {
        calls = []
      }),
      entries: Effect.suspend(() =>
        Effect.map(
          Effect.forEach(keys, (key) => Effect.map(Effect.orDie(memory.get(key)), (entry) => ({ key, entry }))),
          (found) => {
            const entries = new Map<string, TokenStore.Entry>()
            for (const { entry, key } of found) {
              if (Option.isSome(entry)) entries.set(key, entry.value)
            }
            return entries
          }
        )
      ),
      backing,
      fail: (description, ...methods) =>
        Effect.sync(() => {
          for (const method of orAll(methods)) {
            if (description === undefined) failures.delete(method)
            else failures.set(method, description)
          }
        }),
      setDelay: (delay, ...methods) =>
        Effect.sync(() => {
          for (const method of orAll(methods)) {
            if (Duration.toMillis(delay) > 0) delays.set(method, Duration.decode(delay))
            else delays.delete(method)
          }
        }),
      hang: (enabled, ...methods) =>
        Effect.sync(() => {
          for (const method of orAll(methods)) {
            if (enabled) hanging.add(method)
            else hanging.delete(method)
          }
        }),
      corrupt: (key, payload) =>
        memory.get(key).pipe(
          Effect.flatMap((current) =>
            backing.set(key, {
              version: `corrupted-${++corruptions}`,
              payload,
              timeToLive: Option.match(current, {
                onNone: () => defaultTimeToLive,
                onSome: ({ timeToLive }) => timeToLive
              })
            }, Option.map(current, ({ version }) => version))
          ),
          Effect.orDie,
          Effect.asVoid
        ),
      afterGet: (hook) =>
        Effect.sync(() => {
          afterGet = hook ?? (() => Effect.void)
        })
    })
  }
}

/**
 * A new store in memory and its control service.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<ReturnType<typeof make>> = Effect.map(TokenStore.makeMemory(), make)

/**
 * Another process's access to the given store, and its control service.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  store: TokenStore.TokenStore["Type"]
): Layer.Layer<TestTokenStore | TokenStore.TokenStore> => Layer.effectContext(Effect.sync(() => toContext(make(store))))

/**
 * `TokenStore.layerMemory` and its control service.
 *
 * @example
 * ```ts
 * import { TokenProvider } from "@effect-alf/core"
 * import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
 * import { Effect, Layer } from "effect"
 *
 * const TestLayer = TokenProvider.layer().pipe(
 *   Layer.provide(TestTokenEndpoint.layer()),
 *   Layer.provideMerge(TestTokenStore.layerMemory())
 * )
 *
 * const test = Effect.gen(function*() {
 *   const store = yield* TestTokenStore.TestTokenStore
 *   yield* store.fail("the disk is full", "set")
 *   const provider = yield* TokenProvider.TokenProvider
 *   yield* provider.get()
 *   return yield* store.callsOf("set")
 * }).pipe(Effect.provide(TestLayer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (): Layer.Layer<TestTokenStore | TokenStore.TokenStore> =>
  Layer.effectContext(Effect.map(makeMemory, toContext))

/**
 * A store that fails every call, or those of some methods, until
 * `TestTokenStore.fail` changes it. An app continues without it.
 *
 * @example
 * ```ts
 * import { TokenProvider } from "@effect-alf/core"
 * import { TestTokenEndpoint, TestTokenStore } from "@effect-alf/core/testing"
 * import { Layer } from "effect"
 *
 * const WithoutStore = TokenProvider.layer().pipe(
 *   Layer.provide(TestTokenStore.layerFailing("set")),
 *   Layer.provide(TestTokenEndpoint.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFailing = (...methods: ReadonlyArray<Method>): Layer.Layer<TestTokenStore | TokenStore.TokenStore> =>
  layerWith((control) => control.fail("the test store was told to fail", ...methods))

/**
 * A store whose calls, or those of some methods, take this long by `Clock`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSlow = (
  delay: Duration.DurationInput,
  ...methods: ReadonlyArray<Method>
): Layer.Layer<TestTokenStore | TokenStore.TokenStore> => layerWith((control) => control.setDelay(delay, ...methods))

/**
 * A store of which all methods, or only these, never answer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHanging = (...methods: ReadonlyArray<Method>): Layer.Layer<TestTokenStore | TokenStore.TokenStore> =>
  layerWith((control) => control.hang(true, ...methods))

const layerWith = (prepare: (control: TestTokenStore["Type"]) => Effect.Effect<void>) =>
  Layer.effectContext(Effect.map(Effect.tap(makeMemory, ({ control }) => prepare(control)), toContext))

const toContext = ({ control, store }: ReturnType<typeof make>) =>
  Context.make(TestTokenStore, control).pipe(Context.add(TokenStore.TokenStore, store))

const defaultTimeToLive = Duration.hours(1)

const allMethods: ReadonlyArray<Method> = [
  "get",
  "set",
  "remove",
  "acquireLease",
  "extendLease",
  "releaseLease",
  "changes"
]

const orAll = (methods: ReadonlyArray<Method>) => methods.length === 0 ? allMethods : methods

type CallWithoutTime = Call extends infer C ? C extends Call ? Omit<C, "time"> : never : never
