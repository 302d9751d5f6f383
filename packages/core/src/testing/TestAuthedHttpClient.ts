/**
 * An `AuthedHttpClient` that calls a handler instead of the network and records
 * the requests: for tests of how an app uses an API, where tokens do not
 * matter.
 *
 * @since 0.1.0
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Types from "effect/Types"
import * as AuthedHttpClient from "../AuthedHttpClient.js"
import { CurrentCall } from "../client/CurrentCall.js"
import type { TokenProvider } from "../TokenProvider.js"
import type * as TokenRequest from "../TokenRequest.js"
import * as Requests from "./server/Requests.js"
import type * as TestExchange from "./TestExchange.js"

/**
 * A request as the app made it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request extends TestExchange.Arrival {
  /** What the call requires of its token, for example by `AuthedHttpClient.withTokenScope`. */
  readonly tokenRequest: TokenRequest.TokenRequest | undefined
  /** Whether the call carries no token, by `AuthedHttpClient.withoutToken`. */
  readonly withoutToken: boolean
}

/**
 * Answers the requests of the app.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (
  request: HttpClientRequest.HttpClientRequest
) => AuthedHttpClient.TestResponse | Effect.Effect<AuthedHttpClient.TestResponse, AuthedHttpClient.ClientError>

/**
 * Controls the client and records its requests.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestAuthedHttpClient extends Context.Tag("@effect-alf/core/testing/TestAuthedHttpClient")<
  TestAuthedHttpClient,
  {
    /** The requests so far, in order. URLs are as the app wrote them, with their query. */
    readonly requests: Effect.Effect<ReadonlyArray<Request>>
    /** Forgets the recorded requests. */
    readonly resetRecords: Effect.Effect<void>
    /** The next `n` requests get this response or error, after those of earlier calls. The default is a 503. */
    readonly failNext: (n: number, answer?: Response | AuthedHttpClient.ClientError) => Effect.Effect<void>
    /** Every request gets this response or error, until `undefined`. */
    readonly fail: (answer: Response | AuthedHttpClient.ClientError | undefined) => Effect.Effect<void>
  }
>() {}

/**
 * The client and its control service.
 *
 * @example
 * ```ts
 * import { AuthedHttpClient } from "@effect-alf/core"
 * import { TestAuthedHttpClient } from "@effect-alf/core/testing"
 * import { Effect } from "effect"
 *
 * const test = Effect.gen(function*() {
 *   const client = yield* AuthedHttpClient.AuthedHttpClient
 *   yield* client.get("/orders", { urlParams: { page: 2 } })
 *   const { requests } = yield* TestAuthedHttpClient.TestAuthedHttpClient
 *   return (yield* requests).map(({ method, url }) => `${method} ${url}`) // GET /orders?page=2
 * }).pipe(
 *   Effect.provide(TestAuthedHttpClient.layer(() => Response.json([])))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  handler: Handler
): Layer.Layer<TestAuthedHttpClient | AuthedHttpClient.AuthedHttpClient | TokenProvider> =>
  Layer.unwrapEffect(Effect.sync(() => {
    let requests: Array<Request> = []
    const answers: Array<Response | AuthedHttpClient.ClientError> = []
    let failure: Response | AuthedHttpClient.ClientError | undefined

    const answer = (request: HttpClientRequest.HttpClientRequest) => {
      const told = answers.shift() ?? failure
      if (told !== undefined) return told instanceof Response ? Effect.succeed(told.clone()) : Effect.fail(told)
      const answer = handler(request)
      return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
    }

    const client = AuthedHttpClient.layerTest(Effect.fnUntraced(function*(request) {
      const call = yield* CurrentCall
      const record: Types.Mutable<Request> = {
        ...yield* Requests.read(request, addressOf(request)),
        tokenRequest: call.request,
        withoutToken: call.withoutToken ?? false
      }
      requests.push(record)
      const response = yield* answer(request)
      record.status = response.status
      return response
    }))

    return Layer.merge(
      client,
      Layer.succeed(TestAuthedHttpClient, {
        requests: Effect.sync(() => requests.map((request) => ({ ...request }))),
        resetRecords: Effect.sync(() => {
          requests = []
        }),
        failNext: (n, answer = new Response(null, { status: 503 })) =>
          Effect.sync(() => {
            for (let i = 0; i < n; i++) answers.push(answer)
          }),
        fail: (answer) =>
          Effect.sync(() => {
            failure = answer
          })
      })
    )
  }))

/** May be relative: the base URL is an option of the real client. */
const addressOf = ({ hash, url, urlParams }: HttpClientRequest.HttpClientRequest): string => {
  const query = UrlParams.toString(urlParams)
  const fragment = Option.match(hash, { onNone: () => "", onSome: (hash) => `#${hash}` })
  return `${url}${query === "" ? "" : `${url.includes("?") ? "&" : "?"}${query}`}${fragment}`
}
