import * as SigningKey from "@effect-alf/servers/authorization/SigningKey"
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Redacted } from "effect"
import * as Jose from "jose"
import { join } from "node:path"
import { shared } from "../../core/test/support/shared.js"
import { main as auth0 } from "../src/auth0.js"
import { main as entra } from "../src/entra.js"
import { main as google } from "../src/google.js"
import { main as keycloak } from "../src/keycloak.js"
import { main as kubernetes } from "../src/kubernetes.js"
import * as Program from "./Program.js"
import * as Auth0 from "./providers/Auth0.js"
import * as Entra from "./providers/Entra.js"
import * as Google from "./providers/Google.js"
import * as Keycloak from "./providers/Keycloak.js"
import * as ProtectedApi from "./providers/ProtectedApi.js"

const programs = { auth0, entra, google, keycloak, kubernetes }

type Name = keyof typeof programs

type Environment = Readonly<Record<string, string>>

const run = (name: Name, env: Environment) =>
  Effect.flatMap(Program.Programs, (programs) => programs.run(name, { NO_PROXY: "127.0.0.1", ...env }))

/** Returns all output of a program that fails. */
const fail = (name: Name, env: Environment) =>
  Effect.map(run(name, env), ({ exitCode, stderr, stdout }) => {
    assert.strictEqual(exitCode, 1)
    return stdout + stderr
  })

const wentWell = ({ exitCode, stderr, stdout }: Program.Outcome) => {
  assert.strictEqual(exitCode, 0, stdout)
  assert.strictEqual(stderr, "")
  assert.include(stdout, "item: 'tea'")
}

const saysWhy = (said: string, message: string, ...secrets: ReadonlyArray<string>) => {
  assert.include(said, message)
  for (const secret of secrets) assert.notInclude(said, secret)
}

/** A file with this content; new content replaces it atomically, as the kubelet does. */
const makeFile = (content: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = join(yield* fs.makeTempDirectoryScoped(), "file")
    const write = (content: string) =>
      Effect.zipRight(fs.writeFileString(`${path}.new`, content), fs.rename(`${path}.new`, path))
    yield* write(content)
    return { path, write }
  }).pipe(Effect.orDie)

/** The part of a private key that must not be shown. */
const secretOf = (pem: Redacted.Redacted) => Redacted.value(pem).split("\n")[1]

// Of those that the programs sign with: an RSA key takes long to make
const key = SigningKey.shared("RS256")

const services = Layer.merge(
  Program.layer(programs),
  NodeContext.layer
)

