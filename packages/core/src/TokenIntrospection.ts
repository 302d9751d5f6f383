/**
 * The introspection endpoint (RFC 7662): the server's state of a token.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AccessToken } from "./AccessToken.js"
import type * as AuthorizationServer from "./AuthorizationServer.js"
import * as AuthenticatedPost from "./endpoint/AuthenticatedPost.js"
import * as Field from "./endpoint/Field.js"
import { type InvalidOptions, TokenIntrospectionError } from "./OAuthError.js"

/**
 * The response (RFC 7662 §2.2). Times are seconds since 1970. `cnf` says what
 * the token is bound to (RFC 8705 §3.2, RFC 9449 §6.2). If `active` is `false`,
 * ignore the other fields.
 *
 * @since 0.1.0
 * @category schemas
 */
export class Introspection extends Schema.Class<Introspection>("@effect-alf/core/TokenIntrospection")({
  active: Field.required(Field.Flag),
  scope: Field.optional(Field.Text),
  client_id: Field.optional(Field.Text),
  username: Field.optional(Field.Text),
  token_type: Field.optional(Field.Text),
  exp: Field.optional(Field.Seconds),
  iat: Field.optional(Field.Seconds),
  nbf: Field.optional(Field.Seconds),
  sub: Field.optional(Field.Text),
  aud: Field.optional(Field.texts("is neither a string nor a list of them")),
  iss: Field.optional(Field.Text),
  jti: Field.optional(Field.Text),
  cnf: Field.optional(Field.Dictionary)
}) {}

/**
 * Requests the state of a token.
 *
 * @since 0.1.0
 * @category models
 */
export type Introspect<E = never> = (
  token: AccessToken | Redacted.Redacted,
  hint?: "access_token" | "refresh_token"
) => Effect.Effect<Introspection, TokenIntrospectionError | E>

/**
 * The introspection endpoint, and how the client authenticates there.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<R = never, E = never> extends AuthorizationServer.EndpointOptions<R> {
  /** The URL of the endpoint, or an effect that finds it, such as `endpoint` of an `AuthorizationServer`. */
  readonly introspectionEndpoint: AuthorizationServer.Address<E>
}

/**
 * Makes the function that introspects tokens.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never, E = never>(
  options: Options<R, E>
): Effect.Effect<Introspect<E>, InvalidOptions, HttpClient.HttpClient | R> =>
  Effect.map(
    AuthenticatedPost.aboutToken("TokenIntrospection", TokenIntrospectionError, {
      option: "introspectionEndpoint",
      at: options.introspectionEndpoint
    }, options),
    (ask): Introspect<E> => (token, hint) => Effect.flatMap(ask(token, hint), ({ read }) => read(decode))
  )

// No unreadable field is omitted: whether a token is trusted may depend on it
const decode = Field.decode(Introspection)
