/** The steps of the demo: what the app does in each, and what must then have gone over the wire. */
import { AuthedHttpClient } from "@effect-alf/core"
import { HttpBody } from "@effect/platform"
import { Duration, Effect } from "effect"
import * as AuthorizationServer from "./AuthorizationServer.js"
import * as ProtectedApi from "./ProtectedApi.js"
import { type Call, type Check, Timeline } from "./Timeline.js"
import { type Exchange, Wire } from "./Wire.js"

/** The resources of the API; each has tokens of its own. */
export const collections = {
  orders: { format: "JWT", lifetime: "1 hour" },
  prices: { format: "JWT", lifetime: "5 seconds" },
  invoices: { format: "opaque", lifetime: "1 hour" },
  reports: { format: "JWT", lifetime: "1 hour" }
} as const

export const documents = {
  "orders/1": { item: "tea", quantity: 2 },
  "prices/tea": { euro: 4.2 },
  "invoices/7": { euro: 8.4 },
  "reports/may": { euro: 1250 }
}

const app = Effect.gen(function*() {
  const timeline = yield* Timeline
  const client = timeline.watch(yield* AuthedHttpClient.AuthedHttpClient)
  const get = (path: string) => Effect.flatMap(client.get(path), ({ text }) => text)
  /** With a token for the collection (RFC 8707). */
  const getFrom = (collection: keyof typeof collections, id: string) =>
    AuthedHttpClient.withTokenResource(get(`/${collection}/${id}`), ProtectedApi.resource(collection))
  return { timeline, client, get, getFrom }
})

export const putGetDelete = Effect.gen(function*() {
  const { client, get, timeline } = yield* app
  yield* timeline.step({
    title: "Put, get, delete",
    should: ["The first call asks for a token; all three are sent with it."],
    run: Effect.gen(function*() {
      yield* client.put("/orders/42", { body: HttpBody.unsafeJson({ item: "coffee", quantity: 1 }) })
      yield* get("/orders/42")
      yield* client.del("/orders/42")
    }),
    checks: ({ apiRequests, calls, tokenRequests }) => [
      check("the app got", answers(calls), [201, 200, 204]),
      check("token requests", [tokenRequests.length], [1]),
      check("tokens used", [tokensIn(apiRequests).length], [1])
    ]
  })
})

export const reuse = Effect.gen(function*() {
  const { get, timeline } = yield* app
  yield* timeline.step({
    title: "Reuse",
    should: ["Fifty calls at once are sent with the token that is there: no token request."],
    run: Effect.all(Array.from({ length: 50 }, () => get("/orders/1")), { concurrency: "unbounded" }),
    checks: ({ apiRequests, calls, tokenRequests }) => [
      check("the app got nothing but", distinct(answers(calls)), [200]),
      check("token requests", [tokenRequests.length], [0]),
      check("tokens used", [tokensIn(apiRequests).length], [1])
    ]
  })
})

export const expiry = Effect.gen(function*() {
  const { getFrom, timeline } = yield* app
  const wire = yield* Wire
  const authorizationServer = yield* AuthorizationServer.AuthorizationServer
  const lifetime = Duration.toMillis(collections.prices.lifetime)
  yield* timeline.step({
    title: "Expiry",
    should: [
      "A token lives 5 seconds here and takes 100 ms to get. It is renewed ahead of its expiry, while",
      "calls go on with the one that still works: nobody waits but the first, nobody is rejected."
    ],
    run: Effect.gen(function*() {
      yield* authorizationServer.delay("100 millis")
      const call = Effect.delay(getFrom("prices", "tea"), "20 millis")
      const end = (yield* wire.now) + lifetime + 300
      yield* Effect.repeat(call, { until: () => Effect.map(wire.now, (now) => now > end) })
      yield* authorizationServer.delay(Duration.zero)
    }),
    checks: ({ apiRequests, calls, tokenRequests }) => {
      const [first, renewal] = tokenRequests
      if (tokenRequests.length !== 2) return [check("token requests", [tokenRequests.length], [2])]
      const within = (from: number, to: number) =>
        calls.filter(({ startedAt }) => from < startedAt && startedAt < to).map(({ id }) => id)
      const during = within(renewal.startedAt, renewal.endedAt)
      const after = within(first.startedAt + lifetime, Number.POSITIVE_INFINITY)
      const waited = apiRequests.filter(({ requestId = "", sentToken }) =>
        during.includes(requestId) && sentToken === renewal.issuedToken
      )
      return [
        check("the app got nothing but", distinct(answers(calls)), [200]),
        check("rejected by the API", [apiRequests.length - calls.length], [0]),
        check("token requests", [tokenRequests.length], [2]),
        {
          claim: `calls during the renewal: ${during.length}, of which waited: ${waited.length}`,
          holds: during.length > 0 && waited.length === 0
        },
        { claim: `calls after the first token had expired: ${after.length}`, holds: after.length > 0 }
      ]
    }
  })
})

