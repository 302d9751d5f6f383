import { ClientCertificate, TokenEndpoint } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Context, Deferred, Effect, Fiber, Layer, Logger, Redacted, Ref } from "effect"
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import type { ServerResponse } from "node:http"
import { join } from "node:path"
import { inspect } from "node:util"
import { hang } from "../../core/test/support/hang.js"
import { rowsEffect } from "../../core/test/support/Rows.js"
import * as Certificates from "./Certificates.js"
import * as LocalServer from "./LocalServer.js"
import * as MutualTlsServer from "./MutualTlsServer.js"
import { makeProxy } from "./Tunnel.js"
import { until } from "./until.js"

const build = <R = never>(options: NodeHttp.MutualTlsOptions<R>) =>
  Effect.map(Layer.build(NodeHttp.layerMutualTls({ proxy: false, connectTimeout: hang, ...options })), (context) => ({
    client: Context.get(context, HttpClient.HttpClient),
    certificate: Context.get(context, ClientCertificate.ClientCertificate)
  }))

const seenBy = (client: HttpClient.HttpClient, url: string) =>
  Effect.flatMap(client.get(url), (response) => response.text)

const pem = ({ certificate, key }: Certificates.Certificate) => ({ certificate, key: Redacted.make(key) })

/** What is logged at Warning or above while an effect runs. */
const loggedBy = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const messages: Array<string> = []
  const logger = Logger.make(({ message }) => messages.push(Arr.ensure(message).join(" ")))
  return Effect.map(
    Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)),
    (result) => [messages, result] as const
  )
}

/** A directory as Kubernetes mounts a secret: the files are links into a directory that is swapped as a whole. */
const makeMount = (authority: Certificates.Authority) =>
  Effect.promise(async () => {
    const directory = join(authority.directory, crypto.randomUUID())
    await mkdir(directory)
    const path = (name: string) => join(directory, name)
    for (const name of ["tls.crt", "tls.key", "ca.crt"]) await symlink(join("..data", name), path(name))
    return {
      certificateFile: path("tls.crt"),
      keyFile: path("tls.key"),
      caFile: path("ca.crt"),
      put: ({ certificate, key }: Certificates.Certificate) =>
        Effect.promise(async () => {
          const version = path(crypto.randomUUID())
          await mkdir(version)
          await writeFile(join(version, "tls.crt"), certificate)
          await writeFile(join(version, "tls.key"), key)
          await writeFile(join(version, "ca.crt"), authority.ca)
          await symlink(version, path("..next"))
          await rename(path("..next"), path("..data"))
        })
    }
  })