shared(services)("known servers", (it) => {
  describe.concurrent("google.ts", () => {
    const email = "robot@shop.iam.gserviceaccount.com"

    const environment = (google: Google.Google, content: string) =>
      Effect.map(makeFile(content), ({ path }): Environment => ({
        GOOGLE_APPLICATION_CREDENTIALS: path,
        GOOGLE_CLOUD_PROJECT: "shop",
        GOOGLE_API_URL: google.api.origin
      }))

    it.scopedLive("exchanges a JWT of the service account for a token", () =>
      Effect.gen(function*() {
        const account = yield* key
        const google = yield* Google.make({ [email]: [account] })
        wentWell(yield* run("google", yield* environment(google, Google.keyFile(email, account, google.tokenUri))))
        deepStrictEqual(yield* google.answers, ["POST /token 200"])
        deepStrictEqual(yield* google.api.answers, ["GET /storage/v1/b 200"])
      }))

    it.scopedLive("reports that the key was deleted at Google", () =>
      Effect.gen(function*() {
        const account = yield* key
        const google = yield* Google.make({ [email]: [] })
        saysWhy(
          yield* fail("google", yield* environment(google, Google.keyFile(email, account, google.tokenUri))),
          `Token endpoint ${google.tokenUri} answered 400 invalid_grant: Invalid JWT Signature.`,
          secretOf(account.pem)
        )
        deepStrictEqual(yield* google.api.answers, [])
      }))

    it.scopedLive("reports that the file is not a service account's", () =>
      Effect.gen(function*() {
        const account = yield* key
        const google = yield* Google.make({})
        const file = Google.keyFile(email, account, google.tokenUri).replace("service_account", "authorized_user")
        const said = yield* fail("google", yield* environment(google, file))
        saysWhy(said, `Expected "service_account", actual "authorized_user"`, secretOf(account.pem))
        deepStrictEqual(yield* google.answers, [])
      }))
  })

  describe.concurrent("entra.ts", () => {
    const clientId = "0f2d8b1e-6f5e-4f67-a1c3-3f1d3d9f8b01"

    const environment = (entra: Entra.Entra, api: string) =>
      Effect.gen(function*() {
        const { pem } = yield* key
        const file = yield* makeFile(`${Redacted.value(pem)}\n${yield* certificate}`)
        return {
          AZURE_AUTHORITY_HOST: entra.origin,
          AZURE_TENANT_ID: Entra.tenant,
          AZURE_CLIENT_ID: clientId,
          AZURE_CLIENT_CERTIFICATE_PATH: file.path,
          API_SCOPE: Entra.scope,
          API_URL: api
        }
      })

    const certificate = Effect.runSync(Effect.cached(Effect.flatMap(key, ({ pem }) => Entra.certificate(pem))))

    it.scopedLive("authenticates by its certificate", () =>
      Effect.gen(function*() {
        const entra = yield* Entra.make({ [clientId]: { certificates: [yield* certificate] } })
        const api = yield* ProtectedApi.make(entra.verify)
        wentWell(yield* run("entra", yield* environment(entra, api.origin)))
        assert.lengthOf(entra.assertions, 1)
        deepStrictEqual(yield* api.answers, ["GET /orders/42 200"])
      }))

    it.scopedLive("reports that the certificate is not registered", () =>
      Effect.gen(function*() {
        const { pem } = yield* key
        const entra = yield* Entra.make({ [clientId]: { certificates: [] } })
        saysWhy(
          yield* fail("entra", yield* environment(entra, entra.origin)),
          `Token endpoint ${entra.origin}/${Entra.tenant}/oauth2/v2.0/token answered 401 invalid_client: AADSTS700027: `,
          secretOf(pem)
        )
      }))
  })

  describe.concurrent("auth0.ts", () => {
    const client = { id: "kq0Yc4Wm5bFJ", secret: Redacted.make("only-for-these-tests-0123456789abcdef") }

    const environment = (auth0: Auth0.Auth0, audience: string): Environment => ({
      AUTH0_ISSUER_BASE_URL: auth0.origin,
      AUTH0_CLIENT_ID: client.id,
      AUTH0_CLIENT_SECRET: Redacted.value(client.secret),
      AUTH0_AUDIENCE: audience,
      API_URL: auth0.api.origin
    })

    it.scopedLive("requests a token for the audience of the API", () =>
      Effect.gen(function*() {
        const auth0 = yield* Auth0.make(client)
        wentWell(yield* run("auth0", environment(auth0, Auth0.audience)))
        deepStrictEqual(yield* auth0.api.answers, ["GET /orders/42 200"])
      }))

    it.scopedLive("reports that there is no such API", () =>
      Effect.gen(function*() {
        const auth0 = yield* Auth0.make(client)
        saysWhy(
          yield* fail("auth0", environment(auth0, "https://invoices.example.com")),
          `Token endpoint ${auth0.origin}/oauth/token answered 403 access_denied: ` +
            "Service not found: https://invoices.example.com",
          Redacted.value(client.secret)
        )
        deepStrictEqual(yield* auth0.answers, ["POST /oauth/token 403"])
      }))
  })

  describe.concurrent("kubernetes.ts", () => {
    const clientId = "7b0a7a0e-3f0c-49c1-9f0f-8f6f7f2c9d02"
    const issuer = "https://oidc.cluster.example.com/"
    const subject = "system:serviceaccount:shop:orders"

    /** The token of a service account, as the cluster makes it. */
    const makeToken = (id: string, subject: string) =>
      Effect.flatMap(
        key,
        ({ id: kid, key }) =>
          Effect.promise(() =>
            new Jose.SignJWT({ "kubernetes.io": { namespace: "shop", serviceaccount: { name: "orders" } } })
              .setProtectedHeader({ alg: "RS256", kid })
              .setIssuer(issuer)
              .setSubject(subject)
              .setAudience(["api://AzureADTokenExchange"])
              .setJti(id)
              .setIssuedAt()
              .setNotBefore("0s")
              .setExpirationTime("1h")
              .sign(key)
          )
      )

    const makeEntra = Effect.flatMap(
      key,
      ({ publicJwk }) =>
        Entra.make({ [clientId]: { federated: { issuer, subject, publicJwk } } }, { numbersAsStrings: true })
    )

    const environment = (entra: Entra.Entra, api: string, file: string): Environment => ({
      // With the slash that Azure's webhook writes
      AZURE_AUTHORITY_HOST: `${entra.origin}/`,
      AZURE_TENANT_ID: Entra.tenant,
      AZURE_CLIENT_ID: clientId,
      AZURE_FEDERATED_TOKEN_FILE: file,
      API_SCOPE: Entra.scope,
      API_URL: api
    })

    it.scopedLive("authenticates by the latest token of the kubelet", () =>
      Effect.gen(function*() {
        const entra = yield* makeEntra
        const file = yield* makeFile(yield* makeToken("first", subject))
        let revoked: string | undefined
        const api = yield* ProtectedApi.make((token) =>
          Effect.gen(function*() {
            yield* entra.verify(token)
            if (token === revoked) return yield* Effect.fail("the token was revoked")
            if (revoked !== undefined) return
            revoked = token
            yield* Effect.orDie(file.write(yield* makeToken("second", subject)))
          })
        )
        wentWell(yield* run("kubernetes", environment(entra, api.origin, file.path)))
        deepStrictEqual(entra.assertions, ["first", "second"])
        deepStrictEqual(yield* api.answers, ["PUT /orders/42 200", "GET /orders/42 401", "GET /orders/42 200"])
      }))

    it.scopedLive("reports a service account that Entra does not know", () =>
      Effect.gen(function*() {
        const entra = yield* makeEntra
        const token = yield* makeToken("first", "system:serviceaccount:shop:default")
        const file = yield* makeFile(token)
        saysWhy(
          yield* fail("kubernetes", environment(entra, entra.origin, file.path)),
          "answered 401 invalid_client: AADSTS700213: " +
            "No federated identity for subject 'system:serviceaccount:shop:default'.",
          token
        )
      }))

    it.scopedLive("reports the missing file", () =>
      Effect.gen(function*() {
        const entra = yield* makeEntra
        saysWhy(
          yield* fail("kubernetes", environment(entra, entra.origin, "/var/run/secrets/azure/tokens/none")),
          "the private_key_jwt credentials are unavailable: the file /var/run/secrets/azure/tokens/none cannot be read"
        )
        deepStrictEqual(yield* entra.answers, [])
      }))
  })

  describe.concurrent("keycloak.ts", () => {
    const client = { id: "shop", secret: Redacted.make("only-for-these-tests-0123456789abcdef") }

    const environment = (keycloak: Keycloak.Keycloak): Environment => ({
      KEYCLOAK_ISSUER: keycloak.issuer,
      KEYCLOAK_CLIENT_ID: client.id,
      KEYCLOAK_CLIENT_SECRET: Redacted.value(client.secret),
      API_URL: keycloak.api.origin
    })

    it.scopedLive("discovers the endpoint and its authentication method", () =>
      Effect.gen(function*() {
        const methods = ["private_key_jwt", "client_secret_post", "tls_client_auth", "client_secret_jwt"]
        const keycloak = yield* Keycloak.make({ client, methods })
        wentWell(yield* run("keycloak", environment(keycloak)))
        deepStrictEqual((yield* keycloak.answers).slice(0, 3), [
          "GET /.well-known/oauth-authorization-server/realms/shop 404",
          "GET /realms/shop/.well-known/openid-configuration 200",
          "POST /realms/shop/protocol/openid-connect/token 200"
        ])
        deepStrictEqual(yield* keycloak.api.answers, ["GET /orders/42 200"])
      }))

    it.scopedLive("reports that the realm accepts no secrets", () =>
      Effect.gen(function*() {
        const keycloak = yield* Keycloak.make({ client, methods: ["private_key_jwt", "tls_client_auth"] })
        saysWhy(
          yield* fail("keycloak", environment(keycloak)),
          `Discovery endpoint ${keycloak.issuer}: the server supports private_key_jwt, tls_client_auth; ` +
            "the client has client_secret_basic, client_secret_post, client_secret_jwt",
          Redacted.value(client.secret)
        )
      }))
  })
})
