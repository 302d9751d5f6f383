/**
 * Processes that share a refresh token, for tests: each with a provider, a
 * connection to the store and one to the authorization server of its own.
 */
import type { OAuthError } from "@effect-alf/core"
import { RefreshTokenGrant, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer, TestTokenStore } from "@effect-alf/core/testing"
import { HttpClient } from "@effect/platform"
import { Array as Arr, Context, Effect, Exit, Layer, Option, Redacted, Scope } from "effect"
import * as RefreshTokens from "../../src/store/RefreshTokens.js"
import { collectLogs, type Log, patient, value } from "./ProviderBench.js"

export interface Process {
  readonly provider: TokenProvider.TokenProvider["Type"]
  readonly store: TestTokenStore.TestTokenStore["Type"]
  readonly logs: ReadonlyArray<Log>
  /** From now on nothing that it asked for comes about for it, as when it is killed. */
  readonly kill: Effect.Effect<void>
  /** Ends it as a deployment does. */
  readonly close: Effect.Effect<void>
}

export interface Options {
  readonly size?: number | undefined
  readonly server?: TestAuthorizationServer.Options | undefined
  readonly provider?: TokenProvider.Options | undefined
  readonly endpoint?: Partial<TokenEndpoint.Options> | undefined
  readonly sharedStore?: TokenStore.TokenStore["Type"] | undefined
}

export const make = Effect.fnUntraced(function*(options: Options = {}) {
  const { client, server } = yield* TestAuthorizationServer.make({ tokenDelay: "100 millis", ...options.server })
  const initial = yield* server.issueRefreshToken
  const sharedStore = options.sharedStore ?? (yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns }))

  const launch = Effect.gen(function*() {
    const { control, store } = TestTokenStore.make(sharedStore)
    const logs: Array<Log> = []
    let isAlive = true
    const scope = yield* Scope.make()
    // A killed process neither hears nor says anything
    const own = HttpClient.make((request) =>
      Effect.suspend(() => isAlive ? client.execute(request) : Effect.never).pipe(
        Effect.flatMap((response) => isAlive ? Effect.succeed(response) : Effect.never)
      )
    )
    const context = yield* TokenProvider.layer({ ...patient, ...options.provider }).pipe(
      Layer.provide(TokenEndpoint.layer({
        tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
        clientId: TestAuthorizationServer.clientId,
        clientSecret: TestAuthorizationServer.clientSecret,
        request: { grant: RefreshTokenGrant.make(initial) },
        ...options.endpoint
      })),
      Layer.provide(Layer.succeed(HttpClient.HttpClient, own)),
      Layer.provide(Layer.succeed(TokenStore.TokenStore, store)),
      Layer.build,
      Scope.extend(scope),
      collectLogs(logs)
    )
    // Nobody moves the clock any more, which a refresh that is under way would wait for
    yield* Effect.addFinalizer(() => Effect.forkDaemon(Scope.close(scope, Exit.void)))
    const process: Process = {
      provider: Context.get(context, TokenProvider.TokenProvider),
      store: control,
      logs,
      kill: Effect.suspend(() => {
        isAlive = false
        return control.hang(true)
      }),
      close: Scope.close(scope, Exit.void)
    }
    return process
  })

  const key = RefreshTokens.storeKey(initial)
  return {
    server,
    sharedStore,
    initial,
    key,
    launch,
    processes: yield* Effect.replicateEffect(launch, options.size ?? 1).pipe(
      Effect.map((processes) => processes as Arr.NonEmptyArray<Process>)
    ),
    /** How often each refresh token was used with success, the oldest first. */
    uses: Effect.map(server.refreshTokens, Arr.map(({ usedAt }) => usedAt.length)),
    /** The refresh tokens that were sent, in their order, whatever became of them. */
    sent: Effect.map(
      server.tokenRequests,
      Arr.map(({ params }) => new Map(params).get("refresh_token"))
    ),
    isLockedOut: Effect.map(server.refreshTokens, Arr.some(({ revoked }) => revoked)),
    /** The refresh token in the store. */
    stored: Effect.map(
      sharedStore.get(key),
      Option.map(({ payload }) => JSON.parse(payload) as { readonly generation: number; readonly token: string })
    )
  }
})

export type Bench = Effect.Effect.Success<ReturnType<typeof make>>

/** What AuthedHttpClient does with a token that the resource knows to be revoked. */
export const call = Effect.fnUntraced(function*({ server }: Pick<Bench, "server">, { provider }: Process) {
  const isGood = (token: string) =>
    Effect.map(server.issued, (issued) => issued.some((known) => known.value === token && !known.revoked))
  const token = yield* provider.get()
  if (yield* isGood(value(token))) return 200
  const renewed = yield* provider.renew(token)
  if (renewed === token) return 401
  const status = (yield* isGood(value(renewed))) ? 200 : 401
  yield* provider.report(renewed, status === 200 ? "accepted" : "rejected")
  return status
})

/** What a failure says. */
export const messageOf = <A>(effect: Effect.Effect<A, OAuthError.OAuthError>): Effect.Effect<string, A> =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

export const secretOf = (token: Redacted.Redacted): string => Redacted.value(token)
