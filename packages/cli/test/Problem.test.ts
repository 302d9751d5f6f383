import { assert, describe, it } from "@effect/vitest"
import { ExitCode } from "../src/ExitCode.js"
import * as Problem from "../src/Problem.js"

const P = Problem.Problem
const [redis, memcached, postgres, sqlite] = (["redis", "memcached", "postgres", "sqlite"] as const).map((scheme) => ({
  variable: "ALF_STORE_URL",
  scheme
}))
const server = { party: "authorization server", host: "auth.example.com", description: "ENOTFOUND" } as const

describe("Problem", () => {
  const problems: ReadonlyArray<readonly [Problem.Problem, ExitCode, cause: string, advice: string]> = [
    [
      P.Missing({
        variables: ["ALF_CLIENT_ID", "ALF_CLIENT_SECRET"],
        unread: [{ name: "ALF_SECRET", meant: undefined }]
      }),
      ExitCode.usage,
      "ALF_CLIENT_ID (--client-id) and ALF_CLIENT_SECRET are not set",
      "Nothing reads ALF_SECRET."
    ],
    [
      P.Unread({ variables: [{ name: "ALF_SCOPES", meant: "ALF_SCOPE" }, { name: "ALF_X", meant: undefined }] }),
      ExitCode.usage,
      "Nothing reads ALF_SCOPES (likely meant: ALF_SCOPE) and ALF_X",
      "Correct the name"
    ],
    [
      P.Wrong({ variable: "ALF_SCOPE", description: "is empty" }),
      ExitCode.usage,
      "ALF_SCOPE (--scope) is empty",
      "Correct"
    ],
    [P.Insecure({ variable: "ALF_TOKEN_ENDPOINT", host: "a.test" }), ExitCode.usage, "uses http", "https"],
    [
      P.ProxyUnreachable({ proxy: "http://proxy:1", description: "ECONNREFUSED" }),
      ExitCode.unreachable,
      "The proxy http://proxy:1 cannot be reached",
      "HTTPS_PROXY"
    ],
    [
      P.ProxyRefuses({ proxy: "p", host: "h", status: 407 }),
      ExitCode.unreachable,
      "requires credentials",
      "user:password@"
    ],
    [P.ProxyRefuses({ proxy: "p", host: "h", status: 403 }), ExitCode.unreachable, "does not connect to h", "NO_PROXY"],
    [
      P.ProxyUnused({ ...server, proxy: "p", reason: "NO_PROXY names this host" }),
      ExitCode.unreachable,
      "NO_PROXY",
      "Set"
    ],
    [P.HostUnknown(server), ExitCode.unreachable, "requests need a proxy", "HTTPS_PROXY"],
    [P.Unreachable({ ...server, description: "ECONNREFUSED" }), ExitCode.unreachable, "cannot be reached", "listens"],
    [P.Unreachable({ ...server, description: "ETIMEDOUT" }), ExitCode.unreachable, "cannot be reached", "firewall"],
    [P.Tls({ ...server, code: "CERT_HAS_EXPIRED" }), ExitCode.unreachable, "No safe connection", "new certificate"],
    [P.Tls({ ...server, code: "DEPTH_ZERO_SELF_SIGNED_CERT" }), ExitCode.unreachable, "No safe", "NODE_EXTRA_CA_CERTS"],
    [P.OtherIssuer({ issuer: "https://a/", named: "https://a" }), ExitCode.refused, "calls itself https://a", "slash"],
    [
      P.OtherIssuer({ issuer: "https://a", named: "https://b" }),
      ExitCode.refused,
      "calls itself https://b",
      "https://b"
    ],
    [P.NoMetadata({ issuer: "https://a", description: "404" }), ExitCode.refused, "has no metadata", "ALF_ISSUER"],
    [
      P.Wrong({ variable: "ALF_REDIS_URL", description: "needs the package ioredis (npm install ioredis): none" }),
      ExitCode.usage,
      "needs the package ioredis",
      "Install it"
    ],
    [
      P.Wrong({ variable: "ALF_CLIENT_SECRET_FILE", description: "is of no use: the file a cannot be read: NotFound" }),
      ExitCode.usage,
      "the file a cannot be read",
      "its path"
    ],
    [P.NoTokenEndpoint({ endpoint: "e", status: 200, named: "f" }), ExitCode.refused, "200 with a page", "to f"],
    [P.NoTokenEndpoint({ endpoint: "e", status: 404, named: "f" }), ExitCode.refused, "no token endpoint at e", "to f"],
    [
      P.WrongSecret({
        clientId: "shop",
        variable: "ALF_CLIENT_SECRET",
        kind: "secret",
        said: "401",
        methods: ["client_secret_post"],
        padded: true
      }),
      ExitCode.refused,
      "The client ID or its secret is wrong",
      "white space"
    ],
    [
      P.WrongSecret({
        clientId: "shop",
        variable: "ALF_CLIENT_SECRET",
        kind: "secret",
        said: "401",
        methods: ["none"],
        padded: false
      }),
      ExitCode.refused,
      "The client ID or its secret is wrong",
      "The server accepts \"none\" (public clients)."
    ],
    [
      P.WrongMethod({ used: "a", taken: "b", methods: [] }),
      ExitCode.refused,
      "but the server accepts it by",
      "ALF_CLIENT_AUTH to b"
    ],
    [P.ClientForbidden({ clientId: "shop", said: "400" }), ExitCode.refused, "may not use", "client_credentials"],
    [P.WrongScope({ scope: "a", said: "400" }), ExitCode.refused, "The scope is wrong", "ALF_SCOPE (a)"],
    [P.TokenRefused({ said: "400", unanswered: false }), ExitCode.refused, "No token was issued", "log"],
    [P.TokenRefused({ said: "503", unanswered: true }), ExitCode.unreachable, "No token was issued", "Try again"],
    [P.TokenUnusable({ said: "200" }), ExitCode.refused, "No token was issued", "ALF_TOKEN_FIELD"],
    [
      P.ScopeNarrowed({ missing: ["a"], granted: "b" }),
      ExitCode.degraded,
      "lacks a part of the scope: a",
      "Granted: b"
    ],
    [P.LifetimeUnknown(), ExitCode.degraded, "does not say how long", "defaultLifetime"],
    [P.LifetimeShort({ seconds: 5 }), ExitCode.degraded, "5 s only", "minute"],
    [P.LifetimeDiffers({ saidSeconds: 9, tokenSeconds: 3 }), ExitCode.degraded, "after 3 s", "expires_in"],
    [
      P.ClockOff({ aheadSeconds: -601, server: "a", evidence: "the Date header" }),
      ExitCode.degraded,
      "The clock of this machine is 10 minutes behind that of a",
      "the Date header"
    ],
    [
      P.ClockOff({ aheadSeconds: 90, server: "a", evidence: "the token's iat" }),
      ExitCode.degraded,
      "90 seconds ahead of",
      "iat"
    ],
    [
      P.ClockOff({ aheadSeconds: 9e3, server: "a", evidence: "the token's exp" }),
      ExitCode.degraded,
      "3 hours ahead",
      "exp"
    ],
    [
      P.StoreDown({ store: { variable: "ALF_REDIS_URL", scheme: "redis" }, description: "refused" }),
      ExitCode.degraded,
      "The store is down: refused",
      "Start Redis or correct ALF_REDIS_URL."
    ],
    [
      P.StoreDown({ store: redis, description: "refused" }),
      ExitCode.degraded,
      "The store is down: refused",
      "Start Redis or correct ALF_STORE_URL."
    ],
    [
      P.StoreDown({ store: memcached, description: "refused" }),
      ExitCode.degraded,
      "The store is down: refused",
      "Start Memcached or correct ALF_STORE_URL."
    ],
    [
      P.StoreDown({ store: postgres, description: "refused" }),
      ExitCode.degraded,
      "The store is down: refused",
      "Start the database or correct ALF_STORE_URL."
    ],
    [
      P.StoreDown({ store: sqlite, description: "no such file" }),
      ExitCode.degraded,
      "The store is down: no such file",
      "Check that the file and its directory can be written, or correct ALF_STORE_URL."
    ],
    [
      P.StorePassword({ store: memcached, description: "CLIENT_ERROR" }),
      ExitCode.degraded,
      "the password",
      "Correct ALF_STORE_URL: memcached://user:"
    ],
    [
      P.StorePassword({ store: postgres, description: "authentication failed" }),
      ExitCode.degraded,
      "the password",
      "Correct ALF_STORE_URL: postgres://user:"
    ],
    [
      P.StorePassword({ store: { variable: "ALF_REDIS_URL", scheme: "unix" }, description: "NOAUTH" }),
      ExitCode.degraded,
      "the password",
      "Correct ALF_REDIS_URL: redis://user:"
    ],
    [P.StoreReadOnly({ store: memcached, description: "SERVER_ERROR" }), ExitCode.degraded, "read-only", "-M"],
    [P.StoreReadOnly({ store: sqlite, description: "readonly" }), ExitCode.degraded, "read-only", "write the file"],
    [
      P.StoreReadOnly({ store: postgres, description: "read-only transaction" }),
      ExitCode.degraded,
      "read-only",
      "ALF_STORE_URL names a replica, or the database may not write"
    ],
    [
      P.StoreRefuses({ step: "reading", description: "NOPERM" }),
      ExitCode.degraded,
      "The store refuses reading: NOPERM",
      "permissions"
    ],
    [
      P.StoreRefuses({ step: "reading", description: "no such table: t; the option createTable creates it" }),
      ExitCode.degraded,
      "The store refuses reading: no such table",
      "Set ALF_SQL_CREATE_TABLE to true"
    ],
    [
      P.Wrong({ variable: "ALF_STORE_URL", description: "needs the package memcache (npm install memcache): none" }),
      ExitCode.usage,
      "needs the package memcache",
      "npm install memcache."
    ],
    [
      P.StoreDown({ store: redis, description: "still connecting" }),
      ExitCode.degraded,
      "The store is down",
      "rediss://"
    ],
    [
      P.StorePassword({ store: redis, description: "WRONGPASS" }),
      ExitCode.degraded,
      "the password",
      "Correct ALF_STORE_URL: redis://user:"
    ],
    [
      P.StoreReadOnly({ store: redis, description: "READONLY" }),
      ExitCode.degraded,
      "read-only",
      "ALF_STORE_URL names a replica, or Redis may not write"
    ],
    [P.StoreSlow({ store: redis, millis: 200 }), ExitCode.degraded, "200 ms", "Redis (SLOWLOG)"],
    [P.StoreSlow({ store: postgres, millis: 200 }), ExitCode.degraded, "200 ms", "the load of the database and"],
    [P.StoreBroken({ step: "a lease", description: "no" }), ExitCode.degraded, "a lease: no", "proxy"],
    [
      P.OriginForeign({ origin: "https://b", allowed: ["https://a"] }),
      ExitCode.usage,
      "No token may go to",
      "ALF_ORIGINS"
    ],
    [
      P.ApiRejects({ url: "u", status: 401, challenge: "Bearer", error: undefined, scope: [] }),
      ExitCode.refused,
      "u answers 401, Bearer",
      "does not say why"
    ],
    [
      P.ApiRejects({ url: "u", status: 403, challenge: undefined, error: "insufficient_scope", scope: ["w"] }),
      ExitCode.refused,
      "u answers 403",
      "the scope w"
    ],
    [P.ApiFails({ url: "u", status: 404 }), ExitCode.refused, "u answers 404", "ALF_BASE_URL"],
    [P.ApiSilent({ url: "u", description: "ECONNRESET" }), ExitCode.unreachable, "does not answer", "not at fault"]
  ]

  it("describes each problem in one line, with advice and an exit code", () => {
    for (const [problem, exitCode, cause, advice] of problems) {
      const words = Problem.describe(problem)
      assert.include(words.cause, cause)
      assert.include(words.advice, advice)
      assert.notMatch(words.cause + words.advice, /\n|undefined/)
      assert.match(words.advice, /\.$/)
      assert.strictEqual(Problem.exitCode(problem), exitCode, problem._tag)
    }
  })
})