describe("NodeHttp.layerMutualTls", () => {
  it.scopedLive("the server sees the certificate of thumbprint(), and the connection is kept alive", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const one = yield* authority.issue("one")
      const { certificate, client } = yield* build({ certificate: pem(one), ca: authority.ca, connections: 1 })
      for (let request = 0; request < 3; request++) {
        assert.strictEqual(yield* seenBy(client, server.url), one.thumbprint)
      }
      assert.strictEqual(certificate.thumbprint(), one.thumbprint)
      assert.lengthOf(server.sockets, 1)
    }))

  it.scopedLive("accepts values, an encrypted key, PKCS#12, files and an effect", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const one = yield* authority.issue("one")
      const path = (name: string) => join(authority.directory, name)
      const passphrase = Redacted.make(one.passphrase)
      const certificates: ReadonlyArray<readonly [string, NodeHttp.MutualTlsOptions["certificate"]]> = [
        ["an encrypted key", { certificate: one.certificate, key: Redacted.make(one.encryptedKey), passphrase }],
        ["a chain", { certificate: one.certificate + authority.ca, key: Redacted.make(one.key) }],
        ["PKCS#12", { pfx: Redacted.make(one.pfx), passphrase }],
        ["files", { certificateFile: path("one.crt"), keyFile: path("one.key"), caFile: path("ca.crt") }],
        ["files, encrypted", { certificateFile: path("one.crt"), keyFile: path("one.key.encrypted"), passphrase }],
        ["an effect", Effect.succeed({ pfx: Redacted.make(new Uint8Array(one.pfx)), passphrase, ca: authority.ca })]
      ]
      yield* rowsEffect(certificates, ([name]) => name, ([_, certificate]) =>
        Effect.gen(function*() {
          const { client, ...built } = yield* build({ certificate, ca: authority.ca })
          assert.strictEqual(yield* seenBy(client, server.url), one.thumbprint)
          assert.strictEqual(built.certificate.thumbprint(), one.thumbprint)
        }))
    }))

  it.scopedLive("the server behind a proxy sees the certificate", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const { proxy, tunnels } = yield* makeProxy
      const current = yield* Ref.make(pem(one))
      const { certificate, client } = yield* build({
        certificate: Ref.get(current),
        ca: authority.ca,
        proxy: proxy.url
      })
      assert.strictEqual(yield* seenBy(client, server.url), one.thumbprint)
      yield* Ref.set(current, pem(two))
      yield* certificate.refresh
      assert.strictEqual(yield* seenBy(client, server.url), two.thumbprint)
      assert.lengthOf(tunnels, 2)
    }))

  it.scopedLive("an effect may have requirements, and refresh runs it", () =>
    Effect.gen(function*() {
      class Vault extends Context.Tag("Vault")<Vault, { readonly read: Effect.Effect<Certificates.Certificate> }>() {}
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const reads: Array<number> = []
      const vault = Layer.succeed(Vault, {
        read: Effect.sync(() => reads.push(0) === 1 ? one : two)
      })
      const layer: Layer.Layer<
        HttpClient.HttpClient | ClientCertificate.ClientCertificate,
        unknown
      > = NodeHttp.layerMutualTls({
        certificate: Effect.flatMap(Vault, ({ read }) => Effect.map(read, pem)),
        ca: authority.ca,
        proxy: false
      }).pipe(Layer.provide(vault))
      const thumbprints = yield* Effect.gen(function*() {
        const client = yield* HttpClient.HttpClient
        const certificate = yield* ClientCertificate.ClientCertificate
        const before = yield* seenBy(client, server.url)
        yield* certificate.refresh
        return [before, yield* seenBy(client, server.url), certificate.thumbprint()]
      }).pipe(Effect.provide(layer))
      deepStrictEqual(thumbprints, [one.thumbprint, two.thumbprint, two.thumbprint])
      assert.lengthOf(reads, 2)
    }))
})

