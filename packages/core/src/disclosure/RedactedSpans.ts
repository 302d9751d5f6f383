/**
 * The spans of a request that holds a secret. Whoever makes one, platform or an
 * app's own client, ends it with what came back, or with the request that goes
 * on: a tracer is shown something else in its place.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Tracer from "effect/Tracer"

/** What a span may end with, in place of what its effect has come to. */
export type Redact = (exit: Exit.Exit<unknown, unknown>) => Exit.Exit<unknown, unknown>

/** Ends the spans within an effect with what may be shown. */
export const make = <A, E, R>(effect: Effect.Effect<A, E, R>, redact: Redact): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    // Where nobody traces, none pays for it
    fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? Effect.tracerWith((tracer) => Effect.withTracer(effect, redactTracer(tracer, redact)))
      : effect
  )

const redactTracer = (tracer: Tracer.Tracer, redact: Redact): Tracer.Tracer =>
  Tracer.make({
    span: (...args) => redactSpan(tracer.span(...args), redact),
    context: (execution, fiber) => tracer.context(execution, fiber)
  })

/** The span itself, but for its end: a tracer still knows it as one of its own. */
const redactSpan = (span: Tracer.Span, redact: Redact): Tracer.Span => {
  const methods: Pick<Tracer.Span, "addLinks" | "attribute" | "end" | "event"> = {
    addLinks: (links) => span.addLinks(links),
    attribute: (key, value) => span.attribute(key, value),
    end: (endTime, exit) => span.end(endTime, redact(exit)),
    event: (name, startTime, attributes) => span.event(name, startTime, attributes)
  }
  return Object.assign(Object.create(span), methods)
}
