/**
 * What the command is told: the environment as the app reads it, and options
 * that take its place.
 *
 * @since 0.1.0
 */
import * as Options from "@effect/cli/Options"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Option from "effect/Option"
import * as Record from "effect/Record"

/**
 * The option that takes the place of a variable, for each that has one.
 * `ALF_CLIENT_SECRET` and `ALF_REDIS_URL` have none: what stands on a command
 * line is seen by every user of the machine, and kept in the shell's history.
 *
 * @since 0.1.0
 * @category models
 */
export const optionOf: Readonly<Record<string, string>> = {
  ALF_TOKEN_URL: "--token-url",
  ALF_ISSUER: "--issuer",
  ALF_CLIENT_ID: "--client-id",
  ALF_SCOPE: "--scope",
  ALF_BASE_URL: "--base-url"
}

/**
 * A variable as a message names it, with the option that takes its place.
 *
 * @since 0.1.0
 * @category formatting
 */
export const nameOf = (variable: string): string =>
  optionOf[variable] === undefined ? variable : `${variable} (${optionOf[variable]})`

const text = (name: string, placeholder: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(placeholder),
    Options.withDescription(description),
    Options.optional
  )

/**
 * The options that all commands have.
 *
 * @since 0.1.0
 * @category options
 */
export const options = {
  tokenUrl: text("token-url", "url", "The token endpoint, in place of ALF_TOKEN_URL and ALF_ISSUER."),
  issuer: text("issuer", "url", "The authorization server's issuer, in place of ALF_TOKEN_URL and ALF_ISSUER."),
  clientId: text(
    "client-id",
    "id",
    "In place of ALF_CLIENT_ID. The secret is read from ALF_CLIENT_SECRET only: a command line is seen by every user " +
      "of the machine, and kept in the shell's history."
  ),
  scope: text("scope", "scopes", "Scopes with spaces between, in place of ALF_SCOPE."),
  baseUrl: text("base-url", "url", "The API, in place of ALF_BASE_URL."),
  json: Options.boolean("json").pipe(Options.withDescription("Writes JSON, for programs."))
}

/**
 * What was given of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Overrides {
  readonly tokenUrl: Option.Option<string>
  readonly issuer: Option.Option<string>
  readonly clientId: Option.Option<string>
  readonly scope: Option.Option<string>
  readonly baseUrl: Option.Option<string>
}

const variableOf: Readonly<Record<keyof Overrides, string>> = {
  tokenUrl: "ALF_TOKEN_URL",
  issuer: "ALF_ISSUER",
  clientId: "ALF_CLIENT_ID",
  scope: "ALF_SCOPE",
  baseUrl: "ALF_BASE_URL"
}

/**
 * Reads the environment with the options in place of its variables. Who names a
 * server on the command line means that one: neither its address nor its issuer
 * is then taken from the environment.
 *
 * @since 0.1.0
 * @category constructors
 */
export const configProvider = (
  overrides: Overrides,
  environment: Readonly<Record<string, string | undefined>>
): ConfigProvider.ConfigProvider => {
  const variables = new Map(
    Record.toEntries(environment).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  )
  if (Option.isSome(overrides.tokenUrl) || Option.isSome(overrides.issuer)) {
    variables.delete(variableOf.tokenUrl)
    variables.delete(variableOf.issuer)
  }
  for (const [key, variable] of Record.toEntries(variableOf)) {
    const given = overrides[key]
    if (Option.isSome(given)) variables.set(variable, given.value)
  }
  return ConfigProvider.fromMap(variables, { pathDelim: "_", seqDelim: "," })
}
