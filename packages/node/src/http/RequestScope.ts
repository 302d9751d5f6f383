/** Platform's `HttpClient.withScope` identifies a request by reference, in a registry that platform does not export. */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { globalValue } from "effect/GlobalValue"

/** The controller that aborts a request when its scope closes, if it has one. */
export const find = (request: HttpClientRequest.HttpClientRequest): AbortController | undefined =>
  scopedRequests.get(request)

const scopedRequests = globalValue(
  "@effect/platform/HttpClient/scopedRequests",
  () => new WeakMap<HttpClientRequest.HttpClientRequest, AbortController>()
)
