import * as LayerOptions from "@effect-alf/core/LayerOptions"
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigError } from "effect"
import { ExitCode } from "../src/ExitCode.js"
import * as Failure from "../src/Failure.js"

const endpointError = (reason: OAuthError.AuthorizationServerErrorReason) =>
  new OAuthError.TokenEndpointError({
    reason,
    endpoint: "https://a.test",
    description: "why",
    status: 400,
    error: "no"
  })

describe("Failure", () => {
  it("has an exit code for each kind of error", () => {
    const request = HttpClientRequest.get("https://a.test").pipe(
      HttpClientRequest.setHeader("authorization", "Bearer the-token")
    )
    const cases: ReadonlyArray<readonly [unknown, ExitCode]> = [
      [Failure.usage("no"), ExitCode.usage],
      [ConfigError.MissingData(["ALF_CLIENT_ID"], "Expected ALF_CLIENT_ID to be set"), ExitCode.usage],
      [LayerOptions.error("ALF_SCOPE", "is empty"), ExitCode.usage],
      [endpointError("ClientAuth"), ExitCode.usage],
      [endpointError("Transport"), ExitCode.unreachable],
      [endpointError("Timeout"), ExitCode.unreachable],
      [endpointError("OAuth"), ExitCode.refused],
      [endpointError("Status"), ExitCode.refused],
      [new OAuthError.TokenProviderError({ reason: "MaxWait" }), ExitCode.unreachable],
      [new OAuthError.TokenProviderError({ reason: "RefreshToken" }), ExitCode.degraded],
      [new OAuthError.TokenProviderError({ reason: "Closed" }), ExitCode.unexpected],
      [new OAuthError.OriginNotAllowed({ origin: "https://b.test", allowed: [] }), ExitCode.usage],
      [
        new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("reset") }),
        ExitCode.unreachable
      ],
      [new HttpClientError.RequestError({ request, reason: "InvalidUrl" }), ExitCode.usage],
      [new Error("a fault"), ExitCode.unexpected]
    ]
    for (const [error, exitCode] of cases) {
      const failure = Failure.fromUnknown(error)
      assert.strictEqual(failure.exitCode, exitCode, failure.message)
      assert.notMatch(failure.message, /\n|the-token/)
    }
  })

  it("names the variables and options that are missing", () => {
    const error = ConfigError.And(
      ConfigError.MissingData(["ALF_TOKEN_ENDPOINT"], "Expected ALF_TOKEN_ENDPOINT or ALF_ISSUER to be set"),
      ConfigError.MissingData(["ALF_CLIENT_SECRET"], "no value")
    )
    deepStrictEqual(
      Failure.fromUnknown(error).message,
      "ALF_TOKEN_ENDPOINT (--token-endpoint) or ALF_ISSUER (--issuer), ALF_CLIENT_SECRET are not set"
    )
  })
})
