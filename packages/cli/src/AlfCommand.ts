/** The command `alf`: its parts, its help, and how it ends. */
import { variables } from "@effect-alf/node/NodeAuthedHttpClient"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { doctorCommand } from "./DoctorCommand.js"
import { ExitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import { type Output, Process } from "./Process.js"
import { requestCommand } from "./RequestCommand.js"
import * as Spinner from "./Spinner.js"
import * as Style from "./Style.js"
import { tokenCommand } from "./TokenCommand.js"

const help = HelpDoc.blocks([
  HelpDoc.p(
    "Gets access tokens by client credentials, calls APIs with them, and says what is wrong when that does not work."
  ),
  HelpDoc.p(
    `Reads what the app reads: ${Object.values(variables).map(({ name }) => name).join(", ")}, and HTTPS_PROXY, ` +
      "HTTP_PROXY and NO_PROXY. Options take their place, but for secrets."
  ),
  HelpDoc.p(
    "Exit codes: 0 all is well, 1 the authorization server or the API says no, 2 the command line or the configuration " +
      "is wrong, 3 a server cannot be reached, 4 the store, the clock or the token is not as it should be, 70 a fault of " +
      "this command, 130 ended by Ctrl-C."
  )
])

/** The whole command. */
export const alfCommand = Command.make("alf").pipe(
  Command.withDescription(help),
  Command.withSubcommands([tokenCommand, requestCommand, doctorCommand])
)

// -----------------------------------------------------------------------------
// output
// -----------------------------------------------------------------------------

// eslint-disable-next-line no-control-regex
const escapes = /\u001b\[[\d;]*m/g

/** The command-line library paints all that it says, wherever that goes. */
const withPlainConsole = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Process,
    ({ stdout }) =>
      Effect.flatMap(Style.showsColours(stdout), (colours) =>
        Console.consoleWith((console) => {
          const log = (...args: ReadonlyArray<unknown>) =>
            console.log(...args.map((arg) => typeof arg === "string" && !colours ? arg.replace(escapes, "") : arg))
          return Effect.withConsole(effect, { ...console, log, error: (...args) => complain(args.join(" ")) })
        }))
  )

/** One line on the standard error. */
const complain = (message: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const line = message.replace(escapes, "").replace(/\s+/g, " ").trim()
    return line === "" ? Effect.void : writeError(`alf: ${line}\n`)
  })

const writeError = (text: string): Effect.Effect<void> =>
  Effect.map(Process, ({ stderr }) => {
    stderr.write(text)
  })

const makeLogger = (stderr: Output) =>
  Logger.make(({ logLevel, message }) => {
    // What ends the command it says itself, once
    if (LogLevel.greaterThanEqual(logLevel, LogLevel.Error)) return
    const text = Array.isArray(message) ? message.join(" ") : String(message)
    stderr.write(`alf: ${logLevel.label.toLowerCase()}: ${text.replace(/\s+/g, " ")}\n`)
  })

const warnings = Logger.replaceEffect(Logger.defaultLogger, Effect.map(Process, ({ stderr }) => makeLogger(stderr)))

// -----------------------------------------------------------------------------
// end
// -----------------------------------------------------------------------------

const tell = (failure: Failure.Failure, asJson: boolean): Effect.Effect<ExitCode> => {
  const { exitCode, kind, message } = failure
  return Effect.as(
    asJson && message !== ""
      ? writeError(`${JSON.stringify({ error: { kind, message, exitCode } })}\n`)
      : complain(message),
    exitCode
  )
}

/**
 * Runs the command with the arguments of the process; brings its exit code, and
 * fails only when it is interrupted.
 */
export const run = (args: ReadonlyArray<string>, version: string): Effect.Effect<ExitCode> =>
  Command.run(alfCommand, { name: "alf", version })(args).pipe(
    Effect.as<ExitCode>(ExitCode.ok),
    Effect.catchAllCause((cause) => {
      if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const error = Option.getOrElse(Cause.failureOption(cause), () => Cause.squash(cause))
      return ValidationError.isValidationError(error)
        // Said already
        ? Effect.succeed(ExitCode.usage)
        : tell(Failure.fromUnknown(error), args.includes("--json"))
    }),
    withPlainConsole,
    Logger.withMinimumLogLevel(LogLevel.Warning),
    Effect.provide(Layer.mergeAll(
      NodeContext.layer,
      // -H is a header, and -h the help
      CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false }),
      Style.layer,
      Spinner.layer,
      warnings
    ))
  )
