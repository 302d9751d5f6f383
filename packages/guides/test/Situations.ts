/** How each message of the page comes about: the real code in the situation that the page describes. */
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
import { NodeAuthedHttpClient, NodeHttp, RedisTokenStore } from "@effect-alf/node"
import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import {
  Cause,
  Chunk,
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

/** Brings the message, or the lines of the log, that the page shows a part of. */
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
const asking = (answer: () => Response | Error, options: Partial<TokenEndpoint.Options> = {}): Situation =>
  TokenEndpoint.make({ ...client, ...options }).pipe(
    Effect.flatMap((endpoint) => endpoint.attempt(endpoint.resolve())),
    messageOf,
    Effect.provide(answering(answer))
  )

const refused = (error: string, status = 400, more: Record<string, string> = {}) =>
  asking(() => json({ error, ...more }, status))

const issuing = (fields: Record<string, unknown>, options?: Partial<TokenEndpoint.Options>) =>
  asking(() => token(fields), options)

const failing = (message: string, code?: string) =>
  asking(() => Object.assign(new Error(message), code === undefined ? {} : { code }))

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

const granting = (grant: Grant.Grant) => asking(() => token(), { request: { grant } })

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

/** Those that change what all others use. */
export const alone = new Set<Situation>()

const runAlone = (situation: Situation): Situation => {
  alone.add(situation)
  return situation
}

/** While the effect runs, WebCrypto imports no key. */
const withoutPackage = (name: string, effect: Situation): Situation =>
  runAlone(Effect.acquireUseRelease(
    Effect.sync(() =>
      vi.doMock(name, () => {
        throw new Error(`Cannot find package '${name}'`)
      })
    ),
    () => effect,
    () => Effect.sync(() => vi.doUnmock(name))
  ))

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
    Effect.map((error) => "message" in error ? error.message : String(error)),
    Effect.withConfigProvider(prefix === undefined ? provider : ConfigProvider.nested(provider, prefix)),
    Effect.provide(NodeFileSystem.layer)
  )
}

const variables = { ALF_TOKEN_ENDPOINT: url, ALF_CLIENT_ID: clientId, ALF_BASE_URL: api }

const encryptedWith = (...keys: ReadonlyArray<object>): Situation =>
  building(TokenStore.layerMemory().pipe(EncryptedTokenStore.layer({ keys } as never)))

const redisWith = (options: RedisTokenStore.Options): Situation => building(RedisTokenStore.layer(options))

const redisAt = (url: string) => redisWith({ url })

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

const logged = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      lines.push([message].flat().join(" "))
    })
    return effect.pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All),
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
    Effect.provide(Layer.merge(store, answering(answer)))
  )

const providing = (world: World): Situation => messageOf(Effect.flatMap(makeProvider(world), (it) => it.get()))

const providingDuring = (world: World): Situation => during(providing(world))

const telling = (world: World) => logged(Effect.exit(Effect.flatMap(makeProvider(world), (it) => it.get())))

/** A store in memory, some of whose methods are others. */
const storeWith = (
  change: (store: TokenStore.TokenStore["Type"]) => Partial<TokenStore.TokenStore["Type"]>,
  sharing: TokenStore.Sharing = TokenStore.lastWriteWins
) =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(Effect.orDie(TokenStore.makeMemory({ sharing })), (store) => ({ ...store, ...change(store) }))
  )

/** That another process asks, without the lease. */
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

/** Listens to a store that tells of no changes at first, and then does. */
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

/** Asks for tokens with a certificate that cannot be read anew, and then can be. */
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

