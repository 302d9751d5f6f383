import { AuthedHttpClient, ClientAuth, TokenEndpoint, TokenProvider, TokenStore } from "@effect-alf/core"
import { TestAuthorizationServer } from "@effect-alf/core/testing"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Runtime,
  Schema,
  Stream,
  TestClock,
  Tracer
} from "effect"
import { inspect } from "node:util"
import * as Resource from "./support/Resource.js"
import { rowsEffect } from "./support/Rows.js"
import { isThorough } from "./support/Runs.js"
import * as Secrets from "./support/Secrets.js"

const tokenPrefix = "acc3ss/t0ken+"
const clientSecret = Redacted.make("cl13nt/secr3t+&=ä")
const basic = `${TestAuthorizationServer.clientId}:${ClientAuth.formEncode(Redacted.value(clientSecret))}`
const secrets = [tokenPrefix, Redacted.value(clientSecret), basic]

const world = (client: Partial<AuthedHttpClient.Options & TokenProvider.Options> = {}) =>
  Resource.overServer({ tokenPrefix, clientSecret, client })

type World = Effect.Effect.Success<ReturnType<typeof world>>

const assertHidden = (value: unknown, what?: string) => deepStrictEqual(Secrets.leaks(value, secrets), [], what)

const assertAllHidden = (values: ReadonlyArray<unknown>) => deepStrictEqual(Secrets.leaksOf(values, secrets), [])

const collect = <E>(body: Stream.Stream<Uint8Array, E>) => Stream.runCollect(body)

