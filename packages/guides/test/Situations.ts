/** The page "Errors": what to do, and the situations that cause the messages, made with the real code. */
import {
  AuthedFetch,
  AuthedHttpClient,
  AuthorizationServer,
  ClientAuth,
  ClientCertificate,
  DPoP,
  EncryptedTokenStore,
  Grant,
  OAuthError,
  RefreshTokenGrant,
  TokenEndpoint,
  TokenIntrospection,
  TokenProvider,
  TokenRevocation,
  TokenStore
} from "@effect-alf/core"
import { MemcachedTokenStore, NodeAuthedHttpClient, NodeHttp, RedisTokenStore, SqlTokenStore } from "@effect-alf/node"
import * as Reactivity from "@effect/experimental/Reactivity"
import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { LibsqlClient } from "@effect/sql-libsql"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import {
  Cause,
  Chunk,
  Config,
  ConfigError,
  ConfigProvider,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Schedule,
  type Scope,
  Stream,
  TestClock,
  TestContext
} from "effect"
import { execFile } from "node:child_process"
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { vi } from "vitest"
import { hang } from "../../core/test/support/hang.js"
import { keyOf } from "../../core/test/support/SigningKeys.js"
import * as RedisNotices from "../../node/src/redis/RedisNotices.js"

/** Results in a message, or in lines of the log. */
export type Situation = Effect.Effect<string, unknown, Scope.Scope>

const issuer = "https://auth.example.com"
const url = `${issuer}/token`
const clientId = "client-id"
const clientSecret = Redacted.make("client-secret")
const api = "https://api.example.com"
const client = { tokenEndpoint: url, clientId, clientSecret }

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

type Answer = (url: string, count: number) => Response | Error

/** An `HttpClient` that gives the answers of a function, or fails with its errors. */
const answering = (answer: Answer) => {
  let count = 0
  return Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.suspend(() => {
        const response = answer(request.url, ++count)
        return response instanceof Response
          ? Effect.succeed(HttpClientResponse.fromWeb(request, response))
          : new HttpClientError.RequestError({ request, reason: "Transport", cause: response })
      })
    )
  )
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  Response.json(body, { status, headers })

const token = (fields: Record<string, unknown> = {}) => json({ access_token: "a-token", expires_in: 3600, ...fields })

const text = (body: string, status: number, type: string) =>
  new Response(body, { status, headers: { "content-type": type } })

const page = (status: number) => text("<h1>not here</h1>\n", status, "text/html")

const unavailable = () => new Response(null, { status: 503 })

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

/** What a token request fails with. */
const requesting = (answer: () => Response | Error, options: Partial<TokenEndpoint.Options> = {}): Situation =>
  TokenEndpoint.make({ ...client, ...options }).pipe(
    Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
    messageOf,
    Effect.provide(answering(answer))
  )

const refused = (error: string, status = 400, more: Record<string, string> = {}) =>
  requesting(() => json({ error, ...more }, status))

const issuing = (fields: Record<string, unknown>, options?: Partial<TokenEndpoint.Options>) =>
  requesting(() => token(fields), options)

const failing = (message: string, code?: string) =>
  requesting(() => Object.assign(new Error(message), code === undefined ? {} : { code }))

const metadata = (fields: Record<string, unknown> = {}) => json({ issuer, token_endpoint: url, ...fields })

const discovering = (
  answer: () => Response,
  options: Partial<TokenEndpoint.DiscoveryOptions> = {}
): Situation =>
  TokenEndpoint.makeDiscovery({ clientId, clientSecret, issuer, ...options }).pipe(
    Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
    messageOf,
    Effect.provide(answering(answer))
  )

const introspecting = (body: unknown): Situation =>
  TokenIntrospection.make({ ...client, introspectionEndpoint: `${issuer}/introspect` }).pipe(
    Effect.flatMap((introspect) => introspect(Redacted.make("a-token"))),
    messageOf,
    Effect.provide(answering(() => json(body)))
  )

// -----------------------------------------------------------------------------
// credentials
// -----------------------------------------------------------------------------

const proving = <R>(clientAuth: ClientAuth.ClientAuth<R>) =>
  TokenEndpoint.make<R>({ tokenEndpoint: url, clientId, clientAuth }).pipe(
    Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
    messageOf,
    Effect.provide(answering(() => token()))
  )

const granting = (grant: Grant.Grant) => requesting(() => token(), { request: { grant } })

type KeyOptions = Omit<ClientAuth.PrivateKeyJwtOptions, "key">

const signing = (key: unknown, options: KeyOptions = {}): Situation =>
  proving(ClientAuth.privateKeyJwt({ ...options, key: key as Redacted.Redacted }))

const withKey = (key: string, options?: KeyOptions) => signing(Redacted.make(key), options)

const withJwk = (jwk: object, options?: KeyOptions) => withKey(JSON.stringify(jwk), options)

const binding = <R>(dpop: Effect.Effect<DPoP.ProofKey, unknown, R>) =>
  messageOf(TokenEndpoint.make<R>({ ...client, dpop })).pipe(Effect.provide(answering(() => token())))

const rsa = keyOf("RSA")
const ec = keyOf("P-256")
const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey
const pem = (key: KeyObject, type: "pkcs8" | "pkcs1" | "sec1" = "pkcs8") =>
  key.export({ format: "pem", type } as never).toString()
const jwk = (key: KeyObject) => key.export({ format: "jwk" })
const rsaPem = pem(rsa)
const block = (label: string) => `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----`

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "errors-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const readingSecret = (content: string | undefined): Situation =>
  Effect.flatMap(temporary, (directory) => {
    const path = join(directory, "client-secret")
    if (content !== undefined) writeFileSync(path, content)
    return Effect.map(
      proving(ClientAuth.clientSecretBasic(ClientAuth.secretFile(path))),
      (message) => message.replace(path, "/run/secrets/client-secret")
    )
  }).pipe(Effect.provide(NodeFileSystem.layer))

/** Situations that change what all others use. */
export const alone = new Set<Situation>()

const runAlone = (situation: Situation): Situation => {
  alone.add(situation)
  return situation
}

/** While the effect runs, the package cannot be loaded. */
const withoutPackage = (name: string, effect: Situation): Situation =>
  runAlone(Effect.acquireUseRelease(
    Effect.sync(() =>
      vi.doMock(name, () => {
        throw new Error(`Cannot find package '${name}'`)
      })
    ),
    // The rest of the message comes from vitest
    () => Effect.map(effect, (message) => message.replace(/\[vitest\].*/s, "…")),
    () => Effect.sync(() => vi.doUnmock(name))
  ))

/** While the effect runs, WebCrypto imports no key. */
const withoutImport = (effect: Situation): Situation =>
  runAlone(Effect.acquireUseRelease(
    Effect.sync(() => vi.spyOn(crypto.subtle, "importKey").mockRejectedValue(new Error("refused"))),
    () => effect,
    (spy) => Effect.sync(() => spy.mockRestore())
  ))

