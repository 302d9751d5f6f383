/** Which spans an effect makes. */
import { Effect, Tracer } from "effect"

/** Records every span, from its beginning. */
export const make = Effect.map(Effect.tracer, (native) => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    context: native.context,
    span: (...args) => {
      const span = native.span(...args)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
})
