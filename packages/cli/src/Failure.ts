/**
 * How an error of a command is reported: in one line, with an exit code, and
 * without a trace of its insides.
 */
import * as OAuthError from "@effect-alf/core/OAuthError"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ExitCode } from "./ExitCode.js"
import { defaultPrefix, Naming } from "./Naming.js"

/** What ends a command before its time. */
export class Failure extends Data.TaggedError("Failure")<{
  readonly message: string
  readonly exitCode: ExitCode
  /** The kind of the error, for programs. */
  readonly kind: string
}> {}

/** The command was used in a way that it does not know. */
export const usage = (message: string): Failure => new Failure({ message, exitCode: ExitCode.usage, kind: "Usage" })

/** Ends the command with an exit code; why, it has said already. */
export const quiet = (exitCode: ExitCode): Failure => new Failure({ message: "", exitCode, kind: "Quiet" })

/**
 * Says any error. Of an unknown error only the message is reported: it may
 * hold a request, and with it a token.
 */
export const fromUnknown = (error: unknown, naming: Naming["Type"] = Naming.make(defaultPrefix)): Failure => {
  if (error instanceof Failure) return error
  if (ConfigError.isConfigError(error)) {
    return new Failure({ message: sayConfigError(error, naming), exitCode: ExitCode.usage, kind: "Configuration" })
  }
  if (Predicate.isTagged(error, "InvalidOptions") && error instanceof OAuthError.InvalidOptions) {
    return new Failure({ message: naming.nameOptions(error.message), exitCode: ExitCode.usage, kind: "Configuration" })
  }
  const known = OAuthError.find(error)
  if (Option.isSome(known)) return fromOAuthError(known.value)
  if (HttpClientError.isHttpClientError(error)) {
    const { method, url } = error.request
    const description = OAuthError.describe(error.cause ?? error.description ?? error.reason)
    const isUsage = error._tag === "RequestError" &&
      (error.reason === "InvalidUrl" || error.reason === "Encode" || isRefusedByUndici(error.cause))
    return new Failure({
      message: `${method} ${OAuthError.oneLine(url)}: ${description}`,
      exitCode: isUsage ? ExitCode.usage : ExitCode.unreachable,
      kind: error.reason
    })
  }
  return new Failure({ message: OAuthError.describe(error), exitCode: ExitCode.unexpected, kind: "Unexpected" })
}

/** A header that cannot be sent: it is found when the request is. */
const isRefusedByUndici = (cause: unknown): boolean =>
  Predicate.hasProperty(cause, "code") &&
  (cause.code === "UND_ERR_INVALID_ARG" || cause.code === "UND_ERR_NOT_SUPPORTED")

const fromOAuthError = (error: OAuthError.OAuthError | OAuthError.RedirectError): Failure => {
  const fail = (exitCode: ExitCode, kind: string) => new Failure({ message: error.message, exitCode, kind })
  switch (error._tag) {
    case "TokenEndpointError":
    case "DiscoveryError":
      switch (error.reason) {
        case "ClientAuth":
          return fail(ExitCode.usage, error.reason)
        case "Transport":
        case "Timeout":
          return fail(ExitCode.unreachable, error.reason)
        case "OAuth":
        case "Status":
        case "Redirect":
        case "InvalidResponse":
          return fail(ExitCode.refused, error.reason)
      }
      break
    case "TokenProviderError":
      switch (error.reason) {
        case "Closed":
        case "Defect":
          return fail(ExitCode.unexpected, error.reason)
        case "MaxWait":
          return fail(ExitCode.unreachable, error.reason)
        case "RefreshToken":
          return fail(ExitCode.degraded, error.reason)
      }
      break
    case "OriginNotAllowed":
      return fail(ExitCode.usage, error._tag)
    case "RedirectError":
      return fail(ExitCode.refused, error._tag)
  }
}

const sayConfigError = (error: ConfigError.ConfigError, { nameOptions }: Naming["Type"]): string => {
  const missing = missingOf(error)
  return missing.length === 0
    ? OAuthError.oneLine(error.message)
    : nameOptions(`${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not set`)
}

const missingOf = (error: ConfigError.ConfigError): ReadonlyArray<string> => {
  if (error._op === "And" || error._op === "Or") return [...missingOf(error.left), ...missingOf(error.right)]
  return error._op === "MissingData"
    ? [/^Expected (.+) to be set$/.exec(error.message)?.[1] ?? error.path.join("_")]
    : []
}
