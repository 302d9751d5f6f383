// Nothing here compiles: `check:types` leaves it out, and TSTyche compares what the compiler says
import { TokenStore } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Redacted } from "effect"
import { describe, expect, test } from "tstyche"

const clientSecret = Redacted.make("secret")
const client = { tokenEndpoint: "https://auth.test/token", clientId: "client", baseUrl: "https://api.test" }
const certificate = { certificateFile: "/run/tls/tls.crt", keyFile: "/run/tls/tls.key" }

declare const isCloud: boolean
declare const some: Partial<NodeAuthedHttpClient.Options>

describe("the first line of the only error names what is missing or wrong", () => {
  const { baseUrl, clientId, tokenEndpoint } = client
  const { layer } = NodeAuthedHttpClient

  test("no endpoint", () => {
    expect(layer({ clientId, clientSecret, baseUrl })).type.toRaiseError(
      "Argument of type '{ clientId: string; clientSecret: Redacted.Redacted<string>; baseUrl: string; }' is not assignable to parameter of type 'Options<never, never, never> & MissingOption<\"tokenEndpoint or issuer\">'."
    )
  })

  test("no client", () => {
    expect(layer({ tokenEndpoint, clientSecret, baseUrl })).type.toRaiseError(
      "Argument of type '{ tokenEndpoint: string; clientSecret: Redacted.Redacted<string>; baseUrl: string; }' is not assignable to parameter of type 'Options<never, never, never> & MissingOption<\"clientId\">'."
    )
  })

  test("no secret", () => {
    expect(layer({ tokenEndpoint, clientId, baseUrl })).type.toRaiseError(
      "Argument of type '{ tokenEndpoint: string; clientId: string; baseUrl: string; }' is not assignable to parameter of type 'Options<never, never, never> & MissingOption<\"clientSecret or clientAuth\">'."
    )
  })

  test("no destination", () => {
    expect(layer({ tokenEndpoint, clientId, clientSecret })).type.toRaiseError(
      "Argument of type '{ tokenEndpoint: string; clientId: string; clientSecret: Redacted.Redacted<string>; }' is not assignable to parameter of type 'Options<never, never, never> & MissingOption<\"baseUrl or origins\">'."
    )
  })

  test("both stores", () => {
    expect(layer({ ...client, clientSecret, redis: {}, tokenStore: TokenStore.layerMemory() })).type.toRaiseError(
      "is not assignable to parameter of type 'Options<never, never, never> & ContradictoryOptions<\"redis and tokenStore\">'."
    )
  })

  test("an option that may be missing", () => {
    expect(layer(some)).type.toRaiseError("& MissingOption<\"tokenEndpoint or issuer\">'.")
    expect(layer({ clientId, clientSecret, baseUrl, ...(isCloud && { tokenEndpoint }) })).type.toRaiseError(
      "& MissingOption<\"tokenEndpoint or issuer\">'."
    )
  })

  test("two stores that may both be set", () => {
    const tokenStore = isCloud ? TokenStore.layerMemory() : undefined
    expect(layer({ ...client, clientSecret, redis: isCloud ? {} : undefined, tokenStore })).type.toRaiseError(
      "& ContradictoryOptions<\"redis and tokenStore\">'."
    )
  })

  test("a secret that is not redacted", () => {
    expect(layer({ ...client, clientSecret: "secret" })).type.toRaiseError(
      "Type 'string' is not assignable to type 'RedactedClientSecret<never>'."
    )
  })

  test("a misspelt option, of the layer or of a group", () => {
    expect(layer({ ...client, clientSecret, refreshahead: 1 })).type.toRaiseError(
      "Object literal may only specify known properties, but 'refreshahead' does not exist in type 'Options<never, never, never>'. Did you mean to write 'refreshAhead'?"
    )
    expect(layer({ ...client, clientsecret: clientSecret })).type.toRaiseError(
      "Object literal may only specify known properties, and 'clientsecret' does not exist in type 'Options<never, never, never> & MissingOption<\"clientSecret or clientAuth\">'."
    )
    expect(layer({ ...client, clientSecret, tokenRequest: { timout: 1 } })).type.toRaiseError(
      "Object literal may only specify known properties, but 'timout' does not exist in type 'TokenRequestOptions'. Did you mean to write 'timeout'?"
    )
  })

  test("a certificate, which only layerMutualTls accepts", () => {
    expect(layer({ ...client, clientSecret, http: { certificate } })).type.toRaiseError(
      "'certificate' does not exist in type 'Options | Layer<HttpClient, InvalidOptions, never>'."
    )
    expect(NodeAuthedHttpClient.layerMutualTls({ clientId, clientSecret, baseUrl, http: { certificate } })).type
      .toRaiseError("& MissingOption<\"tokenEndpoint or issuer\">'.")
  })
})