/** While the effect runs, there is no WebCrypto. */
const withoutCrypto = (effect: Situation): Situation =>
  runAlone(Effect.acquireUseRelease(
    Effect.sync(() => vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) })),
    () => effect,
    () => Effect.sync(() => vi.unstubAllGlobals())
  ))

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

const building = <A, E extends { readonly message: string }>(layer: Layer.Layer<A, E>): Situation =>
  messageOf(Layer.build(layer))

const endpointWith = (options: object): Situation =>
  building(TokenEndpoint.layer({ ...client, ...options }).pipe(Layer.provide(answering(() => token()))))

const discoveryWith = (options: object): Situation =>
  building(
    TokenEndpoint.layerDiscovery({ issuer, clientId, clientSecret, ...options }).pipe(
      Layer.provide(answering(() => token()))
    )
  )

const clientWith = (options: object): Situation =>
  building(
    AuthedHttpClient.layer(options as never).pipe(
      Layer.provide(TokenEndpoint.layer(client)),
      Layer.provide(TokenStore.layerMemory()),
      Layer.provide(answering(() => token()))
    )
  )

const nodeWith = (options: object): Situation =>
  building(NodeAuthedHttpClient.layer({ clientId, clientSecret, baseUrl: api, ...options } as never))

const configuredBy = (variables: Readonly<Record<string, string>>, prefix?: string): Situation => {
  const provider = ConfigProvider.fromMap(new Map(Object.entries(variables)))
  return Effect.flip(Layer.build(NodeAuthedHttpClient.layerEnv())).pipe(
    Effect.map((error) => ("message" in error ? error.message : String(error)).replace(/^\(.*?"(.*?)".*$/, "$1")),
    Effect.withConfigProvider(prefix === undefined ? provider : ConfigProvider.nested(provider, prefix)),
    Effect.provide(NodeFileSystem.layer)
  )
}

const variables = { ALF_TOKEN_ENDPOINT: url, ALF_CLIENT_ID: clientId, ALF_BASE_URL: api }

const encryptedWith = (...keys: ReadonlyArray<object>): Situation =>
  building(TokenStore.layerMemory().pipe(EncryptedTokenStore.layer({ keys } as never)))

const redisWith = (options: RedisTokenStore.Options): Situation => building(RedisTokenStore.layer(options))

const redisAt = (url: string) => redisWith({ url })

const memcachedWith = (options: object): Situation =>
  building(MemcachedTokenStore.layer({ servers: "localhost", ...options }))

const memcachedAt = (servers: string) => memcachedWith({ servers })

/** What a command of Memcached fails with when the server answers with this line, or not at all. */
const memcachedAnswering = (command: () => Promise<never>): Situation =>
  MemcachedTokenStore.fromClient(
    { getNodesByKey: () => Promise.resolve([{ command }]) },
    { commandTimeout: "10 millis" }
  ).pipe(Effect.flatMap((store) => messageOf(store.get("key"))))

const sqlite = LibsqlClient.layer({ url: ":memory:" })

/** A client of a database that never answers. */
const silentSql = (dialect: Statement.Dialect) =>
  Layer.scoped(
    SqlClient.SqlClient,
    SqlClient.make({
      acquirer: Effect.never,
      compiler: Statement.makeCompiler({
        dialect,
        placeholder: () => "?",
        onIdentifier: (name) => name,
        onCustom: () => ["", []],
        onRecordUpdate: () => ["", []]
      }),
      spanAttributes: []
    })
  ).pipe(Layer.provide(Reactivity.layer))

const storeAt = (url: string, more: Readonly<Record<string, string>> = {}) =>
  configuredBy({ ...variables, ALF_CLIENT_SECRET: "client-secret", ALF_STORE_URL: url, ...more })

const key32 = Redacted.make(new Uint8Array(32))

const presenting = (certificate: object): Situation =>
  building(NodeHttp.layerMutualTls({ certificate: certificate as never }))

/** What several situations need is made once. */
const once = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.runSync(Effect.cached(effect))

/** Certificates that openssl signs with their own key. */
const selfSigned = once(Effect.scoped(Effect.flatMap(temporary, (directory) =>
  Effect.promise(async () => {
    const make = async (name: string, ...algorithm: ReadonlyArray<string>) => {
      const [keyFile, certificateFile] = [join(directory, `${name}.key`), join(directory, `${name}.crt`)]
      const files = ["-keyout", keyFile, "-out", certificateFile]
      await promisify(execFile)(
        "openssl",
        ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=client", ...algorithm, ...files]
      )
      return { certificate: readFileSync(certificateFile, "utf8"), key: Redacted.make(readFileSync(keyFile, "utf8")) }
    }
    return {
      good: await make("good", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
      weak: await make("weak", "-newkey", "rsa:512")
    }
  }))))

// -----------------------------------------------------------------------------
// providers
// -----------------------------------------------------------------------------

/** Of several lines of the log. */
const last = (situation: Situation): Situation =>
  Effect.map(situation, (lines) => lines.slice(lines.lastIndexOf("\n") + 1))

const logged = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      const line = [message].flat().join(" ")
      // A clock that stands still says so after a while of real time
      if (!line.startsWith("Warning: A test is using time")) lines.push(line)
    })
    return effect.pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.Info),
      Effect.map(() => lines.join("\n"))
    )
  })

/** The promises of WebCrypto that others wait for are fulfilled: a larger one, which was made later, is. */
const settled = Effect.promise(async () => {
  for (let turn = 0; turn < 2; turn++) {
    await webcrypto.subtle.digest("SHA-256", new Uint8Array(65_536))
    await new Promise((resolve) => setImmediate(resolve))
  }
})

/** Runs an effect while time passes, from one moment that something waits for to the next. */
const during = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    while (true) {
      yield* settled
      if (Option.isSome(yield* Fiber.poll(fiber))) return yield* Fiber.join(fiber)
      const moments = yield* TestClock.sleeps()
      if (Chunk.isNonEmpty(moments)) yield* TestClock.setTime(Math.min(...moments))
    }
  }).pipe(Effect.provide(TestContext.TestContext))

interface World {
  readonly answer?: Answer
  readonly endpoint?: Partial<TokenEndpoint.Options>
  readonly custom?: Partial<TokenEndpoint.TokenEndpoint["Type"]>
  readonly provider?: TokenProvider.Options
  readonly store?: Layer.Layer<TokenStore.TokenStore>
}

const makeProvider = (
  { answer = () => token(), custom, endpoint, provider, store = TokenStore.layerMemory() }: World = {}
) =>
  TokenProvider.make(provider).pipe(
    Effect.provideServiceEffect(
      TokenEndpoint.TokenEndpoint,
      Effect.map(
        TokenEndpoint.make({ ...client, retry: Schedule.stop, ...endpoint }),
        (made) => TokenEndpoint.TokenEndpoint.of({ ...made, ...custom })
      )
    ),
    // The store stays open as long as the provider does
    (make) =>
      Effect.flatMap(Layer.build(Layer.merge(store, answering(answer))), (services) => Effect.provide(make, services))
  )

const providing = (world: World): Situation => messageOf(Effect.flatMap(makeProvider(world), (it) => it.get()))

const providingDuring = (world: World): Situation => during(providing(world))