describe("NodeHttp.layerMutualTls, rotation", () => {
  it.scopedLive("notices replaced files", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const mount = yield* makeMount(authority)
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      yield* mount.put(one)
      const { certificate, client } = yield* build({ certificate: mount, refreshInterval: "10 millis" })
      assert.strictEqual(yield* seenBy(client, server.url), one.thumbprint)
      yield* mount.put(two)
      yield* until(() => certificate.thumbprint() === two.thumbprint)
      assert.strictEqual(yield* seenBy(client, server.url), two.thumbprint)
      // The connection of the first is closed, as nothing is under way
      yield* until(() => server.sockets[0].destroyed)
    }))

  it.scopedLive("under load no request fails, and each uses a certificate that was current", () =>
    rowsEffect(
      [["directly", false], ["through a proxy", true]] as const,
      ([name]) => name,
      ([_, proxied]) =>
        Effect.gen(function*() {
          const authority = yield* Certificates.make
          let requests = 0
          const server = yield* MutualTlsServer.make(authority, (request, response) => {
            requests++
            // Some connections end with their answer, and are made anew for those that wait
            if (requests % 7 === 0) response.setHeader("connection", "close")
            setTimeout(() => response.end(MutualTlsServer.thumbprintOf(request)), requests * 7 % 10)
          })
          const certificates = yield* Effect.all(Arr.makeBy(5, (index) => authority.issue(`client ${index}`)))
          const mount = yield* makeMount(authority)
          yield* mount.put(certificates[0])
          const { proxy } = yield* makeProxy
          const { certificate, client } = yield* build({
            certificate: mount,
            connections: 5,
            proxy: proxied ? proxy.url : false
          })
          const thumbprints = certificates.map(({ thumbprint }) => thumbprint)
          const seen: Array<number> = []
          let current = 0
          let isEnough = false
          const request = Effect.suspend(() => {
            const first = current
            return Effect.map(seenBy(client, server.url), (thumbprint) => {
              const index = thumbprints.indexOf(thumbprint)
              assert.isAtLeast(index, first)
              seen.push(index)
            })
          })
          const load = yield* Effect.forkScoped(
            Effect.all(Arr.replicate(Effect.repeat(request, { until: () => isEnough }), 10), {
              concurrency: "unbounded"
            })
          )
          for (const [index, next] of certificates.entries()) {
            yield* mount.put(next)
            yield* certificate.refresh
            assert.strictEqual(certificate.thumbprint(), next.thumbprint)
            current = index
            const isSeen = until(() => seen.filter((other) => other === index).length > 10)
            yield* Effect.raceFirst(isSeen, Fiber.join(load))
          }
          isEnough = true
          yield* Fiber.join(load)
          deepStrictEqual(Arr.dedupe(seen).sort(), [0, 1, 2, 3, 4])
        })
    ))

  it.scopedLive("a request in progress completes, while others use the new certificate", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const slow = yield* Deferred.make<ServerResponse>()
      const server = yield* MutualTlsServer.make(authority, (request, response) => {
        if (request.url === "/slow") {
          response.write("begun ")
          Deferred.unsafeDone(slow, Effect.succeed(response))
        } else {
          response.end(MutualTlsServer.thumbprintOf(request))
        }
      })
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const current = yield* Ref.make(pem(one))
      const { certificate, client } = yield* build({ certificate: Ref.get(current), ca: authority.ca })
      const fiber = yield* Effect.fork(seenBy(client, `${server.url}/slow`))
      const response = yield* Deferred.await(slow)
      yield* Ref.set(current, pem(two))
      yield* certificate.refresh
      assert.strictEqual(yield* seenBy(client, server.url), two.thumbprint)
      response.end("and ended")
      assert.strictEqual(yield* Fiber.join(fiber), "begun and ended")
      yield* until(() => server.sockets[0].destroyed)
      assert.isFalse(server.sockets[1].destroyed)
    }))

  it.scopedLive("a request that does not end is aborted after gracePeriod", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority, (_, response) => response.write("begun "))
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const current = yield* Ref.make(pem(one))
      const { certificate, client } = yield* build({
        certificate: Ref.get(current),
        ca: authority.ca,
        gracePeriod: "50 millis"
      })
      const response = yield* client.get(server.url)
      yield* Ref.set(current, pem(two))
      yield* certificate.refresh
      const error = yield* Effect.flip(response.text)
      assert.strictEqual(error._tag, "ResponseError")
      yield* until(() => server.sockets[0].destroyed)
    }))

  it.scopedLive("closes everything with the layer, earlier connections included", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority, (_, response) => response.write("begun "))
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const current = yield* Ref.make(pem(one))
      const errors = yield* Effect.scoped(Effect.gen(function*() {
        const { certificate, client } = yield* build({ certificate: Ref.get(current), ca: authority.ca })
        const former = yield* client.get(server.url)
        yield* Ref.set(current, pem(two))
        yield* certificate.refresh
        const latter = yield* client.get(server.url)
        return [former, latter].map((response) => Effect.flip(response.text))
      }))
      for (const error of errors) assert.strictEqual((yield* error)._tag, "ResponseError")
      assert.lengthOf(server.sockets, 2)
      yield* until(() => server.sockets.every((socket) => socket.destroyed))
    }))

  it.scopedLive("half-written, mismatching or missing files keep the previous certificate, with one warning each", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const path = (name: string) => join(authority.directory, name)
      const files = { certificateFile: path("live.crt"), keyFile: path("live.key") }
      const write = (certificate: string, key: string) =>
        Effect.promise(() =>
          Promise.all([writeFile(files.certificateFile, certificate), writeFile(files.keyFile, key)])
        )
      yield* write(one.certificate, one.key)
      const { certificate, client } = yield* build({ certificate: files, ca: authority.ca, refreshInterval: "1 hour" })
      const half = (text: string) => text.slice(0, text.length / 2)
      const stays = "The client certificate was not updated: NodeHttp.certificate."
      const steps: ReadonlyArray<readonly [Effect.Effect<unknown>, string]> = [
        [write(half(two.certificate), one.key), `certificateFile ${files.certificateFile} contains no PEM certificate`],
        [write(two.certificate, one.key), `keyFile ${files.keyFile} is the key of another certificate`],
        [
          write(two.certificate, half(two.key)),
          `keyFile ${files.keyFile} contains no PEM private key, or one that needs a passphrase`
        ],
        [write("", ""), `certificateFile ${files.certificateFile} contains no PEM certificate`],
        [Effect.promise(() => rm(files.keyFile)), `keyFile ${files.keyFile} cannot be read: ENOENT`]
      ]
      for (const [step, warning] of steps) {
        yield* step
        const [messages] = yield* loggedBy(Effect.replicateEffect(certificate.refresh, 3))
        deepStrictEqual(messages, [stays + warning])
        assert.strictEqual(certificate.thumbprint(), one.thumbprint)
        assert.strictEqual(yield* seenBy(client, server.url), one.thumbprint)
      }
      yield* write(two.certificate, two.key)
      deepStrictEqual(yield* loggedBy(certificate.refresh), [["The client certificate can be read again"], undefined])
      assert.strictEqual(yield* seenBy(client, server.url), two.thumbprint)
      assert.lengthOf(server.sockets, 2)
    }))

  it.scopedLive("a failing or dying effect keeps the previous certificate too, and its cause is not shown", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const one = pem(yield* authority.issue("one"))
      const current = yield* Ref.make<Effect.Effect<typeof one, Error>>(Effect.succeed(one))
      const { certificate } = yield* build({ certificate: Effect.flatten(Ref.get(current)) })
      const before = certificate.thumbprint()
      yield* Ref.set(current, Effect.fail(new Error("hunter2")))
      const [messages] = yield* loggedBy(certificate.refresh)
      yield* Ref.set(current, Effect.die(new Error("hunter2")))
      const [further] = yield* loggedBy(certificate.refresh)
      deepStrictEqual([...messages, ...further], [
        "The client certificate was not updated: NodeHttp.certificate is unavailable: the effect failed"
      ])
      assert.strictEqual(certificate.thumbprint(), before)
    }))
})

