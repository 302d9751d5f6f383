/**
 * A response that the client below reports as a failure, as platform's
 * `filterStatus` and `filterStatusOk` do: this library must see the status
 * first.
 */
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"

/** Whether a failure is a response whose status the client below refused. */
export const isStatusFailure = (error: unknown): error is HttpClientError.ResponseError =>
  HttpClientError.isHttpClientError(error) && error._tag === "ResponseError" && error.reason === "StatusCode"

/** The refused response with which a request failed. */
export const fromCause = (cause: Cause.Cause<unknown>): Option.Option<HttpClientError.ResponseError> =>
  Option.filter(Cause.failureOption(cause), isStatusFailure)
