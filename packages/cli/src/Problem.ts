/**
 * Everything that the doctor can find wrong, as values; and for each the words
 * that say what it is and what to do.
 */
import * as Data from "effect/Data"
import { ExitCode } from "./ExitCode.js"
import { nameOptions } from "./Settings.js"

/** Who is to be reached. */
export type Party = "authorization server" | "API"

/** What a party's host needs to be reached, and lacks. */
export interface Unreached {
  readonly party: Party
  /** The host, with its port where it is not that of the scheme. */
  readonly host: string
  /** What happened: `ENOTFOUND`, `connect ECONNREFUSED 127.0.0.1:1`. */
  readonly description: string
}

/** A variable whose name begins as ours do, and which nothing reads. */
export interface UnreadVariable {
  readonly name: string
  /** The one that was likely meant. */
  readonly meant: string | undefined
}

/**
 * A problem. Those of the network say which party they are about; none holds a
 * secret.
 */
export type Problem = Data.TaggedEnum<{
  /** Variables that must be set are not. */
  Missing: {
    readonly variables: ReadonlyArray<string>
    readonly unread: ReadonlyArray<UnreadVariable>
  }
  /** Nothing is missing, and variables are there that nothing reads. */
  Unread: { readonly variables: ReadonlyArray<UnreadVariable> }
  /** A variable has a value that cannot be used. */
  Wrong: { readonly variable: string; readonly description: string }
  /** A secret would go over plain http to another machine. */
  Insecure: { readonly variable: string; readonly host: string }
  /** The proxy itself does not take connections. */
  ProxyUnreachable: { readonly proxy: string; readonly description: string }
  /** The proxy does not lead to the host. */
  ProxyRefuses: { readonly proxy: string; readonly host: string; readonly status: number }
  /** The way leads through a proxy, as was tried. */
  ProxyUnused: Unreached & { readonly proxy: string; readonly reason: string }
  HostUnknown: Unreached
  Unreachable: Unreached
  /** Something listens there that does not speak TLS, or its certificate is no good. */
  Tls: Unreached & { readonly code: string }
  /** The metadata of the issuer is that of another one. */
  OtherIssuer: { readonly issuer: string; readonly named: string }
  NoMetadata: { readonly issuer: string; readonly description: string }
  NoTokenEndpoint: { readonly endpoint: string; readonly status: number; readonly named: string | undefined }
  WrongSecret: {
    readonly clientId: string
    /** The variable that it came from. */
    readonly variable: string
    readonly kind: "secret" | "key"
    readonly said: string
    /** The methods that the server names in its metadata. */
    readonly methods: ReadonlyArray<string>
    /** The secret begins or ends with white space. */
    readonly padded: boolean
  }
  /** The server takes this very secret, sent in another way. */
  WrongMethod: { readonly used: string; readonly taken: string; readonly methods: ReadonlyArray<string> }
  ClientForbidden: { readonly clientId: string; readonly said: string }
  WrongScope: { readonly scope: string; readonly said: string }
  TokenRefused: { readonly said: string; readonly unanswered: boolean }
  /** The server answers with success, and without a token that can be used. */
  TokenUnusable: { readonly said: string }
  ScopeNarrowed: { readonly missing: ReadonlyArray<string>; readonly granted: string }
  LifetimeUnknown: {}
  LifetimeShort: { readonly seconds: number }
  /** The token's own end is not the one that the server said beside it. */
  LifetimeDiffers: { readonly saidSeconds: number; readonly tokenSeconds: number }
  ClockOff: {
    /** How far the clock of this machine is ahead of the server's; negative when it is behind. */
    readonly aheadSeconds: number
    readonly server: string
    readonly evidence: "the Date header" | "the token's iat" | "the token's nbf" | "the token's exp"
  }
  StoreDown: { readonly description: string }
  StorePassword: { readonly description: string }
  StoreReadOnly: { readonly description: string }
  StoreSlow: { readonly millis: number }
  StoreBroken: { readonly step: string; readonly description: string }
  OriginForeign: { readonly origin: string; readonly allowed: ReadonlyArray<string> }
  ApiRejects: {
    readonly url: string
    readonly status: number
    /** What WWW-Authenticate says, in one line. */
    readonly challenge: string | undefined
    readonly error: string | undefined
    readonly scope: ReadonlyArray<string>
  }
  ApiFails: { readonly url: string; readonly status: number }
  ApiSilent: { readonly url: string; readonly description: string }
}>

/** The constructors, and `$match`. */
export const Problem = Data.taggedEnum<Problem>()

