/** The option `http` of a client: connections of its own, or an HTTP client in place of them. */
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Layer from "effect/Layer"
import * as NodeHttp from "../NodeHttp.js"

/** An HTTP client in place of connections. */
export type Client = Layer.Layer<HttpClient.HttpClient, InvalidOptions>

/** Whether it is an HTTP client. */
export const isClient = (http: NodeHttp.Options | Client | undefined): http is Client => Layer.isLayer(http)

/** The HTTP client. */
export const layer = (http: NodeHttp.Options | Client | undefined): Client =>
  isClient(http) ? http : NodeHttp.layer(http)
