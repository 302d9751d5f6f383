/** The command `alf`: its parts, its help, and how it ends. */
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
import * as DoctorCommand from "./DoctorCommand.js"
import { ExitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import { Naming } from "./Naming.js"
import { type Output, Process } from "./Process.js"
import * as RequestCommand from "./RequestCommand.js"
import * as Settings from "./Settings.js"
import * as Spinner from "./Spinner.js"
import * as Style from "./Style.js"
import * as TokenCommand from "./TokenCommand.js"

const makeHelp = ({ names }: Naming["Type"]) =>
  HelpDoc.blocks([
    HelpDoc.p(
      "Gets access tokens by client credentials, calls APIs with them, and says what is wrong when that does not work."
    ),
    HelpDoc.p(
      `Reads the variables of the app: ${Object.values(names).join(", ")}, and HTTPS_PROXY, HTTP_PROXY and NO_PROXY. ` +
        "Options override them, except secrets."
    ),
    HelpDoc.p(
      "Exit codes: 0 success, 1 the authorization server or the API refused, 2 the command line or the configuration is " +
        "wrong, 3 a server is unreachable, 4 doctor: tokens work, but the store, clock or token has a problem, 70 a " +
        "defect of this command, 130 Ctrl-C, 141 the output was closed."
    )
  ])

/** The whole command; its help names the variables so. */
const make = (naming: Naming["Type"]) =>
  Settings.root.pipe(
    Command.withDescription(makeHelp(naming)),
    Command.withSubcommands([TokenCommand.make(naming), RequestCommand.make(naming), DoctorCommand.make(naming)])
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

/** The library finds `--help` only directly after the name of a command. */
const placeHelp = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [node, script, ...rest] = args
  if (!rest.some((arg) => arg === "--help" || arg === "-h")) return args
  return [node, script, ...rest.filter((arg) => /^(token|request|doctor)$/.test(arg)).slice(0, 1), "--help"]
}

/**
 * Runs the command with the arguments of the process; brings its exit code, and
 * fails only when it is interrupted.
 */
export const run = (args: ReadonlyArray<string>, version: string): Effect.Effect<ExitCode> =>
  Command.run(make(Naming.make(Settings.prefixOf(args))), { name: "alf", version })(placeHelp(args)).pipe(
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
