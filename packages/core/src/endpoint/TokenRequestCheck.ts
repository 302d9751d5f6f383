/** The check of a token request as an option of a layer. */
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as LayerOptions from "../LayerOptions.js"
import type { InvalidOptions } from "../OAuthError.js"
import type { TokenRequest } from "../TokenRequest.js"

/** Names all parameters to which plain JavaScript, or a cast, gave another type. */
export const check = (option: string, request: TokenRequest = {}): Exit.Exit<unknown, InvalidOptions> => {
  const { grant, params = {} } = request
  return LayerOptions.collect([
    LayerOptions.type(`${option}.grant`, grant, Predicate.hasProperty("type"), "one of those that Grant has"),
    ...(["scope", "resource", "audience"] as const).map((name) =>
      LayerOptions.textOrTexts(`${option}.${name}`, request[name])
    ),
    ...Object.entries(params).map(([name, value]) =>
      // Such as the value of an environment variable that is not set
      typeof value === "string"
        ? Exit.void
        : LayerOptions.invalid(`${option}.params.${name}`, value === undefined ? "is missing" : "is not a string")
    )
  ])
}
