/** The settings of the current call: the combinators of `AuthedHttpClient` set them, and the client reads them. */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { RedirectError } from "../OAuthError.js"
import type { TokenRequest } from "../TokenRequest.js"
import type * as Redirect from "./Redirect.js"

/** The settings of a single call. */
export interface CallOptions {
  readonly request?: TokenRequest | undefined
  readonly withoutToken?: boolean | undefined
  readonly replayable?: boolean | undefined
  /** How redirects are handled; `undefined` leaves them to the `HttpClient` below. */
  readonly redirects?: RedirectPolicy | undefined
}

/** A value with its own code, so that the bundle of an app without it does not contain it. */
type RedirectPolicy = <E>(
  request: HttpClientRequest.HttpClientRequest,
  origin: string | undefined,
  options: Redirect.Options<E, CallOptions>
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E | RedirectError>

/** The current call. */
export class CurrentCall extends Context.Reference<CurrentCall>()("@effect-alf/core/AuthedHttpClient/CurrentCall", {
  defaultValue: (): CallOptions => ({})
}) {}
