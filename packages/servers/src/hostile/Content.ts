/** Bodies that are no token response, and token responses that are not quite right. */
import { gzipSync } from "node:zlib"
import { accepted, answer, type Behaviour, http, json, ok, refused, row } from "./Behaviour.js"
import { document, issued, longest, tokenOf } from "./Token.js"

const noJson = refused("InvalidResponse", /JSON/)
const noObject = refused("InvalidResponse", /not an object/)
const unusable = (says: RegExp) => refused("InvalidResponse", says)

/** What is no document of any kind, or one with something around it. */
export const bodies: ReadonlyArray<Behaviour> = [
  row(
    "HTML with 200",
    "answers with a page to log in",
    answer(() => http(200, { "content-type": "text/html" }, "<!doctype html><title>Log in</title>")),
    unusable(/JSON.*text\/html/)
  ),
  row("empty", "answers with nothing", ok(""), unusable(/empty/)),
  row("blank", "answers with spaces", ok(" \n "), unusable(/empty/)),
  row("null", "answers with null", ok("null"), noObject),
  row("true", "answers with true", ok("true"), noObject),
  row("a number", "answers with 42", ok("42"), noObject),
  row("an array", "answers with a list of token responses", ok((document) => `[${document}]`), noObject),
  row("a string", "answers with the token as a string of JSON", ok(JSON.stringify(issued)), noObject),
  row(
    "JSON in a string",
    "answers with JSON that was made to JSON twice",
    ok((document) => JSON.stringify(document)),
    noObject
  ),
  row("an empty object", "answers with an object that holds nothing", ok("{}"), unusable(/is missing/)),
  row("the bare token", "answers with the token and nothing around it", ok(issued), noJson),
  row("truncated JSON", "stops within the token", ok((document) => document.slice(0, 30)), noJson),
  row("trailing garbage", "goes on behind the JSON", ok((document) => `${document};`), noJson),
  row("two documents", "answers with two token responses", ok((document) => `${document}\n${document}`), noJson),
  row("comments", "explains its JSON", ok((document) => `/* token */ ${document}`), noJson),
  row("trailing comma", "ends its object with a comma", ok((document) => document.replace(/\}$/, ",}")), noJson),
  row("single quotes", "takes JavaScript for JSON", ok((document) => document.replaceAll("\"", "'")), noJson),
  row("JSONP", "answers with a call of a function", ok((document) => `callback(${document})`), noJson),
  row("a prefix", "guards its JSON against being a script", ok((document) => `)]}',\n${document}`), noJson),
  row(
    "XML",
    "answers with XML",
    answer(() => http(200, { "content-type": "application/xml" }, `<access_token>${issued}</access_token>`)),
    unusable(/JSON.*xml/)
  ),
  row("UTF-16", "writes JSON in UTF-16", ok((document) => Buffer.from(`\ufeff${document}`, "utf16le")), noJson),
  row("a BOM", "begins its JSON with a BOM", ok((document) => `\ufeff${document}`), accepted()),
  row(
    "latin1",
    "says that its JSON is in latin1",
    answer(({ document }) => http(200, { "content-type": "application/json; charset=iso-8859-1" }, document)),
    accepted()
  ),
  row("no type", "does not say what it answers with", answer(({ document }) => http(200, {}, document)), accepted()),
  row(
    "mislabelled JSON",
    "says that its JSON is HTML",
    answer(({ document }) => http(200, { "content-type": "text/html; charset=utf-8" }, document)),
    accepted()
  ),
  row(
    "junk for a type",
    "says something else than a type",
    answer(({ document }) => http(200, { "content-type": ";;=,\"" }, document)),
    accepted()
  ),
  row(
    "gzip",
    "compresses though identity was requested",
    answer(({ document }) => http(200, { "content-encoding": "gzip" }, gzipSync(document))),
    accepted()
  ),
  row(
    "gzip that is none",
    "says that its answer is compressed",
    answer(({ document }) => http(200, { "content-encoding": "gzip" }, document)),
    refused(["InvalidResponse", "Transport"], /gzip|header|encod|terminated/i)
  ),
  row(
    "an encoding that nobody knows",
    "says that it wrote its answer from behind",
    answer(({ document }) => http(200, { "content-encoding": "reverse" }, Array.from(document).reverse().join(""))),
    unusable(/JSON.*reverse/)
  )
]

