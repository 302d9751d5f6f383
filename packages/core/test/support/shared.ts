/**
 * What the tests of a block share, such as a server: built before the first and
 * released after the last, on the machine's own clock. `layer` of
 * `@effect/vitest` changes the one `it` that all files of a worker share, and
 * so is not used.
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import { Effect, type Layer, ManagedRuntime, type Scope, type TestServices } from "effect"

type Test<R> = (name: string, test: () => Effect.Effect<unknown, unknown, R>) => void

/** The methods of `it` whose tests have the services of a layer. */
export interface Tests<R> {
  readonly effect: Test<R | TestServices.TestServices>
  readonly scoped: Test<R | TestServices.TestServices | Scope.Scope>
  readonly live: Test<R>
  readonly scopedLive: Test<R | Scope.Scope>
}

/** A block of tests that share the services of a layer. */
export const shared = <R, E>(layer: Layer.Layer<R, E>) => (name: string, declare: (it: Tests<R>) => void): void => {
  describe(name, () => {
    const runtime = ManagedRuntime.make(layer)
    beforeAll(async () => void await runtime.runtime())
    afterAll(() => runtime.dispose())
    const provide = <A, E, R2>(test: () => Effect.Effect<A, E, R2>) => () => Effect.provide(test(), runtime)
    declare({
      effect: (name, test) => it.effect(name, provide(test)),
      scoped: (name, test) => it.scoped(name, provide(test)),
      live: (name, test) => it.live(name, provide(test)),
      scopedLive: (name, test) => it.scopedLive(name, provide(test))
    })
  })
}
