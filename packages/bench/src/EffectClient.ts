/** A client of effects. */
import type { HttpClient } from "@effect/platform"
import { Effect, type Layer, ManagedRuntime } from "effect"
import { constVoid } from "effect/Function"
import { type Client, type Load, path } from "./Client.js"

export interface EffectOptions<R, E> {
  readonly client: Effect.Effect<HttpClient.HttpClient.With<unknown>, never, R>
  readonly layer: Layer.Layer<R, E>
  readonly tracing: boolean
}

/** The callers are fibers of one run. */
export const fromEffects = <R, E>({ client, layer, tracing }: EffectOptions<R, E>): Client => {
  const runtime = ManagedRuntime.make(layer)
  const call = (client: HttpClient.HttpClient.With<unknown>, { done, next }: Load) =>
    Effect.whileLoop({
      while: next,
      body: () => {
        const start = performance.now()
        return Effect.match(
          Effect.flatMap(client.get(path), (response) => Effect.as(response.json, response.status)),
          {
            onFailure: () => done(0, performance.now() - start),
            onSuccess: (status) => done(status, performance.now() - start)
          }
        )
      },
      step: constVoid
    })
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
