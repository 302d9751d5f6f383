import type { TokenRequest } from "@effect-alf/core"
import {
  AccessToken,
  ClientAuth,
  EncryptedTokenStore,
  Environment,
  Grant,
  OAuthError,
  RetryPolicy,
  TokenEndpoint,
  TokenProvider,
  TokenStore
} from "@effect-alf/core"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Either,
  Equal,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Redacted,
  Ref,
  Schedule,
  TestClock,
  Tracer
} from "effect"
import { format, inspect } from "node:util"
import { rowsEffect } from "./support/Rows.js"
import { isThorough } from "./support/Runs.js"
import { leaks } from "./support/Secrets.js"
import { storeKey } from "./support/StoreKey.js"

const url = "https://auth.example.com/token"
const clientId = "my app"
const secret = "s3cr3t p@ss:w\"ord%+!~(é)"
const accessToken = "t0k3n.abc-def"

/** A request as it went over the wire. */
interface Sent {
  readonly url: string
  readonly init: RequestInit
  readonly headers: Headers
  readonly form: URLSearchParams
}

type Answer = (sent: Sent) => Response | Promise<Response>

/**
 * What `globalThis.fetch` does, without a network: redirects are followed
 * unless the options say otherwise.
 */
const fetchOf = (answer: Answer) => {
  const sent: Array<Sent> = []
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const body = init.body
    const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : String(body ?? "")
    const one: Sent = { url: String(input), init, headers: new Headers(init.headers), form: new URLSearchParams(text) }
    sent.push(one)
    const response = await answer(one)
    const location = response.headers.get("location")
    return location !== null && init.redirect !== "manual" ? fetch(location, init) : response
  }
  return { sent, layer: Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch)) }
}

type Options = Partial<TokenEndpoint.Options>

const make = (options?: Options) =>
  TokenEndpoint.make({
    tokenEndpoint: url,
    clientId,
    retry: RetryPolicy.none,
    ...(options?.clientAuth === undefined ? { clientSecret: Redacted.make(secret) } : {}),
    ...options
  })

/** Asks for one token and keeps what went over the wire. */
const ask = (answer: Answer, options?: Options) => {
  const { layer, sent } = fetchOf(answer)
  return Effect.gen(function*() {
    const endpoint = yield* make(options)
    const exit = yield* Effect.exit(endpoint.request(endpoint.resolve()))
    return { exit, sent }
  }).pipe(Effect.provide(layer))
}

const failed = (exit: Exit.Exit<AccessToken.AccessToken, OAuthError.TokenRequestError>) => {
  const failure = Exit.isFailure(exit) ? Cause.squash(exit.cause) : "the answer was taken"
  assert.instanceOf(failure, OAuthError.TokenEndpointError)
  return failure
}

const tokenOf = (exit: Exit.Exit<AccessToken.AccessToken, OAuthError.TokenRequestError>) =>
  Exit.getOrElse(exit, (cause) => {
    throw new Error(Cause.pretty(cause))
  })

const granted = (fields?: Record<string, unknown>, init?: ResponseInit) =>
  Response.json({ access_token: accessToken, token_type: "Bearer", expires_in: 3600, ...fields }, init)

/** An `HttpClient` that lives in Effect's time, unlike fetch. */
const clientOf = (
  answer: (attempt: number) => Effect.Effect<Response, unknown>
): Layer.Layer<HttpClient.HttpClient> => {
  let attempt = 0
  return Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.suspend(() => answer(++attempt)).pipe(
        Effect.mapError((cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause })),
        Effect.map((response) => HttpClientResponse.fromWeb(request, response))
      )
    )
  )
}

const streamOf = (source: UnderlyingDefaultSource<Uint8Array>, init?: ResponseInit) =>
  new Response(new ReadableStream(source), init)

const bytes = (text: string) => new TextEncoder().encode(text)

