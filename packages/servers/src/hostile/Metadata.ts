/** What a hostile server says of itself (RFC 8414). */
import { accepted, answer, type Behaviour, http, json, ok, refused, row } from "./Behaviour.js"

/** Honest metadata. */
export const metadataOf = (issuer: string, tokenEndpoint: string): string =>
  JSON.stringify({
    issuer,
    token_endpoint: tokenEndpoint,
    token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"]
  })

const unusable = (says: RegExp) => refused("InvalidResponse", says)

const field = (name: string, value: unknown, expected: Behaviour["expected"]): Behaviour =>
  row(
    `${name}: ${JSON.stringify(value) ?? "missing"}`,
    "says such a thing",
    ok((document) => JSON.stringify({ ...JSON.parse(document), [name]: value })),
    expected
  )

/** Says of its issuer what becomes of the true one. */
const issuer = (name: string, change: (issuer: string) => string): Behaviour =>
  row(
    `issuer ${name}`,
    "is somebody else",
    ok((document) => {
      const metadata = JSON.parse(document) as { issuer: string }
      return JSON.stringify({ ...metadata, issuer: change(metadata.issuer) })
    }),
    unusable(/issuer is /)
  )

export const metadata: ReadonlyArray<Behaviour> = [
  issuer("of another host", () => "https://other.test"),
  issuer("with a slash", (issuer) => `${issuer}/`),
  issuer("with a path", (issuer) => `${issuer}/realm`),
  issuer("with a query", (issuer) => `${issuer}?a=1`),
  issuer("in capitals", (issuer) => issuer.toUpperCase()),
  issuer("by its name", (issuer) => issuer.replace("127.0.0.1", "localhost")),
  issuer("with a control character", (issuer) => `${issuer}\u0000`),
  field("issuer", undefined, unusable(/issuer is missing/)),
  field("issuer", null, unusable(/issuer is/)),
  field("issuer", 7, unusable(/issuer is not a string/)),
  field("issuer", ["https://a.test"], unusable(/issuer is not a string/)),
  field("token_endpoint", undefined, unusable(/token_endpoint is missing/)),
  field("token_endpoint", null, unusable(/token_endpoint is missing/)),
  field("token_endpoint", 7, unusable(/token_endpoint is not a string/)),
  field("token_endpoint", ["https://a.test/token"], unusable(/token_endpoint is not a string/)),
  field("token_endpoint", "", unusable(/token_endpoint/)),
  field("token_endpoint", "/token", unusable(/token_endpoint/)),
  field("token_endpoint", "//other.test/token", unusable(/token_endpoint/)),
  field("token_endpoint", "http://other.test/token", unusable(/token_endpoint is http/)),
  field("token_endpoint", "ftp://127.0.0.1/token", unusable(/token_endpoint/)),
  field("token_endpoint", "javascript:alert(1)", unusable(/token_endpoint/)),
  field("token_endpoint", "file:///etc/passwd", unusable(/token_endpoint/)),
  field("token_endpoint", "data:application/json,{}", unusable(/token_endpoint/)),
  field("token_endpoint", "https://a:b@other.test/token", unusable(/token_endpoint/)),
  field("token_endpoint", "http://127.0.0.1.other.test/token", unusable(/token_endpoint is http/)),
  field("token_endpoint_auth_methods_supported", ["private_key_jwt"], refused("ClientAuth", /private_key_jwt/)),
  field("token_endpoint_auth_methods_supported", [], refused("ClientAuth", /no authentication method/)),
  field("token_endpoint_auth_methods_supported", "client_secret_basic", accepted()),
  field("token_endpoint_auth_methods_supported", [7], accepted()),
  field("revocation_endpoint", 7, accepted()),
  field("token_endpoint_auth_methods_supported", undefined, accepted()),
  field("token_endpoint_auth_methods_supported", null, accepted()),
  field("mtls_endpoint_aliases", { token_endpoint: 7 }, unusable(/is not a string/)),
  field("mtls_endpoint_aliases", { token_endpoint: "http://other.test" }, accepted()),
  field("revocation_endpoint", "javascript:alert(1)", accepted()),
  field("signed_metadata", "e30.e30.", accepted()),
  field("error", "server_error", refused("OAuth", /server_error/)),
  row(
    "__proto__",
    "hides what it says in a prototype",
    ok((document) => `{"__proto__":${document}}`),
    unusable(/issuer is missing/)
  ),
  ...[400, 401, 403, 404, 410, 429, 500, 503].map((status) =>
    row(
      `status ${status} with metadata`,
      "says it with such a status",
      answer(({ document }) => json(status, JSON.parse(document))),
      refused("Status", new RegExp(`answered ${status}`))
    )
  ),
  row(
    "HTML with 404",
    "has a page for what is not there",
    answer(() => http(404, { "content-type": "text/html" }, "<h1>Not Found</h1>")),
    refused("Status", /answered 404.*text\/html/)
  )
]

/** What a server says of itself at length. */
export const largeMetadata: ReadonlyArray<Behaviour> = [
  issuer("of 100 kB", (issuer) => issuer.padEnd(100_000, "/")),
  row(
    "nested 100,000 deep",
    "says it with arrays in arrays",
    ok((document) => `{"x":${"[".repeat(100_000)}${"]".repeat(100_000)},${document.slice(1)}`),
    accepted()
  ),
  row(
    "10,000 methods",
    "knows every way to prove oneself",
    ok((document) =>
      JSON.stringify({
        ...JSON.parse(document),
        token_endpoint_auth_methods_supported: Array.from({ length: 10_000 }, (_, index) => `method_${index}`)
      })
    ),
    refused("ClientAuth", /method_/)
  )
]