const escaped = (text: string) => text.replaceAll(/[a-z]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`)

const oddities: ReadonlyArray<Behaviour> = [
  row(
    "invalid UTF-8",
    "has bytes of no character in the token",
    ok(Buffer.from(tokenOf({ access_token: `${issued}\u00ff` }), "latin1")),
    unusable(/access_token .*characters/)
  ),
  row(
    "form-encoded",
    "answers as GitHub does",
    answer(() =>
      http(
        200,
        { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
        new URLSearchParams({ access_token: issued, scope: "repo,gist", token_type: "bearer" }).toString()
      )
    ),
    accepted({ lifetime: null, scope: "repo,gist" })
  ),
  row(
    "form-encoded text",
    "answers as Facebook did",
    answer(() =>
      http(
        200,
        { "content-type": "text/plain; charset=UTF-8" },
        new URLSearchParams({ access_token: issued, expires: "5183999" }).toString()
      )
    ),
    accepted({ lifetime: 5_183_999 })
  ),
  row(
    "form-encoded error",
    "answers an error with 200, as GitHub does",
    answer(() =>
      http(
        200,
        { "content-type": "application/x-www-form-urlencoded" },
        "error=incorrect_client_credentials&error_description=The+client_id+and%2For+client_secret+are+incorrect."
      )
    ),
    refused("OAuth", /incorrect_client_credentials: The client_id and\/or/, { error: "incorrect_client_credentials" })
  ),
  row(
    "a key twice",
    "issues two tokens under one name",
    ok(`{"access_token":"other",${document.slice(1)}`),
    accepted()
  ),
  row(
    "__proto__",
    "hides the token in a prototype",
    ok(`{"__proto__":${document},"constructor":{"prototype":${document}}}`),
    unusable(/access_token is missing/)
  ),
  row(
    "__proto__ beside the token",
    "sends a prototype along",
    ok(`{"__proto__":{"expires_in":1,"polluted":true},"access_token":"${issued}"}`),
    accepted({ lifetime: null })
  ),
  row("toString", "sends the names of methods", ok(tokenOf({ toString: 1, valueOf: null, toJSON: {} })), accepted()),
  row("extra fields", "sends more than was asked for", ok(tokenOf({ foo: 1, not_before_policy: 0 })), accepted()),
  row("JSON escapes", "escapes every character", ok(escaped(document)), accepted()),
  row("names in capitals", "writes its names in capitals", ok(`{"ACCESS_TOKEN":"${issued}"}`), unusable(/missing/)),
  row("camel case", "writes its names in camel case", ok(`{"accessToken":"${issued}"}`), unusable(/missing/))
]

const badToken = (name: string, value: unknown, says: RegExp): Behaviour =>
  row(`access_token: ${name}`, "issues such a token", ok(tokenOf({ access_token: value })), unusable(says))

const characters = /access_token contains characters/

const tokens: ReadonlyArray<Behaviour> = [
  badToken("with CRLF", `${issued}\r\nx-injected: 1`, characters),
  badToken("with LF at its end", `${issued}\n`, characters),
  badToken("with NUL", `${issued}\u0000`, characters),
  badToken("with DEL", `${issued}\u007f`, characters),
  badToken("with a tab", `${issued}\t`, characters),
  badToken("with an accent", `${issued}é`, characters),
  badToken("with an emoji", `${issued}🔑`, characters),
  badToken("with half a character", `${issued}\ud83d`, characters),
  badToken("with a bidi mark", `${issued}\u202e`, characters),
  badToken("with a BOM", `\ufeff${issued}`, characters),
  badToken("empty", "", /access_token is empty/),
  badToken("blank", "  ", /access_token is empty/),
  badToken("a number", 42, /access_token is not a string/),
  badToken("an object", { value: issued }, /access_token is not a string/),
  badToken("an array", [issued], /access_token is not a string/),
  badToken("true", true, /access_token is not a string/),
  badToken("null", null, /access_token is (not a string|missing)/),
  badToken("missing", undefined, /access_token is missing/)
]

/** `value` as it stands in the JSON. */
const expiresIn = (value: string, expected: Behaviour["expected"]): Behaviour =>
  row(
    `expires_in: ${value}`,
    "gives such a lifetime",
    ok(`{"access_token":"${issued}","token_type":"Bearer","expires_in":${value}}`),
    expected
  )

const lifetimes: ReadonlyArray<Behaviour> = [
  expiresIn("\"3600\"", accepted()),
  expiresIn("\" 3600 \"", accepted()),
  expiresIn("3600.5", accepted({ lifetime: 3600.5 })),
  expiresIn("0", accepted({ lifetime: null })),
  expiresIn("null", accepted({ lifetime: null })),
  expiresIn("1e309", accepted({ lifetime: longest })),
  expiresIn("9007199254740993", accepted({ lifetime: longest })),
  expiresIn("\"99999999999999999999999999\"", accepted({ lifetime: longest })),
  expiresIn("-1", accepted({ lifetime: null })),
  expiresIn("-1e309", accepted({ lifetime: null })),
  expiresIn("NaN", noJson),
  expiresIn("\"abc\"", accepted({ lifetime: null })),
  expiresIn("\"\"", accepted({ lifetime: null })),
  expiresIn("\"0x10\"", accepted({ lifetime: null })),
  expiresIn("\"Infinity\"", accepted({ lifetime: null })),
  expiresIn("[]", accepted({ lifetime: null })),
  expiresIn("[3600]", accepted({ lifetime: null })),
  expiresIn("{}", accepted({ lifetime: null })),
  expiresIn("true", accepted({ lifetime: null }))
]

const field = (name: string, value: unknown, expected: Behaviour["expected"]): Behaviour =>
  row(`${name}: ${JSON.stringify(value) ?? "missing"}`, "sends such a field", ok(tokenOf({ [name]: value })), expected)

const fields: ReadonlyArray<Behaviour> = [
  field("token_type", undefined, accepted()),
  field("token_type", null, accepted()),
  field("token_type", "BEARER", accepted()),
  field("token_type", "BearerToken", accepted()),
  field("token_type", "mac", unusable(/token_type is "mac"/)),
  field("token_type", "DPoP", unusable(/token_type is "?DPoP/)),
  field("token_type", "N_A", unusable(/token_type is "N_A"/)),
  field("token_type", "", accepted()),
  field("token_type", "Bearer\r\nx: 1", unusable(/token_type is/)),
  field("token_type", 1, accepted()),
  field("token_type", ["Bearer"], accepted()),
  field("scope", ["read", "write"], accepted({ scope: "read write" })),
  field("scope", null, accepted()),
  field("scope", "", accepted({ scope: "" })),
  field("scope", 7, accepted()),
  field("scope", { read: true }, accepted()),
  field("scope", [1], accepted()),
  field("error", null, accepted()),
  field("error", "", accepted()),
  field("error", false, accepted()),
  field("error", "invalid_client", refused("OAuth", /200 invalid_client/, { error: "invalid_client" })),
  field("error", { code: 1 }, unusable(/error is not a string/)),
  field("refresh_token", { a: 1 }, accepted()),
  field("id_token", 5, accepted())
]

const statuses: ReadonlyArray<Behaviour> = [
  ...[201, 202, 203, 206].map((status) =>
    row(
      `status ${status}`,
      "issues a token with such a status",
      answer(() => json(status, JSON.parse(document))),
      accepted()
    )
  ),
  ...[204, 205].map((status) =>
    row(
      `status ${status}`,
      "has no content to give",
      answer(() => `HTTP/1.1 ${status} Nothing\r\nconnection: close\r\n\r\n`),
      unusable(/empty/)
    )
  ),
  ...[400, 401, 418, 451].map((status) =>
    row(
      `status ${status} with a token`,
      "issues a token with such a status",
      answer(() => json(status, JSON.parse(document))),
      refused("Status", new RegExp(String(status)))
    )
  ),
  ...[500, 503, 599].map((status) =>
    row(
      `status ${status} with a token`,
      "issues a token with such a status",
      answer(() => json(status, JSON.parse(document))),
      refused("Status", new RegExp(String(status)), { visits: 2 })
    )
  ),
  row(
    "status 700",
    "has a status of its own",
    answer(() => json(700, JSON.parse(document))),
    refused(["Status", "Transport"], /700|status|parse/i, { visits: 2 })
  )
]

export const content: ReadonlyArray<Behaviour> = [
  ...bodies,
  ...oddities,
  ...tokens,
  ...lifetimes,
  ...fields,
  ...statuses
]
