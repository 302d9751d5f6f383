/** What an app gives platform's fetch client: platform's own tag, without that client's code. */
import type * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Context from "effect/Context"

export const FetchRequestInit = Context.GenericTag<FetchHttpClient.RequestInit, RequestInit>(
  "@effect/platform/FetchHttpClient/FetchOptions"
)
