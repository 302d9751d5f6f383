/**
 * What the server of a test receives and sends, as values that a test can
 * compare.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import type * as UrlParams from "@effect/platform/UrlParams"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * The methods of the IANA registry "OAuth Token Endpoint Authentication
 * Methods" that can be distinguished without a connection.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientAuthMethod =
  | "client_secret_basic"
  | "client_secret_post"
  | "client_secret_jwt"
  | "private_key_jwt"
  | "none"

/**
 * A response in plain values; the default is 200 without headers and body. A
 * body that is neither text nor bytes is sent as JSON; text and JSON have their
 * content type, unless `headers` set another.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly status?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
}

/**
 * What a request gets: a response, a connection that is reset before the
 * response (`"reset"`) or within its body (`"cut"`), or no response at all
 * (`"hang"`).
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = Reply | Response | "reset" | "cut" | "hang"

/**
 * A valid proof.
 *
 * @since 0.1.0
 * @category models
 */
export interface Proof {
  /** The thumbprint of its key (RFC 7638), to which the token is bound as `cnf.jkt`. */
  readonly thumbprint: string
  readonly nonce: string | undefined
}

/**
 * The side that requires a nonce: the token endpoint or the resources.
 *
 * @since 0.1.0
 * @category models
 */
export type Side = "token" | "api"

/**
 * What all requests have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestRequest {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  readonly method: string
  readonly url: string
  /** As sent, including the credentials. */
  readonly headers: Headers.Headers
  readonly authorization: string | undefined
  /** The status of the response; `undefined` if there is none (yet). */
  readonly status: number | undefined
}

/**
 * A token request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest extends TestRequest {
  /** The decoded form. */
  readonly params: UrlParams.UrlParams
  /** The client identifier in the request. */
  readonly clientId: string | undefined
  /** How the client authenticated, correctly or not; `undefined` if not at all, or in several ways. */
  readonly clientAuth: ClientAuthMethod | undefined
  readonly grantType: string | undefined
  readonly scope: string | undefined
  readonly resources: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  /** The DPoP proof, if it was valid. */
  readonly proof: Proof | undefined
  /** The token in the response. */
  readonly token: string | undefined
  /** The server's OAuth error. Responses that a test set are not inspected. */
  readonly error: string | undefined
}

/**
 * A request about a token as it arrived: its revocation (RFC 7009 §2.1) or its
 * introspection (RFC 7662 §2.1).
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenQuery extends TestRequest {
  /** The decoded form. */
  readonly params: UrlParams.UrlParams
  /** The client identifier in the request. */
  readonly clientId: string | undefined
  /** How the client authenticated, correctly or not; `undefined` if not at all, or in several ways. */
  readonly clientAuth: ClientAuthMethod | undefined
  readonly token: string | undefined
  readonly tokenTypeHint: string | undefined
  /** The server's OAuth error. Responses that a test set are not inspected. */
  readonly error: string | undefined
}

/**
 * A request to a resource as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface ApiRequest extends TestRequest {
  /** How the token was sent (RFC 6750 §2.1, RFC 9449 §7.1). */
  readonly scheme: "Bearer" | "DPoP" | undefined
  /** The token of the `Authorization` header. */
  readonly token: string | undefined
  /** The DPoP proof, if it was valid. */
  readonly proof: Proof | undefined
  readonly body: Uint8Array
}

/**
 * A request and its body as they arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrival extends TestRequest {
  readonly body: Uint8Array
}

/**
 * A token that the server issued.
 *
 * @since 0.1.0
 * @category models
 */
export interface IssuedToken {
  readonly value: string
  readonly scope: string | undefined
  readonly resources: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  /** The thumbprint of the key that it is bound to, `cnf.jkt` (RFC 9449 §6.1). */
  readonly thumbprint: string | undefined
  /** Epoch milliseconds. */
  readonly issuedAt: number
  /** Epoch milliseconds; `undefined` for a token that does not expire. */
  readonly expiresAt: number | undefined
  readonly revoked: boolean
}

/**
 * A refresh token that the server issued.
 *
 * @since 0.1.0
 * @category models
 */
export interface IssuedRefreshToken {
  readonly value: string
  /** The first refresh token of its family. */
  readonly family: string
  /** When it was exchanged for tokens, in epoch milliseconds. */
  readonly usedAt: ReadonlyArray<number>
  readonly revoked: boolean
}

/**
 * Which token requests are denied, and with which error:
 * - `client`: those of the client, with 403 `access_denied`;
 * - `grant`: those with the grant, with `unauthorized_client` (RFC 6749 §5.2);
 * - `scope`: those that name the scope, with `invalid_scope` (RFC 6749 §5.2);
 * - `resource`: those that name it as resource or audience, with
 *   `invalid_target` (RFC 8707 §2).
 *
 * @since 0.1.0
 * @category models
 */
export type Denial =
  | { readonly client: string }
  | { readonly grant: string }
  | { readonly scope: string }
  | { readonly resource: string }

/**
 * What a resource returns by default. It never contains the token.
 *
 * @since 0.1.0
 * @category models
 */
export class Echo extends Schema.Class<Echo>("@effect-alf/core/TestResource/Echo")({
  method: Schema.String,
  path: Schema.String,
  /** The last value of each name; `apiRequests` has the whole URL. */
  query: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The scope of the token. */
  scope: Schema.NullOr(Schema.String),
  /** The body as text; invalid UTF-8 becomes replacement characters. */
  text: Schema.String,
  /** The body, byte for byte. */
  base64: Schema.String
}) {}

/**
 * Answers requests with a valid token.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (
  request: ApiRequest,
  token: IssuedToken
) => Effect.Effect<Answer>
