/** `alf doctor`: says what is wrong, and what to do. */
import * as TokenStore from "@effect-alf/core/TokenStore"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Examples from "./Examples.js"
import { ExitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import * as Finding from "./Finding.js"
import { Process } from "./Process.js"
import * as Settings from "./Settings.js"
import { Spinner } from "./Spinner.js"
import { Style } from "./Style.js"

const options = {
  ...Settings.options,
  api: Options.text("api").pipe(
    Options.withPseudoName("path"),
    Options.withDescription("Also asks the API for this path, or whole address, with the token (GET)."),
    Options.optional
  )
}

// What other programs read, curl among them
const unreadProxies = ["ALL_PROXY", "all_proxy"]

/** The command. */
export const doctorCommand = Command.make("doctor", options, (options) =>
  Effect.gen(function*() {
    // The other commands do without them
    const [Doctor, DoctorReport] = yield* Effect.promise(() =>
      Promise.all([import("./Doctor.js"), import("./DoctorReport.js")])
    )
    const spinner = yield* Spinner
    const { env } = yield* Process
    const examination = Doctor.examine({
      api: options.api,
      openStore: (environment) =>
        Effect.map(
          Layer.build(NodeAuthedHttpClient.tokenStore(environment) ?? TokenStore.layerMemory()),
          Context.get(TokenStore.TokenStore)
        ),
      variables: Object.keys(env),
      unreadProxies: unreadProxies.flatMap((name) => {
        const value = env[name]
        return value === undefined || value === "" ? [] : [{ name, value }]
      })
      // A finding says it better
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    const findings = yield* spinner.during("examining")(examination)
    yield* Console.log(
      options.json
        ? JSON.stringify(DoctorReport.toJson(findings), undefined, 2)
        : DoctorReport.toText(findings, yield* Style)
    )
    const exitCode = Finding.exitCode(findings)
    if (exitCode !== ExitCode.ok) yield* Failure.quiet(exitCode)
  }).pipe(Settings.configured(options))).pipe(
    Command.withDescription(Examples.describe(
      "Looks at the configuration, the way to the servers, the credentials, the token, the clock, the store and the API, " +
        "and says in the first line what is wrong. It requests one token (and another one when the secret is rejected, " +
        "sent in the other usual way), and leaves nothing behind in the store.",
      ["alf doctor", "alf doctor --api /orders", "alf doctor --issuer https://auth.example.com --json"]
    ))
  )
