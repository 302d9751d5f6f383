/**
 * The settings of the command: the variables that the app reads, and options that
 * take their place.
 */
import * as Environment from "@effect-alf/core/Environment"
import * as Options from "@effect/cli/Options"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import { Process } from "./Process.js"

const flags = {
  tokenEndpoint: "token-endpoint",
  issuer: "issuer",
  clientId: "client-id",
  scope: "scope",
  resource: "resource",
  audience: "audience",
  baseUrl: "base-url"
} as const

type Key = keyof typeof flags

const keys = Record.keys(flags)

/**
 * The variables of a text with the options that take their place beside them.
 * What is secret has none: what stands on a command line is seen by every user
 * of the machine, and kept in the shell's history.
 */
export const nameOptions = (text: string): string => {
  let named = text
  for (const key of keys) {
    named = named.replace(new RegExp(`\\b${Environment.variables[key].name}\\b`), `$& (--${flags[key]})`)
  }
  return named
}

const text = (key: Key, placeholder: string, description = "") =>
  Options.text(flags[key]).pipe(
    Options.withPseudoName(placeholder),
    Options.withDescription(`In place of ${Environment.variables[key].name}. ${description}`.trim()),
    Options.optional
  )

const server = "Who names a server means that one: neither ALF_TOKEN_ENDPOINT nor ALF_ISSUER is then read."

/** The options that all commands have. */
export const options = {
  tokenEndpoint: text("tokenEndpoint", "url", server),
  issuer: text("issuer", "url", server),
  clientId: text(
    "clientId",
    "id",
    "The secret is read from the environment only: a command line is seen by every user of the machine, and kept in " +
      "the shell's history."
  ),
  scope: text("scope", "scopes", "With spaces between."),
  resource: text("resource", "urls", "With spaces between."),
  audience: text("audience", "audience"),
  baseUrl: text("baseUrl", "url"),
  json: Options.boolean("json").pipe(Options.withDescription("Writes JSON, for programs."))
}

/** What was given of them. */
export type Overrides = { readonly [K in Key]: Option.Option<string> }

/**
 * Reads the environment with the options in place of its variables. Who names a
 * server on the command line means that one: neither its address nor its issuer
 * is then taken from the environment.
 */
export const configProvider = (
  overrides: Overrides,
  environment: Readonly<Record<string, string | undefined>>
): ConfigProvider.ConfigProvider => {
  const variables = new Map(
    Record.toEntries(environment).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  )
  if (Option.isSome(overrides.tokenEndpoint) || Option.isSome(overrides.issuer)) {
    variables.delete(Environment.variables.tokenEndpoint.name)
    variables.delete(Environment.variables.issuer.name)
  }
  for (const key of keys) {
    const given = overrides[key]
    if (Option.isSome(given)) variables.set(Environment.variables[key].name, given.value)
  }
  return ConfigProvider.fromMap(variables, { pathDelim: "_", seqDelim: "," })
}

/** Lets an effect read its configuration so. */
export const configured = (overrides: Overrides) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Process, ({ env }) => Effect.withConfigProvider(effect, configProvider(overrides, env)))
