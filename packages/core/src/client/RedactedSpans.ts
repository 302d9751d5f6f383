/**
 * The spans of a signed request. Whoever makes one, platform or an app's own
 * client, ends it with what came back, or with the request that goes on, and both
 * hold the token: a tracer is shown the caller's request in its place.
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import * as AddressedRequest from "./AddressedRequest.js"
import * as RedactedResponse from "./RedactedResponse.js"

/** Ends the spans of an effect that sends `asked` with a signature as if it had been sent without. */
export const redact = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  asked: AddressedRequest.AddressedRequest
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    // Where nobody traces, none pays for it
    fiber.getFiberRef(FiberRef.currentTracerEnabled)
      ? Effect.tracerWith((tracer) => Effect.withTracer(effect, redactTracer(tracer, asked)))
      : effect
  )

const redactTracer = (tracer: Tracer.Tracer, asked: AddressedRequest.AddressedRequest): Tracer.Tracer =>
  Tracer.make({
    span: (...args) => redactSpan(tracer.span(...args), asked),
    context: (execution, fiber) => tracer.context(execution, fiber)
  })

/** The span itself, but for its end: a tracer still knows it as one of its own. */
const redactSpan = (span: Tracer.Span, asked: AddressedRequest.AddressedRequest): Tracer.Span => {
  const methods: Pick<Tracer.Span, "addLinks" | "attribute" | "end" | "event"> = {
    addLinks: (links) => span.addLinks(links),
    attribute: (key, value) => span.attribute(key, value),
    end: (endTime, exit) => span.end(endTime, redactExit(exit, asked)),
    event: (name, startTime, attributes) => span.event(name, startTime, attributes)
  }
  return Object.assign(Object.create(span), methods)
}

const redactExit = (
  exit: Exit.Exit<unknown, unknown>,
  asked: AddressedRequest.AddressedRequest
): Exit.Exit<unknown, unknown> =>
  Exit.match(exit, {
    onFailure: (cause) => Exit.failCause(RedactedResponse.redactCause(cause, AddressedRequest.toRequest(asked))),
    onSuccess: (value) =>
      isResponse(value)
        ? Exit.succeed(RedactedResponse.make(value, asked))
        : isRequest(value)
        ? Exit.succeed(AddressedRequest.toRequest(asked))
        : exit
  })

const isRequest = (u: unknown): u is HttpClientRequest.HttpClientRequest =>
  Predicate.hasProperty(u, HttpClientRequest.TypeId)

const isResponse = (u: unknown): u is HttpClientResponse.HttpClientResponse =>
  Predicate.hasProperty(u, HttpClientResponse.TypeId)