const logging = (world: World) => logged(Effect.exit(Effect.flatMap(makeProvider(world), (it) => it.get())))

/** A store in memory, some of whose methods are others. */
const storeWith = (
  change: (store: TokenStore.TokenStore["Type"]) => Partial<TokenStore.TokenStore["Type"]>,
  sharing: TokenStore.Sharing = TokenStore.lastWriteWins
) =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(Effect.orDie(TokenStore.makeMemory({ sharing })), (store) => ({ ...store, ...change(store) }))
  )

/** The note of another process that requests a token without the lease. */
const claim: TokenStore.Entry = {
  version: "version",
  payload: JSON.stringify({ v: 1, count: 1, memory: 0 }),
  timeToLive: Duration.minutes(1)
}

const storeError = (method: OAuthError.TokenStoreError["method"]) =>
  Effect.fail(new OAuthError.TokenStoreError({ method, reason: "Unavailable", description: "no connection" }))

const isRefreshKey = (key: string) => key.endsWith("#refresh")

const initial = Redacted.make("a-refresh-token")

const refreshing: World = {
  answer: () => token({ refresh_token: "the-next-one" }),
  endpoint: { request: { grant: RefreshTokenGrant.make(initial) } }
}

/** A store whose entries are all this payload. */
const storeHolding = (payload: string) =>
  storeWith(() => ({
    get: () => Effect.succeedSome({ version: "1", payload, timeToLive: Duration.hours(1) })
  }))

const encrypted = (store: Layer.Layer<TokenStore.TokenStore>) =>
  Layer.orDie(EncryptedTokenStore.layer(store, { keys: [{ id: "2026-11", key: key32 }] }))

const envelope = (key: string) => JSON.stringify({ v: 1, key, nonce: "A".repeat(16), text: "A".repeat(64) })

/** Listens to a store whose notices fail at first, and then work. */
const hearing = (error: OAuthError.TokenStoreError): Situation =>
  during(logged(Effect.suspend(() => {
    let isSilent = true
    const changes = Stream.suspend(() =>
      isSilent ? Stream.fail(error) : Stream.concat(Stream.make("key"), Stream.never)
    )
    return makeProvider({ store: storeWith(() => ({ changes })) }).pipe(
      Effect.zipRight(Effect.sleep("15 seconds")),
      Effect.zipRight(Effect.sync(() => {
        isSilent = false
      })),
      Effect.zipRight(Effect.sleep("15 seconds"))
    )
  })))

/** Renews a token in the background while the endpoint is out of order. */
const renewingAhead = (world: World): Situation =>
  during(logged(Effect.gen(function*() {
    const provider = yield* makeProvider(world)
    yield* provider.get()
    yield* Effect.sleep("59 minutes")
    yield* provider.get()
    yield* Effect.sleep("1 second")
  })))

/** Reads metadata that cannot be read when it is an hour old, and then can be again. */
const rediscovering: Situation = once(Effect.scoped(during(logged(Effect.gen(function*() {
  const server = yield* AuthorizationServer.make({ issuer }).pipe(
    // It is asked at two addresses
    Effect.provide(answering((_, count) => count === 2 || count === 3 ? unavailable() : metadata()))
  )
  yield* server.metadata
  yield* Effect.sleep("62 minutes")
  yield* server.metadata
  yield* Effect.sleep("3 minutes")
  yield* server.metadata
  yield* Effect.sleep("3 minutes")
})))))

// -----------------------------------------------------------------------------
// resources
// -----------------------------------------------------------------------------

const calling = (options: AuthedHttpClient.Options, address: string, answer: Answer, follow = false) =>
  Effect.flatMap(
    AuthedHttpClient.AuthedHttpClient,
    (alf) => (follow ? AuthedHttpClient.followRedirects(alf) : alf).get(address)
  ).pipe(
    Effect.provide(
      AuthedHttpClient.layer(options).pipe(
        Layer.provide(TokenEndpoint.layer({ ...client, retry: Schedule.stop })),
        Layer.provide(TokenStore.layerMemory()),
        Layer.provide(answering(answer))
      )
    )
  )

const sendingTo = (options: AuthedHttpClient.Options, address: string): Situation =>
  messageOf(calling(options, address, () => token()))

const redirecting = (location: string): Situation =>
  messageOf(calling(
    { baseUrl: api },
    "/orders",
    (address) => address === url ? token() : new Response(null, { status: 302, headers: { location } }),
    true
  ))

const revoking = (revoke: Parameters<typeof TokenRevocation.onClose>[0]): Situation =>
  during(logged(Effect.scoped(
    Effect.flatMap(makeProvider({ provider: { revocation: TokenRevocation.onClose(revoke) } }), (it) => it.get())
  )))

/** Rotates a certificate, at first with the wrong key. */
const rotating: Situation = once(Effect.scoped(Effect.flatMap(selfSigned, ({ good }) =>
  logged(Effect.gen(function*() {
    let reads = 0
    const certificate = Effect.sync(() => reads++ === 1 ? { ...good, key: Redacted.make(rsaPem) } : good)
    const { refresh } = yield* ClientCertificate.ClientCertificate.pipe(
      Effect.provide(yield* Layer.build(NodeHttp.layerMutualTls({ certificate })))
    )
    yield* refresh
    yield* refresh
  })))))

/** Requests tokens with a certificate that cannot be read again at first, and then can be. */
const refreshingCertificate: Situation = Effect.suspend(() => {
  let reads = 0
  const certificate = ClientCertificate.ClientCertificate.of({
    thumbprint: () => "a-thumbprint",
    refresh: Effect.suspend(() => reads++ === 0 ? Effect.fail("no vault") : Effect.void)
  })
  return logged(
    TokenEndpoint.make({ tokenEndpoint: url, clientId, clientAuth: ClientAuth.tlsClientAuth }).pipe(
      Effect.tap((endpoint) => endpoint.attempt(endpoint.resolve())),
      Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
      Effect.provideService(ClientCertificate.ClientCertificate, certificate),
      Effect.provide(answering(() => token()))
    )
  )
})

// -----------------------------------------------------------------------------
// the page
// -----------------------------------------------------------------------------

/** Messages for which the same is to be done. */
export interface Group {
  readonly advice: string
  readonly messages: ReadonlyArray<Situation>
}

export interface Section {
  readonly title: string
  readonly introduction: string
  /** What each of its messages has, and its introduction says once. */
  readonly leavesOut?: RegExp
  readonly groups: ReadonlyArray<Group>
  readonly sections?: ReadonlyArray<Section>
  readonly after?: string
}

const endpoint = /^\w+ endpoint \S+?(: |(?= answered))\s?/g
const noError = /^\w+ endpoint \S+ |no OAuth error in (an empty body|a body of \d+ characters \(\S+\)(: not found)?)/g
const answered200 = /^\w+ endpoint \S+ answered 200: /g
const credentials =
  /^(\w+ endpoint \S+: (the \w+ credentials are unavailable: )?|TokenEndpoint.dpop provides no key: )/g
