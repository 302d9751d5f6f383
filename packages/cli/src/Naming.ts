/** How variables and options are named in what the command prints. */
import * as Environment from "@effect-alf/core/Environment"
import { variables } from "@effect-alf/node/NodeAuthedHttpClient"
import * as Context from "effect/Context"
import * as Record from "effect/Record"

/** The options that override a variable. A secret has none: other users can see a command line. */
export const flags = {
  tokenEndpoint: "token-endpoint",
  issuer: "issuer",
  clientId: "client-id",
  scope: "scope",
  resource: "resource",
  audience: "audience",
  baseUrl: "base-url"
} as const

/** What variables begin with unless `--prefix` says otherwise. */
export const defaultPrefix = "ALF"

/** Names what is `given` as an option by that option. */
const make = (prefix: string, given: ReadonlyArray<keyof typeof flags> = []) => {
  const names = Record.map(variables, ({ name }) => Environment.prefixed(name, { prefix }))
  return {
    prefix,
    /** The names of the variables, or of the options in their place. */
    names: { ...names, ...Object.fromEntries(given.map((key) => [key, `--${flags[key]}`])) },
    /** Adds to the variables in a text the options that override them. */
    nameOptions: (text: string): string =>
      Record.toEntries(flags).reduce(
        (named, [key, flag]) => named.replace(new RegExp(`\\b${names[key]}\\b`), `$& (--${flag})`),
        text
      )
  }
}

/** The names of the variables under a prefix. */
export class Naming extends Context.Reference<Naming>()("@effect-alf/cli/Naming", {
  defaultValue: () => make(defaultPrefix)
}) {
  static readonly make = make
}
