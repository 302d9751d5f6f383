/** A client of effects. */
import type { HttpClient } from "@effect/platform"
import { Effect, type Layer, ManagedRuntime } from "effect"
import { type Client, type Load, path } from "./Client.js"

export interface EffectOptions<R, E> {
  readonly client: Effect.Effect<HttpClient.HttpClient.With<unknown>, never, R>
  readonly layer: Layer.Layer<R, E>
  readonly tracing: boolean
}

/** The callers are fibers of one run. */
export const fromEffects = <R, E>({ client, layer, tracing }: EffectOptions<R, E>): Client => {
  const runtime = ManagedRuntime.make(layer)
  // As the loop of promises: what it takes itself is not the client's
  const call = (client: HttpClient.HttpClient.With<unknown>, { done, next }: Load) => {
    let start = 0
    let status = 0
    const get = Effect.suspend(() => {
      start = performance.now()
      return client.get(path)
    }).pipe(
      Effect.flatMap((response) => {
        status = response.status
        return response.json
      }),
      Effect.catchAll(() => {
        status = 0
        return Effect.void
      })
    )
    return Effect.whileLoop({
      while: next,
      body: () => get,
      step: () => done(status, performance.now() - start)
    })
  }
  return {
    run: (callers, load) =>
      runtime.runPromise(
        Effect.withTracerEnabled(
          Effect.flatMap(client, (client) =>
            Effect.forEach(Array.from({ length: callers }), () => call(client, load), {
              concurrency: "unbounded",
              discard: true
            })),
          tracing
        )
      ),
    close: () => runtime.dispose()
  }
}