describe("TokenEndpoint", () => {
  describe("the request (RFC 6749 §4.4.2)", () => {
    it.effect("is a form by POST with HTTP Basic, form-encoded first", () =>
      Effect.gen(function*() {
        const { exit, sent } = yield* ask(() => granted())
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(sent.length, 1)
        const [{ form, headers, init, url: to } = assert.fail()] = sent
        assert.strictEqual(to, url)
        assert.strictEqual(init.method, "POST")
        assert.strictEqual(headers.get("content-type"), "application/x-www-form-urlencoded")
        assert.strictEqual(headers.get("accept"), "application/json")
        deepStrictEqual([...form], [["grant_type", "client_credentials"]])
        const pair = `${ClientAuth.formEncode(clientId)}:${ClientAuth.formEncode(secret)}`
        assert.strictEqual(headers.get("authorization"), `Basic ${Buffer.from(pair).toString("base64")}`)
      }))

    it.effect("rule 11: requests an uncompressed response, so that nothing small becomes large", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted())
        assert.strictEqual(sent[0]?.headers.get("accept-encoding"), "identity")
      }))

    it.effect("keeps the query of its address (RFC 6749 §3.2)", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted(), { tokenEndpoint: `${url}?tenant=a%20b&x=1` })
        assert.strictEqual(sent[0]?.url, `${url}?tenant=a%20b&x=1`)
      }))

    it.effect("sends scope, each resource, each audience and the extra parameters", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted(), {
          request: {
            scope: ["write", "read"],
            resource: ["https://a.example.com", "https://b.example.com/?x=1&y"],
            audience: "https://aud",
            params: { tenant: "é & =" }
          }
        })
        deepStrictEqual([...sent[0]?.form ?? []], [
          ["grant_type", "client_credentials"],
          ["scope", "read write"],
          ["resource", "https://a.example.com"],
          ["resource", "https://b.example.com/?x=1&y"],
          ["audience", "https://aud"],
          ["tenant", "é & ="]
        ])
      }))

    it.effect("clientSecretPost: id and secret are form parameters, and there is no Authorization header", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted(), { clientAuth: ClientAuth.clientSecretPost(Redacted.make(secret)) })
        assert.strictEqual(sent[0]?.form.get("client_id"), clientId)
        assert.strictEqual(sent[0]?.form.get("client_secret"), secret)
        assert.isNull(sent[0]?.headers.get("authorization"))
      }))

    it.effect("clientAuth takes precedence over clientSecret", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted(), {
          clientSecret: Redacted.make("not this one"),
          clientAuth: ClientAuth.none
        })
        assert.strictEqual(sent[0]?.form.get("client_id"), clientId)
        assert.isNull(sent[0]?.headers.get("authorization"))
      }))

    it.effect("sends further headers, which may change accept but neither content type nor credentials", () =>
      Effect.gen(function*() {
        const { sent } = yield* ask(() => granted(), {
          headers: {
            "X-Tenant": "t1",
            accept: "application/vnd.token+json",
            authorization: "Bearer mine",
            "content-type": "text/plain"
          }
        })
        const headers = sent[0]?.headers
        assert.strictEqual(headers?.get("x-tenant"), "t1")
        assert.strictEqual(headers?.get("accept"), "application/vnd.token+json")
        assert.match(headers?.get("authorization") ?? "", /^Basic /)
        assert.strictEqual(headers?.get("content-type"), "application/x-www-form-urlencoded")
      }))

    it.effect("requestInit: the layer's and the user's are merged, and neither can turn redirects on", () =>
      Effect.gen(function*() {
        const { layer, sent } = fetchOf(() => granted())
        const endpoint = yield* make({
          requestInit: { credentials: "omit", redirect: "follow", method: "PUT", headers: { "x-init": "1" } }
        }).pipe(
          Effect.provide(layer),
          Effect.provideService(FetchHttpClient.RequestInit, { cache: "no-store", credentials: "include" })
        )
        yield* endpoint.request(endpoint.resolve())
        const init = sent[0]?.init
        assert.strictEqual(init?.cache, "no-store")
        assert.strictEqual(init?.credentials, "omit")
        assert.strictEqual(init?.redirect, "manual")
        assert.strictEqual(init?.method, "POST")
        assert.strictEqual(sent[0]?.headers.get("x-init"), "1")
        assert.match(sent[0]?.headers.get("authorization") ?? "", /^Basic /)
      }))

    it.effect("each attempt passes its number to the client authentication, and is authenticated again", () =>
      Effect.gen(function*() {
        const contexts: Array<ClientAuth.Context> = []
        const { layer, sent } = fetchOf(() => sent.length < 3 ? new Response("", { status: 503 }) : granted())
        const endpoint = yield* Effect.provide(
          make({
            tokenEndpoint: `${url}?x=1`,
            clientAuth: {
              method: "assertion",
              authenticate: (context) =>
                Effect.sync(() => {
                  contexts.push(context)
                  return { params: { client_assertion: Redacted.make(`assertion-${context.attempt}`), kind: "jwt" } }
                })
            },
            retry: RetryPolicy.exponential({ base: 0, times: 5, jitter: false })
          }),
          layer
        )
        const resolved = endpoint.resolve()
        const fiber = yield* Effect.fork(endpoint.request(resolved))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        yield* endpoint.request(resolved)
        yield* endpoint.attempt(resolved)
        yield* endpoint.attempt(resolved, 7)
        deepStrictEqual(contexts.map(({ attempt }) => attempt), [1, 2, 3, 1, 1, 7])
        deepStrictEqual(contexts[0], { clientId, endpoint: `${url}?x=1`, issuer: undefined, attempt: 1 })
        deepStrictEqual(
          sent.map(({ form }) => form.get("client_assertion")),
          [1, 2, 3, 1, 1, 7].map((attempt) => `assertion-${attempt}`)
        )
        assert.strictEqual(sent[0]?.form.get("kind"), "jwt")
      }))

    it.effect("attempt: one attempt, whatever the retry policy is", () =>
      Effect.gen(function*() {
        const { layer, sent } = fetchOf(() => new Response("", { status: 503 }))
        const endpoint = yield* Effect.provide(make({ retry: RetryPolicy.standard }), layer)
        yield* Effect.flip(endpoint.attempt(endpoint.resolve()))
        assert.strictEqual(sent.length, 1)
      }))

    it.effect("a secret that is an Effect is run at every attempt, with the layer's services", () =>
      Effect.gen(function*() {
        class Vault extends Context.Tag("Vault")<Vault, { readonly reads: Ref.Ref<number> }>() {}
        const reads = yield* Ref.make(0)
        const { layer, sent } = fetchOf(() => sent.length < 2 ? new Response("", { status: 503 }) : granted())
        const tokenEndpoint = TokenEndpoint.layer({
          tokenEndpoint: url,
          clientId: "app",
          clientSecret: Effect.gen(function*() {
            const vault = yield* Vault
            return Redacted.make(`secret-${yield* Ref.updateAndGet(vault.reads, (n) => n + 1)}`)
          }),
          retry: RetryPolicy.exponential({ base: 0, times: 1, jitter: false })
        }).pipe(Layer.provide(layer), Layer.provide(Layer.succeed(Vault, { reads })))
        const endpoint = yield* Effect.provide(TokenEndpoint.TokenEndpoint, tokenEndpoint)
        assert.strictEqual(yield* Ref.get(reads), 0)
        const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        deepStrictEqual(
          sent.map(({ headers }) => Buffer.from(headers.get("authorization")?.slice(6) ?? "", "base64").toString()),
          ["app:secret-1", "app:secret-2"]
        )
      }))
  })

  describe("the token (RFC 6749 §5.1)", () => {
    it.effect("expiresAt counts from the start of the request, not from the end of a slow response", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const http = clientOf(() => Effect.delay(Effect.sync(() => granted({ scope: "read write" })), "4 seconds"))
        const endpoint = yield* Effect.provide(make(), http)
        const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
        yield* TestClock.adjust("4 seconds")
        const token = yield* Fiber.join(fiber)
        assert.strictEqual(Redacted.value(token.value), accessToken)
        assert.strictEqual(token.tokenType, "Bearer")
        deepStrictEqual(token.scope, Option.some("read write"))
        deepStrictEqual(token.obtainedAt, DateTime.unsafeMake(1_700_000_000_000))
        deepStrictEqual(token.expiresAt, Option.some(DateTime.unsafeMake(1_700_000_000_000 + 3_600_000)))
      }))

    it.effect("expiresAt counts from the attempt that succeeded, and after its secret was read", () =>
      Effect.gen(function*() {
        const http = clientOf((attempt) =>
          Effect.succeed(attempt === 1 ? new Response("", { status: 503 }) : granted())
        )
        const endpoint = yield* Effect.provide(
          make({
            clientAuth: ClientAuth.clientSecretBasic(Effect.delay(Effect.succeed(Redacted.make("s")), "2 seconds")),
            retry: RetryPolicy.exponential({ base: "1 second", times: 1, jitter: false })
          }),
          http
        )
        const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
        yield* TestClock.adjust("5 seconds")
        const token = yield* Fiber.join(fiber)
        assert.strictEqual(token.obtainedAt.epochMillis, 5000)
      }))

    const taken: ReadonlyArray<readonly [what: string, body: Record<string, unknown>, lifetime: number | undefined]> = [
      ["expires_in \"3600\"", { expires_in: "3600" }, 3_600_000],
      ["expires_in 0", { expires_in: 0 }, undefined],
      ["expires_in null", { expires_in: null }, undefined],
      ["expires_in missing", { expires_in: undefined }, undefined],
      ["expires_in 1e18", { expires_in: 1e18 }, Duration.toMillis(AccessToken.maxLifetime)],
      ["expires_in -1", { expires_in: -1 }, undefined],
      ["an empty expires_in", { expires_in: "" }, undefined],
      ["expires_in \"never\"", { expires_in: "never" }, undefined],
      ["scope 1", { scope: 1 }, 3_600_000],
      ["token_type missing", { token_type: undefined }, 3_600_000],
      ["token_type 1", { token_type: 1 }, 3_600_000],
      ["token_type BearerToken", { token_type: "BearerToken" }, 3_600_000],
      ["token_type bearer", { token_type: "bearer" }, 3_600_000],
      ["token_type BEARER", { token_type: "BEARER" }, 3_600_000],
      ["an empty error beside the token", { error: "" }, 3_600_000],
      ["fields that nobody knows", { refresh_token: "r", foo: { bar: 1 } }, 3_600_000]
    ]
    it.effect("accepts a response with unusual, missing or unknown fields", () =>
      rowsEffect(taken, ([what]) => `takes an answer with ${what}`, ([, fields, lifetime]) =>
        Effect.gen(function*() {
          const token = tokenOf((yield* ask(() => granted(fields))).exit)
          assert.strictEqual(Redacted.value(token.value), accessToken)
          assert.strictEqual(AccessToken.authorization(token), `Bearer ${accessToken}`)
          assert.strictEqual(
            Option.getOrUndefined(
              Option.map(token.expiresAt, ({ epochMillis }) => epochMillis - token.obtainedAt.epochMillis)
            ),
            lifetime
          )
        })))

    it.effect("unreadable fields are logged once, not with each token, and without their values", () =>
      Effect.gen(function*() {
        const warnings: Array<string> = []
        const logger = Logger.make(({ message }) => warnings.push(String(message)))
        const odd = [
          { expires_in: `${accessToken} days`, scope: { all: accessToken } },
          { expires_in: "never" },
          { token_type: "" }
        ]
        const { layer, sent } = fetchOf(() => granted(odd[(sent.length - 1) % odd.length]))
        const endpoint = yield* Effect.provide(make(), layer)
        const ask = endpoint.request(endpoint.resolve())
        yield* Effect.replicateEffect(ask, 6).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        deepStrictEqual(warnings, [
          `Token endpoint ${url} answers: expires_in is not a number of seconds, scope is not a string. This is ignored`,
          `Token endpoint ${url} answers: token_type is empty. This is ignored`
        ])
      }))

    it.effect("bearerTypes: other names of Bearer, in any case", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() => granted({ token_type: "JWT" }), { bearerTypes: ["n_a", "jwt"] })
        assert.strictEqual(AccessToken.authorization(tokenOf(exit)), `Bearer ${accessToken}`)
        const { exit: other } = yield* ask(() => granted({ token_type: "mac" }), { bearerTypes: ["jwt"] })
        assert.include(failed(other).message, "token_type is \"mac\", which this client does not know (bearerTypes)")
        const configured = TokenEndpoint.layerConfig(Environment.tokenEndpoint).pipe(
          Layer.provide(fetchOf(() => granted({ token_type: "Jwt" })).layer),
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
            new Map([
              ["ALF_TOKEN_ENDPOINT", url],
              ["ALF_CLIENT_ID", clientId],
              ["ALF_CLIENT_SECRET", secret],
              ["ALF_BEARER_TYPES", "N_A, JWT"]
            ])
          )))
        )
        const token = yield* Effect.provide(
          Effect.flatMap(TokenEndpoint.TokenEndpoint, (endpoint) => endpoint.request(endpoint.resolve())),
          configured
        )
        assert.strictEqual(AccessToken.authorization(token), `Bearer ${accessToken}`)
      }))

    describe("tokenField and fields", () => {
      const body = {
        id_token: "t0k3n.of-id",
        instance_url: "https://na1.example.com",
        other: { signature: "s1gn" },
        id: 7
      }
      const fields = ["instance_url", "other", "toString", "absent"]

      it.effect("another field is the token, which no error shows", () =>
        Effect.gen(function*() {
          const { exit } = yield* ask(() => Response.json(body), { tokenField: "id_token" })
          assert.strictEqual(AccessToken.authorization(tokenOf(exit)), "Bearer t0k3n.of-id")
          assert.isUndefined(tokenOf(exit).fields)
          const { exit: missing } = yield* ask(() => granted(), { tokenField: "id_token" })
          assert.include(failed(missing).message, "answered 200: id_token is missing")
          const { exit: refused } = yield* ask(
            () => Response.json({ jwt: "t0k3n.of-jwt" }, { status: 400, headers: { "x-token": "t0k3n.of-jwt" } }),
            { tokenField: "jwt" }
          )
          deepStrictEqual(leaks(failed(refused), ["t0k3n.of-jwt"]), [])
        }))

      it.effect("rule 9: other fields of the response come with the token, redacted", () =>
        Effect.gen(function*() {
          const token = tokenOf((yield* ask(() => granted(body), { fields })).exit)
          deepStrictEqual(Object.entries(token.fields ?? {}).map(([name, value]) => [name, Redacted.value(value)]), [
            ["instance_url", body.instance_url],
            ["other", body.other]
          ])
          deepStrictEqual(leaks(token, ["na1.example.com", "s1gn"]), [])
        }))

      it.scoped("fleet: tokens of an encrypted store have them too, and endpoints with other fields share none", () =>
        Effect.gen(function*() {
          const { layer, sent } = fetchOf(() => granted({ ...body, access_token: `${accessToken}-${sent.length}` }))
          const store = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
          const key = { id: "1", key: Redacted.make(Buffer.alloc(32, 7).toString("base64")) }
          const process = (options: Options) =>
            TokenProvider.make().pipe(
              Effect.provideServiceEffect(TokenEndpoint.TokenEndpoint, make(options)),
              Effect.provideServiceEffect(TokenStore.TokenStore, EncryptedTokenStore.make(store, { keys: [key] })),
              Effect.flatMap((provider) => provider.get()),
              Effect.map((token) => [Redacted.value(token.value), token.fields?.instance_url]),
              Effect.provide(layer)
            )
          const url = Redacted.make(body.instance_url)
          deepStrictEqual(yield* process({ fields }), [`${accessToken}-1`, url])
          deepStrictEqual(yield* process({ fields: [...fields].reverse() }), [`${accessToken}-1`, url])
          deepStrictEqual(yield* process({}), [`${accessToken}-2`, undefined])
          deepStrictEqual(yield* process({ tokenField: "id_token" }), ["t0k3n.of-id", undefined])
          deepStrictEqual(yield* process({ fields: ["id"] }), [`${accessToken}-4`, undefined])
          assert.lengthOf(sent, 4)
        }))
    })

    it.effect("accepts 201, a byte order mark and any content type", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() =>
          new Response(`\ufeff{"access_token":"${accessToken}"}`, {
            status: 201,
            headers: { "content-type": "text/plain" }
          })
        )
        assert.strictEqual(Redacted.value(tokenOf(exit).value), accessToken)
      }))

    const forms: ReadonlyArray<readonly [whose: string, form: string, type: string, lifetime: number | undefined]> = [
      [
        "GitHub's",
        "access_token=f0rm&scope=repo%2Cgist&token_type=bearer",
        "application/x-www-form-urlencoded",
        undefined
      ],
      ["Facebook's", "access_token=f0rm&expires=5183999", "text/plain; charset=UTF-8", 5_183_999_000],
      ["one with both words", "expires=1&access_token=f0rm&expires_in=3600\n", "text/plain", 3_600_000]
    ]
    it.effect("accepts a form in place of JSON", () =>
      rowsEffect(
        forms,
        ([whose]) => `takes a form in place of JSON: ${whose}`,
        ([, form, type, lifetime]) =>
          Effect.gen(function*() {
            const token = tokenOf((yield* ask(() => new Response(form, { headers: { "content-type": type } }))).exit)
            assert.strictEqual(Redacted.value(token.value), "f0rm")
            assert.strictEqual(
              Option.getOrUndefined(
                Option.map(token.expiresAt, ({ epochMillis }) => epochMillis - token.obtainedAt.epochMillis)
              ),
              lifetime
            )
          })
      ))

    it.effect("accepts a response in many small pieces, cut within a character", () =>
      Effect.gen(function*() {
        const body = bytes(JSON.stringify({ access_token: accessToken, scope: "é💥" }))
        const { exit } = yield* ask(() =>
          streamOf({
            start: (controller) => {
              for (const byte of body) controller.enqueue(new Uint8Array([byte]))
              controller.close()
            }
          })
        )
        deepStrictEqual(tokenOf(exit).scope, Option.some("é💥"))
      }))
  })

  describe("invalid responses (rule 11)", () => {
    interface Expected {
      readonly reason: OAuthError.AuthorizationServerErrorReason
      readonly message: string
      readonly error?: string
      readonly isTransient?: boolean
    }
    const html = "<!doctype html><title>Sign in</title>"
    const invalid = (message: string): Expected => ({
      reason: "InvalidResponse",
      message: `Token endpoint ${url} answered 200: ${message}`
    })
    const body = (text: string, type: string, status = 200) => () =>
      new Response(text, { status, headers: { "content-type": type, "x-request-id": "r1" } })
    const json = (value: unknown, status = 200) => () =>
      Response.json(value, { status, headers: { "x-request-id": "r1" } })
    const token = (fields: Record<string, unknown>) =>
      json({ access_token: accessToken, token_type: "Bearer", ...fields })
    const oauth = (status: number, error: string, isTransient = false) =>
      [
        `${status} ${error}`,
        json({ error, error_description: "no such luck", error_uri: "https://help.example.com" }, status),
        {
          reason: "OAuth",
          error,
          message: `Token endpoint ${url} answered ${status} ${error}: no such luck, see https://help.example.com`,
          isTransient
        }
      ] as const
    const plain = (status: number, isTransient = false) =>
      [
        `${status} without an OAuth error`,
        body("<h1>no</h1>", "text/html; charset=utf-8", status),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered ${status}: no OAuth error in a body of 11 characters (text/html)`,
          isTransient
        }
      ] as const
    const redirect = (status: number, location: string) =>
      [
        `${status} to ${location}`,
        () => new Response(null, { status, headers: { location, "x-request-id": "r1" } }),
        { reason: "Redirect", message: `Token endpoint ${url} answered ${status}: a redirect, which is not followed` }
      ] as const

    const table: ReadonlyArray<readonly [what: string, answer: Answer, Expected]> = [
      ["HTML", body(html, "text/html"), invalid("no valid JSON in a body of 37 characters (text/html)")],
      ["an empty body", body("", "application/json"), invalid("no valid JSON in an empty body")],
      [
        "no body",
        () => new Response(null, { headers: { "x-request-id": "r1" } }),
        invalid("no valid JSON in an empty body")
      ],
      ["white space", body(" \r\n", "application/json"), invalid("no valid JSON in an empty body")],
      [
        "truncated JSON",
        body("{\"access_token\":\"t0k3n", "application/json"),
        invalid("no valid JSON in a body of 22 characters (application/json)")
      ],
      [
        "a form without a token",
        body("token=abc", "application/x-www-form-urlencoded"),
        invalid("no valid JSON in a body of 9 characters (application/x-www-form-urlencoded)")
      ],
      [
        "a form that is called HTML",
        body("access_token=abc", "text/html"),
        invalid("no valid JSON in a body of 16 characters (text/html)")
      ],
      [
        "a form with an error",
        body("error=bad_verification_code&error_description=expired+or+wrong", "application/x-www-form-urlencoded"),
        {
          reason: "OAuth",
          error: "bad_verification_code",
          message: `Token endpoint ${url} answered 200 bad_verification_code: expired or wrong`
        }
      ],
      [
        "an access_token of more than 64 KiB",
        token({ access_token: "t".repeat(64 * 1024 + 1) }),
        invalid("access_token is longer than 65536 characters")
      ],
      [
        "binary without a type",
        () => new Response(new Uint8Array([0xff, 0xfe, 0]), { headers: { "x-request-id": "r1" } }),
        invalid("no valid JSON in a body of 3 characters (untyped)")
      ],
      [
        "gzip that nobody asked for",
        () =>
          new Response(new Uint8Array([0x1f, 0x8b]), {
            headers: { "content-type": "application/json", "content-encoding": "gzip", "x-request-id": "r1" }
          }),
        invalid("no valid JSON in a body of 2 characters (application/json, gzip though identity was requested)")
      ],
      [
        "the requested encoding, named",
        () =>
          new Response("<>", {
            headers: { "content-type": "application/json", "content-encoding": "identity", "x-request-id": "r1" }
          }),
        invalid("no valid JSON in a body of 2 characters (application/json)")
      ],
      ["JSON null", json(null), invalid("the JSON is not an object")],
      ["a JSON array", json([accessToken]), invalid("the JSON is not an object")],
      ["a JSON string", json(accessToken), invalid("the JSON is not an object")],
      ["a JSON number", json(1), invalid("the JSON is not an object")],
      ["a JSON boolean", json(true), invalid("the JSON is not an object")],
      ["no access_token", json({ token_type: "Bearer" }), invalid("access_token is missing")],
      ["an access_token that is a number", token({ access_token: 42 }), invalid("access_token is not a string")],
      ["an access_token that is null", token({ access_token: null }), invalid("access_token is not a string")],
      ["an access_token that is an object", token({ access_token: {} }), invalid("access_token is not a string")],
      ["an empty access_token", token({ access_token: "" }), invalid("access_token is empty")],
      [
        "an access_token with a line break",
        token({ access_token: "abc\r\nx-admin: 1" }),
        invalid("access_token contains characters that no token may have")
      ],
      [
        "an access_token that is not ASCII",
        token({ access_token: "tökén" }),
        invalid("access_token contains characters that no token may have")
      ],
      [
        "token_type mac",
        token({ token_type: "mac" }),
        invalid("token_type is \"mac\", which this client does not know (bearerTypes)")
      ],
      oauth(200, "invalid_client"),
      oauth(400, "invalid_request"),
      oauth(400, "temporarily_unavailable", true),
      oauth(401, "invalid_client"),
      oauth(403, "unauthorized_client"),
      oauth(404, "invalid_request"),
      oauth(429, "slow_down", true),
      oauth(500, "server_error", true),
      oauth(503, "temporarily_unavailable", true),
      [
        "200 with an error beside a token",
        token({ error: "invalid_scope" }),
        { reason: "OAuth", error: "invalid_scope", message: `Token endpoint ${url} answered 200 invalid_scope` }
      ],
      plain(400),
      plain(401),
      plain(403),
      plain(404),
      plain(408, true),
      plain(429, true),
      plain(500, true),
      plain(503, true),
      [
        "304, which is no redirect",
        () => new Response(null, { status: 304, headers: { "x-request-id": "r1" } }),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered 304: no OAuth error in an empty body`,
          isTransient: false
        }
      ],
      [
        "503 with nothing at all",
        body("", "text/plain", 503),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered 503: no OAuth error in an empty body`,
          isTransient: true
        }
      ],
      [
        "401 with an error of another make",
        json({ error: { code: 401, message: "no" } }, 401),
        {
          reason: "Status",
          message:
            `Token endpoint ${url} answered 401: no OAuth error in a body of 37 characters (application/json): no`
        }
      ],
      [
        "Okta's error",
        json({ errorCode: "E0000022", errorSummary: "no such app", errorId: "oae1", errorCauses: [] }, 403),
        {
          reason: "Status",
          message:
            `Token endpoint ${url} answered 403: no OAuth error in a body of 87 characters (application/json): no such app`
        }
      ],
      [
        "a problem of RFC 9457, of many lines",
        json({ type: "about:blank", title: "Forbidden", detail: "not\r\nfrom here", status: 403 }, 403),
        {
          reason: "Status",
          message:
            `Token endpoint ${url} answered 403: no OAuth error in a body of 83 characters (application/json): Forbidden, not from here`
        }
      ],
      [
        "400 with reasons in lists, and at length",
        json({ fault: { faultstring: "no" }, errors: ["no", "not so", { message: "m".repeat(300), id: "i" }] }, 400),
        {
          reason: "Status",
          message:
            `Token endpoint ${url} answered 400: no OAuth error in a body of 379 characters (application/json): ` +
            `no, not so, ${"m".repeat(188)}…`
        }
      ],
      [
        "401 in plain text",
        body("your key is blocked\n", "text/plain; charset=utf-8", 401),
        {
          reason: "Status",
          message:
            `Token endpoint ${url} answered 401: no OAuth error in a body of 20 characters (text/plain): your key is blocked`
        }
      ],
      [
        "a page that is called plain text",
        body("<h1>no</h1>", "text/plain", 401),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered 401: no OAuth error in a body of 11 characters (text/plain)`
        }
      ],
      [
        "the half of a token that is called plain text",
        body(`{"access_token":"${accessToken}`, "text/plain", 400),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered 400: no OAuth error in a body of 30 characters (text/plain)`
        }
      ],
      [
        "a word in plain text that may be a token",
        body(`${"a1".repeat(16)} is spent`, "text/plain", 400),
        {
          reason: "Status",
          message: `Token endpoint ${url} answered 400: no OAuth error in a body of 41 characters (text/plain)`
        }
      ],
      [
        "200 in plain text",
        body("abc def", "text/plain"),
        invalid("no valid JSON in a body of 7 characters (text/plain)")
      ],
      ["200 with a message", json({ message: "try later" }), invalid("access_token is missing: try later")],
      ["200 with an error that is an object", json({ error: { message: "no" } }), invalid("error is not a string: no")],
      [
        "an OAuth error with a hint, and its description twice",
        json({ error: "invalid_request", error_description: "no", message: "no", hint: "check client_id" }, 400),
        {
          reason: "OAuth",
          error: "invalid_request",
          message: `Token endpoint ${url} answered 400 invalid_request: no, check client_id`
        }
      ],
      [
        "an OAuth error with a message for its description",
        json({ error: "Unauthorized", message: "no", path: "/token" }, 401),
        { reason: "OAuth", error: "Unauthorized", message: `Token endpoint ${url} answered 401 Unauthorized: no` }
      ],
      redirect(301, "https://evil.example.com/token"),
      redirect(302, "https://evil.example.com/token"),
      redirect(303, "/login"),
      redirect(307, "https://evil.example.com/token"),
      redirect(308, "https://auth.example.com/other"),
      [
        "a redirect with an OAuth error",
        json({ error: "login_required" }, 302),
        { reason: "Redirect", message: `Token endpoint ${url} answered 302: a redirect, which is not followed` }
      ]
    ]
    it.effect("each fails with a reason and a description", () =>
      rowsEffect(
        table,
        ([what, , expected]) => `${what}: ${expected.reason}`,
        ([, answer, expected]) =>
          Effect.gen(function*() {
            const { exit, sent } = yield* ask(answer)
            const error = failed(exit)
            assert.strictEqual(error.message, expected.message)
            assert.strictEqual(error.reason, expected.reason)
            assert.strictEqual(error.status, Number(/answered (\d+)/.exec(expected.message)?.[1]))
            assert.strictEqual(error.headers?.["x-request-id"], "r1")
            assert.strictEqual(error.endpoint, url)
            assert.strictEqual(error.error, expected.error)
            assert.strictEqual(OAuthError.isTransient(error), expected.isTransient ?? false)
            // Rule 10: a redirect's other place is never asked
            deepStrictEqual(sent.map(({ url }) => url), [url])
          })
      ))

    it.effect("no error contains the query of the endpoint's URL", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() => new Response("", { status: 500 }), { tokenEndpoint: `${url}?key=abc` })
        assert.strictEqual(failed(exit).endpoint, url)
      }))

    it.effect("a response of many lines is shown as one line", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(
          json({ error: "a\r\nb", error_description: `c\u001b[31m\n${"d".repeat(1000)}` }, 400)
        )
        assert.match(failed(exit).message, /^Token endpoint \S+ answered 400 a b: c \[31m d{250,}…$/)
      }))

    describe("Retry-After (RFC 9110 §10.2.3)", () => {
      const now = Date.UTC(2030, 0, 1, 12, 0, 0)
      const values: ReadonlyArray<readonly [value: string, millis: number | undefined]> = [
        ["120", 120_000],
        [" 5 ", 5000],
        ["0", 0],
        ["99999999999", 99_999_999_999_000],
        ["Tue, 01 Jan 2030 12:00:30 GMT", 30_000],
        ["Tuesday, 01-Jan-30 12:00:30 GMT", 30_000],
        ["Tue Jan  1 12:00:30 2030", 30_000],
        ["Tue, 01 Jan 2030 11:00:00 GMT", 0],
        ["-5", undefined],
        ["1.5", undefined],
        ["soon", undefined],
        ["soon 3000", undefined],
        ["on Tue, 01 Jan 2030 12:00:30 GMT", undefined],
        ["", undefined]
      ]
      it.effect("is a number of seconds or a date in any of its forms, and nothing else", () =>
        rowsEffect(
          values,
          ([value, millis]) => `${JSON.stringify(value)} is ${millis} ms`,
          ([value, millis]) =>
            Effect.gen(function*() {
              yield* TestClock.setTime(now)
              const { exit } = yield* ask(() => new Response("", { status: 503, headers: { "retry-after": value } }))
              assert.strictEqual(
                Option.getOrUndefined(Option.map(Option.fromNullable(failed(exit).retryAfter), Duration.toMillis)),
                millis
              )
            })
        ))

      it.effect("is part of an OAuth error too, and absent without the header", () =>
        Effect.gen(function*() {
          const answer = (headers: HeadersInit) => () => Response.json({ error: "slow_down" }, { status: 429, headers })
          const asked = failed((yield* ask(answer({ "retry-after": "3" }))).exit)
          deepStrictEqual(asked.retryAfter, Duration.seconds(3))
          assert.isUndefined(failed((yield* ask(answer({}))).exit).retryAfter)
        }))
    })
  })

  describe("no response", () => {
    it.effect("a connection reset: Transport", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() =>
          Promise.reject(
            new TypeError("fetch failed", {
              cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
            })
          )
        )
        const error = failed(exit)
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.message, `Token endpoint ${url}: fetch failed: read ECONNRESET`)
        assert.isUndefined(error.status)
        assert.isTrue(OAuthError.isTransient(error))
      }))

    it.effect("a connection reset within the body: Transport, with the status and headers", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() => {
          const chunks = ["{\"access_token\":", `"${accessToken}"`]
          return streamOf({
            pull: (controller) => {
              const chunk = chunks.shift()
              if (chunk === undefined) controller.error(new TypeError("terminated"))
              else controller.enqueue(bytes(chunk))
            }
          }, { headers: { "x-request-id": "r1" } })
        })
        const error = failed(exit)
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.message, `Token endpoint ${url}: terminated`)
        assert.strictEqual(error.status, 200)
        assert.strictEqual(error.headers?.["x-request-id"], "r1")
        assert.isTrue(OAuthError.isTransient(error))
      }))

    /** Runs out the time limit of one request; the error, and what was aborted. */
    const timeOut = (answer: (signal: AbortSignal) => Promise<Response>, options?: Options) =>
      Effect.gen(function*() {
        const signals: Array<AbortSignal> = []
        const { layer } = fetchOf(({ init }) => {
          const signal = init.signal ?? assert.fail()
          signals.push(signal)
          return answer(signal)
        })
        const endpoint = yield* Effect.provide(make(options), layer)
        const fiber = yield* Effect.fork(Effect.exit(endpoint.request(endpoint.resolve())))
        yield* TestClock.adjust("7999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        return { error: failed(yield* Fiber.join(fiber)), isAborted: signals.map((signal) => signal.aborted) }
      })

    it.effect("a server that never responds: Timeout after 8 s, and the request is aborted", () =>
      Effect.gen(function*() {
        const { error, isAborted } = yield* timeOut(() => new Promise(() => {}))
        assert.strictEqual(error.reason, "Timeout")
        assert.strictEqual(error.message, `Token endpoint ${url}: no answer within 8s`)
        assert.isTrue(OAuthError.isTransient(error))
        deepStrictEqual(isAborted, [true])
      }))

    it.effect("a body that never ends: Timeout, and the request is aborted", () =>
      Effect.gen(function*() {
        const { error, isAborted } = yield* timeOut(() =>
          Promise.resolve(streamOf({
            start: (controller) => controller.enqueue(bytes("{"))
          }))
        )
        assert.strictEqual(error.reason, "Timeout")
        deepStrictEqual(isAborted, [true])
      }))

    const hangs: ReadonlyArray<readonly [what: string, secret: Effect.Effect<Redacted.Redacted>]> = [
      ["a secret that never comes", Effect.never],
      ["a secret that never comes and cannot be interrupted", Effect.uninterruptible(Effect.never)]
    ]
    it.effect("a secret that never comes: Timeout, and nothing is sent", () =>
      rowsEffect(hangs, ([what]) => `${what}: Timeout, and nothing is sent`, ([, secret]) =>
        Effect.gen(function*() {
          const { error, isAborted } = yield* timeOut(() => Promise.resolve(granted()), { clientSecret: secret })
          assert.strictEqual(error.reason, "Timeout")
          assert.strictEqual(error.message, `Token endpoint ${url}: no client_secret_basic credentials within 8s`)
          deepStrictEqual(isAborted, [])
        })))

    it.effect("a secret that never comes does not delay a caller that limits the wait for its version", () =>
      rowsEffect(
        hangs,
        ([what]) => `${what}: nor does it hold up whoever limits the wait for its version`,
        ([, secret]) =>
          Effect.gen(function*() {
            const endpoint = yield* Effect.provide(make({ clientSecret: secret }), fetchOf(() => granted()).layer)
            const fiber = yield* Effect.fork(Effect.timeoutOption(endpoint.credentials, "1 second"))
            yield* TestClock.adjust("1 second")
            deepStrictEqual(yield* Fiber.join(fiber), Option.none())
          })
      ))

    it.effect("a client that cannot be interrupted: Timeout", () =>
      Effect.gen(function*() {
        const client = clientOf(() => Effect.uninterruptible(Effect.never))
        const endpoint = yield* Effect.provide(make(), client)
        const fiber = yield* Effect.forkDaemon(Effect.flip(endpoint.request(endpoint.resolve())))
        yield* TestClock.adjust("8 seconds")
        const exit = Option.getOrThrow(yield* Fiber.poll(fiber))
        assert.strictEqual((yield* exit).reason, "Timeout")
      }))

    it.effect("the time limit is the option's", () =>
      Effect.gen(function*() {
        const endpoint = yield* Effect.provide(make({ timeout: "250 millis" }), clientOf(() => Effect.never))
        const fiber = yield* Effect.fork(Effect.flip(endpoint.request(endpoint.resolve())))
        yield* TestClock.adjust("250 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).message, `Token endpoint ${url}: no answer within 250ms`)
      }))

    it.effect("interrupting the caller aborts the request", () =>
      Effect.gen(function*() {
        const asked = yield* Deferred.make<AbortSignal>()
        const { layer } = fetchOf(({ init }) => {
          if (init.signal != null) Deferred.unsafeDone(asked, Exit.succeed(init.signal))
          return new Promise(() => {})
        })
        const endpoint = yield* Effect.provide(make(), layer)
        const fiber = yield* Effect.fork(endpoint.request(endpoint.resolve()))
        const signal = yield* Deferred.await(asked)
        assert.isFalse(signal.aborted)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(signal.aborted)
      }))
  })

  describe("a response above the limit (rule 11)", () => {
    const message = `Token endpoint ${url} answered 200: the body is larger than 100 bytes (maxResponseBytes)`

    it.effect("by content-length: refused unread, and its connection is released", () =>
      Effect.gen(function*() {
        let pulls = 0
        const { exit, sent } = yield* ask(() =>
          streamOf(
            { pull: (controller) => controller.enqueue(bytes(`${pulls++}`)) },
            { headers: { "content-length": "101", "x-request-id": "r1" } }
          ), { maxResponseBytes: 100 })
        const error = failed(exit)
        assert.strictEqual(error.reason, "InvalidResponse")
        assert.strictEqual(error.message, message)
        assert.strictEqual(error.status, 200)
        assert.strictEqual(error.headers?.["x-request-id"], "r1")
        assert.isFalse(OAuthError.isTransient(error))
        assert.isTrue(sent[0]?.init.signal?.aborted)
        assert.isAtMost(pulls, 1)
      }))

    it.effect("by its stream, whatever its headers say: read up to the limit only", () =>
      rowsEffect(
        [{}, { "content-length": "5" }, { "content-length": "many" }],
        (headers) => `by its stream, with the headers ${JSON.stringify(headers)}: read no further than the limit`,
        (headers) =>
          Effect.gen(function*() {
            let pulls = 0
            let isCancelled = false
            const { exit } = yield* ask(() =>
              streamOf({
                pull: (controller) => {
                  pulls++
                  controller.enqueue(bytes("0123456789"))
                },
                cancel: () => {
                  isCancelled = true
                }
              }, { headers }), { maxResponseBytes: 100 })
            assert.strictEqual(failed(exit).message, message)
            assert.isTrue(isCancelled)
            assert.isAtMost(pulls, 13)
          })
      ))

    it.effect("counts bytes, not characters, and accepts exactly the limit", () =>
      Effect.gen(function*() {
        const body = (length: number) => JSON.stringify({ access_token: "a", x: "é".repeat(length) })
        const limit = bytes(body(30)).length
        for (const headers of [{}, { "content-length": `${limit}` }]) {
          const { exit } = yield* ask(() => new Response(body(30), { headers }), { maxResponseBytes: limit })
          assert.isTrue(Exit.isSuccess(exit))
        }
        const over = yield* ask(() => new Response(body(31)), { maxResponseBytes: limit })
        assert.strictEqual(failed(over.exit).reason, "InvalidResponse")
      }))

    it.effect("of a redirect or an error is reported as the redirect or the error", () =>
      rowsEffect(
        [
          [302, "Redirect"],
          [401, "Status"]
        ] as const,
        ([status, reason]) => `answered with ${status} it is a ${reason}`,
        ([status, reason]) =>
          Effect.gen(function*() {
            const { exit } = yield* ask(() => new Response("x".repeat(101), { status }), { maxResponseBytes: 100 })
            assert.strictEqual(failed(exit).status, status)
            assert.strictEqual(failed(exit).reason, reason)
            assert.isFalse(OAuthError.isTransient(failed(exit)))
          })
      ))

    it.effect("of an unavailable server is a transient failure, with its Retry-After", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(
          () => new Response("x".repeat(101), { status: 503, headers: { "retry-after": "7" } }),
          { maxResponseBytes: 100 }
        )
        const error = failed(exit)
        assert.strictEqual(error.message, message.replace("200", "503"))
        assert.strictEqual(error.reason, "Status")
        assert.isTrue(OAuthError.isTransient(error))
        deepStrictEqual(error.retryAfter, Duration.seconds(7))
      }))

    it.effect("the default is 256 KiB", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() => new Response("x".repeat(262_145)))
        assert.include(failed(exit).message, "larger than 262144 bytes")
        const { exit: largest } = yield* ask(() => new Response("x".repeat(262_144)))
        assert.include(failed(largest).message, "no valid JSON in a body of 262144 characters")
      }))
  })

  describe("a custom grant (RFC 6749 §4.5)", () => {
    const grant = (read: Effect.Effect<Redacted.Redacted, unknown>): Grant.Grant => ({
      type: "urn:example:grant",
      id: "",
      params: () => Effect.map(read, (token) => ({ token, list: ["a", "b"], plain: "p" }))
    })

    it.effect("sends its parameters with those of the request, and makes new ones for each attempt", () =>
      Effect.gen(function*() {
        let reads = 0
        const { layer, sent } = fetchOf(({ form }) =>
          form.get("token") === "g1" ? new Response(null, { status: 503 }) : granted()
        )
        yield* Effect.gen(function*() {
          const endpoint = yield* make({
            retry: Schedule.recurs(1),
            request: { scope: "read", grant: grant(Effect.sync(() => Redacted.make(`g${++reads}`))) }
          })
          yield* endpoint.request(endpoint.resolve())
        }).pipe(Effect.provide(layer))
        deepStrictEqual(
          sent.map(({ form }) => form.toString()),
          [1, 2].map((n) => `grant_type=urn%3Aexample%3Agrant&scope=read&token=g${n}&list=a&list=b&plain=p`)
        )
      }))

    const failing: ReadonlyArray<readonly [what: string, Effect.Effect<Redacted.Redacted, unknown>, says: string]> = [
      ["fails", Effect.fail(new Error(secret)), "unavailable"],
      ["dies", Effect.die(secret), "unavailable"],
      ["brings an empty token", Effect.succeed(Redacted.make(" ")), "empty"]
    ]
    it.effect("one whose token is unavailable: ClientAuth, and nothing is sent", () =>
      rowsEffect(
        failing,
        ([what]) => `one that ${what}: ClientAuth, and nothing is sent`,
        ([, read, says]) =>
          Effect.gen(function*() {
            const { exit, sent } = yield* ask(() => granted(), { request: { grant: grant(read) } })
            const error = failed(exit)
            assert.strictEqual(error.reason, "ClientAuth")
            assert.strictEqual(
              error.message,
              `Token endpoint ${url}: the parameters of the grant urn:example:grant are ${says}`
            )
            deepStrictEqual(sent, [])
          })
      ))

    it.effect("rule 9: no error contains the parameters of the grant", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(
          ({ form }) => Response.json({ error: "invalid_grant", error_description: `${form}` }, { status: 400 }),
          { request: { grant: grant(Effect.succeed(Redacted.make("gr4nt-s3cr3t"))) } }
        )
        deepStrictEqual(leaks(failed(exit), ["gr4nt-s3cr3t"]), [])
        assert.include(failed(exit).message, "invalid_grant: <redacted>")
      }))
  })

  it.effect("RFC 6749 §3.2: a parameter of the grant is not sent twice where the request names it too", () =>
    Effect.gen(function*() {
      const grant: Grant.Grant = {
        type: "custom",
        id: "",
        params: () => Effect.succeed({ scope: "of the grant", level: "1", list: ["a", "b"] })
      }
      const { exit, sent } = yield* ask(() => granted(), { request: { grant, scope: "read", params: { level: "2" } } })
      tokenOf(exit)
      deepStrictEqual([...sent[0]?.form ?? []], [
        ["grant_type", "custom"],
        ["scope", "read"],
        ["level", "2"],
        ["list", "a"],
        ["list", "b"]
      ])
    }))

  describe("rotation: credentials that the server no longer accepts are read once more", () => {
    /** A server that knows one secret, and a vault that has another one after so many reads. */
    const rotate = (options: {
      readonly refuse: () => Response
      readonly readsUntilNew: number
      readonly hasVersion?: boolean
    }) =>
      Effect.gen(function*() {
        let reads = 0
        const { layer, sent } = fetchOf(({ form }) => form.get("pw") === "new" ? granted() : options.refuse())
        const clientAuth: ClientAuth.ClientAuth = {
          method: "app",
          authenticate: () =>
            Effect.sync(() => {
              const pw = reads++ < options.readsUntilNew ? "old" : "new"
              return {
                params: { pw: Redacted.make(pw) },
                ...(options.hasVersion === false ? {} : { version: pw })
              }
            })
        }
        const exit = yield* Effect.gen(function*() {
          const endpoint = yield* make({ clientAuth })
          return yield* Effect.exit(endpoint.attempt(endpoint.resolve()))
        }).pipe(Effect.provide(layer))
        return { exit, reads, sent: sent.map(({ form }) => form.get("pw")) }
      })
    const invalidClient = () => Response.json({ error: "invalid_client" }, { status: 401 })

    it.effect("invalid_client: one more request with the new ones", () =>
      Effect.gen(function*() {
        const { exit, sent } = yield* rotate({ refuse: invalidClient, readsUntilNew: 1 })
        assert.strictEqual(Redacted.value(tokenOf(exit).value), accessToken)
        deepStrictEqual(sent, ["old", "new"])
      }))

    const alike: Record<string, () => Response> = {
      "that does not say why": () => new Response(null, { status: 401 }),
      "of Keycloak": () => Response.json({ error: "unauthorized_client" }, { status: 401 }),
      "of Auth0": () => Response.json({ error: "access_denied" }, { status: 401 })
    }
    it.effect("any 401: one more request with the new ones", () =>
      rowsEffect(Object.entries(alike), ([which]) => `a 401 ${which}`, ([, refuse]) =>
        Effect.gen(function*() {
          const { sent } = yield* rotate({ refuse, readsUntilNew: 1 })
          deepStrictEqual(sent, ["old", "new"])
        })))

    it.effect("the same ones again: no further request, and the server's error", () =>
      Effect.gen(function*() {
        const { exit, reads, sent } = yield* rotate({ refuse: invalidClient, readsUntilNew: 9 })
        assert.strictEqual(failed(exit).error, "invalid_client")
        assert.strictEqual(reads, 2)
        deepStrictEqual(sent, ["old"])
      }))

    it.effect("after another error, or without a version, the credentials are not read again", () =>
      Effect.gen(function*() {
        const others = [
          { refuse: () => Response.json({ error: "invalid_grant" }, { status: 400 }), readsUntilNew: 1 },
          { refuse: () => Response.json({ error: "unauthorized_client" }, { status: 400 }), readsUntilNew: 1 },
          { refuse: () => new Response(null, { status: 403 }), readsUntilNew: 1 },
          { refuse: invalidClient, readsUntilNew: 1, hasVersion: false }
        ]
        for (const options of others) {
          const { exit, reads, sent } = yield* rotate(options)
          failed(exit)
          assert.strictEqual(reads, 1)
          deepStrictEqual(sent, ["old"])
        }
      }))
  })

  it.effect("a CredentialsError of missing credentials is shown", () =>
    Effect.gen(function*() {
      const clientAuth: ClientAuth.ClientAuth = {
        method: "private_key_jwt",
        authenticate: () => Effect.fail(new OAuthError.CredentialsError({ description: "the key is too small" }))
      }
      const { exit } = yield* ask(() => granted(), { clientAuth })
      assert.strictEqual(
        failed(exit).message,
        `Token endpoint ${url}: the private_key_jwt credentials are unavailable: the key is too small`
      )
    }))

  describe("the binding of tokens", () => {
    it.effect("is part of the key, which changes with it", () =>
      Effect.gen(function*() {
        let thumbprint = "a"
        const clientAuth = { ...ClientAuth.none, binding: Effect.succeed(() => thumbprint) }
        const endpoint = yield* make({ clientAuth })
        const unbound = yield* make({ clientAuth: ClientAuth.none })
        const request: TokenRequest.TokenRequest = { grant: Grant.clientCredentials }
        const first = endpoint.resolve()
        assert.notStrictEqual(storeKey(first), storeKey(unbound.resolve()))
        assert.isTrue(endpoint.isCurrent(first))
        thumbprint = "b"
        assert.isFalse(endpoint.isCurrent(first))
        const second = endpoint.resolve()
        assert.notStrictEqual(storeKey(second), storeKey(first))
        assert.isTrue(endpoint.isCurrent(second))
        assert.strictEqual(endpoint.resolve(request), endpoint.resolve(request))
        assert.strictEqual(endpoint.resolve(request).binding, "b")
        thumbprint = "a"
        assert.strictEqual(storeKey(endpoint.resolve()), storeKey(first))
      }).pipe(Effect.provide(fetchOf(() => granted()).layer)))

    it.effect("must be known when the layer is built", () =>
      Effect.gen(function*() {
        const clientAuth = { ...ClientAuth.none, binding: Effect.fail("no certificate") }
        const error = yield* Effect.flip(make({ clientAuth }))
        assert.strictEqual(
          error.message,
          "TokenEndpoint.clientAuth none: what its tokens are bound to is not known"
        )
      }).pipe(Effect.provide(fetchOf(() => granted()).layer)))

    it.effect("if types were not checked, an error names the missing layer", () =>
      Effect.gen(function*() {
        const none = Context.empty() as Context.Context<any>
        const clientAuth = { ...ClientAuth.none, binding: Effect.provide(ClientAuth.tlsClientAuth.binding!, none) }
        const error = yield* Effect.flip(make({ clientAuth }))
        assert.strictEqual(
          error.message,
          "TokenEndpoint.clientAuth none: what its tokens are bound to is not known: " +
            "Service not found: @effect-alf/core/ClientCertificate"
        )
      }).pipe(Effect.provide(fetchOf(() => granted()).layer)))
  })

  describe("missing credentials", () => {
    const unavailable = `Token endpoint ${url}: the client_secret_basic credentials are unavailable`
    const empty = `Token endpoint ${url}: the client_secret_basic credentials are empty`
    const nothing: any = undefined
    const table: ReadonlyArray<
      readonly [what: string, secret: Effect.Effect<Redacted.Redacted, unknown>, message: string]
    > = [
      ["fails", Effect.fail(new Error(`cannot decrypt ${secret}`)), unavailable],
      ["fails with the secret itself", Effect.fail(Redacted.make(secret)), unavailable],
      ["dies", Effect.die(new Error(`cannot decrypt ${secret}`)), unavailable],
      ["is interrupted", Effect.interrupt, unavailable],
      [
        "lacks a layer",
        Effect.provide(ClientAuth.secretFile("/secret"), Context.empty() as Context.Context<any>),
        `${unavailable}: Service not found: @effect/platform/FileSystem`
      ],
      ["answers an empty secret", Effect.succeed(Redacted.make("")), empty],
      ["answers a blank secret", Effect.succeed(Redacted.make("  ")), empty],
      ["answers a secret that is not set", Effect.succeed(Redacted.make(nothing)), empty],
      ["answers what is not Redacted", Effect.succeed(nothing), unavailable]
    ]
    it.effect("ClientAuth, nothing sent, not tried again", () =>
      rowsEffect(
        table,
        ([what]) => `a secret that ${what}: ClientAuth, nothing sent, not tried again`,
        ([, secret, message]) =>
          Effect.gen(function*() {
            const { exit, sent } = yield* ask(() => granted(), { clientSecret: secret, retry: RetryPolicy.standard })
            const error = failed(exit)
            assert.strictEqual(error.reason, "ClientAuth")
            assert.strictEqual(error.message, message)
            assert.strictEqual(sent.length, 0)
          })
      ))

    it.effect("a client authentication that throws: ClientAuth", () =>
      Effect.gen(function*() {
        const { exit, sent } = yield* ask(() => granted(), {
          clientAuth: {
            method: "mine",
            authenticate: () => {
              throw new Error(secret)
            }
          }
        })
        assert.strictEqual(failed(exit).message, `Token endpoint ${url}: the mine credentials are unavailable`)
        assert.strictEqual(sent.length, 0)
      }))
  })

  describe("credentials: whether the next attempt would use others", () => {
    const credentials = (options: Options) =>
      Effect.flatMap(make(options), ({ credentials }) => credentials).pipe(
        Effect.provide(fetchOf(() => granted()).layer)
      )

    it.effect("None if they cannot change, fail or die", () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* credentials({}), Option.none())
        deepStrictEqual(yield* credentials({ clientSecret: Effect.fail("sealed") }), Option.none())
        deepStrictEqual(yield* credentials({ clientSecret: Effect.die("sealed") }), Option.none())
      }))

    it.effect("they change with the secret, and do not show it", () =>
      Effect.gen(function*() {
        const current = yield* Ref.make("one-secret")
        const options = { clientSecret: Effect.map(Ref.get(current), Redacted.make) }
        const first = yield* credentials(options)
        assert.isTrue(Option.isSome(first) && Equal.equals(yield* credentials(options), first))
        yield* Ref.set(current, "two-secret")
        const second = yield* credentials(options)
        assert.isFalse(Equal.equals(second, first))
        assert.notMatch(JSON.stringify([first, second]), /one-secret|two-secret/)
      }))
  })

  describe("resolve", () => {
    const resolver = (options?: Options) =>
      Effect.map(Effect.provide(make(options), fetchOf(() => granted()).layer), ({ resolve }) => resolve)

    it.effect("merges a request into the defaults", () =>
      Effect.gen(function*() {
        const resolve = yield* resolver({ request: { scope: "read", audience: "aud" } })
        deepStrictEqual(resolve({ scope: "write" }).params, [
          ["grant_type", "client_credentials"],
          ["scope", "write"],
          ["audience", "aud"]
        ])
        assert.strictEqual(storeKey(resolve({})), storeKey(resolve()))
        assert.strictEqual(storeKey(resolve({ scope: "read", audience: "aud" })), storeKey(resolve()))
        assert.notStrictEqual(storeKey(resolve({ scope: "write" })), storeKey(resolve()))
      }))

    it.effect("rule 12: computes the key of a request object with a grant once, as of the defaults", () =>
      Effect.gen(function*() {
        const resolve = yield* resolver()
        const request: TokenRequest.TokenRequest = { grant: Grant.clientCredentials, scope: "read" }
        assert.strictEqual(resolve(request), resolve(request))
        assert.strictEqual(resolve(), resolve())
      }))

    it.effect("rule 2: the key tells endpoints, clients and methods apart, and nothing else", () =>
      Effect.gen(function*() {
        const key = (options?: Options) => Effect.map(resolver(options), (resolve) => storeKey(resolve()))
        const keys = yield* Effect.all([
          key(),
          key({ tokenEndpoint: `${url}2` }),
          key({ tokenEndpoint: `${url}?tenant=2` }),
          key({ clientId: "other" }),
          key({ clientAuth: ClientAuth.clientSecretPost(Redacted.make(secret)) }),
          key({ request: { scope: "read" } })
        ])
        assert.strictEqual(new Set(keys).size, keys.length)
        const same = yield* Effect.all([
          key(),
          key({ tokenEndpoint: new URL(url) }),
          key({ clientSecret: Redacted.make("rotated") }),
          key({ clientAuth: ClientAuth.clientSecretBasic(Effect.succeed(Redacted.make("rotated"))) }),
          key({ timeout: "1 second", retry: RetryPolicy.standard })
        ])
        assert.strictEqual(new Set(same).size, 1)
      }))
  })

  it.effect("rule 9: a client that dies with a request error fails with it", () =>
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.die(new HttpClientError.RequestError({ request, reason: "Transport", description: "no way" }))
      )
      const endpoint = yield* Effect.provideService(make(), HttpClient.HttpClient, client)
      const exit = yield* Effect.exit(endpoint.request(endpoint.resolve()))
      assert.strictEqual(failed(exit).message, `Token endpoint ${url}: no way`)
      deepStrictEqual(leaks(exit, [secret]), [])
    }))

  it.effect("a client that fails on statuses changes nothing", () =>
    Effect.gen(function*() {
      const { layer, sent } = fetchOf(() => Response.json({ error: "invalid_client" }, { status: 401 }))
      const filtering = Layer.map(layer, (context) =>
        Context.add(
          context,
          HttpClient.HttpClient,
          HttpClient.filterStatusOk(Context.get(context, HttpClient.HttpClient))
        ))
      const endpoint = yield* Effect.provide(make({ retry: RetryPolicy.standard }), filtering)
      const error = yield* Effect.flip(endpoint.request(endpoint.resolve()))
      assert.strictEqual(error.message, `Token endpoint ${url} answered 401 invalid_client`)
      assert.strictEqual(sent.length, 1)
    }))

  describe("layer: options are checked when it is built", () => {
    const build = (options: Record<string, unknown>) => {
      const all: any = { tokenEndpoint: url, clientId, clientSecret: Redacted.make(secret), ...options }
      return Layer.build(TokenEndpoint.layer(all)).pipe(Effect.provide(fetchOf(() => granted()).layer), Effect.scoped)
    }

    const refused: ReadonlyArray<readonly [options: Record<string, unknown>, message: string]> = [
      [{ tokenEndpoint: undefined }, "TokenEndpoint.tokenEndpoint is missing"],
      [{ tokenEndpoint: "" }, "TokenEndpoint.tokenEndpoint is empty"],
      [{ tokenEndpoint: "auth.example.com" }, "TokenEndpoint.tokenEndpoint is not an absolute URL"],
      [{ tokenEndpoint: "/token" }, "TokenEndpoint.tokenEndpoint is not an absolute URL"],
      [{ tokenEndpoint: "ftp://auth.example.com/token" }, "TokenEndpoint.tokenEndpoint must be an https URL, not ftp:"],
      [
        { tokenEndpoint: "http://auth.example.com/token" },
        "TokenEndpoint.tokenEndpoint is http to auth.example.com: use https, or set allowInsecure"
      ],
      [
        { tokenEndpoint: "https://user:pass@auth.example.com/token" },
        "TokenEndpoint.tokenEndpoint must not hold credentials"
      ],
      [{ tokenEndpoint: "https://auth.example.com/token#x" }, "TokenEndpoint.tokenEndpoint must not have a fragment"],
      [{ clientId: undefined }, "TokenEndpoint.clientId is missing"],
      [{ clientId: "" }, "TokenEndpoint.clientId is empty"],
      [{ clientId: "c\n" }, "TokenEndpoint.clientId contains a line break or another control character"],
      [{ request: { params: { tenant: undefined } } }, "TokenEndpoint.request.params.tenant is missing"],
      [{ request: { params: { tenant: 1 } } }, "TokenEndpoint.request.params.tenant is not a string"],
      [{ request: { scope: 5 } }, "TokenEndpoint.request.scope is not a string or a list of strings"],
      [{ request: { resource: [5] } }, "TokenEndpoint.request.resource is not a string or a list of strings"],
      [{ request: { grant: "client_credentials" } }, "TokenEndpoint.request.grant is not one of those that Grant has"],
      [{ bearerTypes: "mac" }, "TokenEndpoint.bearerTypes is not a list of strings"],
      [{ tokenField: "" }, "TokenEndpoint.tokenField is empty"],
      [{ tokenField: 5 }, "TokenEndpoint.tokenField is not a string"],
      [{ fields: "instance_url" }, "TokenEndpoint.fields is not a list of strings"],
      [{ headers: "x-tenant: t1" }, "TokenEndpoint.headers is not a record of headers"],
      [{ retry: 5 }, "TokenEndpoint.retry is not a Schedule"],
      [{ retryWhile: true }, "TokenEndpoint.retryWhile is not a function"],
      [{ clientAuth: "client_secret_post" }, "TokenEndpoint.clientAuth is not one of those that ClientAuth has"],
      [{ issuer: 5 }, "TokenEndpoint.issuer is not a string"],
      [
        { tokenEndpoint: "/token", clientId: "", clientSecret: undefined, timeout: 0, bearerTypes: "mac" },
        "TokenEndpoint.tokenEndpoint is not an absolute URL; TokenEndpoint.clientSecret is missing; " +
        "TokenEndpoint.clientId is empty; TokenEndpoint.timeout must be longer than zero; " +
        "TokenEndpoint.bearerTypes is not a list of strings"
      ],
      [{ clientSecret: undefined }, "TokenEndpoint.clientSecret is missing"],
      [{ clientSecret: Redacted.make("") }, "TokenEndpoint.clientSecret is empty"],
      ...["s\n", "s\r\n", "\u0000s", "s\u007f"].map((secret) =>
        [
          { clientSecret: Redacted.make(secret) },
          "TokenEndpoint.clientSecret contains a line break or another control character"
        ] as const
      ),
      [{ clientSecret: Redacted.make(undefined) }, "TokenEndpoint.clientSecret is missing"],
      [{ clientSecret: secret }, "TokenEndpoint.clientSecret must be made by Redacted.make"],
      [{ timeout: -1 }, "TokenEndpoint.timeout is negative"],
      [{ timeout: "-5 seconds" }, "TokenEndpoint.timeout is negative"],
      [{ timeout: 0 }, "TokenEndpoint.timeout must be longer than zero"],
      [{ timeout: NaN }, "TokenEndpoint.timeout is not a duration"],
      [{ timeout: "soon" }, "TokenEndpoint.timeout is not a duration"],
      [{ maxResponseBytes: 0 }, "TokenEndpoint.maxResponseBytes must be a whole number above zero"],
      [{ maxResponseBytes: 1.5 }, "TokenEndpoint.maxResponseBytes must be a whole number above zero"]
    ]
    it.effect("refuses invalid ones, and says what is wrong without the secret", () =>
      rowsEffect(
        refused,
        ([options, message]) => `${message} (${format("%j", options)})`,
        ([options, message]) =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(build(options))
            assert.instanceOf(error, OAuthError.InvalidOptions)
            assert.strictEqual(error.message, message)
            assert.notInclude(inspect(error, { depth: 20, showHidden: true }), "s3cr3t")
          })
      ))

    const taken: ReadonlyArray<Record<string, unknown>> = [
      { url: new URL(url) },
      { tokenEndpoint: "http://localhost:8080/token" },
      { tokenEndpoint: "http://auth.localhost:8080/token" },
      { tokenEndpoint: "http://127.0.0.1:8080/token" },
      { tokenEndpoint: "http://[::1]:8080/token" },
      { tokenEndpoint: "http://auth.example.com/token", allowInsecure: true },
      { clientSecret: Effect.fail("read later") },
      { clientSecret: undefined, clientAuth: ClientAuth.none },
      { timeout: Infinity }
    ]
    it.effect("accepts valid ones", () =>
      rowsEffect(taken, (options) => `takes ${format("%j", options)}`, (options) =>
        Effect.gen(function*() {
          const context = yield* build(options)
          assert.isFunction(Context.get(context, TokenEndpoint.TokenEndpoint).request)
        })))
  })

  describe("layerConfig", () => {
    const config = TokenEndpoint.layerConfig({
      tokenEndpoint: Config.string("TOKEN_ENDPOINT"),
      clientId: Config.string("CLIENT_ID"),
      clientSecret: Config.redacted("CLIENT_SECRET"),
      scope: Config.string("SCOPE"),
      timeout: Config.duration("TIMEOUT")
    }, { request: { scope: "default", audience: "aud" }, retry: RetryPolicy.none })
    const variables = {
      TOKEN_ENDPOINT: url,
      CLIENT_ID: "app",
      CLIENT_SECRET: "s3cr3t",
      SCOPE: "read",
      TIMEOUT: "3 seconds"
    }

    const build = (layer: typeof config, variables: Record<string, string>, http: Layer.Layer<HttpClient.HttpClient>) =>
      Effect.provide(TokenEndpoint.TokenEndpoint, Layer.provide(layer, http)).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
      )

    it.effect("reads the options, and completes them with those that a configuration cannot contain", () =>
      Effect.gen(function*() {
        const { layer, sent } = fetchOf(() => granted())
        const endpoint = yield* build(config, variables, layer)
        yield* endpoint.request(endpoint.resolve())
        const [{ form, headers, url: to } = assert.fail()] = sent
        assert.strictEqual(to, url)
        assert.strictEqual(headers.get("authorization"), `Basic ${Buffer.from("app:s3cr3t").toString("base64")}`)
        assert.strictEqual(form.get("scope"), "read")
        assert.strictEqual(form.get("audience"), "aud")
      }))

    it.effect("reads the time limit", () =>
      Effect.gen(function*() {
        const endpoint = yield* build(config, variables, clientOf(() => Effect.never))
        const fiber = yield* Effect.fork(Effect.flip(endpoint.request(endpoint.resolve())))
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
      }))

    it.effect("scope and timeout may be absent: then the other options count", () =>
      Effect.gen(function*() {
        const { layer, sent } = fetchOf(() => granted())
        const endpoint = yield* build(
          TokenEndpoint.layerConfig({
            tokenEndpoint: Config.string("TOKEN_ENDPOINT"),
            clientId: Config.string("CLIENT_ID"),
            clientSecret: Config.redacted("CLIENT_SECRET")
          }, { request: { scope: "default" } }),
          variables,
          layer
        )
        yield* endpoint.request(endpoint.resolve())
        assert.strictEqual(sent[0]?.form.get("scope"), "default")
      }))

    it.effect("names a variable that is missing", () =>
      rowsEffect(
        Object.keys(variables),
        (name) => `names ${name} when it is missing`,
        (name) =>
          Effect.gen(function*() {
            const rest = Object.fromEntries(Object.entries(variables).filter(([key]) => key !== name))
            const exit = yield* Effect.exit(build(config, rest, fetchOf(() => granted()).layer))
            assert.isTrue(Exit.isFailure(exit))
            assert.include(String(exit), name)
            assert.notInclude(String(exit), "s3cr3t")
          })
      ))

    it.effect("names the variable whose value is wrong, with its prefix", () =>
      Effect.gen(function*() {
        const wrong = new Map(
          Object.entries({ ...variables, TOKEN_ENDPOINT: "nonsense" }).map(([name, value]) =>
            [`BILLING_${name}`, value] as const
          )
        )
        const error = yield* TokenEndpoint.TokenEndpoint.pipe(
          Effect.provide(Layer.provide(config, fetchOf(() => granted()).layer)),
          Effect.withConfigProvider(
            ConfigProvider.nested(ConfigProvider.fromMap(wrong, { pathDelim: "_" }), "BILLING")
          ),
          Effect.flip
        )
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.message, "BILLING_TOKEN_ENDPOINT is not an absolute URL")
      }))

    it.effect("finds the endpoint in the metadata of an issuer, or fails if both are missing", () =>
      Effect.gen(function*() {
        const { layer, sent } = fetchOf((request) =>
          request.url.includes("/.well-known/")
            ? Response.json({ issuer: "https://auth.example.com", token_endpoint: url })
            : granted()
        )
        const fromEnvironment = TokenEndpoint.layerConfig(Environment.tokenEndpoint)
        const rest = { ALF_CLIENT_ID: "app", ALF_CLIENT_SECRET: "s3cr3t", ALF_RESOURCE: "https://a https://b" }
        const endpoint = yield* build(fromEnvironment, { ...rest, ALF_ISSUER: "https://auth.example.com" }, layer)
        yield* endpoint.request(endpoint.resolve())
        assert.strictEqual(sent.at(-1)?.url, url)
        deepStrictEqual(sent.at(-1)?.form.getAll("resource"), ["https://a", "https://b"])
        const error = yield* Effect.flip(build(fromEnvironment, rest, layer))
        assert.strictEqual(
          error.message,
          "TokenEndpoint.tokenEndpoint is missing, and issuer as well: give one of them"
        )
      }))

    it.effect("checks the configuration", () =>
      Effect.gen(function*() {
        for (
          const [changed, message] of [
            [{ TOKEN_ENDPOINT: "auth.example.com" }, "TOKEN_ENDPOINT is not an absolute URL"],
            [{ CLIENT_ID: "" }, "CLIENT_ID is empty"],
            [{ CLIENT_SECRET: "" }, "CLIENT_SECRET is empty"],
            [{ TIMEOUT: "0 seconds" }, "TIMEOUT must be longer than zero"]
          ] as const
        ) {
          const error = yield* Effect.flip(build(config, { ...variables, ...changed }, fetchOf(() => granted()).layer))
          assert.strictEqual(String(error), `InvalidOptions: ${message}`)
        }
      }))
  })

  describe("rule 9: no secret in any error, log or span", () => {
    const assertion = `header.${"payload".repeat(200)}.signature`

    const methods: ReadonlyArray<readonly [method: string, Options]> = [
      ["clientSecretBasic", { clientSecret: Redacted.make(secret) }],
      ["raw clientSecretBasic", { clientAuth: ClientAuth.clientSecretBasic(Redacted.make(secret), { raw: true }) }],
      ["clientSecretPost", { clientAuth: ClientAuth.clientSecretPost(Redacted.make(secret)) }],
      [
        "an authentication of the app's own",
        {
          clientAuth: {
            method: "mine",
            authenticate: () =>
              Effect.succeed({
                headers: { "x-assertion": Redacted.make(`Scheme ${assertion}`) },
                params: { client_secret: Redacted.make(secret) }
              })
          }
        }
      ]
    ]

    /** Every form of every secret that a server has seen, as it could send it back. */
    const echoes = ({ form, headers }: Sent): ReadonlyArray<string> => {
      const authorization = headers.get("authorization") ?? ""
      const posted = form.get("client_secret") ?? secret
      const all = [
        authorization,
        authorization.replace("Basic ", ""),
        encodeURIComponent(authorization),
        headers.get("x-assertion") ?? "",
        headers.get("x-assertion")?.replace("Scheme ", "") ?? "",
        form.toString(),
        posted,
        posted.trim(),
        encodeURIComponent(posted),
        ClientAuth.formEncode(posted).replaceAll("+", "%20"),
        ClientAuth.formEncode(posted),
        JSON.stringify(posted),
        Buffer.from(posted).toString("base64"),
        Buffer.from(authorization.replace("Basic ", ""), "base64").toString()
      ]
      return Array.from(new Set(all)).filter((echo) => echo !== "")
    }

    /** What is in every form of every secret above, and nowhere else. */
    const marks = (echoes: ReadonlyArray<string>) => [
      "s3cr3t",
      "t0k3n",
      "payloadpayload",
      Buffer.from("s3cr3t").toString("base64").slice(0, 8),
      ...echoes.filter((echo) => /^[A-Za-z0-9+/]+=*$/.test(echo)).flatMap((
        echo
      ) => [echo.slice(0, 16), echo.slice(-12)])
    ]

    const header = (text: string) => text.replace(/[\r\n]+/g, " ")
    const long = "x".repeat(285)

    const answers: Readonly<Record<string, (echo: string) => Response | Promise<Response>>> = {
      "401 with a description": (echo) =>
        Response.json({ error: "invalid_client", error_description: `not ${echo}!` }, { status: 401 }),
      "200 with a description": (echo) => Response.json({ error: "invalid_client", error_description: echo }),
      "an error code": (echo) => Response.json({ error: echo }, { status: 400 }),
      "fields of the server's own": (echo) =>
        Response.json({ errorSummary: echo, errors: [echo, { message: echo }], hint: `not ${echo}` }, { status: 400 }),
      "a hint beside an error": (echo) => Response.json({ error: "e", hint: echo }, { status: 400 }),
      "plain text": (echo) => new Response(echo, { status: 403, headers: { "content-type": "text/plain" } }),
      "a message of a 200": (echo) => Response.json({ message: echo }),
      "an error_uri": (echo) => Response.json({ error: "e", error_uri: `https://help?q=${echo}` }, { status: 400 }),
      "a description beside a token": (echo) =>
        Response.json({ error: "e", error_description: `${accessToken} ${echo}`, access_token: accessToken }),
      "headers": (echo) =>
        new Response("", {
          status: 500,
          headers: {
            "x-echo": header(echo),
            "x-token": `Bearer ${header(echo)}`,
            "set-cookie": `session=${header(echo)}`,
            authorization: header(echo),
            "www-authenticate": `Basic realm="${header(echo)}"`,
            "retry-after": header(echo)
          }
        }),
      "a content type": (echo) => new Response("x", { headers: { "content-type": header(echo) } }),
      "a content encoding": (echo) =>
        new Response("x", { headers: { "content-type": "a/b", "content-encoding": header(echo) } }),
      "an HTML body": (echo) =>
        new Response(`<h1>${echo}</h1>`, { status: 502, headers: { "content-type": "text/html" } }),
      "a redirect": (echo) =>
        new Response(null, { status: 302, headers: { location: `https://evil.com/?${header(echo)}` } }),
      "a token_type": (echo) => Response.json({ access_token: accessToken, token_type: echo }),
      "a token that is refused": (echo) =>
        Response.json({ access_token: `${accessToken}\n${echo}` }, { headers: { "x-echo": header(echo) } }),
      "a refused answer's token in a header": (echo) =>
        Response.json({ access_token: accessToken, token_type: "mac", id_token: "t0k3n.id" }, {
          headers: { "x-token": accessToken, "x-id": "t0k3n.id", "x-echo": header(echo) }
        }),
      "too large a body": (echo) =>
        new Response(echo.repeat(100), { headers: { "content-length": "1000000", "x-echo": header(echo) } }),
      "a connection that breaks": (echo) => Promise.reject(new Error(`Headers.append: "${echo}" is not valid`)),
      "a body that breaks": (echo) =>
        streamOf({ pull: (controller) => controller.error(new Error(echo)) }, {
          headers: { "x-echo": header(echo) }
        })
    }

    /** The text would be cut where the secret is: half of one is not known for a secret any more. */
    const cutting: typeof answers = {
      "a description": (echo) =>
        Response.json({ error: "e", error_description: long + echo, error_uri: long + echo }, { status: 400 }),
      "an error code": (echo) => Response.json({ error: long + echo }, { status: 400 }),
      "a reason of the server's own": (echo) => Response.json({ message: long.slice(100) + echo }, { status: 400 }),
      "plain text": (echo) =>
        new Response(`${"x ".repeat(95)}${echo}`, { status: 403, headers: { "content-type": "text/plain" } }),
      "a content encoding": (echo) =>
        new Response("x", { headers: { "content-type": "a/b", "content-encoding": long + header(echo) } }),
      "a token_type": (echo) => Response.json({ access_token: accessToken, token_type: echo + long }),
      "a cause": (echo) => Promise.reject(new Error("no", { cause: new Error(long + echo) })),
      "a body that breaks": (echo) => streamOf({ pull: (controller) => controller.error(new Error(long + echo)) })
    }

    /** Everything that a person or a log could see of a failure. */
    const seen = (exit: Exit.Exit<unknown, OAuthError.TokenRequestError>) => {
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      const error = Either.getOrThrow(Either.flip(Cause.failureOrCause(cause)))
      return [exit, cause, error].flatMap((value) => [
        JSON.stringify(value),
        String(value),
        inspect(value, { depth: 20 }),
        inspect(value, { depth: 20, showHidden: true, showProxy: true }),
        format("%o %O %j", value, value, value)
      ]).concat(
        error.message,
        error.toString(),
        error.stack ?? "",
        JSON.stringify(Object.entries(error.headers ?? {})),
        Cause.pretty(cause),
        Cause.pretty(cause, { renderErrorCause: true }),
        ...Cause.prettyErrors(cause).flatMap((pretty) => [pretty.stack ?? "", inspect(pretty, { depth: 20 })])
      )
    }

    const each = (answers: Readonly<Record<string, (echo: string) => Response | Promise<Response>>>) =>
      methods.flatMap(([method, options], index) =>
        Object.entries(answers)
          .filter((_, at) => isThorough || (at + index) % methods.length === 0)
          .map(([where, answer]) => ({ method, options, where, answer }))
      )

    it.effect("echoed anywhere in a response, whatever the client authentication", () =>
      rowsEffect(
        each(answers),
        ({ method, where }) => `${method}, echoed in ${where}`,
        ({ answer, options }) =>
          Effect.gen(function*() {
            const { exit, sent } = yield* ask(
              (sent) => answer(echoes(sent).join(" | ")),
              { maxResponseBytes: 10_000, ...options }
            )
            failed(exit)
            const logged: Array<string> = []
            const capture = Logger.make((options) => {
              logged.push(Logger.logfmtLogger.log(options), Logger.jsonLogger.log(options))
            })
            yield* Effect.logError("it failed", Exit.isFailure(exit) ? exit.cause : Cause.empty).pipe(
              Effect.provide(Logger.replace(Logger.defaultLogger, capture))
            )
            assert.strictEqual(logged.length, 2)
            const shown = [...seen(exit), ...logged].join("\n")
            const leaked = marks(echoes(sent[0] ?? assert.fail())).filter((mark) => shown.includes(mark))
            deepStrictEqual(leaked, [])
          })
      ))

    it.effect("cut by the limit of a text, whatever the client authentication", () =>
      rowsEffect(
        each(cutting),
        ({ method, where }) => `${method}, cut in ${where}`,
        ({ answer, options }) =>
          Effect.gen(function*() {
            const { sent: [plain = assert.fail()] } = yield* ask(() => granted(), options)
            const { layer, sent } = fetchOf((one) => answer(echoes(one)[sent.length - 1] ?? assert.fail()))
            const endpoint = yield* Effect.provide(make(options), layer)
            for (const index of echoes(plain).keys()) {
              const error = failed(yield* Effect.exit(endpoint.request(endpoint.resolve())))
              const shown = [error.message, JSON.stringify(error), inspect({ ...error.headers })].join("\n")
              const leaked = marks(echoes(sent[index] ?? assert.fail())).filter((mark) => shown.includes(mark))
              deepStrictEqual(leaked, [], `echo ${index}`)
            }
          })
      ))

    it.effect("cookies and authorization of a response are hidden", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(() =>
          new Response("", {
            status: 500,
            headers: { "set-cookie": "session=abc", authorization: "Bearer abc", "x-request-id": "r1" }
          })
        )
        deepStrictEqual({ ...failed(exit).headers }, {
          "content-type": "text/plain;charset=UTF-8",
          "set-cookie": "<redacted>",
          authorization: "<redacted>",
          "x-request-id": "r1"
        })
      }))

    it.effect("no error contains a secret header of the app", () =>
      Effect.gen(function*() {
        const { exit } = yield* ask(
          ({ headers }) =>
            Response.json({ error: "access_denied", error_description: `key ${headers.get("x-api-key")}` }, {
              status: 400
            }),
          { headers: { "x-api-key": "4p1-k3y" }, clientSecret: Redacted.make("0ne-w0rd") }
        )
        assert.strictEqual(failed(exit).errorDescription, "key <redacted>")
      }))

    it.effect("redaction leaves the rest readable", () =>
      Effect.gen(function*() {
        const answer = () =>
          Response.json({ error: "invalid_client", error_description: "no client is called app by word" }, {
            status: 401
          })
        const { exit } = yield* ask(answer, { clientSecret: Redacted.make("p word") })
        assert.strictEqual(failed(exit).errorDescription, "no client is called app by word")
        const { exit: echoed } = yield* ask(
          () => Response.json({ error: "invalid_client", error_description: "p-word is wrong" }, { status: 401 }),
          { clientSecret: Redacted.make("p-word") }
        )
        assert.strictEqual(failed(echoed).errorDescription, "<redacted> is wrong")
      }))

    const unreadable: ReadonlyArray<Effect.Effect<Redacted.Redacted, unknown>> = [
      Effect.fail(new Error(secret)),
      Effect.fail(secret),
      Effect.die(new Error(secret))
    ]
    it.effect("a secret that cannot be read", () =>
      rowsEffect(
        unreadable.entries(),
        ([index]) => `a secret that cannot be read (${index + 1})`,
        ([, clientSecret]) =>
          Effect.gen(function*() {
            const { exit } = yield* ask(() => granted(), { clientSecret })
            for (const text of seen(exit)) assert.notInclude(text, "s3cr3t")
          })
      ))

    it.effect("a timeout", () =>
      Effect.gen(function*() {
        const endpoint = yield* Effect.provide(make(), clientOf(() => Effect.never))
        const fiber = yield* Effect.fork(Effect.exit(endpoint.request(endpoint.resolve())))
        yield* TestClock.adjust("10 seconds")
        for (const text of seen(yield* Fiber.join(fiber))) assert.notInclude(text, "s3cr3t")
      }))

    it.effect("the service shows neither a secret nor an issued token", () =>
      Effect.gen(function*() {
        const endpoint = yield* Effect.provide(make(), fetchOf(() => granted()).layer)
        const token = yield* endpoint.request(endpoint.resolve())
        for (const value of [endpoint, token, Exit.succeed(token)]) {
          for (
            const text of [
              JSON.stringify(value),
              String(value),
              inspect(value, { depth: 20 }),
              inspect(value, { depth: 20, showHidden: true })
            ]
          ) assert.notMatch(text, /s3cr3t|t0k3n/)
        }
      }))

    describe("spans", () => {
      /** Everything that a tracer is told about the spans of an effect. */
      const traced = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.gen(function*() {
          const spans: Array<{ readonly name: string; readonly attributes: Map<string, unknown>; exit: unknown }> = []
          const tracer = Tracer.make({
            context: (f) => f(),
            span: (name, parent, context, links, startTime, kind) => {
              const span = { name, attributes: new Map<string, unknown>(), exit: undefined as unknown }
              spans.push(span)
              return {
                _tag: "Span",
                spanId: String(spans.length),
                traceId: "trace",
                sampled: true,
                status: { _tag: "Started", startTime },
                name,
                parent,
                context,
                links,
                kind,
                attributes: span.attributes,
                attribute: (key, value) => span.attributes.set(key, value),
                event: (name, _, attributes) => span.attributes.set(name, attributes),
                addLinks: () => {},
                end: (_, exit) => {
                  span.exit = exit
                }
              }
            }
          })
          yield* Effect.withTracer(Effect.exit(effect), tracer)
          return spans
        })

      const answers: ReadonlyArray<readonly [what: string, Answer]> = [
        ["a token", () => granted()],
        [
          "headers that echo what was sent",
          ({ headers }) =>
            granted({}, {
              headers: {
                "x-echo": headers.get("authorization") ?? "",
                "x-secret": header(secret),
                "x-token": accessToken,
                "set-cookie": accessToken
              }
            })
        ],
        [
          "an error that echoes what was sent",
          ({ headers }) =>
            Response.json({ error: "invalid_client", error_description: `${secret} ${headers.get("authorization")}` }, {
              status: 401
            })
        ]
      ]
      it.effect("of a response contain no secret and no value of the app's headers", () =>
        rowsEffect(
          answers,
          ([what]) => `of ${what} hold no secret and no value of the app's own headers`,
          ([, answer]) =>
            Effect.gen(function*() {
              const { layer, sent } = fetchOf(answer)
              const endpoint = yield* Effect.provide(
                make({ headers: { "X-Api-Version": "hidd3n", "x-assertion": "hidd3n" } }),
                layer
              )
              const spans = yield* traced(endpoint.request(endpoint.resolve()))
              deepStrictEqual(spans.map(({ name }) => name), [
                "TokenEndpoint.request",
                "TokenEndpoint.attempt",
                "http.client POST"
              ])
              assert.strictEqual(sent[0]?.headers.get("x-api-version"), "hidd3n")
              const [request, , http] = spans
              assert.strictEqual(request?.attributes.get("oauth.client_id"), clientId)
              assert.strictEqual(request?.attributes.get("oauth.token_endpoint"), url)
              // Of the headers of either side not even the names, which the other side may choose
              assert(http !== undefined && Exit.isExit(http.exit))
              deepStrictEqual([...http.attributes.keys()], [
                "http.request.method",
                "server.address",
                "server.port",
                "url.full",
                "url.scheme",
                "http.response.status_code",
                ...(Exit.isFailure(http.exit) ? ["error.type", "oauth.error.code"] : [])
              ])
              assert.strictEqual(http?.attributes.get("url.full"), url)
              assert.isString(sent[0]?.headers.get("traceparent"))
              const basic = sent[0]?.headers.get("authorization")?.slice(6) ?? assert.fail()
              for (const { attributes, exit } of spans) {
                for (const [key, value] of attributes) {
                  const shown = `${key} ${inspect(value, { depth: 20, showHidden: true })}`
                  for (const mark of ["hidd3n", "s3cr3t", "t0k3n", basic]) assert.notInclude(shown, mark)
                }
                assert(Exit.isExit(exit))
                const shown = inspect(exit, { depth: 20 }) + (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
                for (const mark of ["s3cr3t", "t0k3n", basic]) assert.notInclude(shown, mark)
              }
            })
        ))

      const failing: ReadonlyArray<readonly [what: string, HttpClient.HttpClient]> = [
        [
          "no answer",
          HttpClient.make((request) =>
            new HttpClientError.RequestError({ request, reason: "Transport", cause: "reset" })
          )
        ],
        [
          "a status that the client fails on",
          HttpClient.filterStatusOk(
            HttpClient.make((request) =>
              Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 500 })))
            )
          )
        ],
        [
          "a client that dies",
          HttpClient.make((request) => Effect.die(new HttpClientError.RequestError({ request, reason: "Transport" })))
        ]
      ]
      it.effect("of an inner client contain nothing of the request either", () =>
        rowsEffect(
          [
            ...failing,
            [
              "an answer",
              HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, granted())))
            ] as const
          ],
          ([what]) => `of ${what} hold nothing of the request`,
          ([, client]) =>
            Effect.gen(function*() {
              const inner = client.pipe(
                HttpClient.mapRequestEffect((request) => Effect.withSpan(Effect.succeed(request), "inner request")),
                HttpClient.transform(Effect.withSpan("inner"))
              )
              const endpoint = yield* Effect.provideService(make(), HttpClient.HttpClient, inner)
              const spans = yield* traced(endpoint.request(endpoint.resolve()))
              deepStrictEqual(spans.slice(3).map(({ name }) => name), ["inner request", "inner"])
              const basic = btoa(`my+app:${ClientAuth.formEncode(secret)}`)
              for (const { exit } of spans) {
                const shown = inspect(exit, { depth: 20, showHidden: true })
                for (const mark of ["s3cr3t", basic]) assert.notInclude(shown, mark)
              }
            })
        ))

      it.effect("of a failure contain nothing of the request", () =>
        rowsEffect(
          failing,
          ([what]) => `of ${what} hold nothing of the request`,
          ([, client]) =>
            Effect.gen(function*() {
              const endpoint = yield* Effect.provideService(make(), HttpClient.HttpClient, client)
              const spans = yield* traced(endpoint.request(endpoint.resolve()))
              assert.strictEqual(spans.length, 3)
              const basic = btoa(`my+app:${ClientAuth.formEncode(secret)}`)
              for (const { exit } of spans) {
                assert(Exit.isExit(exit))
                if (!Exit.isFailure(exit)) continue
                const shown = inspect(exit, { depth: 20, showHidden: true })
                for (const mark of ["s3cr3t", basic]) assert.notInclude(shown, mark)
              }
            })
        ))
    })
  })
})
