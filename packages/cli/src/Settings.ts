/** The settings of the command: the variables of the app, and options that override them. */
import * as Environment from "@effect-alf/core/Environment"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Failure from "./Failure.js"
import { defaultPrefix, flags, Naming } from "./Naming.js"
import { Process } from "./Process.js"

type Key = keyof typeof flags

const keys = Record.keys(flags)

const prefix = Options.text("prefix").pipe(
  Options.withPseudoName("prefix"),
  Options.withDescription("What the variables begin with in place of ALF, as the option `prefix` of layerEnv."),
  Options.mapEffect((prefix) =>
    /^[a-z_]\w*$/i.test(prefix)
      ? Effect.succeed(prefix)
      : Effect.fail(ValidationError.invalidValue(HelpDoc.p("A prefix has letters, digits and underscores: BILLING")))
  ),
  Options.optional
)

/** The prefix among arguments: their help is made before they are parsed. */
export const prefixOf = (args: ReadonlyArray<string>): string => {
  const index = args.findIndex((arg) => /^--prefix(=|$)/.test(arg))
  if (index === -1) return defaultPrefix
  return args[index].split("=", 2)[1] ?? args[index + 1] ?? defaultPrefix
}

/** The command without its subcommands. Its prefix applies to all of them. */
export const root = Command.make("alf", { prefix })

/** The options that all commands have. */
export const makeOptions = ({ names }: Naming["Type"]) => {
  const text = (key: Key, placeholder: string, description = "") =>
    Options.text(flags[key]).pipe(
      Options.withPseudoName(placeholder),
      Options.withDescription(`In place of ${names[key]}. ${description}`.trim()),
      Options.optional
    )
  const server = `With this option neither ${names.tokenEndpoint} nor ${names.issuer} is read.`
  return {
    tokenEndpoint: text("tokenEndpoint", "url", server),
    issuer: text("issuer", "url", server),
    clientId: text(
      "clientId",
      "id",
      "The secret is read from the environment only: every user of the machine can see a command line, and the shell's " +
        "history keeps it."
    ),
    scope: text("scope", "scopes", "Separated by spaces."),
    resource: text("resource", "urls", "Separated by spaces."),
    audience: text("audience", "audience"),
    baseUrl: text("baseUrl", "url"),
    prefix,
    json: Options.boolean("json").pipe(Options.withDescription("Writes JSON, for programs."))
  }
}

/** What was given of them. */
export type Overrides = { readonly [K in Key | "prefix"]: Option.Option<string> }

/**
 * Reads the environment with the options in place of its variables. If one of
 * them is a server, neither its address nor its issuer is taken from the
 * environment.
 */
export const configProvider = (
  overrides: Overrides,
  environment: Readonly<Record<string, string | undefined>>,
  { names }: Naming["Type"]
): ConfigProvider.ConfigProvider => {
  const variables = new Map(
    Record.toEntries(environment).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  )
  if (Option.isSome(overrides.tokenEndpoint) || Option.isSome(overrides.issuer)) {
    variables.delete(names.tokenEndpoint)
    variables.delete(names.issuer)
  }
  for (const key of keys) {
    const given = overrides[key]
    if (Option.isSome(given)) variables.set(names[key], given.value)
  }
  return ConfigProvider.fromMap(variables, { pathDelim: "_", seqDelim: "," })
}

/** Lets a command read its configuration so, and names variables with their prefix. */
export const configured =
  (overrides: Overrides) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Failure.Failure, R | Command.Command.Context<"alf">> =>
    Effect.gen(function*() {
      const { env } = yield* Process
      const { prefix } = yield* root
      const naming = Naming.make(
        Option.getOrElse(overrides.prefix, () => Option.getOrElse(prefix, () => defaultPrefix))
      )
      return yield* effect.pipe(
        Environment.withPrefix(naming),
        Effect.withConfigProvider(configProvider(overrides, env, naming)),
        Effect.provideService(Naming, Naming.make(naming.prefix, keys.filter((key) => Option.isSome(overrides[key])))),
        Effect.mapError((error) => Failure.fromUnknown(error, naming))
      )
    })
