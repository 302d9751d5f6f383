/**
 * Which authentication method a client uses with a server whose metadata lists
 * the methods that it supports (RFC 8414 §2).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Metadata } from "../AuthorizationServer.js"
import * as ClientAuth from "../ClientAuth.js"
import * as LayerOptions from "../LayerOptions.js"
import * as AuthenticatedPost from "./AuthenticatedPost.js"

/** The methods of a client, the preferred one first. */
export type Candidates<R> = readonly [ClientAuth.ClientAuth<R>, ...ReadonlyArray<ClientAuth.ClientAuth<R>>]

/** The methods of the options; with a secret there are several. */
export const make = <R>(name: string, options: {
  readonly clientSecret?: ClientAuth.Secret<R> | undefined
  readonly clientAuth?: ClientAuth.ClientAuth<R> | ReadonlyArray<ClientAuth.ClientAuth<R>> | undefined
}): LayerOptions.Done<Candidates<R>> => {
  const { clientAuth } = options
  if (clientAuth === undefined) {
    return Exit.map(AuthenticatedPost.clientSecretOf(name, options), (secret) => [
      ClientAuth.clientSecretBasic(secret),
      ClientAuth.clientSecretPost(secret),
      ClientAuth.clientSecretJwt(secret)
    ])
  }
  const [first, ...others] = Array.isArray(clientAuth) ? clientAuth : [clientAuth]
  return first === undefined
    ? LayerOptions.invalid(`${name}.clientAuth`, "is an empty list")
    : Exit.map(
      LayerOptions.collect([first, ...others].map((one) => AuthenticatedPost.checkClientAuth(name, one))),
      () => [first, ...others] as const
    )
}

/**
 * The candidates as one: the part of a token's key that identifies the client
 * authentication, and whether its credentials changed.
 */
export const merge = <R>(
  candidates: Candidates<R>
): Pick<ClientAuth.ClientAuth<R>, "method" | "version" | "binding"> => {
  // Candidates with one secret read it once
  const versions = [...new Set(candidates.flatMap(({ version }) => version === undefined ? [] : [version]))]
  return {
    method: candidates.map(({ method }) => method).join(" "),
    version: versions.length === 0 ? undefined : Effect.map(Effect.all(versions), mergeVersions),
    binding: candidates.find(({ binding }) => binding !== undefined)?.binding
  }
}

const mergeVersions = (versions: ReadonlyArray<ClientAuth.Version>): ClientAuth.Version =>
  Redacted.make(versions.map((one) => Redacted.isRedacted(one) ? Redacted.value(one) : one).join(" "))

/** IANA "OAuth Token Endpoint Authentication Methods"; no server's metadata lists an app's own method. */
const registered = [
  "none",
  "client_secret_post",
  "client_secret_basic",
  "client_secret_jwt",
  "private_key_jwt",
  "tls_client_auth",
  "self_signed_tls_client_auth"
]

/** The method that a client uses, and why the server may not accept it. */
interface Choice<R> {
  readonly clientAuth: ClientAuth.ClientAuth<R>
  readonly doubt: string | undefined
}

/**
 * The first method that the server supports. If the server does not list its
 * methods, or supports none of these, the preferred one.
 */
export const choose = <R>(candidates: Candidates<R>, metadata: Metadata): Choice<R> => {
  const [preferred] = candidates
  const supported = Option.getOrUndefined(metadata.token_endpoint_auth_methods_supported)
  if (supported === undefined) return { clientAuth: preferred, doubt: undefined }
  const chosen = candidates.find(({ method }) => supported.includes(method) || !registered.includes(method))
  if (chosen !== undefined) return { clientAuth: chosen, doubt: undefined }
  const given = candidates.map(({ method }) => method).join(", ")
  const taken = supported.map((method) => method === "none" ? "\"none\" (public clients)" : method).join(", ")
  return {
    clientAuth: preferred,
    doubt: `the server supports ${taken || "no authentication method"}; the client has ${given}`
  }
}
