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
import { Naming } from "./Naming.js"
import { Process } from "./Process.js"
import * as Settings from "./Settings.js"
import { Spinner } from "./Spinner.js"
import { Style } from "./Style.js"

const api = Options.text("api").pipe(
  Options.withPseudoName("path"),
  Options.withDescription("Also calls the API with the token: GET of this path or URL."),
  Options.optional
)

// What other programs read, curl among them
const unreadProxies = ["ALL_PROXY", "all_proxy"]

/** The command. */
export const make = (naming: Naming["Type"]) =>
  Command.make("doctor", { ...Settings.makeOptions(naming), api }, (options) =>
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
        unreadProxies: unreadProxies.flatMap((name) => {
          const value = env[name]
          return value === undefined || value === "" ? [] : [{ name, value }]
        })
        // A finding says it better
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
      const findings = yield* spinner.during("examining")(examination)
      const naming = yield* Naming
      yield* Console.log(
        options.json
          ? JSON.stringify(DoctorReport.toJson(findings, naming), undefined, 2)
          : DoctorReport.toText(findings, yield* Style, naming)
      )
      const exitCode = Finding.exitCode(findings)
      if (exitCode !== ExitCode.ok) yield* Failure.quiet(exitCode)
    }).pipe(Settings.configured(options))).pipe(
      Command.withDescription(Examples.describe(
        "Checks the configuration, the network, the credentials, the token, the clock, the store and the API. The first " +
          "line of its report names the cause. It requests one token, and another one by the other usual method if the " +
          "secret is rejected. It leaves nothing in the store.",
        [
          "alf doctor",
          "alf doctor --api /orders",
          "alf doctor --issuer https://auth.example.com --json",
          "alf --prefix BILLING doctor"
        ]
      ))
    )
