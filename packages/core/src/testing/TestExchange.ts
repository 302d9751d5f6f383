/**
 * What the server of a test receives and answers, as values that a test can compare.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import type * as UrlParams from "@effect/platform/UrlParams"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * The ways of the IANA registry "OAuth Token Endpoint Authentication Methods"
 * that can be told apart without a connection.
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
 * An answer in plain values: 200, no headers and an empty body unless it says
 * otherwise. A body that is neither text nor bytes is sent as JSON; text and
 * JSON have their content type, where `headers` name no other.
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
 * What a request can meet: an answer, a connection that is reset before the
 * answer (`"reset"`) or in the middle of its body (`"cut"`), or silence
 * (`"hang"`).
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = Reply | Response | "reset" | "cut" | "hang"

/**
 * A proof that was found to be right.
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
 * Who asks for a nonce: the token endpoint or the resources.
 *
 * @since 0.1.0
 * @category models
 */
export type Side = "token" | "api"

/**
 * What there is to say of any request.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestRequest {
  /** When it arrived, in epoch milliseconds. */
  readonly time: number
  readonly method: string
  readonly url: string
  /** As they were sent, with the credentials. */
  readonly headers: Headers.Headers
  readonly authorization: string | undefined
  /** The status of the answer; `undefined` while, or when, there is none. */
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
  /** Whom the request is from, in its own words. */
  readonly clientId: string | undefined
  /** How the client authenticated, rightly or not; `undefined` when not at all, or in several ways. */
  readonly clientAuth: ClientAuthMethod | undefined
  readonly grantType: string | undefined
  readonly scope: string | undefined
  readonly resources: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  /** What its DPoP proof says, once it was found to be right. */
  readonly proof: Proof | undefined
  /** The token that the answer brought. */
  readonly token: string | undefined
  /** The OAuth error that the server answered. One that a test told it to answer is not looked at. */
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
  /** Whom the request is from, in its own words. */
  readonly clientId: string | undefined
  /** How the client authenticated, rightly or not; `undefined` when not at all, or in several ways. */
  readonly clientAuth: ClientAuthMethod | undefined
  readonly token: string | undefined
  readonly tokenTypeHint: string | undefined
  /** The OAuth error that the server answered. One that a test told it to answer is not looked at. */
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
  /** What its DPoP proof says, once it was found to be right. */
  readonly proof: Proof | undefined
  readonly body: Uint8Array
}

/**
 * A request and its body, both as they came over the wire.
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
  /** The one that it began with. */
  readonly family: string
  /** When it brought a token, in epoch milliseconds. */
  readonly usedAt: ReadonlyArray<number>
  readonly revoked: boolean
}

/**
 * What a request must not ask for, or who must not ask:
 * - `client`: 403 `access_denied`;
 * - `grant`: `unauthorized_client` (RFC 6749 §5.2);
 * - `scope`: `invalid_scope`, for a request that names it (RFC 6749 §5.2);
 * - `resource`: `invalid_target`, for one that names it as resource or audience
 *   (RFC 8707 §2).
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
 * What a resource answers by default. It never holds the token.
 *
 * @since 0.1.0
 * @category models
 */
export class Echo extends Schema.Class<Echo>("@effect-alf/core/TestResource/Echo")({
  method: Schema.String,
  path: Schema.String,
  /** The last value of each name; all are in the address of `apiRequests`. */
  query: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** The scope of the token. */
  scope: Schema.NullOr(Schema.String),
  /** The body as text; bytes that are no UTF-8 come as replacement characters. */
  text: Schema.String,
  /** The body byte for byte. */
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