const refresh = /^The refresh token cannot be used: /g
const redirect = /^A redirect .* not followed: /g
const store = /\. Until the store is .*$|^Token store entry … counts as absent: /g
const logCause = /(?<=\.) Token endpoint.*$|^Discovery endpoint \S+: /g

/** The page, in its order. */
export const sections: ReadonlyArray<Section> = [
  {
    title: "The authorization server",
    introduction:
      "A `TokenEndpointError`: the request was not sent. `Token endpoint` (or `Discovery`, `Revocation`, `Introspection`) and its address are left out. The next callers get the same error for [1 to 60 seconds](retries.md#after-a-failure).",
    leavesOut: endpoint,
    groups: [],
    sections: [{
      title: "The server refuses",
      introduction: "Reason `OAuth`.",
      groups: [{
        advice:
          "Compare client id and secret with the registration, without white space. With `clientSecretBasic`, try `{ raw: true }` or `clientSecretPost`. With a certificate, use the mutual TLS endpoint (see [discovery](authorization-servers.md#discovery)). With a signed JWT, check clock, `audience` and `keyId`.",
        messages: [refused("invalid_client", 401, {
          error_description: "no such client"
        })]
      }, {
        advice: "Obtain a new [refresh token](authorization-servers.md#refresh-tokens).",
        messages: [
          providing({
            ...refreshing,
            answer: () => json({ error: "invalid_grant", error_description: "revoked" }, 400)
          })
        ]
      }, {
        advice:
          "Check the clock, the assertion's `audience` or the DPoP key's algorithm. A proxy may remove the header `DPoP-Nonce`.",
        messages: [refused("invalid_grant"), refused("invalid_dpop_proof"), refused("use_dpop_nonce")]
      }, {
        advice:
          "Compare `scope` (Entra: `api://.../.default`), `resource`, `audience` and `params` with the registration. Allow the grant. Check the address.",
        messages: [
          refused("invalid_scope"),
          refused("unauthorized_client"),
          refused("unsupported_grant_type"),
          refused(
            "invalid_request",
            400,
            { error_description: "audience is required", error_uri: "https://auth.example.com/errors" }
          ),
          refused("invalid_target")
        ]
      }]
    }, {
      title: "Another status",
      introduction:
        "Reason `Status` or `Redirect`. `…` is `no OAuth error in an empty body` or, mostly from proxies and gateways, `in a body of 18 characters (text/html)`.",
      leavesOut: noError,
      groups: [{
        advice:
          "Wait: this was [retried](retries.md#the-token-request) and `Retry-After` honoured. Let processes [share a token](stores-and-fleets.md).",
        messages: [
          refused("temporarily_unavailable", 503),
          requesting(() => page(502)),
          requesting(() => new Response(null, { status: 429 }))
        ]
      }, {
        advice:
          "Check the address, or use [discovery](authorization-servers.md#discovery). `headers.location` has a redirect's target. 304 comes from a cache.",
        messages: [
          requesting(() => text("not found", 404, "text/plain")),
          discovering(() => new Response(null, { status: 404 })),
          requesting(() => new Response(null, { status: 304 })),
          requesting(() => new Response(null, { status: 302, headers: { location: `${issuer}/login` } }))
        ]
      }, {
        advice: "Read the server's log: it may reject the assertion's `audience`. Or a gateway blocks this machine.",
        messages: [requesting(() => new Response(null, { status: 403 })), requesting(() => page(403))]
      }]
    }, {
      title: "No response",
      introduction: "Reason `Transport` or `Timeout`, after all attempts.",
      groups: [{
        advice: "Check host, port, DNS and firewall, or set a [proxy](../node/README.md#the-http-client).",
        messages: [
          failing("connect ECONNREFUSED 127.0.0.1:443", "ECONNREFUSED"),
          failing("getaddrinfo ENOTFOUND auth.example.com", "ENOTFOUND"),
          failing("Connect Timeout Error", "UND_ERR_CONNECT_TIMEOUT")
        ]
      }, {
        advice:
          "Set the signing authority, perhaps a proxy's, as `http: { ca }` or in `NODE_EXTRA_CA_CERTS`. Check the clock, and idle timeouts of proxies.",
        messages: [
          failing("self-signed certificate in certificate chain"),
          failing("certificate has expired"),
          failing("read ECONNRESET", "ECONNRESET"),
          failing("other side closed", "UND_ERR_SOCKET")
        ]
      }, {
        advice: "Check the server, or the vault. Raise `timeout`, and `maxWait` above it.",
        messages: [
          during(requesting(() => new Response(new ReadableStream()))),
          during(requesting(() => token(), { clientSecret: Effect.never }))
        ]
      }]
    }, {
      title: "An invalid response",
      introduction: "Reason `InvalidResponse`. `answered 200:` is left out.",
      leavesOut: answered200,
      groups: [{
        advice: "Check the address with `curl -i`. Set `tokenField` (`ALF_TOKEN_FIELD`), or raise `maxResponseBytes`.",
        messages: [
          requesting(() => page(200)),
          requesting(() => json([])),
          requesting(() => json({})),
          requesting(() => json({ error: 1 })),
          requesting(() => text(" ".repeat(262_145), 200, "application/json")),
          discovering(() => json({})),
          introspecting({ active: "yes" })
        ]
      }, {
        advice: "Report it to the server's owner.",
        messages: [
          requesting(
            () => new Response("...", { headers: { "content-type": "application/json", "content-encoding": "gzip" } })
          ),
          issuing({ access_token: 1 }),
          issuing({ access_token: "" }),
          issuing({ access_token: "a".repeat(65_537) }),
          issuing({ access_token: "a\nb" }),
          during(
            Effect.flatMap(
              makeProvider({ answer: (_, count) => token({ expires_in: count === 1 ? 10 : 0 }) }),
              (it) => Effect.zipRight(Effect.zipRight(it.get(), Effect.sleep("10 seconds")), messageOf(it.get()))
            )
          ),
          discovering(() => metadata({ issuer: `${issuer} ` })),
          introspecting({ active: true, aud: 1 }),
          introspecting({ active: true, cnf: "key" })
        ]
      }, {
        advice:
          "Set `bearerTypes` (`ALF_BEARER_TYPES`) if the type means Bearer. Set [`dpop`](authorization-servers.md#tokens-bound-to-a-key-dpop) on both sides or neither.",
        messages: [
          issuing({ token_type: "mac" }),
          issuing({ token_type: "DPoP" }),
          issuing({ token_type: "Bearer" }, { dpop: DPoP.generate() })
        ]
      }, {
        advice:
          "Set the issuer as the server writes it, or `tokenEndpoint` instead. The server may not know its https address.",
        messages: [
          discovering(() => metadata({ issuer: "https://b.example.com" })),
          discovering(() => metadata({ issuer: `${issuer}/` })),
          discovering(() => json({ issuer })),
          discovering(() => metadata({ token_endpoint: "/token" })),
          discovering(() => metadata({ token_endpoint: "http://localhost/token" }))
        ]
      }]
    }]
  },
  {
    title: "The credentials",
    introduction:
      "Reason `ClientAuth`. `the … credentials are unavailable: …` and `TokenEndpoint.dpop provides no key: …` are left out.",
    leavesOut: credentials,
    groups: [{
      advice: "Log the cause in your effect, or fail with `CredentialsError`, the only cause that is shown.",
      messages: [
        proving(ClientAuth.clientSecretBasic(Effect.fail("no vault"))),
        granting(
          Grant.jwtBearer({ id: "robot", read: () => Effect.fail("no vault") })
        ),
        proving(ClientAuth.privateKeyJwt({ key: Effect.fail("no vault") })),
        withKey(rsaPem, { certificate: Effect.fail("no vault") })
      ]
    }, {
      advice:
        "Check where the value is read. `ClientAuth.secretFile` drops a final line break; it needs `NodeFileSystem.layer`.",
      messages: [
        proving(
          ClientAuth.clientSecretBasic(Effect.succeed(Redacted.make(" ")))
        ),
        granting(
          Grant.jwtBearer({ id: "robot", read: () => Effect.succeed(Redacted.make("")) })
        ),
        readingSecret(
          "\n"
        ),
        readingSecret(undefined),
        proving(
          ClientAuth.clientSecretBasic(ClientAuth.secretFile("/run/secrets/client-secret")) as ClientAuth.ClientAuth
        ),
        proving(ClientAuth.clientSecretBasic(Redacted.make("s3cr3t\n"))),
        signing("not redacted")
      ]
    }, {
      advice: "Set `clientAuth` to a listed method, or to one method if the metadata is wrong.",
      messages: [
        discovering(() => metadata({ token_endpoint_auth_methods_supported: ["private_key_jwt"] })),
        discovering(() => metadata({ token_endpoint_auth_methods_supported: ["none"] })),
        discovering(() => metadata({ token_endpoint_auth_methods_supported: [] }))
      ]
    }, {
      advice: "Set the whole private key, as PKCS#8 PEM (`\\n` is allowed) or JWK.",
      messages: [
        withKey("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
        withKey("-----BEGIN PRIVATE KEY-----\nAAAA"),
        withKey(block("PUBLIC KEY")),
        withKey(block("CERTIFICATE")),
        withKey(pem(rsa, "pkcs1")),
        withKey(pem(ec, "sec1")),
        withKey(block("ENCRYPTED PRIVATE KEY")),
        withKey(block("OPENSSH PRIVATE KEY")),
        withJwk({}),
        withJwk({ keys: [] }),
        withJwk(jwk(createPublicKey(ec))),
        withJwk({ ...jwk(ec), d: "AAAA" }),
        withKey(rsaPem, { certificate: "a certificate" })
      ]
    }, {
      advice:
        "Use a key or secret that fits the `algorithm`, or set another: `an EC key on P-384`, `an EC key on P-521`, `an Ed25519 key`.",
      messages: [
        withKey(block("PRIVATE KEY")),
        withJwk({ ...jwk(rsa), alg: "RSA-OAEP" }),
        withJwk({ ...jwk(ec), use: "enc" }),
        withJwk({ kty: "EC", crv: "secp256k1" }),
        withKey(rsaPem, { algorithm: "ES256" }),
        withKey(pem(small)),
        proving(
          ClientAuth.clientSecretJwt(Redacted.make("secret"))
        ),
        withKey(rsaPem, { algorithm: "RS999" as never }),
        binding(DPoP.generate({ algorithm: "ES999" as never })),
        binding(
          DPoP.fromKey(Redacted.make({ kty: "oct", k: "A".repeat(43) }))
        ),
        withoutImport(proving(ClientAuth.clientSecretJwt(Redacted.make("s".repeat(32)))))
      ]
    }, {
      advice: "Correct the options: without `raw`, with `issuer`. Serve the page over https. Install `jose`.",
      messages: [
        withKey(rsaPem, { claims: { n: 1n } }),
        withKey(rsaPem, { lifetime: 0 }),
        requesting(() => token(), {
          clientId: "client:id",
          clientAuth: ClientAuth.clientSecretBasic(clientSecret, { raw: true })
        }),
        withKey(rsaPem, { audience: "issuer" }),
        withoutCrypto(withKey(rsaPem)),
        withoutPackage("jose", withKey(rsaPem))
      ]
    }]
  },
  {
    title: "The provider",
    introduction:
      "A `TokenProviderError`. With reason `RefreshToken`, `The refresh token cannot be used: …` is left out.",
    leavesOut: refresh,
    groups: [{
      advice: "Reason `Closed`: provide the layer around the whole app.",
      messages: [Effect.flatMap(
        Effect.scoped(makeProvider()),
        (closed) => messageOf(closed.get())
      )]
    }, {
      advice:
        "Reason `MaxWait`: keep `maxWait` above `timeout` and 5 seconds. Read the logs of the other processes. `retryAfter` says when to call again.",
      messages: [
        providingDuring({ custom: { attempt: () => Effect.never } }),
        providingDuring({
          store: storeWith((store) => ({
            acquireLease: () => Effect.succeed(false),
            get: (key) => key.endsWith("#claim") ? Effect.succeedSome(claim) : store.get(key)
          }), TokenStore.byTurns)
        }),
        Effect.flatMap(
          Effect.orDie(TokenStore.makeMemory({ sharing: TokenStore.byTurns })),
          (shared) => {
            const store = Layer.succeed(TokenStore.TokenStore, shared)
            const refused: World = {
              store,
              answer: () => new Response("", { status: 503, headers: { "retry-after": "5" } })
            }
            return Effect.zipRight(providing(refused), providing({ store, provider: { maxWait: "2 seconds" } }))
          }
        ),
        providingDuring({
          ...refreshing,
          store: storeWith((store) => ({
            acquireLease: (key, ...rest) => isRefreshKey(key) ? Effect.succeed(false) : store.acquireLease(key, ...rest)
          }))
        })
      ]
    }, {
      advice:
        "Restore the store, or remove `shareTokens: false`. Keep the process running: only it has the new refresh token.",
      messages: [
        providing({
          ...refreshing,
          store: storeWith((store) => ({
            acquireLease: (key, ...rest) =>
              isRefreshKey(key) ? storeError("acquireLease") : store.acquireLease(key, ...rest)
          }))
        }),
        providingDuring({
          ...refreshing,
          store: storeWith((store) => ({
            set: (key, ...rest) => isRefreshKey(key) ? storeError("set") : store.set(key, ...rest)
          }))
        }),
        providing({
          ...refreshing,
          provider: { shareTokens: false }
        })
      ]
    }, {
      advice: "Use one store with leases. Find out who wrote the entry, or add its encryption key.",
      messages: [
        during(
          Effect.gen(function*() {
            let isOurs = true
            const provider = yield* makeProvider({
              ...refreshing,
              answer: (_, count) => token({ refresh_token: `successor-${count}`, expires_in: 1 }),
              store: storeWith((store) => ({
                get: (key) => isRefreshKey(key) && !isOurs ? Effect.succeedNone : store.get(key),
                set: (key, ...rest) => isRefreshKey(key) && !isOurs ? Effect.succeed(false) : store.set(key, ...rest)
              }))
            })
            yield* provider.get()
            isOurs = false
            yield* Effect.sleep("5 seconds")
            return yield* messageOf(provider.get())
          })
        ),
        providing({
          ...refreshing,
          store: storeHolding("not ours")
        })
      ]
    }, {
      advice: "Call again. A custom `TokenEndpoint` needs a time limit.",
      messages: [
        providingDuring({
          ...refreshing,
          provider: { storeTimeout: "10 seconds", maxWait: "1 minute" },
          store: storeWith((store) => ({
            get: (key) => isRefreshKey(key) ? Effect.delay(store.get(key), "3 seconds") : store.get(key),
            extendLease: () => Effect.succeed(false)
          }))
        }),
        providingDuring({
          ...refreshing,
          custom: { attempt: () => Effect.never },
          provider: { maxWait: "1 minute" }
        })
      ]
    }]
  },
  {
    title: "Origins and redirects",
    introduction:
      "An `OriginNotAllowed`, or a `RedirectError` (`TooMany`, `Insecure` or `InvalidLocation`): `A redirect of … (302) was not followed: …`",
    leavesOut: redirect,
    groups: [{
      advice:
        "Set `baseUrl` or `origins`, if [a token may go there](security.md#where-a-token-may-go), or use `AuthedHttpClient.withoutToken`.",
      messages: [
        sendingTo(
          { baseUrl: api },
          "https://b.example.com/orders"
        ),
        sendingTo(
          { origins: "any" },
          "http://b.example.com/orders"
        ),
        sendingTo(
          { origins: [api] },
          "/orders"
        )
      ]
    }, {
      advice: "Use another client than [`AuthedFetch`](integrations.md#a-fetch-function).",
      messages: [
        Effect.flatMap(
          AuthedFetch.make,
          (fetch) =>
            Effect.map(
              Effect.flip(Effect.tryPromise({ try: () => fetch("/cache", { method: "PURGE" }), catch: String })),
              String
            )
        ).pipe(Effect.provide(AuthedHttpClient.layerTest(() => new Response())))
      ]
    }, {
      advice: "Report it to the API's owner.",
      messages: [
        redirecting("/again"),
        redirecting(
          "http://api.example.com/orders"
        ),
        redirecting("https://"),
        redirecting("ftp://api.example.com/orders"),
        redirecting("https://user@api.example.com/orders")
      ]
    }]
  },
  {
    title: "Options",
    introduction:
      "An `InvalidOptions`, or Effect's `ConfigError`, when a layer is built. It names the option or variable that you wrote.",
    groups: [{
      advice: "Set the option. `alf doctor` finds misspelt variables.",
      messages: [
        endpointWith({ clientId: undefined }),
        endpointWith({ request: { params: { tenant: undefined } } }),
        nodeWith({}),
        building(
          TokenEndpoint.layerConfig({ clientId: Config.succeed(clientId), clientSecret: Config.succeed(clientSecret) })
            .pipe(Layer.provide(answering(() => token())))
        ),
        configuredBy({ ALF_TOKEN_ENDPIONT: url }),
        configuredBy({
          ...variables,
          ALF_CLIENT_AUTH: "private_key_jwt"
        })
      ]
    }, {
      advice: "Correct the value, or keep one of the two options. Read secrets with `Config.redacted`.",
      messages: [
        endpointWith({ clientId: "client-id\n" }),
        endpointWith({ clientSecret: Redacted.make(1) }),
        endpointWith({ tokenEndpoint: "/token" }),
        endpointWith({
          tokenEndpoint: "ftp://auth.example.com"
        }),
        endpointWith({
          tokenEndpoint: "http://auth.example.com/token"
        }),
        endpointWith({
          tokenEndpoint: "https://id:secret@auth.example.com/token"
        }),
        endpointWith({ tokenEndpoint: `${url}#here` }),
        discoveryWith({ clientAuth: [] }),
        discoveryWith({ issuer: `${issuer}?tenant=1` }),
        discoveryWith({
          issuer: `${issuer}/.well-known/openid-configuration`
        }),
        clientWith({ baseUrl: api, maxWait: -1 }),
        clientWith({ baseUrl: api, maxWait: "a while" }),
        clientWith({ baseUrl: api, maxWait: 0 }),
        clientWith({ baseUrl: api, capacity: 0.5 }),
        clientWith({}),
        clientWith({ origins: api }),
        clientWith({
          origins: [`${api}/orders`]
        }),
        configuredBy({
          ...variables,
          ALF_TOKEN_REQUEST_TIMEOUT: "soon"
        }),
        configuredBy({ ...variables, ALF_ALLOW_INSECURE: "yes" }),
        nodeWith({
          tokenEndpoint: url,
          metadataUrl: `${issuer}/metadata`
        }),
        nodeWith({
          tokenEndpoint: url,
          redis: { url: "redis://127.0.0.1:1" },
          tokenStore: TokenStore.layerMemory()
        }),
        configuredBy({
          ...variables,
          ALF_CLIENT_SECRET: "client-secret",
          ALF_CLIENT_SECRET_FILE: "/run/secrets/client-secret"
        }),
        configuredBy({
          ...variables,
          ALF_CLIENT_KEY_ID: "2026-11"
        }),
        configuredBy({
          ...variables,
          ALF_CLIENT_AUTH: "none",
          ALF_CLIENT_SECRET: "client-secret"
        }),
        configuredBy({ ...variables, ALF_CLIENT_AUTH: "basic" }),
        endpointWith({ clientSecret: "client-secret" })
      ]
    }, {
      advice: "Give the option a value of this type.",
      messages: [
        endpointWith({ clientAuth: "basic" }),
        endpointWith({ request: { grant: "client_credentials" } }),
        endpointWith({ request: { scope: 1 } }),
        endpointWith({ bearerTypes: "JWT" }),
        endpointWith({ headers: "accept: */*" }),
        endpointWith({ retry: 5 }),
        endpointWith({ retryWhile: true }),
        clientWith({ baseUrl: api, isRejection: 419 }),
        building(TokenStore.layer({} as never)),
        building(TokenStore.layer(new Map(), { timeToLive: "minutes" as never }))
      ]
    }, {
      advice:
        "For `layerEnv` set its [`prefix`](configuration.md#another-prefix) instead; for other layers use `ConfigProvider.mapInputPath`.",
      messages: [configuredBy(
        {
          ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [`shop.${name}`, value])),
          "shop.ALF_CLIENT_SECRET": "a,b"
        },
        "shop"
      )]
    }, {
      advice: "Make keys with `openssl rand -base64 32`.",
      messages: [
        encryptedWith(),
        encryptedWith(
          { id: "", key: key32 }
        ),
        encryptedWith(
          { id: "1", key: key32 },
          { id: "1", key: key32 }
        ),
        encryptedWith({ id: "1", key: Redacted.make("short") }),
        withoutImport(
          encryptedWith({ id: "1", key: key32 })
        )
      ]
    }, {
      advice: "Write `redis://:password@host:6379/2` or `unix:///run/redis.sock`; percent-encode the password.",
      messages: [
        redisAt("localhost"),
        redisAt("https://localhost"),
        redisWith({ url: "unix:///run/redis.sock", cluster: {} }),
        redisAt("unix://run/redis.sock"),
        redisAt("redis:///2"),
        redisAt("redis://localhost?family=6"),
        redisAt("redis://localhost/0#1"),
        redisAt("redis://app:100%@localhost"),
        redisAt("redis://localhost/tokens"),
        redisWith({
          url: "redis://localhost/2",
          cluster: {}
        }),
        withoutPackage(
          "ioredis",
          redisAt("redis://127.0.0.1:1")
        )
      ]
    }, {
      advice:
        "Write `memcached://user:password@host:11211`, and further servers after commas ([Memcached](memcached.md)).",
      messages: [
        memcachedAt("redis://localhost"),
        memcachedAt("localhost/1"),
        memcachedAt("localhost:99999"),
        memcachedAt("memcached://app@localhost"),
        memcachedAt("memcached://app:100%@localhost"),
        memcachedWith({ username: "an app", password: clientSecret }),
        memcachedWith({ username: "app" }),
        memcachedWith({ prefix: "an app:" }),
        withoutPackage("memcache", memcachedAt("127.0.0.1:1"))
      ]
    }, {
      advice: "See [SQL](sql.md). Keep one of the two variables.",
      messages: [
        building(SqlTokenStore.layerWithClient(sqlite, { table: "a table" })),
        building(Layer.provide(SqlTokenStore.layer(), silentSql("mssql"))),
        withoutPackage("@effect/sql-pg", storeAt("postgres://app@db.example.com/app")),
        storeAt("postgres://app@db.example.com/app", { ALF_STORE_PREFIX: "app:" }),
        storeAt("redis://localhost", { ALF_REDIS_URL: "redis://localhost" }),
        storeAt("http://localhost")
      ]
    }, {
      advice: "Write `http://user:50%25@proxy.example.com:3128` for the password `50%`. Check your `ConfigProvider`.",
      messages: [
        building(NodeHttp.layer()).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["HTTPS_PROXY", "socks5://proxy"]])))
        ),
        building(
          NodeHttp.layer({ proxy: "http://user:50%@proxy" })
        ),
        building(NodeHttp.layer()).pipe(
          Effect.withConfigProvider(ConfigProvider.make({
            load: () => Effect.fail(ConfigError.SourceUnavailable([], "out of order", Cause.empty)),
            flattened: ConfigProvider.fromMap(new Map()).flattened
          }))
        )
      ]
    }, {
      advice:
        "Set the text of the files or a pfx, and the passphrase. Provide `NodeHttp.layerMutualTls`. A rotation may be incomplete.",
      messages: [
        building(NodeHttp.layer({ ca: "/run/tls/ca.crt" })),
        Effect.flatMap(
          temporary,
          (directory) =>
            Effect.map(
              presenting({ certificateFile: join(directory, "tls.crt"), keyFile: join(directory, "tls.key") }),
              (message) => message.replaceAll(directory, "/run/tls")
            )
        ),
        presenting(Effect.fail("no vault")),
        presenting({ certificate: "", key: "" }),
        Effect.flatMap(
          selfSigned,
          ({ good }) => presenting({ ...good, key: Redacted.make("") })
        ),
        Effect.flatMap(
          selfSigned,
          ({ good }) => presenting({ ...good, key: Redacted.make(""), passphrase: Redacted.make("a-passphrase") })
        ),
        presenting({
          pfx: Redacted.make(new Uint8Array(8))
        }),
        Effect.flatMap(
          selfSigned,
          ({ good }) => presenting({ ...good, key: Redacted.make(rsaPem) })
        ),
        Effect.flatMap(
          selfSigned,
          ({ weak }) => presenting(weak)
        ),
        endpointWith({ clientAuth: ClientAuth.tlsClientAuth })
      ]
    }]
  },
  {
    title: "The store",
    introduction:
      "A `TokenStoreError` (`Unavailable`, `Timeout`, `InvalidEntry`) fails no request. The log has its method: `get`, `set`, `remove`, `acquireLease`, `extendLease`, `releaseLease` or `changes`. `Token store entry … counts as absent: …` and `…. Until the store is available again, tokens are cached in this process only` are left out.",
    leavesOut: store,
    groups: [{
      advice:
        "Restore the store: see [Redis](redis.md#outages), [Memcached](memcached.md) or [SQL](sql.md). Meanwhile each process requests its own token.",
      messages: [
        logging({
          store: Layer.orDie(
            RedisTokenStore.layer({ url: "redis://127.0.0.1:1", connectTimeout: hang, commandTimeout: hang })
          )
        }),
        logging({
          store: Layer.orDie(
            MemcachedTokenStore.layer({ servers: "127.0.0.1:1", connectTimeout: hang, commandTimeout: hang })
          ),
          provider: { storeTimeout: hang }
        }),
        messageOf(
          TokenStore.make({ get: () => undefined, set: () => false }).set(
            "key",
            { version: "1", payload: "a-token", timeToLive: Duration.hours(1) },
            Option.none()
          )
        ),
        last(during(logged(Effect.gen(function*() {
          let isDown = true
          const provider = yield* makeProvider({
            store: storeWith((store) => ({ get: (key) => isDown ? storeError("get") : store.get(key) }))
          })
          yield* provider.get()
          isDown = false
          yield* Effect.sleep("10 seconds")
          yield* provider.get({ scope: "another" })
        }))))
      ]
    }, {
      advice: "Check the network, or raise `storeTimeout` or `commandTimeout`.",
      messages: [
        during(
          logging({ store: storeWith(() => ({ get: () => Effect.never })) })
        ),
        during(logging({
          store: storeWith((store) => ({
            get: (key) => Effect.delay(store.get(key), "400 millis"),
            acquireLease: () => Effect.never
          }))
        })),
        Effect.flatMap(
          RedisTokenStore.fromClient(
            { evalsha: () => new Promise(() => {}), eval: () => new Promise(() => {}) },
            { commandTimeout: "10 millis" }
          ),
          (store) => messageOf(store.get("key"))
        ),
        memcachedAnswering(() => new Promise(() => {})),
        during(Effect.flatMap(
          SqlTokenStore.makeWithClient(silentSql("pg"), { notices: false }),
          (store) => messageOf(store.get("key"))
        ))
      ]
    }, {
      advice:
        "Set Memcached's user and password in `ALF_STORE_URL`, or raise its limits (`-m`, `-I`). Create the [table](sql.md#the-table).",
      messages: [
        ...[
          "CLIENT_ERROR unauthenticated",
          "CLIENT_ERROR authentication failure",
          "SERVER_ERROR object too large for cache",
          "SERVER_ERROR out of memory storing object"
        ].map((line) => memcachedAnswering(() => Promise.reject(new Error(line)))),
        Effect.flatMap(
          SqlTokenStore.makeWithClient(sqlite),
          (store) => messageOf(store.get("key"))
        )
      ]
    }, {
      advice:
        "Run the [contract](store-of-your-own.md#the-contract) against a custom store. Give the app its own `prefix`. Request less scope.",
      messages: [
        logging({
          store: storeWith(() => ({ acquireLease: () => Effect.succeed("OK" as never) }))
        }),
        logging({
          store: Layer.succeed(TokenStore.TokenStore, TokenStore.make({ get: () => "not ours", set: () => {} }))
        }),
        Effect.gen(function*() {
          const memory = yield* TokenStore.makeMemory()
          const store = yield* EncryptedTokenStore.make(memory, { keys: [{ id: "1", key: key32 }] })
          const entry = { version: "1", payload: "a".repeat(1_048_576), timeToLive: Duration.hours(1) }
          return yield* messageOf(store.set("key", entry, Option.none()))
        })
      ]
    }, {
      advice: "Ignore during a deployment.",
      messages: [
        logging({
          store: storeHolding("not ours")
        }),
        logging({
          store: encrypted(storeHolding("not ours"))
        })
      ]
    }, {
      advice:
        "Give all processes [all keys](stores-and-fleets.md#encrypted-at-rest), and check who can write to the store.",
      messages: [
        logging({
          store: encrypted(storeHolding(envelope("2026-05")))
        }),
        logging({ store: encrypted(storeHolding(envelope("2026-11"))) })
      ]
    }, {
      advice: "Allow the Redis user to [subscribe](redis.md#permissions).",
      messages: [
        Effect.gen(function*() {
          const refusal = Object.assign(
            new Error("NOPERM …"),
            {
              name: "ReplyError"
            }
          )
          const listener = {
            on: () => {},
            connect: () => Promise.resolve(),
            disconnect: () => {},
            subscribe: () => Promise.reject(refusal)
          }
          const { changes } = yield* RedisNotices.make(
            {
              client: { evalsha: () => Promise.resolve(), eval: () => Promise.resolve() },
              whyNotConnected: () => "",
              keyPrefix: "",
              listener: Effect.succeed(
                Option.some({ redis: listener as never, authenticated: () => Promise.resolve() })
              )
            },
            { prefix: "effect-alf:", commandTimeout: Duration.seconds(1) }
          )
          return yield* hearing(yield* Effect.flip(Stream.runDrain(changes)))
        }),
        last(hearing(
          new OAuthError.TokenStoreError({ method: "changes", reason: "Unavailable", description: "no connection" })
        ))
      ]
    }],
    after:
      "Correct the URL's scheme:\n\n```\n (the port may be without TLS: that is redis://)\n (the port may be for TLS: that is rediss://)\nthe server closes connections before it answers (the port may be for TLS: that is rediss://)\n```"
  },
  {
    title: "Log lines",
    introduction: "See [Telemetry](telemetry.md#log-lines). `…` is a cause to look up.",
    leavesOut: logCause,
    groups: [{
      advice: "Act before the token expires.",
      messages: [
        renewingAhead({ answer: (_, count) => count === 1 ? token() : unavailable() }),
        during(logged(Effect.gen(function*() {
          const provider = yield* makeProvider({ answer: (_, count) => count === 2 ? unavailable() : token() })
          yield* provider.get()
          for (const pause of ["59 minutes", "5 seconds", "1 second"] as const) {
            yield* Effect.sleep(pause)
            yield* provider.get()
          }
        })))
      ]
    }, {
      advice: "Act now: calls fail.",
      messages: [
        logged(calling(
          { baseUrl: api },
          "/orders",
          (address, count) =>
            address !== url ? new Response(null, { status: 401 }) : count === 1 ? token() : unavailable()
        )),
        logging({ answer: unavailable }),
        during(logged(Effect.gen(function*() {
          const provider = yield* makeProvider({ answer: (_, count) => count === 1 ? unavailable() : token() })
          yield* Effect.exit(provider.get())
          yield* Effect.sleep("5 seconds")
          yield* provider.get()
          yield* Effect.sleep("1 second")
        })))
      ]
    }, {
      advice: "Correct your `TokenEndpoint`. `status` has the reason `Defect`.",
      messages: [Effect.suspend(() => {
        let attempts = 0
        return renewingAhead({
          custom: {
            attempt: () =>
              Effect.suspend(() =>
                ++attempts > 1 ? Effect.die("a defect") : Effect.flatMap(
                  TokenEndpoint.make(client).pipe(Effect.provide(answering(() => token())), Effect.orDie),
                  (endpoint) => endpoint.attempt(endpoint.resolve())
                )
              )
          }
        })
      })]
    }, {
      advice: "Check the issuer, or report it to the server's owner. `defaultLifetime` replaces `expires_in`.",
      messages: [
        rediscovering,
        logged(
          discovering(() => metadata({ token_endpoint_auth_methods_supported: ["client_secret_jwt"] }), {
            clientAuth: ClientAuth.privateKeyJwt({ key: Redacted.make(rsaPem) })
          })
        ),
        logged(
          discovering(() => metadata({ dpop_signing_alg_values_supported: ["ES256"] }), {
            dpop: DPoP.generate({ algorithm: "EdDSA" })
          })
        ),
        logged(Effect.gen(function*() {
          const endpoint = yield* Effect.provide(
            TokenEndpoint.make(client),
            answering(() => token({ expires_in: "soon" }))
          )
          yield* endpoint.attempt(endpoint.resolve())
        })),
        Effect.scoped(logged(Effect.gen(function*() {
          const server = yield* AuthorizationServer.make({ issuer }).pipe(
            Effect.provide(answering(() => metadata({ grant_types_supported: "all" })))
          )
          yield* server.metadata
        })))
      ]
    }, {
      advice: "Set `shareTokens: false`, or use one scope and one store per client.",
      messages: [
        during(logged(Effect.gen(function*() {
          const memory = yield* TokenStore.makeMemory({ sharing: TokenStore.byTurns })
          const store = Layer.succeed(TokenStore.TokenStore, memory)
          let issued = 0
          const answer = () => token({ access_token: `token-${++issued}` })
          const ours = yield* makeProvider({ answer, store })
          const theirs = yield* makeProvider({ answer, store })
          yield* theirs.get()
          for (let round = 0; round < 2; round++) {
            const adopted = yield* ours.get(undefined, api)
            const own = yield* ours.renew(adopted, undefined, api)
            yield* ours.report(own, "accepted", undefined, api)
            yield* Effect.sleep("2 seconds")
            yield* theirs.renew(yield* theirs.get(undefined, api), undefined, api)
            yield* Effect.sleep("2 seconds")
          }
        }))),
        during(logged(Effect.gen(function*() {
          let issued = 0
          const provider = yield* makeProvider({ answer: () => token({ access_token: `token-${++issued}` }) })
          for (let round = 0; round < 4; round++) {
            const held = yield* provider.get(undefined, api)
            yield* provider.report(held, "accepted", undefined, api)
            yield* Effect.sleep("30 seconds")
            yield* provider.renew(held, undefined, api)
          }
        })))
      ]
    }, {
      advice: "Ignore if rare: `TokenRevocation.onClose` failed.",
      messages: [revoking(() => Effect.never), revoking(() => Effect.fail("no connection"))]
    }, {
      advice: "Check the files, or the `refresh` of your `ClientCertificate`.",
      messages: [rotating, refreshingCertificate]
    }]
  }
]
