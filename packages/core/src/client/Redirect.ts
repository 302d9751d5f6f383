/**
 * Redirects (RFC 9110 §15.4) with fetch's rules for methods and bodies, and
 * stricter rules for where a token may go.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import { isStatusFailure } from "../endpoint/StatusFailure.js"
import { RedirectError, type RedirectErrorReason } from "../OAuthError.js"
import * as Origin from "../Origin.js"
import * as AddressedRequest from "./AddressedRequest.js"
import type { Attempt } from "./Authorization.js"
import * as ManualFetch from "./ManualFetch.js"
import * as Replay from "./Replay.js"

/** How the next request is sent. */
export interface Options<E, Call extends Attempt["call"]> {
  /** Sends the request of one hop, with its URL; with a token if `origin` is given. */
  readonly send: (
    request: HttpClientRequest.HttpClientRequest,
    url: string,
    origin: string | undefined,
    call: Call
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>
  /** `named` are the origins that a token may be sent to, besides the origin of the first request. */
  readonly route: Pick<Origin.Route, "named">
  /** `replayable` says whether every body can be sent again. */
  readonly call: Call
  /** The `RequestInit` that the app provided to platform's fetch client, whose own redirects are switched off. */
  readonly requestInit?: RequestInit | undefined
}

/** Returns every redirect as it is. */
export const manual = <E, Call extends Attempt["call"]>(
  request: HttpClientRequest.HttpClientRequest,
  origin: string | undefined,
  { call, requestInit, send }: Options<E, Call>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E> =>
  ManualFetch.make(requestInit)(send(request, request.url, origin, call))

/**
 * Sends a request and follows up to `max` redirects. After a redirect has left
 * the allowed origins, no later hop carries a token: a URL that another site
 * chose is not requested with the caller's token.
 */
export const follow = (max: number) =>
<E, Call extends Attempt["call"]>(
  request: HttpClientRequest.HttpClientRequest,
  origin: string | undefined,
  { call, requestInit, route, send }: Options<E, Call>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E | RedirectError> => {
  const allowed = [origin, ...route.named]
  const hop = (
    request: HttpClientRequest.HttpClientRequest,
    origin: string | undefined,
    left: number
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, E | RedirectError> => {
    /** `sent` is the response as the client below reports it. */
    const received = (
      response: HttpClientResponse.HttpClientResponse,
      sent: Effect.Effect<HttpClientResponse.HttpClientResponse, E>
    ): Effect.Effect<HttpClientResponse.HttpClientResponse, E | RedirectError> => {
      const { location } = response.headers
      const method = methodAfter(response.status, request.method)
      const from = Option.getOrUndefined(HttpClientRequest.toUrl(request))
      const body = method === request.method ? request.body : HttpBody.empty
      if (
        !location || method === undefined || from === undefined || !Replay.canReplay(body, call.replayable)
      ) {
        if (left < max) redirected.add(response)
        return sent
      }
      const target = left > 0
        ? resolve(location, from)
        : refuse("TooMany", `at most ${max} are followed`)
      const next = Either.match(target, {
        onLeft: (refusal) => new RedirectError({ ...refusal, status: response.status, origin: from.origin }),
        onRight: (to) =>
          Effect.flatMap(FiberRef.get(Headers.currentRedactedNames), (secretHeaders) => {
            const leftBehind = [
              ...(body === request.body ? [] : [bodyHeaders]),
              ...(to.origin === from.origin ? [] : [...credentialHeaders, ...secretHeaders])
            ]
            // As text: the query of a signed URL must arrive unchanged
            const next = HttpClientRequest.make(method)(to.href).pipe(
              HttpClientRequest.setBody(body),
              HttpClientRequest.setHeaders(Headers.remove(request.headers, leftBehind))
            )
            const isAllowed = origin !== undefined && allowed.includes(to.origin)
            return hop(AddressedRequest.carryScope(request, next), isAllowed ? to.origin : undefined, left - 1)
          })
      })
      return Effect.zipRight(Replay.drainLater(response), next)
    }
    return Effect.matchEffect(send(request, request.url, origin, call), {
      onFailure: (error) => isStatusFailure(error) ? received(error.response, Effect.fail(error)) : Effect.fail(error),
      onSuccess: (response) => received(response, Effect.succeed(response))
    })
  }
  return ManualFetch.make(requestInit)(hop(request, origin, max))
}

const redirected = new WeakSet<HttpClientResponse.HttpClientResponse>()

/** Whether a redirect was followed on the way to this response. */
export const isRedirected = (response: HttpClientResponse.HttpClientResponse): boolean => redirected.has(response)

/** The caller's own credentials for the first origin, and that origin's name. */
const credentialHeaders = ["authorization", "proxy-authorization", "cookie", "dpop", "host"]

const bodyHeaders = /^content-/

/** The method of the next hop (RFC 9110 §15.4, as in fetch); `undefined` if the response is no redirect to follow. */
const methodAfter = (status: number, method: HttpMethod.HttpMethod): HttpMethod.HttpMethod | undefined => {
  switch (status) {
    case 301:
    case 302:
      return method === "POST" ? "GET" : method
    case 303:
      return method === "HEAD" ? method : "GET"
    case 307:
    case 308:
      return method
    default:
      return undefined
  }
}

type Refusal = Pick<RedirectError, "reason" | "description">

const refuse = (reason: RedirectErrorReason, description: string): Either.Either<never, Refusal> =>
  Either.left({ reason, description })

/** The target of a redirect, or why it is not followed. */
const resolve = (location: string, from: URL): Either.Either<URL, Refusal> => {
  // A relative URL would inherit them
  from.username = from.password = ""
  if (!URL.canParse(location, from)) return refuse("InvalidLocation", "its Location is not a URL")
  const to = new URL(location, from)
  if (to.protocol !== "https:" && to.protocol !== "http:") {
    return refuse("InvalidLocation", "its Location is not an http address")
  }
  if (to.username !== "" || to.password !== "") return refuse("InvalidLocation", "its Location contains credentials")
  if (isDowngrade(from, to)) return refuse("Insecure", `it leads to ${to.origin}, which is not protected`)
  to.hash = ""
  return Either.right(to)
}

/** From https to http, or from loopback to the network. */
const isDowngrade = (from: URL, to: URL): boolean =>
  to.protocol === "http:" && (from.protocol === "https:" || (Origin.isSecure(from) && !Origin.isSecure(to)))