describe("NodeHttp.layerMutualTls, options", () => {
  it.scopedLive("a missing or wrong value at the start is an InvalidOptions that names option and file", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const [one, two] = [yield* authority.issue("one"), yield* authority.issue("two")]
      const path = (name: string) => join(authority.directory, name)
      const files = { certificateFile: path("one.crt"), keyFile: path("one.key") }
      const cases: ReadonlyArray<readonly [Partial<NodeHttp.MutualTlsOptions>, string]> = [
        [
          { certificate: { ...files, certificateFile: "/no/cert" } },
          "certificate.certificateFile /no/cert cannot be read: ENOENT"
        ],
        [{ certificate: { ...files, keyFile: "/" } }, "certificate.keyFile / cannot be read: EISDIR"],
        [{ certificate: { ...files, caFile: "/no/ca" } }, "certificate.caFile /no/ca cannot be read: ENOENT"],
        [
          { certificate: { ...files, keyFile: path("two.key") } },
          `certificate.keyFile ${path("two.key")} is the key of another certificate`
        ],
        [
          { certificate: { ...files, caFile: path("one.key") } },
          `certificate.caFile ${path("one.key")} contains no PEM certificate`
        ],
        [{ certificate: { ...pem(one), certificate: one.key } }, "certificate.certificate contains no PEM certificate"],
        [
          { certificate: { ...pem(one), key: Redacted.make(two.key) } },
          "certificate.key is the key of another certificate"
        ],
        [
          { certificate: { ...pem(one), key: Redacted.make(one.encryptedKey) } },
          "certificate.key contains no PEM private key, or one that needs a passphrase"
        ],
        [
          { certificate: { ...pem(one), key: Redacted.make(one.encryptedKey), passphrase: Redacted.make("hunter2") } },
          "certificate.key contains no PEM private key for this passphrase"
        ],
        [
          { certificate: { pfx: Redacted.make(one.pfx), passphrase: Redacted.make("hunter2") } },
          "certificate.pfx is not a PKCS#12 archive, or the passphrase is wrong"
        ],
        [
          { certificate: { pfx: Redacted.make(new TextEncoder().encode("hunter2")) } },
          "certificate.pfx is not a PKCS#12 archive, or the passphrase is wrong"
        ],
        [{ certificate: Effect.fail("hunter2") }, "certificate is unavailable: the effect failed"],
        [{ certificate: {} as never }, "certificate has neither files, nor certificate and key, nor a pfx"],
        [{ ca: "hunter2" }, "ca contains no PEM certificate"],
        [{ ca: [] }, "ca contains no PEM certificate"],
        [{ refreshInterval: 0 }, "refreshInterval must be longer than zero"],
        [{ gracePeriod: -1 }, "gracePeriod is negative"]
      ]
      yield* rowsEffect(cases, ([_, message]) => message, ([options, message]) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(build({ certificate: pem(one), ...options }))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.message, `NodeHttp.${message}`)
          assert.notInclude(inspect(error), "hunter2")
          assert.notInclude(inspect(error), one.key.slice(30, 60))
        }))
    }))

  it.scopedLive("trusts the server only with the authority's certificate in `ca`", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.make
      const server = yield* MutualTlsServer.make(authority)
      const one = pem(yield* authority.issue("one"))
      const distrusting = yield* build({ certificate: one })
      assert.include(inspect(yield* Effect.flip(distrusting.client.get(server.url))), "SELF_SIGNED_CERT")
      const client = yield* Effect.map(
        Layer.build(NodeHttp.layer({ ca: [authority.ca], proxy: false, connectTimeout: hang })),
        Context.get(HttpClient.HttpClient)
      )
      // Trusted, but without a certificate of its own this client is not
      assert.notInclude(inspect(yield* Effect.flip(client.get(server.url))), "SELF_SIGNED_CERT")
    }))

  it.scopedLive("rule 7: an untrusted token endpoint is asked once, over NodeHttp and over fetch", () =>
    Effect.gen(function*() {
      const trustless = yield* MutualTlsServer.make(yield* Certificates.make)
      const plain = yield* LocalServer.make((_, response) => response.end())
      const clients = [NodeHttp.layer({ proxy: false, connectTimeout: hang }), FetchHttpClient.layer]
      const servers = [
        [trustless, trustless.url, /^SELF_SIGNED_CERT_IN_CHAIN$/],
        [plain, plain.url.replace("http:", "https:"), /^(EPROTO|ERR_SSL_.*)$/]
      ] as const
      for (const [server, url, code] of servers) {
        for (const client of clients) {
          const before = server.sockets.length
          const error = yield* TokenEndpoint.make({
            tokenEndpoint: url,
            clientId: "app",
            clientSecret: Redacted.make("s3cr3t")
          }).pipe(
            Effect.flatMap((endpoint) => Effect.flip(endpoint.request(endpoint.resolve()))),
            Effect.provide(client)
          )
          assert(error._tag === "TokenEndpointError")
          assert.strictEqual(error.reason, "Transport")
          assert.match(error.code ?? "", code)
          assert.strictEqual(server.sockets.length - before, 1)
        }
      }
    }))
})