/** By the section of the page, and then by what it shows. */
export const situations: Readonly<Record<string, Situation>> = {
  // The server says no
  "answered 401 invalid_client: no such client": refused("invalid_client", 401, {
    error_description: "no such client"
  }),
  "answered 400 invalid_grant": refused("invalid_grant"),
  "answered 400 invalid_grant: revoked. A refresh token that was used, was revoked or has expired stays invalid: obtain a new one, and make another RefreshTokenGrant with it":
    providing({ ...refreshing, answer: () => json({ error: "invalid_grant", error_description: "revoked" }, 400) }),
  "answered 400 invalid_scope": refused("invalid_scope"),
  "answered 400 unauthorized_client": refused("unauthorized_client"),
  "answered 400 unsupported_grant_type": refused("unsupported_grant_type"),
  "answered 400 invalid_request: audience is required, see https://auth.example.com/errors": refused(
    "invalid_request",
    400,
    { error_description: "audience is required", error_uri: "https://auth.example.com/errors" }
  ),
  "answered 400 invalid_target": refused("invalid_target"),
  "answered 400 invalid_dpop_proof": refused("invalid_dpop_proof"),
  "answered 400 use_dpop_nonce": refused("use_dpop_nonce"),
  "answered 503 temporarily_unavailable": refused("temporarily_unavailable", 503),

  // Another status
  "answered 404: no OAuth error in a body of 9 characters (text/plain)": asking(() =>
    text("not found", 404, "text/plain")
  ),
  "answered 404: no OAuth error in an empty body. No metadata was found for this issuer: check the issuer, or give the address of its metadata (metadataUrl)":
    discovering(() => new Response(null, { status: 404 })),
  "answered 403: no OAuth error in an empty body": asking(() => new Response(null, { status: 403 })),
  "answered 304: no OAuth error in an empty body": asking(() => new Response(null, { status: 304 })),
  "answered 403: no OAuth error in a body of 18 characters (text/html)": asking(() => page(403)),
  "answered 429: no OAuth error in an empty body": asking(() => new Response(null, { status: 429 })),
  "answered 502: no OAuth error in a body of 18 characters (text/html)": asking(() => page(502)),

  // A redirect
  "answered 302: a redirect, which is not followed": asking(() =>
    new Response(null, { status: 302, headers: { location: `${issuer}/login` } })
  ),

  // No answer
  "/token: connect ECONNREFUSED 127.0.0.1:443": failing("connect ECONNREFUSED 127.0.0.1:443", "ECONNREFUSED"),
  "/token: getaddrinfo ENOTFOUND auth.example.com": failing("getaddrinfo ENOTFOUND auth.example.com", "ENOTFOUND"),
  "/token: UND_ERR_CONNECT_TIMEOUT Connect Timeout Error": failing("Connect Timeout Error", "UND_ERR_CONNECT_TIMEOUT"),
  "/token: self-signed certificate in certificate chain": failing("self-signed certificate in certificate chain"),
  "/token: certificate has expired": failing("certificate has expired"),
  "/token: read ECONNRESET": failing("read ECONNRESET", "ECONNRESET"),
  "/token: UND_ERR_SOCKET other side closed": failing("other side closed", "UND_ERR_SOCKET"),
  "/token: no answer within 8s": during(asking(() => new Response(new ReadableStream()))),
  "/token: no client_secret_basic credentials within 8s": during(asking(() => token(), { clientSecret: Effect.never })),

  // The answer is of no use
  "answered 200: no valid JSON in a body of 18 characters (text/html)": asking(() => page(200)),
  "answered 200: no valid JSON in a body of 3 characters (application/json, gzip though identity was requested)":
    asking(
      () => new Response("...", { headers: { "content-type": "application/json", "content-encoding": "gzip" } })
    ),
  "answered 200: the JSON is not an object": asking(() => json([])),
  "answered 200: access_token is missing": asking(() => json({})),
  "answered 200: access_token is not a string": issuing({ access_token: 1 }),
  "answered 200: access_token is empty": issuing({ access_token: "" }),
  "answered 200: access_token is longer than 65536 characters": issuing({ access_token: "a".repeat(65_537) }),
  "answered 200: access_token contains characters that no token may have": issuing({ access_token: "a\nb" }),
  "answered 200: token_type is \"mac\", which this client does not know (bearerTypes)": issuing({ token_type: "mac" }),
  "answered 200: token_type is \"DPoP\", which was not requested": issuing({ token_type: "DPoP" }),
  "answered 200: token_type is not DPoP": issuing({ token_type: "Bearer" }, { dpop: DPoP.generate() }),
  "answered 200: the token is the same as before, and it has expired": during(
    Effect.flatMap(
      makeProvider({ answer: (_, count) => token({ expires_in: count === 1 ? 10 : 0 }) }),
      (it) => Effect.zipRight(Effect.zipRight(it.get(), Effect.sleep("10 seconds")), messageOf(it.get()))
    )
  ),
  "answered 200: error is not a string": asking(() => json({ error: 1 })),
  "answered 200: the body is larger than 262144 bytes (maxResponseBytes)": asking(() =>
    text(" ".repeat(262_145), 200, "application/json")
  ),
  "answered 200: issuer is https://b.example.com, not https://auth.example.com": discovering(() =>
    metadata({ issuer: "https://b.example.com" })
  ),
  "answered 200: issuer is https://auth.example.com/, not https://auth.example.com: they differ in the slash at the end":
    discovering(() => metadata({ issuer: `${issuer}/` })),
  "answered 200: issuer is https://auth.example.com , not https://auth.example.com: they differ in white space":
    discovering(() => metadata({ issuer: `${issuer} ` })),
  "answered 200: issuer is missing": discovering(() => json({})),
  "answered 200: token_endpoint is missing": discovering(() => json({ issuer })),
  "answered 200: token_endpoint is not an absolute URL": discovering(() => metadata({ token_endpoint: "/token" })),
  "answered 200: token_endpoint is http, and the issuer https": discovering(() =>
    metadata({ token_endpoint: "http://localhost/token" })
  ),
  "answered 200: active is not true or false": introspecting({ active: "yes" }),
  "answered 200: aud is neither a string nor a list of them": introspecting({ active: true, aud: 1 }),
  "answered 200: cnf is not an object": introspecting({ active: true, cnf: "key" }),

  // The credentials
  "the client_secret_basic credentials are unavailable": proving(ClientAuth.clientSecretBasic(Effect.fail("no vault"))),
  "the client_secret_basic credentials are empty": proving(
    ClientAuth.clientSecretBasic(Effect.succeed(Redacted.make(" ")))
  ),
  "the client_secret_basic credentials are unavailable: the file /run/secrets/client-secret cannot be read: NotFound":
    readingSecret(undefined),
  "the client_secret_basic credentials are unavailable: the file /run/secrets/client-secret is empty": readingSecret(
    "\n"
  ),
  "the client_secret_basic credentials are unavailable: Service not found: @effect/platform/FileSystem": proving(
    ClientAuth.clientSecretBasic(ClientAuth.secretFile("/run/secrets/client-secret")) as ClientAuth.ClientAuth
  ),
  "the client_secret_basic credentials are unavailable: the client secret contains a line break or another control character":
    proving(ClientAuth.clientSecretBasic(Redacted.make("s3cr3t\n"))),
  "the client id contains a colon, which must be encoded: leave raw out": asking(() => token(), {
    clientId: "client:id",
    clientAuth: ClientAuth.clientSecretBasic(clientSecret, { raw: true })
  }),
  "audience: \"issuer\" needs the issuer, which is not known": withKey(rsaPem, { audience: "issuer" }),
  "the parameters of the grant urn:ietf:params:oauth:grant-type:jwt-bearer are unavailable": granting(
    Grant.jwtBearer({ id: "robot", read: () => Effect.fail("no vault") })
  ),
  "the parameters of the grant urn:ietf:params:oauth:grant-type:jwt-bearer are empty": granting(
    Grant.jwtBearer({ id: "robot", read: () => Effect.succeed(Redacted.make("")) })
  ),
  "the server supports private_key_jwt; the client has client_secret_basic, client_secret_post, client_secret_jwt":
    discovering(() => metadata({ token_endpoint_auth_methods_supported: ["private_key_jwt"] })),
  "the server supports \"none\" (public clients); the client has client_secret_basic, client_secret_post, client_secret_jwt":
    discovering(() => metadata({ token_endpoint_auth_methods_supported: ["none"] })),
  "the server supports no authentication method; the client has client_secret_basic, client_secret_post, client_secret_jwt":
    discovering(() => metadata({ token_endpoint_auth_methods_supported: [] })),

  // Keys
  "the key is missing, empty, or not made by Redacted.make": signing("not redacted"),
  "the key is unavailable": proving(ClientAuth.privateKeyJwt({ key: Effect.fail("no vault") })),
  "the certificate is unavailable": withKey(rsaPem, { certificate: Effect.fail("no vault") }),
  "the key is neither PEM (PKCS#8) nor a JWK": withKey("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
  "the PEM has no complete block BEGIN PRIVATE KEY": withKey("-----BEGIN PRIVATE KEY-----\nAAAA"),
  "the PEM is PKCS#1 (RSA PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt": withKey(pem(rsa, "pkcs1")),
  "the PEM is SEC1 (EC PRIVATE KEY): convert it with openssl pkcs8 -topk8 -nocrypt": withKey(pem(ec, "sec1")),
  "the PEM is encrypted: decrypt it with openssl pkcs8": withKey(block("ENCRYPTED PRIVATE KEY")),
  "the PEM is in OpenSSH's own format: convert it with ssh-keygen -p -m PKCS8": withKey(block("OPENSSH PRIVATE KEY")),
  "the PEM is a public key, without its private part": withKey(block("PUBLIC KEY")),
  "the PEM is a certificate, without its private key": withKey(block("CERTIFICATE")),
  "the PEM is damaged, or its key is not one of RSA, EC (P-256, P-384, P-521) or Ed25519": withKey(
    block("PRIVATE KEY")
  ),
  "the JWK has no kty": withJwk({}),
  "the key is a JWK Set: give one of its keys": withJwk({ keys: [] }),
  "the JWK is a public key, without its private part": withJwk(jwk(createPublicKey(ec))),
  "the JWK is damaged or incomplete": withJwk({ ...jwk(ec), d: "AAAA" }),
  "the alg of the JWK is not a signature algorithm": withJwk({ ...jwk(rsa), alg: "RSA-OAEP" }),
  "the use or key_ops of the JWK do not allow it to sign": withJwk({ ...jwk(ec), use: "enc" }),
  "the type of the key is not one of RSA, EC (P-256, P-384, P-521) or Ed25519": withJwk({
    kty: "EC",
    crv: "secp256k1"
  }),
  "the key is an RSA key, but ES256 needs an EC key on P-256": withKey(rsaPem, { algorithm: "ES256" }),
  "the key is too small: RSA needs 2048 bits, it has 1024": withKey(pem(small)),
  "the secret is too short: HS256 needs 32 bytes, it has 6": proving(
    ClientAuth.clientSecretJwt(Redacted.make("secret"))
  ),
  "the algorithm is unknown": withKey(rsaPem, { algorithm: "RS999" as never }),
  "this runtime cannot make a key for ES999": binding(DPoP.generate({ algorithm: "ES999" as never })),
  "the key is a shared secret, which cannot sign a proof": binding(
    DPoP.fromKey(Redacted.make({ kty: "oct", k: "A".repeat(43) }))
  ),
  "the certificate is neither PEM nor DER": withKey(rsaPem, { certificate: "a certificate" }),
  "the secret cannot be used": withoutImport(proving(ClientAuth.clientSecretJwt(Redacted.make("s".repeat(32))))),
  "the claims are not JSON": withKey(rsaPem, { claims: { n: 1n } }),
  "the option lifetime must be longer than zero": withKey(rsaPem, { lifetime: 0 }),
  "WebCrypto is missing (browsers have it on https)": withoutCrypto(withKey(rsaPem)),
  "the package jose, which signs, could not be loaded": withoutPackage("jose", withKey(rsaPem)),

  // The provider
  "The token provider is closed, as the scope of its layer is": Effect.flatMap(
    Effect.scoped(makeProvider()),
    (closed) => messageOf(closed.get())
  ),
  "No token within 10s: attempt 1 at https://auth.example.com/token is still running after 10s": providingDuring({
    custom: { attempt: () => Effect.never }
  }),
  "No token within 10s: another process is requesting a token from https://auth.example.com/token, and has not stored one after 10s":
    providingDuring({
      store: storeWith((store) => ({
        acquireLease: () => Effect.succeed(false),
        get: (key) => key.endsWith("#claim") ? Effect.succeedSome(claim) : store.get(key)
      }), TokenStore.byTurns)
    }),
  "No token within maxWait: another process has failed, and no process requests a token again within this time": Effect
    .flatMap(
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
  "No token within 10s: another renewal is sending the same refresh token to https://auth.example.com/token":
    providingDuring({
      ...refreshing,
      store: storeWith((store) => ({
        acquireLease: (key, ...rest) => isRefreshKey(key) ? Effect.succeed(false) : store.acquireLease(key, ...rest)
      }))
    }),
  "The refresh token cannot be used: it is kept in the store, and TokenProvider.shareTokens is false": providing({
    ...refreshing,
    provider: { shareTokens: false }
  }),
  "The refresh token cannot be used: Token store, acquireLease: no connection": providing({
    ...refreshing,
    store: storeWith((store) => ({
      acquireLease: (key, ...rest) => isRefreshKey(key) ? storeError("acquireLease") : store.acquireLease(key, ...rest)
    }))
  }),
  "The refresh token cannot be used: its successor is not in the token store yet. Token store, set: no connection":
    providingDuring({
      ...refreshing,
      store: storeWith((store) => ({
        set: (key, ...rest) => isRefreshKey(key) ? storeError("set") : store.set(key, ...rest)
      }))
    }),
  "The refresh token cannot be used: another process has written entry … of the token store": during(
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
  "The refresh token cannot be used: entry … of the token store cannot be read by this version": providing({
    ...refreshing,
    store: storeHolding("not ours")
  }),
  "The refresh token cannot be used: another process has the lease": providingDuring({
    ...refreshing,
    provider: { storeTimeout: "10 seconds", maxWait: "1 minute" },
    store: storeWith((store) => ({
      get: (key) => isRefreshKey(key) ? Effect.delay(store.get(key), "3 seconds") : store.get(key),
      extendLease: () => Effect.succeed(false)
    }))
  }),
  "The refresh token cannot be used: the endpoint has not answered within 9s": providingDuring({
    ...refreshing,
    custom: { attempt: () => Effect.never },
    provider: { maxWait: "1 minute" }
  }),

  // A token was not sent
  "A token was not sent to https://b.example.com: allowed are https://api.example.com": sendingTo(
    { baseUrl: api },
    "https://b.example.com/orders"
  ),
  "A token was not sent to http://b.example.com: allowed are any https origin": sendingTo(
    { origins: "any" },
    "http://b.example.com/orders"
  ),
  "A token was not sent to an address without an origin: allowed are https://api.example.com": sendingTo(
    { origins: [api] },
    "/orders"
  ),

  "The method PURGE is not supported": Effect.flatMap(
    AuthedFetch.make,
    (fetch) =>
      Effect.map(
        Effect.flip(Effect.tryPromise({ try: () => fetch("/cache", { method: "PURGE" }), catch: String })),
        String
      )
  ).pipe(Effect.provide(AuthedHttpClient.layerTest(() => new Response()))),

  // A redirect was not followed
  "A redirect of https://api.example.com (302) was not followed: it is one more than the 10 that are followed":
    redirecting("/again"),
  "was not followed: it leads to http://api.example.com, which is not protected": redirecting(
    "http://api.example.com/orders"
  ),
  "was not followed: its Location is not a URL": redirecting("https://"),
  "was not followed: its Location is not an http address": redirecting("ftp://api.example.com/orders"),
  "was not followed: its Location contains credentials": redirecting("https://user@api.example.com/orders"),

  // An option is wrong
  "TokenEndpoint.clientId is missing": endpointWith({ clientId: undefined }),
  "TokenEndpoint.clientId is empty": endpointWith({ clientId: "" }),
  "TokenEndpoint.clientId contains a line break or another control character": endpointWith({
    clientId: "client-id\n"
  }),
  "TokenEndpoint.clientSecret must be made by Redacted.make": endpointWith({ clientSecret: "client-secret" }),
  "TokenEndpoint.clientSecret is not a string": endpointWith({ clientSecret: Redacted.make(1) }),
  "TokenEndpoint.tokenEndpoint is not an absolute URL": endpointWith({ tokenEndpoint: "/token" }),
  "TokenEndpoint.tokenEndpoint must be an https URL, not ftp:": endpointWith({
    tokenEndpoint: "ftp://auth.example.com"
  }),
  "TokenEndpoint.tokenEndpoint is http to auth.example.com: use https, or set allowInsecure": endpointWith({
    tokenEndpoint: "http://auth.example.com/token"
  }),
  "TokenEndpoint.tokenEndpoint must not hold credentials": endpointWith({
    tokenEndpoint: "https://id:secret@auth.example.com/token"
  }),
  "TokenEndpoint.tokenEndpoint must not have a fragment": endpointWith({ tokenEndpoint: `${url}#here` }),
  "TokenEndpoint.request.params.tenant is missing": endpointWith({ request: { params: { tenant: undefined } } }),
  "TokenEndpoint.request.scope is not a string or a list of strings": endpointWith({ request: { scope: 5 } }),
  "TokenEndpoint.request.grant is not one of those that Grant has": endpointWith({ request: { grant: "jwt" } }),
  "TokenEndpoint.bearerTypes is not a list of strings": endpointWith({ bearerTypes: "mac" }),
  "TokenEndpoint.headers is not a record of headers": endpointWith({ headers: "x-tenant: t1" }),
  "TokenEndpoint.retry is not a Schedule": endpointWith({ retry: 5 }),
  "TokenEndpoint.retryWhile is not a function": endpointWith({ retryWhile: true }),
  "TokenEndpoint.clientAuth is not one of those that ClientAuth has": endpointWith({
    clientAuth: "client_secret_post"
  }),
  "TokenEndpoint.dpop provides no key: the key is a shared secret, which cannot sign a proof": endpointWith({
    dpop: DPoP.fromKey(Redacted.make({ kty: "oct", k: "A".repeat(43) }))
  }),
  "TokenEndpoint.clientAuth tls_client_auth: what its tokens are bound to is not known: Service not found: @effect-alf/core/ClientCertificate":
    endpointWith({ clientAuth: ClientAuth.tlsClientAuth }),
  "TokenEndpoint.clientAuth is an empty list": discoveryWith({ clientAuth: [] }),
  "TokenEndpoint.issuer must not have a query": discoveryWith({ issuer: `${issuer}?tenant=1` }),
  "TokenEndpoint.issuer is the address of the metadata: give the issuer that the metadata names": discoveryWith({
    issuer: `${issuer}/.well-known/openid-configuration`
  }),
  "TokenProvider.maxWait is negative": clientWith({ baseUrl: api, maxWait: -1 }),
  "TokenProvider.maxWait is not a duration": clientWith({ baseUrl: api, maxWait: "a while" }),
  "TokenProvider.maxWait must be longer than zero": clientWith({ baseUrl: api, maxWait: 0 }),
  "TokenProvider.capacity must be a whole number above zero": clientWith({ baseUrl: api, capacity: 0.5 }),
  "AuthedHttpClient.origins is missing: say where tokens may go, or give a baseUrl": clientWith({}),
  "AuthedHttpClient.origins must be a list of origins or \"any\"": clientWith({ origins: api }),
  "AuthedHttpClient.origins takes origins, without a path: https://api.example.com": clientWith({
    origins: [`${api}/orders`]
  }),
  "AuthedHttpClient.baseUrl must not have a query": clientWith({ baseUrl: `${api}?v=1` }),
  "NodeAuthedHttpClient.tokenEndpoint is missing, and issuer as well: give one of them": nodeWith({}),
  "NodeAuthedHttpClient.metadataUrl and tokenEndpoint are both given: with an endpoint no metadata is read": nodeWith({
    tokenEndpoint: url,
    metadataUrl: `${issuer}/metadata`
  }),
  "NodeAuthedHttpClient.tokenStore and redis are both given: one of them holds the tokens": nodeWith({
    tokenEndpoint: url,
    redis: { url: "redis://127.0.0.1:1" },
    tokenStore: TokenStore.layerMemory()
  }),

  // From the environment
  "ALF_TOKEN_ENDPOINT or ALF_ISSUER is not set": configuredBy({}),
  "ALF_CLIENT_ID is empty": configuredBy({ ...variables, ALF_CLIENT_ID: "" }),
  "ALF_TOKEN_REQUEST_TIMEOUT is not a duration, such as \"10 seconds\" or \"500 millis\"": configuredBy({
    ...variables,
    ALF_TOKEN_REQUEST_TIMEOUT: "soon"
  }),
  "ALF_ALLOW_INSECURE is neither true nor false": configuredBy({ ...variables, ALF_ALLOW_INSECURE: "yes" }),
  "ALF_CLIENT_AUTH is not one of client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, none":
    configuredBy({ ...variables, ALF_CLIENT_AUTH: "basic" }),
  "ALF_CLIENT_SECRET and ALF_CLIENT_SECRET_FILE are both set: the client authenticates with one of them": configuredBy({
    ...variables,
    ALF_CLIENT_SECRET: "client-secret",
    ALF_CLIENT_SECRET_FILE: "/run/secrets/client-secret"
  }),
  "ALF_CLIENT_KEY_ID is set without ALF_CLIENT_KEY_FILE: a secret has no key id": configuredBy({
    ...variables,
    ALF_CLIENT_KEY_ID: "2026-11"
  }),
  "ALF_CLIENT_AUTH is none, which contradicts ALF_CLIENT_SECRET": configuredBy({
    ...variables,
    ALF_CLIENT_AUTH: "none",
    ALF_CLIENT_SECRET: "client-secret"
  }),
  "ALF_CLIENT_AUTH is private_key_jwt, which needs ALF_CLIENT_KEY_FILE": configuredBy({
    ...variables,
    ALF_CLIENT_AUTH: "private_key_jwt"
  }),
  "contains a comma, where ConfigProvider.nested splits it: use mapInputPath": configuredBy(
    {
      ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [`shop.${name}`, value])),
      "shop.ALF_CLIENT_SECRET": "a,b"
    },
    "shop"
  ),

  // Keys of an encrypted store
  "EncryptedTokenStore.keys must contain at least one key": encryptedWith(),
  "EncryptedTokenStore.keys[0].id must be 1 to 64 ASCII letters, digits or any of . _ : / -": encryptedWith(
    { id: "", key: key32 }
  ),
  "EncryptedTokenStore.keys[1].id is also the id of another key": encryptedWith(
    { id: "1", key: key32 },
    { id: "1", key: key32 }
  ),
  "EncryptedTokenStore.keys[0].key is not 32 bytes of base64": encryptedWith({ id: "1", key: Redacted.make("short") }),
  "EncryptedTokenStore.keys[0].key cannot be used here: WebCrypto is missing (browsers have it on https)":
    withoutImport(
      encryptedWith({ id: "1", key: key32 })
    ),

  // Redis
  "RedisTokenStore.url is not a URL": redisAt("localhost"),
  "RedisTokenStore.url must begin with redis://, rediss:// or unix:///": redisAt("https://localhost"),
  "RedisTokenStore.url is a socket, which a cluster does not have": redisWith({
    url: "unix:///run/redis.sock",
    cluster: {}
  }),
  "RedisTokenStore.url has a host before the path of its socket": redisAt("unix://run/redis.sock"),
  "RedisTokenStore.url has no host": redisAt("redis:///2"),
  "RedisTokenStore.url must not have a query: give these options in redis": redisAt("redis://localhost?family=6"),
  "RedisTokenStore.url must not have a fragment: # in a password is %23": redisAt("redis://localhost/0#1"),
  "RedisTokenStore.url has credentials that are not percent-encoded": redisAt("redis://app:100%@localhost"),
  "RedisTokenStore.url has a path that is not the number of a database": redisAt("redis://localhost/tokens"),
  "RedisTokenStore.url names a database, but a cluster has only database 0": redisWith({
    url: "redis://localhost/2",
    cluster: {}
  }),
  "RedisTokenStore needs the package ioredis, which could not be loaded (npm install ioredis): …": withoutPackage(
    "ioredis",
    redisAt("redis://127.0.0.1:1")
  ),

  // The HTTP client and its certificate
  "NodeHttp.proxy is not an http or https URL": building(NodeHttp.layer({ proxy: "socks5://proxy" })),
  "NodeHttp.proxy from HTTPS_PROXY is not an http or https URL": building(NodeHttp.layer()).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["HTTPS_PROXY", "socks5://proxy"]])))
  ),
  "NodeHttp.proxy has credentials that are not percent-encoded": building(
    NodeHttp.layer({ proxy: "http://user:50%@proxy" })
  ),
  "NodeHttp.proxy from HTTP_PROXY cannot be read": building(NodeHttp.layer()).pipe(
    Effect.withConfigProvider(ConfigProvider.make({
      load: () => Effect.fail(ConfigError.SourceUnavailable([], "out of order", Cause.empty)),
      flattened: ConfigProvider.fromMap(new Map()).flattened
    }))
  ),
  "NodeHttp.ca contains no PEM certificate": building(NodeHttp.layer({ ca: "/run/tls/ca.crt" })),
  "NodeHttp.certificate.certificateFile /run/tls/tls.crt cannot be read: ENOENT": Effect.flatMap(
    temporary,
    (directory) =>
      Effect.map(
        presenting({ certificateFile: join(directory, "tls.crt"), keyFile: join(directory, "tls.key") }),
        (message) => message.replace(directory, "/run/tls")
      )
  ),
  "NodeHttp.certificate is unavailable: the effect failed": presenting(Effect.fail("no vault")),
  "NodeHttp.certificate has neither files, nor certificate and key, nor a pfx": presenting({
    certificate: "",
    key: ""
  }),
  "NodeHttp.certificate.certificate contains no PEM certificate": presenting({
    certificate: "",
    key: Redacted.make(rsaPem)
  }),
  "NodeHttp.certificate.key contains no PEM private key, or one that needs a passphrase": Effect.flatMap(
    selfSigned,
    ({ good }) => presenting({ ...good, key: Redacted.make("") })
  ),
  "NodeHttp.certificate.key contains no PEM private key for this passphrase": Effect.flatMap(
    selfSigned,
    ({ good }) => presenting({ ...good, key: Redacted.make(""), passphrase: Redacted.make("a-passphrase") })
  ),
  "NodeHttp.certificate.key is the key of another certificate": Effect.flatMap(
    selfSigned,
    ({ good }) => presenting({ ...good, key: Redacted.make(rsaPem) })
  ),
  "NodeHttp.certificate.certificate cannot be presented in TLS": Effect.flatMap(
    selfSigned,
    ({ weak }) => presenting(weak)
  ),
  "NodeHttp.certificate.pfx is not a PKCS#12 archive, or the passphrase is wrong": presenting({
    pfx: Redacted.make(new Uint8Array(8))
  }),

  // The store
  "Token store, get: Redis is not connected: connect ECONNREFUSED 127.0.0.1:1. Until the store is available again, tokens are cached in this process only":
    telling({ store: Layer.orDie(RedisTokenStore.layer({ url: "redis://127.0.0.1:1", commandTimeout: hang })) }),
  "Token store, get: no answer within 500ms. Until the store is available again, tokens are cached in this process only":
    during(
      telling({ store: storeWith(() => ({ get: () => Effect.never })) })
    ),
  "Token store, acquireLease: the calls for one token took more than 500ms. Until the store is available again, tokens are cached in this process only":
    during(telling({
      store: storeWith((store) => ({
        get: (key) => Effect.delay(store.get(key), "400 millis"),
        acquireLease: () => Effect.never
      }))
    })),
  "Token store, get: Redis gave no answer within 10ms": Effect.flatMap(
    RedisTokenStore.fromClient(
      { evalsha: () => new Promise(() => {}), eval: () => new Promise(() => {}) },
      { commandTimeout: "10 millis" }
    ),
    (store) => messageOf(store.get("key"))
  ),
  "Token store, acquireLease: it returned neither true nor false": telling({
    store: storeWith(() => ({ acquireLease: () => Effect.succeed("OK" as never) }))
  }),
  "Token store is available again": during(logged(Effect.gen(function*() {
    let isDown = true
    const provider = yield* makeProvider({
      store: storeWith((store) => ({ get: (key) => isDown ? storeError("get") : store.get(key) }))
    })
    yield* provider.get()
    isDown = false
    yield* Effect.sleep("10 seconds")
    yield* provider.get({ scope: "another" })
  }))),
  "Token store entry … counts as absent: the entry was not written by this library; it will be replaced": telling({
    store: Layer.succeed(TokenStore.TokenStore, TokenStore.make({ get: () => "not ours", set: () => {} }))
  }),
  "Token store entry … counts as absent: it holds no token that this version can read": telling({
    store: storeHolding("not ours")
  }),
  "Token store entry … counts as absent: it is not encrypted, or not in a way that this version knows": telling({
    store: encrypted(storeHolding("not ours"))
  }),
  "Token store entry … counts as absent: it is encrypted with the key 2026-05, which is not one of the configured keys":
    telling({
      store: encrypted(storeHolding(envelope("2026-05")))
    }),
  "Token store entry … counts as absent: it was tampered with, moved here, or encrypted with another key named 2026-11":
    telling({ store: encrypted(storeHolding(envelope("2026-11"))) }),
  "Token store, set: encrypted, the entry would be longer than 1048576 characters": Effect.gen(function*() {
    const memory = yield* TokenStore.makeMemory()
    const store = yield* EncryptedTokenStore.make(memory, { keys: [{ id: "1", key: key32 }] })
    const entry = { version: "1", payload: "a".repeat(1_048_576), timeToLive: Duration.hours(1) }
    return yield* messageOf(store.set("key", entry, Option.none()))
  }),
  "Token store, changes: Redis refuses a subscription to effect-alf:changes: NOPERM …. Tokens of other processes are read from the store when they are needed":
    Effect.gen(function*() {
      const refusal = Object.assign(new Error("NOPERM this user has no permissions to access one of the channels"), {
        name: "ReplyError"
      })
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
          listener: Effect.succeed(Option.some(listener as never))
        },
        { prefix: "effect-alf:", commandTimeout: Duration.seconds(1) }
      )
      return yield* hearing(yield* Effect.flip(Stream.runDrain(changes)))
    }),
  "Token store reports changes again": hearing(
    new OAuthError.TokenStoreError({ method: "changes", reason: "Unavailable", description: "no connection" })
  ),

  // In the log
  "Token renewal failed; the current token is used until it expires. Token endpoint https://auth.example.com/token answered 503: no OAuth error in an empty body":
    renewingAhead({ answer: (_, count) => count === 1 ? token() : unavailable() }),
  "No token is available: requests fail. Token endpoint https://auth.example.com/token answered 503: no OAuth error in an empty body":
    telling({ answer: unavailable }),
  "Token renewal works again": during(logged(Effect.gen(function*() {
    const provider = yield* makeProvider({ answer: (_, count) => count === 2 ? unavailable() : token() })
    yield* provider.get()
    for (const pause of ["59 minutes", "5 seconds", "1 second"] as const) {
      yield* Effect.sleep(pause)
      yield* provider.get()
    }
  }))),
  "A token is available again": during(logged(Effect.gen(function*() {
    const provider = yield* makeProvider({ answer: (_, count) => count === 1 ? unavailable() : token() })
    yield* Effect.exit(provider.get())
    yield* Effect.sleep("5 seconds")
    yield* provider.get()
    yield* Effect.sleep("1 second")
  }))),
  "Token renewal failed, and the current token is rejected. Token endpoint https://auth.example.com/token answered 503: no OAuth error in an empty body":
    logged(calling(
      { baseUrl: api },
      "/orders",
      (address, count) => address !== url ? new Response(null, { status: 401 }) : count === 1 ? token() : unavailable()
    )),
  "the server supports client_secret_jwt; the client has private_key_jwt. It is used anyway": logged(
    discovering(() => metadata({ token_endpoint_auth_methods_supported: ["client_secret_jwt"] }), {
      clientAuth: ClientAuth.privateKeyJwt({ key: Redacted.make(rsaPem) })
    })
  ),
  "the server supports DPoP proofs signed with ES256; the key signs with EdDSA. It is used anyway": logged(
    discovering(() => metadata({ dpop_signing_alg_values_supported: ["ES256"] }), {
      dpop: DPoP.generate({ algorithm: "EdDSA" })
    })
  ),
  "answered 503: no OAuth error in an empty body. The metadata that was read before is still used": rediscovering,
  "Discovery of https://auth.example.com works again": rediscovering,
  "Token endpoint https://auth.example.com/token answers: expires_in is not a number of seconds. This is ignored":
    logged(Effect.gen(function*() {
      const endpoint = yield* Effect.provide(TokenEndpoint.make(client), answering(() => token({ expires_in: "soon" })))
      yield* endpoint.attempt(endpoint.resolve())
    })),
  "Discovery of https://auth.example.com answers: grant_types_supported is not a list of names. This is ignored": Effect
    .scoped(logged(Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({ issuer }).pipe(
        Effect.provide(answering(() => metadata({ grant_types_supported: "all" })))
      )
      yield* server.metadata
    }))),
  "Token renewal failed; the current token is used until it expires. The token endpoint failed with a defect": Effect
    .suspend(() => {
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
    }),
  "Tokens that were issued to other processes are rejected here, as if they were bound to the process that requested them: this process no longer shares its tokens":
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
  "Tokens that worked are rejected long before they expire: the server seems to allow one active token per client":
    during(logged(Effect.gen(function*() {
      let issued = 0
      const provider = yield* makeProvider({ answer: () => token({ access_token: `token-${++issued}` }) })
      for (let round = 0; round < 4; round++) {
        const held = yield* provider.get(undefined, api)
        yield* provider.report(held, "accepted", undefined, api)
        yield* Effect.sleep("30 seconds")
        yield* provider.renew(held, undefined, api)
      }
    }))),
  "Tokens were not revoked within 2s: they stay valid until they expire": revoking(() => Effect.never),
  "Tokens that were not revoked: 1. They stay valid until they expire": revoking(() => Effect.fail("no connection")),
  "The client certificate was not updated: NodeHttp.certificate.key is the key of another certificate": rotating,
  "The client certificate can be read again": rotating,
  "The client certificate could not be refreshed: the previous one is still presented": refreshingCertificate,
  "The client certificate can be refreshed again": refreshingCertificate
}
