import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { constVoid } from "effect/Function"
import { path } from "../Client.js"
import { effectAlf } from "../clients/effectAlf.js"
import { stubbedPeers } from "../Contenders.js"
import * as Rounds from "../Rounds.js"
import type { Scenario } from "../Scenario.js"
import { difference, ratio } from "../Statistics.js"
import { url } from "../Stubbed.js"
import { constantToken } from "../Token.js"

const answer = (response: Response) =>
  HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, response)))

/** The same answer to every request, at once. */
const transport = Layer.succeed(HttpClient.HttpClient, answer(new Response("{}")))

const tokenTransport = Layer.sync(
  HttpClient.HttpClient,
  () =>
    HttpClient.make((request) =>
      Effect.sync(() =>
        HttpClientResponse.fromWeb(
          request,
          Response.json({ access_token: constantToken, token_type: "Bearer", expires_in: 86_400 })
        )
      )
    )
)

class Clients extends Effect.Service<Clients>()("@effect-alf/bench/scenarios/TokenOverhead/Clients", {
  effect: Effect.gen(function*() {
    const http = yield* HttpClient.HttpClient
    return {
      constant: http.pipe(
        HttpClient.mapRequest(HttpClientRequest.prependUrl(url)),
        HttpClient.mapRequest(HttpClientRequest.bearerToken(constantToken))
      ),
      authed: yield* AuthedHttpClient.AuthedHttpClient
    }
  }),
  dependencies: [
    AuthedHttpClient.layer({ baseUrl: url }).pipe(
      Layer.provide(
        TokenEndpoint.layer({ tokenEndpoint: `${url}/token`, clientId: "id", clientSecret: Redacted.make("secret") })
          .pipe(
            Layer.provide(tokenTransport)
          )
      ),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(transport)
    ),
    transport
  ]
}) {}

type Get = (clients: Clients) => Effect.Effect<unknown, unknown>

const constant: Get = ({ constant }) => constant.get(path)
const authed: Get = ({ authed }) => authed.get(path)
const override: Get = ({ authed }) => AuthedHttpClient.withTokenScope(authed.get(path), "orders")

const variants = {
  "constant header": { get: constant, tracing: false },
  "effect-alf": { get: authed, tracing: false },
  "effect-alf, scope of the call": { get: override, tracing: false },
  "constant header, traced": { get: constant, tracing: true },
  "effect-alf, traced": { get: authed, tracing: true }
}

const inTurn = async (requests: number, send: () => Promise<unknown>) => {
  for (let sent = 0; sent < requests; sent++) await send()
}

// A full collection would also drop what the compiled code has learnt
const collectGarbage = (): void => globalThis.gc?.({ type: "minor" })

export const tokenOverhead: Scenario = {
  name: "token-overhead",
  title: "Token overhead",
  // All that a batch allocates fits in: nothing is collected between the two looks at the heap
  nodeOptions: ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"],
  run: async ({ rounds, smoke }) => {
    const batch = smoke ? 50 : 400
    const batchesPerRound = smoke ? 1 : 15
    const runtime = ManagedRuntime.make(Clients.Default)
    const clients = await runtime.runPromise(Clients)

    const send = (get: Get, tracing: boolean, requests: number) => {
      let left = requests
      return runtime.runPromise(
        Effect.withTracerEnabled(
          Effect.whileLoop({ while: () => left-- > 0, body: () => get(clients), step: constVoid }),
          tracing
        )
      )
    }

    const batches = await Rounds.measure(
      Object.entries(variants).map(([name, { get, tracing }]) => ({
        name,
        sample: async () => {
          collectGarbage()
          const heap = process.memoryUsage().heapUsed
          const start = process.cpuUsage()
          await send(get, tracing, batch)
          const { system, user } = process.cpuUsage(start)
          const bytes = process.memoryUsage().heapUsed - heap
          return { time: (system + user) / batch, bytes: bytes / batch }
        }
      })),
      { rounds: rounds * batchesPerRound, warmUps: smoke ? 1 : 30 }
    )

    const micros = async (run: () => Promise<unknown>) => {
      collectGarbage()
      const start = process.cpuUsage()
      await run()
      const { system, user } = process.cpuUsage(start)
      return (system + user) / batch
    }

    const others = await Rounds.measure(
      [
        {
          name: effectAlf.name,
          constant: () => send(constant, false, batch),
          authorized: () => send(authed, false, batch)
        },
        ...stubbedPeers().map((peer) => ({
          name: peer.name,
          constant: () => inTurn(batch, peer.constant),
          authorized: () => inTurn(batch, peer.authorized)
        }))
      ].map(({ constant, name, authorized }) => ({
        name,
        sample: async () => {
          const without = await micros(constant)
          const time = await micros(authorized)
          return { without, time, added: time - without }
        }
      })),
      { rounds: rounds * batchesPerRound, warmUps: smoke ? 1 : 30 }
    )

    const samples = Rounds.condense(batches, batchesPerRound)
    await runtime.dispose()

    const values = (subject: keyof typeof variants, measure: string) => Rounds.values(samples, subject, measure)
    const table = {
      title: "This client",
      samples,
      measures: [
        { key: "time", title: "per request", unit: "µs", against: "constant header" },
        { key: "bytes", title: "allocated", unit: "bytes", against: "constant header" }
      ]
    }
    return {
      method:
        `A GET whose answer is there at once, so that only the client itself is measured, by its processor time: ${batchesPerRound} times ${batch} requests of one fiber to a round. The bytes are the growth of the heap over a batch, with a young generation ` +
        "so large that none of it is collected meanwhile. Both clients put the same base URL in front. Each of the " +
        "other clients has a transport of its own kind that answers at once, once with a constant header and once with " +
        "a token that it has already.",
      tables: [table, {
        title: "With other clients",
        samples: Rounds.condense(others, batchesPerRound),
        measures: [
          { key: "without", title: "constant header", unit: "µs" },
          { key: "time", title: "token that is kept", unit: "µs" },
          { key: "added", title: "what the token adds", unit: "µs" }
        ]
      }],
      goals: [
        {
          what: "tracing off: time",
          figure: ratio(values("effect-alf", "time"), values("constant header", "time")),
          bound: "at most",
          limit: 1.08,
          unit: "×"
        },
        {
          what: "tracing off: time that the token adds",
          figure: difference(values("effect-alf", "time"), values("constant header", "time")),
          bound: "at most",
          limit: 1,
          unit: "µs"
        },
        {
          what: "tracing off: bytes",
          figure: ratio(values("effect-alf", "bytes"), values("constant header", "bytes")),
          bound: "at most",
          limit: 1.05,
          unit: "×"
        }
      ],
      picture: { title: "Time per request over a transport that takes none", table, measure: "time", better: "less" }
    }
  }
}