describe("AuthedHttpClient, secrets", () => {
  it.scoped("the search finds a token in a request that platform signed, in several ways", () =>
    Effect.gen(function*() {
      const resource = Resource.make()
      const signed = HttpClient.mapRequest(resource.client, HttpClientRequest.bearerToken(`${tokenPrefix}1`))
      const response = yield* signed.get("https://api.test/")
      const found = Secrets.leaks(response, secrets)
      for (const way of ["JSON.stringify", "console.log", "inspect", "inspect without toJSON"]) {
        assert.include(found, way)
      }
      assert.include(found, "at .request.headers.authorization")
      const failing = HttpClient.filterStatusOk(HttpClient.mapRequest(
        Resource.make(() => 500).client,
        HttpClientRequest.bearerToken(`${tokenPrefix}1`)
      ))
      const exit = yield* Effect.exit(failing.get("https://api.test/"))
      assert.isAbove(Secrets.leaks(exit, secrets).length, 5)
    }))

  const responses: Record<string, (world: World) => Effect.Effect<HttpClientResponse.HttpClientResponse, unknown>> = {
    "a response": ({ client }) => client.get("/orders"),
    "a response to a request with a body": ({ client }) =>
      client.post("/orders", { body: HttpBody.unsafeJson({ a: 1 }) }),
    "a response whose text was read": ({ client }) => Effect.tap(client.get("/orders"), ({ text }) => text),
    "a response whose JSON was read": ({ client }) => Effect.tap(client.get("/orders"), ({ json }) => json),
    "a response whose bytes were read": ({ client }) =>
      Effect.tap(client.get("/orders"), ({ arrayBuffer }) => arrayBuffer),
    "a response whose stream was read": ({ client }) =>
      Effect.tap(client.get("/orders"), ({ stream }) => collect(stream)),
    "a response after one replay": ({ client, server }) =>
      client.get("/").pipe(Effect.zipRight(server.revoke()), Effect.zipRight(client.get("/orders"))),
    "a second 401": ({ client, server }) =>
      Effect.zipRight(server.rejectOrigin(TestAuthorizationServer.apiUrl, true), client.get("/orders")),
    "a 401 after a renewal that failed": ({ client, server }) =>
      client.get("/").pipe(
        Effect.zipRight(server.revoke()),
        Effect.zipRight(server.failNext(9, { status: 400, body: { error: "invalid_client" } })),
        Effect.zipRight(client.get("/orders"))
      ),
    "a 500": ({ client, server }) => Effect.zipRight(server.failApiNext(1, { status: 500 }), client.get("/orders")),
    "a response in a scope": ({ client }) => Effect.scoped(HttpClient.withScope(client).get("/orders")),
    "a response of platform's client": ({ client }) => AuthedHttpClient.toHttpClient(client).get("/orders")
  }
  it.scoped("rule 9: a response shows no secret, and the caller's request with its full address", () =>
    rowsEffect(Object.entries(responses), ([what]) => what, ([, make]) =>
      Effect.gen(function*() {
        const response = yield* Effect.flatMap(world(), make)
        assertAllHidden([response, Exit.succeed(response)])
        deepStrictEqual(Object.keys(response.request.headers).filter((name) => /auth|cookie/i.test(name)), [])
        assert.strictEqual(response.request.url, "https://api.test/orders")
        assert.include(inspect(response), "https://api.test/orders")
      })))

  const Order = Schema.Struct({ id: Schema.Number })

  const failures: Record<string, (world: World) => Effect.Effect<unknown, unknown>> = {
    // Those that let time pass are the first: it wakes what others leave behind
    "a token response that breaks off": ({ client, server }) =>
      Effect.gen(function*() {
        yield* server.setTokenResponse(() => "cut")
        const call = yield* Effect.fork(client.get("/orders"))
        yield* TestClock.adjust("1 minute")
        return yield* Fiber.join(call)
      }),
    "a token endpoint that is silent": ({ client, server }) =>
      Effect.gen(function*() {
        yield* server.setTokenResponse(() => "hang")
        const call = yield* Effect.fork(client.get("/orders"))
        yield* TestClock.adjust("5 minutes")
        return yield* Fiber.join(call)
      }),
    "a timeout of the caller": ({ client, server }) =>
      Effect.gen(function*() {
        yield* client.get("/")
        yield* server.failApiNext(1, "hang")
        const call = yield* Effect.fork(Effect.timeout(client.get("/orders"), "1 second"))
        yield* TestClock.adjust("1 second")
        return yield* Fiber.join(call)
      }),
    "a call that was interrupted": ({ client, server }) =>
      Effect.gen(function*() {
        yield* server.setApiDelay("1 minute")
        const call = yield* Effect.fork(client.get("/orders"))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(call)
        return yield* Fiber.join(call)
      }),
    "a connection that is reset": ({ client, server }) =>
      Effect.zipRight(server.failApiNext(1, "reset"), client.get("/orders")),
    "a body that breaks off": ({ client, server }) =>
      Effect.zipRight(server.failApiNext(1, "cut"), Effect.flatMap(client.get("/orders"), ({ text }) => text)),
    "a stream that breaks off": ({ client, server }) =>
      Effect.zipRight(
        server.failApiNext(1, "cut"),
        Effect.flatMap(client.get("/orders"), ({ stream }) => collect(stream))
      ),
    "JSON that is none": ({ client, server }) =>
      Effect.zipRight(
        server.failApiNext(1, { body: "<html>" }),
        Effect.flatMap(client.get("/orders"), ({ json }) => json)
      ),
    "a body that does not fit its schema": ({ client }) =>
      Effect.flatMap(client.get("/orders"), HttpClientResponse.schemaBodyJson(Order)),
    "filterStatusOk": ({ client, server }) =>
      Effect.zipRight(server.failApiNext(1, { status: 500 }), HttpClient.filterStatusOk(client).get("/orders")),
    "filterStatusOk of a second 401": ({ client, server }) =>
      Effect.zipRight(
        server.rejectOrigin(TestAuthorizationServer.apiUrl, true),
        HttpClient.filterStatusOk(client).get("/orders")
      ),
    "a response that is the failure itself": ({ client }) =>
      HttpClient.filterOrFail(client, () => false, (response) => response).get("/orders"),
    "an origin that is not allowed": ({ client }) => client.get("https://evil.test/orders"),
    "an invalid address": ({ client }) => AuthedHttpClient.withoutToken(client.get("https://")),
    "a defect": ({ client }) => Effect.orDie(HttpClient.filterStatus(client, () => false).get("/orders")),
    "invalid_client": ({ client, server }) =>
      Effect.zipRight(server.rotateSecret(Redacted.make("another")), client.get("/orders")),
    "a token endpoint that echoes what it was sent": ({ client, server }) =>
      Effect.zipRight(
        server.setTokenResponse(({ authorization = "", headers, params }) => ({
          status: 400,
          headers: { "x-echo": authorization, authorization, "set-cookie": authorization },
          body: { error: authorization, error_description: JSON.stringify([headers, params]), error_uri: authorization }
        })),
        client.get("/orders")
      ),
    "a token endpoint that answers with HTML": ({ client, server }) =>
      Effect.zipRight(server.failNext(1, { body: `<html>${tokenPrefix}</html>` }), client.get("/orders")),
    "a token that is no header value": ({ client, server }) =>
      Effect.zipRight(server.failNext(1, { body: { access_token: `${tokenPrefix}\r\nx: y` } }), client.get("/orders"))
  }
  const clients = ["AuthedHttpClient", "platform's client"]
  for (const [index, via] of clients.entries()) {
    // In CI each through both
    const shown = Object.entries(failures).filter((_, at) => isThorough || at % clients.length === index)
    it.scoped(`rule 9: failures and their exits show no secret, through ${via}`, () =>
      rowsEffect(shown, ([what]) => what, ([, make]) =>
        Effect.gen(function*() {
          const services = yield* world()
          const client = via === "AuthedHttpClient" ? services.client : AuthedHttpClient.toHttpClient(services.client)
          // In a span, as apps are: there Effect hands out proxies of failures
          const exit = yield* Effect.exit(Effect.withSpan(make({ ...services, client }), "app"))
          assert(Exit.isFailure(exit))
          const errors = [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)]
          const responses: Array<unknown> = []
          for (const error of errors) {
            if (HttpClientError.isHttpClientError(error)) {
              deepStrictEqual(Object.keys(error.request.headers), [])
              if (error._tag === "ResponseError") responses.push(error.response)
            }
          }
          const rejection = Runtime.makeFiberFailure(exit.cause)
          assertAllHidden([exit, exit.cause, ...errors, ...errors.map(Cause.originalError), ...responses, rejection])
        })))
  }

  it.scoped("the errors of requests and bodies contain the full URL", () =>
    Effect.gen(function*() {
      const { client, server } = yield* world()
      for (const answer of ["reset", "cut"] as const) {
        yield* server.failApiNext(1, answer)
        const error = yield* Effect.flip(Effect.flatMap(client.get("/orders"), ({ text }) => text))
        assert.include(error.message, "GET https://api.test/orders")
      }
    }))

  it.scoped("rule 9: clients, services, tokens, contexts and layers show no secret, before and after use", () =>
    Effect.gen(function*() {
      const endpoint = TokenEndpoint.layer({
        tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
        clientId: TestAuthorizationServer.clientId,
        clientSecret
      })
      const post = TokenEndpoint.layer({
        tokenEndpoint: TestAuthorizationServer.tokenEndpoint,
        clientId: TestAuthorizationServer.clientId,
        clientAuth: ClientAuth.clientSecretPost(clientSecret)
      })
      const layer = AuthedHttpClient.layer({ baseUrl: TestAuthorizationServer.apiUrl }).pipe(
        Layer.provideMerge(endpoint),
        Layer.provideMerge(TokenStore.layerMemory()),
        Layer.provide(TestAuthorizationServer.layer({ tokenPrefix, clientSecret }))
      )
      const context = yield* Layer.build(layer)
      const client = Context.get(context, AuthedHttpClient.AuthedHttpClient)
      const platform = AuthedHttpClient.toHttpClient(client)
      const provider = Context.get(context, TokenProvider.TokenProvider)
      const call = client.get("/orders")
      const read = provider.get()
      const look = (when: string) => {
        const values = {
          client,
          platform,
          provider,
          context,
          layer,
          endpoint,
          post,
          call,
          read,
          "the client, said to be replayable": AuthedHttpClient.withReplayableBodies(client),
          "the endpoint's service": Context.get(context, TokenEndpoint.TokenEndpoint),
          "the store's service": Context.get(context, TokenStore.TokenStore),
          "an authentication": ClientAuth.clientSecretBasic(clientSecret)
        }
        for (const [name, value] of Object.entries(values)) assertHidden(value, `${name}, ${when}`)
      }
      look("before")
      yield* call
      look("after")
    }))

  it.scoped("rule 9: a token never shows its value", () =>
    Effect.gen(function*() {
      const { provider } = yield* world()
      const token = yield* provider.get()
      assert.strictEqual(Redacted.value(token.value), `${tokenPrefix}1`)
      assert.strictEqual(provider.peek(), token)
      for (const value of [token, [token, { token }], Exit.succeed(token)]) {
        assertHidden(value)
      }
      assertHidden({ ...token })
    }))

  /** Runs an effect and collects what it logs, at any level and in any format, and what it traces. */
  const observe = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const raw: Array<unknown> = []
      const spans: Array<Tracer.Span> = []
      const events: Array<unknown> = []
      const native = yield* Effect.tracer
      const tracer = Tracer.make({
        context: native.context,
        span: (...args) => {
          const span = native.span(...args)
          const event = span.event.bind(span)
          span.event = (...args) => {
            events.push(args)
            event(...args)
          }
          spans.push(span)
          return span
        }
      })
      const capture = Logger.make((options) => {
        const loggers = [Logger.stringLogger, Logger.logfmtLogger, Logger.jsonLogger, Logger.structuredLogger]
        lines.push(...loggers.map((logger) => logger.log(options)))
        raw.push(options.message, options.cause, Array.from(options.annotations))
      })
      yield* effect.pipe(
        Effect.withTracer(tracer),
        Effect.provide(Logger.replace(Logger.defaultLogger, capture)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
      return { lines, raw, spans, events }
    })

  const observed = (make: (world: World) => Effect.Effect<unknown, unknown>) =>
    // The world, too, is made under the tracer and the logger: flights inherit them from it
    observe(Effect.scoped(Effect.flatMap(world(), (services) =>
      make(services).pipe(
        Effect.withSpan("app"),
        Effect.tapErrorCause((cause) => Effect.logError("it failed", cause)),
        Effect.tap((value) => Effect.log(value)),
        Effect.exit
      ))))

  it.scoped("rule 9: no log or trace shows a secret, at any level", () =>
    Effect.gen(function*() {
      const names = new Set<string>()
      let logged = 0
      for (const [what, make] of Object.entries({ ...failures, ...responses })) {
        const { events, lines, spans } = yield* observed(make)
        logged += lines.length
        for (const { name } of spans) names.add(name)
        deepStrictEqual(Secrets.reaches(lines, secrets), [], `what is logged of ${what}`)
        const traced = [
          spans.map(({ attributes, name }) => [name, attributes]),
          events,
          spans.map(({ status }) => status)
        ]
        deepStrictEqual(Secrets.reaches(traced, secrets), [], `what is traced of ${what}`)
      }
      // And there was something to see
      for (const name of ["http.client GET", "http.client POST", "TokenProvider.renew", "TokenEndpoint.attempt"]) {
        assert.isTrue(names.has(name), name)
      }
      assert.isAbove(logged, 100)
    }))

  it.scoped("rule 9: the Debug log of a fiber that ends with a failure shows no secret", () =>
    Effect.gen(function*() {
      for (const what of ["a body that breaks off", "a stream that breaks off", "a connection that is reset"]) {
        const { raw } = yield* observed((services) =>
          Effect.flatMap(Effect.fork(failures[what](services)), Fiber.await)
        )
        assert.isNotEmpty(raw)
        deepStrictEqual(Secrets.leaks(raw, secrets), [])
      }
    }))

  it.scoped("rule 9: a caller's own credentials are shown as platform shows them", () =>
    Effect.gen(function*() {
      const { client } = yield* world()
      const response = yield* client.get("/orders", { headers: { authorization: "Basic own" } })
      assert.strictEqual(response.request.headers.authorization, "Basic own")
      assertHidden(response)
      deepStrictEqual(Option.getOrUndefined(response.remoteAddress), undefined)
    }))
})
