/** Errors that are none, errors that tell too much, and answers that lead elsewhere. */
import {
  accepted,
  answer,
  type Behaviour,
  broken,
  credentialsOf,
  type Headers,
  http,
  json,
  refused,
  type Request,
  row,
  startsAt
} from "./Behaviour.js"
import { document, issued } from "./Token.js"

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const error = (name: string, does: string, status: number, body: unknown, expected: Behaviour["expected"]): Behaviour =>
  row(name, does, answer(() => json(status, body)), expected)

const errors: ReadonlyArray<Behaviour> = [
  error(
    "an error",
    "refuses the client",
    401,
    { error: "invalid_client", error_description: "no such client" },
    refused(
      "OAuth",
      /answered 401 invalid_client: no such client/,
      { error: "invalid_client" }
    )
  ),
  error("error with 200", "refuses with 200", 200, { error: "invalid_scope" }, refused("OAuth", /200 invalid_scope/)),
  error(
    "error with 500",
    "refuses with 500",
    500,
    { error: "server_error" },
    refused("OAuth", /500 server_error/, {
      visits: 2
    })
  ),
  error(
    "temporarily_unavailable",
    "asks for patience with 400",
    400,
    { error: "temporarily_unavailable" },
    refused("OAuth", /temporarily_unavailable/, { visits: 2 })
  ),
  error(
    "an object for an error",
    "answers as Facebook does",
    400,
    { error: { message: "Invalid", code: 101 } },
    refused(
      "Status",
      /answered 400/
    )
  ),
  error("a number for an error", "numbers its errors", 400, { error: 7 }, refused("Status", /answered 400/)),
  error("an error without a name", "has an empty name for an error", 400, { error: "" }, refused("Status", /400/)),
  error(
    "a description that is none",
    "describes the error with an object",
    400,
    { error: "invalid_request", error_description: { a: 1 }, error_uri: [] },
    refused("OAuth", /400 invalid_request$/)
  ),
  error(
    "control characters",
    "clears the screen of whoever reads its errors",
    400,
    { error: "invalid\u001b[2J", error_description: "a\r\nb\u0000c\u2028d\u009b" },
    // eslint-disable-next-line no-control-regex
    refused("OAuth", /^[^\u0000-\u001f\u007f-\u009f\u2028]*$/)
  ),
  row(
    "HTML with 502",
    "is a proxy without a server",
    answer(() => http(502, { "content-type": "text/html" }, "<h1>Bad Gateway</h1>")),
    refused("Status", /502.*text\/html/, { visits: 2 })
  ),
  row("nothing with 400", "refuses without a word", answer(() => http(400, {}, "")), refused("Status", /400.*empty/)),
  ...["", "Basic", "Bearer realm=\"", "=,=,=", "Negotiate YII=,,,", `x ${"y=\"\\\"\",".repeat(500)}`].map((
    value,
    index
  ) =>
    row(
      `WWW-Authenticate: ${index === 5 ? "500 parameters" : value}`,
      "challenges the client so",
      answer(() => http(401, { "www-authenticate": value }, "")),
      refused("Status", /answered 401/)
    )
  ),
  row(
    "an error in a challenge",
    "refuses in WWW-Authenticate, and nowhere else",
    answer(() => http(401, { "www-authenticate": "Bearer error=\"invalid_client\"" }, "")),
    refused(["Status", "OAuth"], /answered 401/)
  )
]

// -----------------------------------------------------------------------------
// asks for patience
// -----------------------------------------------------------------------------

const patience = (status: number, value: string, retryAfter: readonly [number, number] | null) =>
  row(
    `${status}, Retry-After: ${value}`,
    "is busy, and says so",
    answer(() => http(status, { "retry-after": value }, "busy")),
    refused("Status", new RegExp(String(status)), { visits: 2, retryAfter })
  )

