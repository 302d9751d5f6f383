/** `alf token`: gets a token and shows what there is to know about it. */
import { TokenProvider } from "@effect-alf/core/TokenProvider"
import * as NodeAuthedHttpClient from "@effect-alf/node/NodeAuthedHttpClient"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Examples from "./Examples.js"
import type { Naming } from "./Naming.js"
import * as Settings from "./Settings.js"
import { Spinner } from "./Spinner.js"
import { Style } from "./Style.js"
import * as TokenReport from "./TokenReport.js"

const options = {
  reveal: Options.boolean("reveal").pipe(
    Options.withDescription("Writes the token itself and nothing else: for $(alf token --reveal), not for a log.")
  ),
  fresh: Options.boolean("fresh").pipe(
    Options.withDescription("Asks the server for a new token, whatever the store holds, and keeps it out of the store.")
  )
}

/** The command. */
export const make = (naming: Naming["Type"]) =>
  Command.make("token", { ...Settings.makeOptions(naming), ...options }, (options) =>
    Effect.gen(function*() {
      const spinner = yield* Spinner
      const provider = yield* TokenProvider
      const token = yield* spinner.during("waiting for a token")(provider.get())
      const now = yield* DateTime.now
      if (options.json) {
        return yield* Console.log(JSON.stringify(TokenReport.toJson(token, now, options), undefined, 2))
      }
      yield* Console.log(
        options.reveal ? Redacted.value(token.value) : TokenReport.toText(token, now, yield* Style)
      )
    }).pipe(
      // It sends the token nowhere: where it may go does not matter
      Effect.provide(NodeAuthedHttpClient.layerEnv({ origins: "any", shareTokens: !options.fresh })),
      Settings.configured(options)
    )).pipe(
      Command.withDescription(Examples.describe(
        "Gets an access token and shows its type, scope, expiry and, of a JWT, its claims. The token itself is redacted.",
        [
          "alf token",
          "alf token --scope \"orders:read\" --json",
          "curl -H \"Authorization: Bearer $(alf token --reveal)\" https://api.example.com/orders"
        ]
      ))
    )
