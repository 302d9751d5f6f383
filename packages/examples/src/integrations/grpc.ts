/**
 * gRPC that takes its token from the `TokenProvider`: a call that ends with
 * UNAUTHENTICATED is made once more, with another token.
 */
import { AccessToken, AuthedCall } from "@effect-alf/core"
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

const reserve = (client: Grpc.Client, item: string) => (token: AccessToken.AccessToken) =>
  Effect.async<Reservation, Grpc.ServiceError>((resume) => {
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

export const main = Effect.gen(function*() {
  const address = yield* Config.string("STOCK_ADDRESS")
  const client = yield* Effect.acquireRelease(
    // Without TLS only because it does not leave this machine: elsewhere Grpc.credentials.createSsl()
    Effect.sync(() => new Grpc.Client(address, Grpc.credentials.createInsecure())),
    (client) => Effect.sync(() => client.close())
  )
  const authed = yield* AuthedCall.make({
    isRejection: ({ code }: Grpc.ServiceError) => code === Grpc.status.UNAUTHENTICATED
  })
  return [yield* authed(reserve(client, "tea")), yield* authed(reserve(client, "coffee"))]
}).pipe(Effect.scoped, Effect.provide(NodeAuthedHttpClient.layerEnv()))
