/**
 * The spans of a request that contains a secret. Platform or an app's own
 * client ends them with the response or the request; a tracer gets a redacted
 * value instead.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Tracer from "effect/Tracer"

/** Replaces the result of a span. */
export type Redact = (exit: Exit.Exit<unknown, unknown>) => Exit.Exit<unknown, unknown>

/** Ends the spans within an effect with redacted results. */
export const make = <A, E, R>(effect: Effect.Effect<A, E, R>, redact: Redact): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    // Where tracing is switched off, this costs nothing
    fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? Effect.tracerWith((tracer) => Effect.withTracer(effect, redactTracer(tracer, redact)))
      : effect
  )

const redactTracer = (tracer: Tracer.Tracer, redact: Redact): Tracer.Tracer =>
  Tracer.make({
    span: (...args) => redactSpan(tracer.span(...args), redact),
    context: (execution, fiber) => tracer.context(execution, fiber)
  })

/** The span itself, except for its end: a tracer still recognizes it as its own. */
const redactSpan = (span: Tracer.Span, redact: Redact): Tracer.Span =>
  Object.assign(
    Object.create(span),
    {
      addLinks: (links) => span.addLinks(links),
      attribute: (key, value) => span.attribute(key, value),
      end: (endTime, exit) => span.end(endTime, redact(exit)),
      event: (name, startTime, attributes) => span.event(name, startTime, attributes)
    } satisfies Pick<Tracer.Span, "addLinks" | "attribute" | "end" | "event">
  )
