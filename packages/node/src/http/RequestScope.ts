/**
 * Platform's `HttpClient.withScope` knows a request by its identity, in a
 * registry that platform does not export.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { globalValue } from "effect/GlobalValue"

/** What aborts a request when its scope ends, if it has one. */
export const find = (request: HttpClientRequest.HttpClientRequest): AbortController | undefined =>
  scopedRequests.get(request)

const scopedRequests = globalValue(
  "@effect/platform/HttpClient/scopedRequests",
  () => new WeakMap<HttpClientRequest.HttpClientRequest, AbortController>()
)
