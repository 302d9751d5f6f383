/**
 * gRPC that takes its token from the `TokenProvider`: a call that ends with
 * UNAUTHENTICATED is made once more with another token.
 */
import { AccessToken, TokenProvider } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import * as Grpc from "@grpc/grpc-js"
import { Config, Effect } from "effect"

interface Reservation {
  readonly item: string
  readonly left: number
}

const toJson = (value: unknown) => Buffer.from(JSON.stringify(value))
const fromJson = (bytes: Buffer) => JSON.parse(bytes.toString())

/** By hand and with JSON, in place of what protoc writes. */
export const Stock = {
  reserve: {
    path: "/shop.Stock/Reserve",
    requestStream: false,
    responseStream: false,
    requestSerialize: toJson,
    requestDeserialize: (bytes: Buffer): { readonly item: string } => fromJson(bytes),
    responseSerialize: toJson,
    responseDeserialize: (bytes: Buffer): Reservation => fromJson(bytes)
  }
} satisfies Grpc.ServiceDefinition

type Call = (token: AccessToken.AccessToken) => Effect.Effect<Reservation, Grpc.ServiceError>

const reserve = (client: Grpc.Client, item: string): Call => (token) =>
  Effect.async((resume) => {
    const metadata = new Grpc.Metadata()
    metadata.set("authorization", AccessToken.authorization(token))
    const { path, requestSerialize, responseDeserialize } = Stock.reserve
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { item },
      metadata,
      (error, reply) => resume(error === null ? Effect.succeed(reply!) : Effect.fail(error))
    )
    return Effect.sync(() => call.cancel())
  })

const isUnauthenticated = ({ code }: Grpc.ServiceError) => code === Grpc.status.UNAUTHENTICATED

/** Makes a call with a token, and once more when it was rejected. */
const authorized = (origin: string) => (call: Call) =>
  Effect.gen(function*() {
    const provider = yield* TokenProvider.TokenProvider
    const token = yield* provider.get(undefined, origin)
    return yield* Effect.catchIf(call(token), isUnauthenticated, (rejection) =>
      Effect.gen(function*() {
        const renewed = yield* provider.renew(token, undefined, origin)
        // There is no other at present
        if (renewed === token) return yield* Effect.fail(rejection)
        return yield* Effect.tapBoth(call(renewed), {
          onFailure: (error) =>
            provider.settle(renewed, isUnauthenticated(error) ? "rejected" : "accepted", undefined, origin),
          onSuccess: () => provider.settle(renewed, "accepted", undefined, origin)
        })
      }))
  })

export const main = Effect.gen(function*() {
  const address = yield* Config.string("STOCK_ADDRESS")
  const client = yield* Effect.acquireRelease(
    // Without TLS only because it does not leave this machine: elsewhere Grpc.credentials.createSsl()
    Effect.sync(() => new Grpc.Client(address, Grpc.credentials.createInsecure())),
    (client) => Effect.sync(() => client.close())
  )
  const call = authorized(`grpc://${address}`)
  return [yield* call(reserve(client, "tea")), yield* call(reserve(client, "tea"))]
}).pipe(Effect.scoped, Effect.provide(NodeAuthedHttpClient.layerConfig()))