export const revocation = Effect.gen(function*() {
  const { getFrom, timeline } = yield* app
  const api = yield* ProtectedApi.ProtectedApi
  const authorizationServer = yield* AuthorizationServer.AuthorizationServer
  const lastToken = Effect.map(api.requests, (requests) => requests.at(-1)?.sentToken)
  yield* timeline.step({
    title: "Revocation",
    should: ["A token is revoked before its time. The API answers 401; a new token, one replay, done."],
    run: Effect.gen(function*() {
      yield* getFrom("invoices", "7")
      const token = yield* Effect.flatMap(lastToken, Effect.fromNullable)
      yield* authorizationServer.revoke(token)
      yield* timeline.note(`The authorization server revokes ${timeline.nameOf(token)} (RFC 7009)`)
      yield* getFrom("invoices", "7")
      yield* getFrom("invoices", "7")
    }),
    checks: ({ apiRequests, calls, tokenRequests }) => [
      check("the app got", answers(calls), [200, 200, 200]),
      check("the API answered", answers(apiRequests), [200, 401, 200, 200]),
      check("token requests", [tokenRequests.length], [2]),
      check("tokens used", [tokensIn(apiRequests).length], [2])
    ]
  })
})

export const outage = Effect.gen(function*() {
  const { getFrom, timeline } = yield* app
  const authorizationServer = yield* AuthorizationServer.AuthorizationServer
  yield* timeline.step({
    title: "Outage",
    should: ["The token endpoint answers 503 twice. It is asked again, later each time, and the call succeeds."],
    run: Effect.zipRight(authorizationServer.failNext(2, 503), getFrom("reports", "may")),
    checks: ({ calls, tokenRequests }) => {
      const waits = tokenRequests.slice(1).map(({ startedAt }, index) => startedAt - tokenRequests[index].endedAt)
      return [
        check("the app got", answers(calls), [200]),
        check("the token endpoint answered", answers(tokenRequests), [503, 503, 200]),
        {
          claim: `waits between the attempts: ${waits.map((wait) => `${Math.round(wait)} ms`).join(", ")}`,
          holds: waits.length === 2 && waits.every((wait, index) => wait >= backoff[index])
        }
      ]
    }
  })
})

/** RetryPolicy.standard: 200 ms, then twice as long, each less a fifth at most. */
const backoff = [160, 320]

/** To be run by a second client, with layers of its own, after the first has got a token. */
export const sharing = Effect.gen(function*() {
  const { get, timeline } = yield* app
  const firstToken = Effect.map(
    Effect.flatMap(ProtectedApi.ProtectedApi, ({ requests }) => requests),
    (requests) => requests[0].sentToken
  )
  const expected = yield* firstToken
  yield* timeline.step({
    title: "Sharing",
    should: ["A second client, with its own layers and connections, finds the first one's token in the store."],
    run: get("/orders/1"),
    checks: ({ apiRequests, calls, tokenRequests }) => [
      check("the app got", answers(calls), [200]),
      check("token requests", [tokenRequests.length], [0]),
      {
        claim: "sent with the token that the first client got in step 1",
        holds: apiRequests.length === 1 && apiRequests[0].sentToken === expected
      }
    ]
  })
})

const check = (what: string, seen: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): Check => {
  const holds = seen.length === expected.length && seen.every((one, index) => one === expected[index])
  return {
    claim: `${what}: ${seen.join(", ") || "none"}${holds ? "" : ` instead of ${expected.join(", ")}`}`,
    holds
  }
}

const answers = (ended: ReadonlyArray<Call | Exchange>) => ended.map(({ status }) => status)

const distinct = <A>(values: ReadonlyArray<A>) => Array.from(new Set(values))

const tokensIn = (exchanges: ReadonlyArray<Exchange>) => distinct(exchanges.flatMap(({ sentToken }) => sentToken ?? []))
