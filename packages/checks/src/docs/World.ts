/**
 * What the code in the docs takes for granted: hosts of example.com whose certificates are trusted (StandIn.ts), a Redis,
 * a Memcached, secrets in files, and the environment.
 */
import * as MemcachedServer from "@effect-alf/servers/memcached/MemcachedServer"
import * as RedisServer from "@effect-alf/servers/redis/RedisServer"
import { Effect, Record } from "effect"
import { execFileSync } from "node:child_process"
import { createPrivateKey, randomBytes, sign } from "node:crypto"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

export interface World {
  /** The code with the folders and addresses of this world. */
  readonly inside: (code: string) => string
  readonly env: Readonly<Record<string, string>>
}

const endpoint = {
  TOKEN_ENDPOINT: "https://auth.example.com/token",
  CLIENT_ID: "client-id",
  CLIENT_SECRET: "client-secret"
}

const client = {
  ...endpoint,
  BASE_URL: "https://api.example.com",
  SCOPE: "orders:read",
  REDIS_URL: "redis://localhost:6379"
}

const prefixed = (prefix: string, variables: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(variables).map(([name, value]) => [prefix + name, value]))

/** What code may read from the environment. */
const environment = {
  ...endpoint,
  ...prefixed("ALF_", client),
  ...prefixed("BILLING_", client),
  ...prefixed("BILLING_ALF_", client),
  CONNECT_TIMEOUT: "2 seconds",
  DATABASE_URL: "postgres://localhost:5432/app",
  MEMCACHED_SERVERS: "localhost:11211",
  ORDERS_URL: "https://api.example.com",
  REDIS_URL: "redis://localhost:6379",
  REFRESH_TOKEN: "refresh-token",
  STORE_KEY: randomBytes(32).toString("base64"),
  STORE_KEY_2026_05: randomBytes(32).toString("base64"),
  STORE_KEY_2026_11: randomBytes(32).toString("base64"),
  TOKEN_MAX_WAIT: "5 seconds"
}

/** Everything is gone with the scope. */
export const make = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "docs-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  makeFiles(folder)
  yield* RedisServer.install
  const redis = yield* RedisServer.make()
  yield* MemcachedServer.install
  const memcached = yield* MemcachedServer.make()
  const inside = (text: string) =>
    text
      .replaceAll(/"(?=\/(?:var\/)?run\/)/g, `"${folder}`)
      .replaceAll("localhost:6379", `localhost:${redis.port}`)
      .replaceAll("new Redis()", `new Redis(${redis.port})`)
      .replaceAll(/\b(?:localhost|cache-\d):11211\b/g, `localhost:${memcached.port}`)
  return {
    inside,
    env: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      ...Record.map(environment, inside),
      NODE_EXTRA_CA_CERTS: join(folder, "ca.crt"),
      DOCS_FOLDER: folder
    }
  }
})

const makeFiles = (folder: string) => {
  const openssl = (args: string) => execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" })
  const write = (path: string, content: string) => {
    mkdirSync(dirname(folder + path), { recursive: true })
    writeFileSync(folder + path, content)
  }
  const read = (name: string) => readFileSync(join(folder, name), "utf8")
  const certify = (name: string, key: string, args: string) =>
    openssl(`req -x509 -nodes -days 2 -newkey ${key} -keyout ${name}.key -out ${name}.crt -subj /CN=${name} ${args}`)
  const curve = "ec -pkeyopt ec_paramgen_curve:prime256v1"
  const issued = "-CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE"

  certify("ca", curve, "-addext keyUsage=critical,keyCertSign")
  certify("server", curve, `${issued} -addext subjectAltName=DNS:example.com,DNS:*.example.com`)
  certify("client", "rsa:2048", issued)
  openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out dpop.key")

  write("/run/secrets/client.pem", read("client.key") + read("client.crt"))
  write("/run/secrets/dpop.pem", read("dpop.key"))
  write("/run/secrets/client-secret", `${environment.CLIENT_SECRET}\n`)
  write("/run/tls/tls.crt", read("client.crt"))
  write("/run/tls/tls.key", read("client.key"))
  write("/run/tls/ca.crt", read("ca.crt"))
  write("/run/secrets/tokens/client", serviceAccountToken(read("client.key")))
  cpSync(join(folder, "run"), join(folder, "var/run"), { recursive: true })
}

/** As the kubelet writes it. */
const serviceAccountToken = (key: string): string => {
  const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const payload = {
    iss: "https://kubernetes.default.svc",
    sub: "system:serviceaccount:shop:orders",
    exp: Math.floor(Date.now() / 1000) + 3600
  }
  const text = `${base64url({ alg: "RS256", typ: "JWT" })}.${base64url(payload)}`
  return `${text}.${sign("sha256", Buffer.from(text), createPrivateKey(key)).toString("base64url")}`
}