/** What is wrong, in a line that can stand alone, and what to do about it. */
export interface Words {
  readonly cause: string
  readonly advice: string
}

/** Says a problem in words. */
export const describe: (problem: Problem) => Words = Problem.$match({
  Missing: ({ unread, variables }) => ({
    cause: `${nameOptions(list(variables))} ${variables.length === 1 ? "is" : "are"} not set`,
    advice: "Set what is missing in the environment; where an option is named, that does for a try." +
      (unread.length === 0 ? "" : ` ${sayUnread(unread)}.`)
  }),
  Unread: ({ variables }) => ({
    cause: sayUnread(variables),
    advice: "Correct the name, or leave the variable out: the app goes on as if it were not there."
  }),
  Wrong: ({ description, variable }) => ({
    cause: `${nameOptions(variable)} ${description}`,
    advice: /\(npm install \w+\)/.test(description)
      ? `Install it beside @effect-alf/cli: ${/npm install \w+/.exec(description)![0]}.`
      : /the file .+ cannot be read/.test(description)
      ? "Compare its path, and see who may read it."
      : "Correct its value."
  }),
  Insecure: ({ host, variable }) => ({
    cause: `${nameOptions(variable)} is an http address: what is sent to ${host} could be read on its way`,
    advice: "Use its https address. Plain http is for this machine itself: localhost, 127.0.0.1 or [::1]."
  }),
  ProxyUnreachable: ({ description, proxy }) => ({
    cause: `The proxy ${proxy} cannot be reached: ${description}`,
    advice: "Correct ALF_PROXY, HTTPS_PROXY or HTTP_PROXY, or name in NO_PROXY what needs no proxy."
  }),
  ProxyRefuses: ({ host, proxy, status }) =>
    status === 407
      ? {
        cause: `The proxy ${proxy} asks for credentials, or takes other ones (407)`,
        advice: "Write them into HTTPS_PROXY: http://user:password@host:port, with % codes for special characters."
      }
      : {
        cause: `The proxy ${proxy} does not lead to ${host}: it answers CONNECT with ${status}`,
        advice: `Have ${host} allowed there, or name it in NO_PROXY if it can be reached without a proxy.`
      },
  ProxyUnused: ({ host, party, proxy, reason }) => ({
    cause: `The ${party} ${host} is only reached through the proxy ${proxy}, which is not used: ${reason}`,
    advice: "Set HTTPS_PROXY to that proxy, and leave the host out of NO_PROXY."
  }),
  HostUnknown: ({ description, host, party }) => ({
    cause: `No proxy is used, and ${host} is not found by its name (${description}): ` +
      `the ${party} has another name, or is only reached through a proxy`,
    advice:
      "Compare the name with the one you were given, and see whether other names are found. Where requests leave " +
      "through a proxy, name it: HTTPS_PROXY=http://proxy.example.com:3128."
  }),
  Unreachable: ({ description, host, party }) => ({
    cause: `The ${party} ${host} cannot be reached: ${description}`,
    advice: /REFUSED/.test(description)
      ? "Nothing listens there: compare host and port, and see whether the server runs."
      : "A firewall may be between, or requests leave through a proxy: then set HTTPS_PROXY."
  }),
  Tls: ({ code, description, host, party }) => ({
    cause: `No safe connection to the ${party} ${host}: ${description}`,
    advice: tlsAdvice(code)
  }),
  OtherIssuer: ({ issuer, named }) => ({
    cause: `The issuer is wrong: the server of ${issuer} calls itself ${named}`,
    advice: named.replace(/\/$/, "") === issuer.replace(/\/$/, "")
      ? `Set ALF_ISSUER to ${named}: the slash at the end is a part of it.`
      : `If that is the server you mean, set ALF_ISSUER to ${named}; it counts to the last character.`
  }),
  NoMetadata: ({ description, issuer }) => ({
    cause: `The issuer ${issuer} has no metadata: ${description}`,
    advice: "Compare ALF_ISSUER with what the server calls its issuer, or set ALF_TOKEN_ENDPOINT in its place."
  }),
  NoTokenEndpoint: ({ endpoint, named, status }) => ({
    cause: `There is no token endpoint at ${endpoint}: it answers ${status}${status < 300 ? " with a page" : ""}`,
    advice: named === undefined
      ? "Correct ALF_TOKEN_ENDPOINT."
      : `Set ALF_TOKEN_ENDPOINT to ${named}, as the server's metadata says.`
  }),
  WrongSecret: ({ clientId, kind, methods, padded, said, variable }) => ({
    cause: `The client ID or its ${kind} is wrong: ${said}`,
    advice: (padded ? `${variable} begins or ends with white space: leave that out, it is sent as it is. ` : "") +
      `Compare ALF_CLIENT_ID (${clientId}) and ${variable} with what the server has; a ${kind} may have been replaced.` +
      (methods.length === 0 ? "" : ` The server takes ${listOf(methods)}.`)
  }),
  WrongMethod: ({ methods, taken, used }) => ({
    cause: `The secret is right and sent the wrong way: the server takes it by ${taken}, not by ${used}`,
    advice: `Set ALF_CLIENT_AUTH to ${taken}, or register the client for ${used}.` +
      (methods.length === 0 ? "" : ` The server's metadata names ${listOf(methods)}.`)
  }),
  ClientForbidden: ({ clientId, said }) => ({
    cause: `The client ${clientId} may not ask for tokens by itself: ${said}`,
    advice: "Allow it the grant client_credentials at the server (often called service account or machine-to-machine)."
  }),
  WrongScope: ({ said, scope }) => ({
    cause: `The scope is wrong: ${said}`,
    advice: scope === ""
      ? "Set ALF_SCOPE to what the server allows this client."
      : `Compare ALF_SCOPE (${scope}) with what the server allows this client.`
  }),
  TokenRefused: ({ said, unanswered }) => ({
    cause: `No token is given: ${said}`,
    advice: unanswered
      ? "It may pass by itself: try again, then ask those who run the server."
      : "Ask those who run the server, with the time of this request: its log says more."
  }),
  TokenUnusable: ({ said }) => ({
    cause: `No token is given: ${said}`,
    advice:
      "Compare ALF_TOKEN_ENDPOINT. Where the token is in another field than access_token, ALF_TOKEN_FIELD names that; " +
      "where the server has a token_type of its own for Bearer, ALF_BEARER_TYPES does."
  }),
  ScopeNarrowed: ({ granted, missing }) => ({
    cause: `The token lacks a part of its scope: ${missing.join(" ")}`,
    advice: `Granted is: ${
      granted === "" ? "nothing" : granted
    }. Allow the client the rest at the server, or leave it out of ALF_SCOPE.`
  }),
  LifetimeUnknown: () => ({
    cause: "The server does not say how long its tokens live",
    advice: "They are renewed every hour, and when an API rejects them. The option defaultLifetime says otherwise."
  }),
  LifetimeShort: ({ seconds }) => ({
    cause: `Tokens live for ${seconds} s only`,
    advice: "Each needs a request of its own soon: a minute at least is usual, and an hour spares the server."
  }),
  LifetimeDiffers: ({ saidSeconds, tokenSeconds }) => ({
    cause: `The token ends after ${tokenSeconds} s by its own claims, and the server says ${saidSeconds} s`,
    advice: "Correct the server: the app goes by what it says (expires_in)."
  }),
  ClockOff: ({ aheadSeconds, evidence, server }) => ({
    cause: `The clock of this machine is ${sayTime(Math.abs(aheadSeconds))} ${
      aheadSeconds > 0 ? "ahead of" : "behind"
    } that of ${server}`,
    advice: `So says ${evidence}. Set the one that is wrong (timedatectl, chronyc tracking): ` +
      "until then an API may find new tokens expired or not valid yet."
  }),
  StoreDown: ({ description }) => ({
    cause: `The store is down: ${description}`,
    advice: (/still connecting/.test(description)
      ? "Compare host and port in ALF_REDIS_URL, and take rediss:// where Redis speaks TLS, redis:// where it does not. "
      : /Memcached/.test(description)
      ? "Start Memcached or correct ALF_STORE_URL. "
      : "Start Redis or correct ALF_REDIS_URL. ") + "Until then each process asks for tokens of its own."
  }),
  StorePassword: ({ description }) => ({
    cause: `The store does not take the password: ${description}`,
    advice: /CLIENT_ERROR/.test(description)
      ? "Correct ALF_STORE_URL: memcached://user:password@host:port, with % codes for special characters."
      : "Correct ALF_REDIS_URL: redis://user:password@host:port, with % codes for special characters."
  }),
  StoreReadOnly: ({ description }) => ({
    cause: `The store is read-only: ${description}`,
    advice: /SERVER_ERROR/.test(description)
      ? "Memcached is full and may not evict (-M): give it more memory (-m), or let it evict."
      : "ALF_REDIS_URL names a replica, or Redis may not write: name the primary, or look at its disk and memory."
  }),
  StoreSlow: ({ millis }) => ({
    cause: `The store is slow: a call takes ${millis} ms`,
    advice: "After 500 ms (storeTimeout) the app goes on without it. Look at Redis' load (SLOWLOG) and at the network."
  }),
  StoreBroken: ({ description, step }) => ({
    cause: `The store does not keep what it is given: ${step}: ${description}`,
    advice: "Look at what stands between: a proxy, a replica, another program that writes the same keys."
  }),
  OriginForeign: ({ allowed, origin }) => ({
    cause: `No token may go to ${origin}: allowed ${allowed.length === 1 ? "is" : "are"} ${list(allowed)}`,
    advice: "Correct ALF_BASE_URL, or name the origin in ALF_ORIGINS."
  }),
  ApiRejects: ({ challenge, error, scope, status, url }) => ({
    cause: `The API rejects the token: ${url} answers ${status}${challenge === undefined ? "" : `, ${challenge}`}`,
    advice: status === 403 || error === "insufficient_scope"
      ? `The token is good, and does not suffice: ask for ${
        scope.length === 0 ? "another scope" : `the scope ${scope.join(" ")}`
      } (ALF_SCOPE), or have the client allowed.`
      : error === undefined
      ? "It does not say why: compare issuer, audience and scope of the token (alf token) with what the API expects."
      : "Compare issuer, audience and times of the token (alf token) with what the API expects."
  }),
  ApiFails: ({ status, url }) => ({
    cause: `The API does not do what it should: ${url} answers ${status}`,
    advice: status === 404 ? "Compare ALF_BASE_URL and the path." : "Ask those who run it; the token is not at fault."
  }),
  ApiSilent: ({ description, url }) => ({
    cause: `The API gives no answer: ${url}: ${description}`,
    advice: "Ask those who run it; the token is not at fault."
  })
})