const patiences: ReadonlyArray<Behaviour> = [
  patience(429, "7", [7, 7]),
  patience(503, "7", [7, 7]),
  patience(429, "0", [0, 0]),
  patience(503, new Date(startsAt + 3_600_000).toUTCString(), [3600, 3600]),
  patience(429, "Sun, 06 Nov 1994 08:49:37 GMT", [0, 0]),
  patience(429, "Fri, 31 Dec 9999 23:59:59 GMT", [1e9, Infinity]),
  patience(429, "999999999999999999999999", [1e9, Infinity]),
  patience(429, "-7", null),
  patience(503, "soon", null),
  patience(429, "1e3", null),
  patience(429, "7, 8", null),
  patience(429, "Sun, 99 Nov 2094 99:99:99 GMT", null)
]

// -----------------------------------------------------------------------------
// tells too much
// -----------------------------------------------------------------------------

/** Ways to write a secret that a server may have, none of which may be seen. */
export const writings: Readonly<Record<string, (secret: string) => string>> = {
  "as it is": (secret) => secret,
  "form-encoded": (secret) => new URLSearchParams([["", secret]]).toString().slice(1),
  "percent-encoded": encodeURIComponent,
  "percent-encoded in small letters": (secret) =>
    encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
  "in base64": (secret) => Buffer.from(secret).toString("base64"),
  "in base64url": (secret) => Buffer.from(secret).toString("base64url"),
  "within base64": (secret) => Buffer.from(`secret=${secret};`).toString("base64"),
  "in hex": (secret) => Buffer.from(secret).toString("hex"),
  "in JSON": (secret) => JSON.stringify({ secret }),
  "in JSON in JSON": (secret) => JSON.stringify(JSON.stringify({ secret })),
  "in JSON with escapes": (secret) =>
    secret.replaceAll(/[^a-z0-9]/gi, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`),
  "in HTML": (secret) =>
    secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
      .replaceAll("'", "&#39;"),
  "in capitals": (secret) => secret.toUpperCase(),
  "in small letters": (secret) => secret.toLowerCase(),
  "with slashes escaped": (secret) => JSON.stringify(secret).slice(1, -1).replaceAll("/", "\\/"),
  "where the text is cut": (secret) => "x".repeat(290) + secret
}

const told = (request: Request, write: (secret: string) => string): string => {
  const { assertion, basic, secret } = credentialsOf(request)
  return [secret, basic, Buffer.from(basic, "base64").toString(), assertion].map(write).join(" and ")
}

const echoes: ReadonlyArray<Behaviour> = [
  ...Object.entries(writings).flatMap(([name, write]) => [
    row(
      `secrets described ${name}`,
      "tells in error_description what it was sent",
      answer((_, request) =>
        json(400, {
          error: "invalid_request",
          error_description: `${told(request, write)} and ${write(issued)}`,
          access_token: issued
        })
      ),
      refused("OAuth", /invalid_request/)
    )
  ]),
  ...["error", "error_uri", "error_description", "token_type"].map((field) =>
    row(
      `secrets in ${field}`,
      "tells there what it was sent",
      answer((_, request) =>
        json(200, {
          ...(field.startsWith("error") ? { error: "invalid_request" } : { access_token: issued }),
          [field]: told(request, (secret) => secret)
        })
      ),
      refused(["OAuth", "InvalidResponse"], /answered 200/)
    )
  ),
  ...["x-debug", "www-authenticate", "location", "set-cookie", "content-type", "retry-after", "content-encoding"].map((
    header
  ) =>
    row(
      `secrets in ${header}`,
      "tells in a header what it was sent",
      answer((_, request) => http(400, { [header]: told(request, (secret) => secret) }, "")),
      refused("Status", /answered 400/)
    )
  ),
  row(
    "secrets in the name of a header",
    "tells in the name of a header what it was sent",
    answer((_, request) => http(400, { [`x-${credentialsOf(request).assertion}`]: "1" }, "")),
    refused("Status", /answered 400/)
  ),
  row(
    "secrets in the status line",
    "tells in its reason phrase what it was sent",
    answer((_, request) => http(`400 ${told(request, (secret) => secret)}`, {}, "")),
    refused("Status", /answered 400/)
  ),
  row(
    "the whole request",
    "answers with what it was sent",
    answer((_, { body, head }) => http(400, { "content-type": "text/plain" }, `${head}\r\n\r\n${body}`)),
    refused("Status", /answered 400/)
  ),
  row(
    "the whole request for a header",
    "answers with what it was sent, as if it were HTTP",
    answer((_, { body, head }) => `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`),
    broken(/protocol|expected/i)
  ),
  row(
    "the request echoed",
    "is an echo server",
    ({ socket }) => void socket.on("data", (bytes) => socket.end(bytes)),
    broken(/protocol|expected/i)
  ),
  row(
    "a token in an error",
    "tells which token it did not issue",
    answer(() => json(400, { error: "invalid_grant", error_description: `${issued} is spent`, refresh_token: issued })),
    refused("OAuth", /invalid_grant: <redacted> is spent/)
  ),
  row(
    "a token in a bad answer",
    "issues a token of another type, and tells it in a header",
    answer(() => json(200, { access_token: issued, token_type: "mac" }, { "x-token": issued })),
    refused("InvalidResponse", /token_type/)
  ),
  row(
    "secrets as the scope",
    "grants what it was sent as the scope",
    answer((_, request) =>
      json(200, { ...JSON.parse(document), scope: `${told(request, (secret) => secret)} ${issued}` })
    ),
    accepted()
  )
]

// -----------------------------------------------------------------------------
// leads elsewhere
// -----------------------------------------------------------------------------

const redirect = (name: string, status: number, headers: (elsewhere: string) => Headers): Behaviour =>
  row(
    name,
    "sends the client elsewhere",
    answer(({ elsewhere }) => http(status, headers(elsewhere), "")),
    refused("Redirect", /redirect/i)
  )

export const redirects: ReadonlyArray<Behaviour> = [
  ...[300, 301, 302, 303, 305, 306, 307, 308].map((status) =>
    redirect(`redirect ${status}`, status, (elsewhere) => ({ location: `${elsewhere}/token` }))
  ),
  row("304", "has nothing new", answer(() => http(304, {}, "")), refused("Status", /answered 304/)),
  redirect("redirect without a place", 302, () => ({})),
  redirect("redirect to itself", 307, () => ({ location: "/token" })),
  redirect("redirect to //", 307, (elsewhere) => ({ location: elsewhere.replace("http:", "") })),
  redirect("redirect to javascript:", 302, () => ({ location: "javascript:alert(1)" })),
  redirect("redirect to a file", 302, () => ({ location: "file:///etc/passwd" })),
  redirect("redirect to two places", 307, (elsewhere) => ({ location: [elsewhere, `${elsewhere}/2`] })),
  redirect("redirect with bytes", 302, () => ({ location: "\u00ff\u00fe" })),
  row(
    "redirect with a token",
    "issues a token, and sends the client elsewhere",
    answer(({ document, elsewhere }) =>
      http(302, { location: elsewhere, "content-type": "application/json" }, document)
    ),
    refused("Redirect", /redirect/i)
  ),
  row(
    "redirect with an error",
    "refuses with a redirect",
    answer(({ elsewhere }) => json(302, { error: "login_required" }, { location: elsewhere })),
    refused("Redirect", /redirect/i)
  ),
  row(
    "headers that lead elsewhere",
    "names another place in headers that a browser obeys",
    answer(({ document, elsewhere }) =>
      http(200, {
        refresh: `0; url=${elsewhere}`,
        location: elsewhere,
        "content-location": elsewhere,
        link: `<${elsewhere}>; rel=preload`,
        "alt-svc": `h2="${elsewhere.slice(7)}"`
      }, document)
    ),
    accepted()
  )
]

export const refusals: ReadonlyArray<Behaviour> = [...errors, ...patiences, ...echoes, ...redirects]