const sayUnread = (variables: ReadonlyArray<UnreadVariable>): string =>
  `Nothing reads ${
    list(variables.map(({ meant, name }) => meant === undefined ? name : `${name} (likely meant: ${meant})`))
  }`

const list = (items: ReadonlyArray<string>): string =>
  items.length < 2 ? items.join() : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`

/** Methods of client authentication; one of them has a name that reads as if there were none. */
const listOf = (methods: ReadonlyArray<string>): string =>
  methods.map((method) => method === "none" ? "\"none\" (public clients)" : method).join(", ")

/** In the largest unit that there are at least two of. */
const sayTime = (seconds: number): string => {
  const [length, unit] = seconds < 120 ? [1, "seconds"] : seconds < 7_200 ? [60, "minutes"] : [3_600, "hours"]
  return `${Math.round(seconds / length)} ${unit}`
}

const tlsAdvice = (code: string): string => {
  switch (code) {
    case "CERT_HAS_EXPIRED":
      return "The server needs a new certificate; if it has one, look at the clock of this machine."
    case "CERT_NOT_YET_VALID":
      return "Look at the clock of this machine."
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "Use the name that the certificate is for."
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return "If the authority is one of your own, name its certificate in NODE_EXTRA_CA_CERTS or in the option http.ca."
    default:
      return "See whether host and port are those of a server that speaks TLS."
  }
}

/** How the command ends when this is the cause. */
export const exitCode = (problem: Problem): ExitCode => {
  switch (problem._tag) {
    case "Missing":
    case "Unread":
    case "Wrong":
    case "Insecure":
    case "OriginForeign":
      return ExitCode.usage
    case "ProxyUnreachable":
    case "ProxyRefuses":
    case "ProxyUnused":
    case "HostUnknown":
    case "Unreachable":
    case "Tls":
    case "ApiSilent":
      return ExitCode.unreachable
    case "TokenRefused":
      return problem.unanswered ? ExitCode.unreachable : ExitCode.refused
    case "TokenUnusable":
    case "OtherIssuer":
    case "NoMetadata":
    case "NoTokenEndpoint":
    case "WrongSecret":
    case "WrongMethod":
    case "ClientForbidden":
    case "WrongScope":
    case "ApiRejects":
    case "ApiFails":
      return ExitCode.refused
    case "ScopeNarrowed":
    case "LifetimeUnknown":
    case "LifetimeShort":
    case "LifetimeDiffers":
    case "ClockOff":
    case "StoreDown":
    case "StorePassword":
    case "StoreReadOnly":
    case "StoreSlow":
    case "StoreBroken":
      return ExitCode.degraded
  }
}
