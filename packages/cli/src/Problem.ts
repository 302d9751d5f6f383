/**
 * Everything that the doctor can find wrong, as values; and for each the words
 * that say what it is and what to do.
 */
import type { UnreadVariable } from "@effect-alf/core/Environment"
import * as Data from "effect/Data"
import { ExitCode } from "./ExitCode.js"
import { defaultPrefix, Naming } from "./Naming.js"
import { kindOf, type StoreAddress } from "./StoreAddress.js"

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
  /** Something listens there that does not speak TLS, or its certificate is invalid. */
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
  /** The server accepts this secret by another method. */
  WrongMethod: { readonly used: string; readonly taken: string; readonly methods: ReadonlyArray<string> }
  ClientForbidden: { readonly clientId: string; readonly said: string }
  WrongScope: { readonly scope: string; readonly said: string }
  TokenRefused: { readonly said: string; readonly unanswered: boolean }
  /** The server answers with success, but without a usable token. */
  TokenUnusable: { readonly said: string }
  ScopeNarrowed: { readonly missing: ReadonlyArray<string>; readonly granted: string }
  LifetimeUnknown: {}
  LifetimeShort: { readonly seconds: number }
  /** The token's exp is not that of expires_in. */
  LifetimeDiffers: { readonly saidSeconds: number; readonly tokenSeconds: number }
  ClockOff: {
    /** How far the clock of this machine is ahead of the server's; negative when it is behind. */
    readonly aheadSeconds: number
    readonly server: string
    readonly evidence: "the Date header" | "the token's iat" | "the token's nbf" | "the token's exp"
  }
  StoreDown: { readonly store: StoreAddress; readonly description: string }
  StorePassword: { readonly store: StoreAddress; readonly description: string }
  StoreReadOnly: { readonly store: StoreAddress; readonly description: string }
  /** The store answers, and its user may not do this, or there is no table. */
  StoreRefuses: { readonly step: string; readonly description: string }
  StoreSlow: { readonly store: StoreAddress; readonly millis: number }
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

/** Describes a problem, with the variables as they are named. */
export const describe = (problem: Problem, naming: Naming["Type"] = Naming.make(defaultPrefix)): Words =>
  describeWith(naming)(problem)

const describeWith = ({ nameOptions, names }: Naming["Type"]): (problem: Problem) => Words =>
  Problem.$match({
    Missing: ({ unread, variables }) => ({
      cause: `${nameOptions(list(variables))} ${variables.length === 1 ? "is" : "are"} not set`,
      advice: "Set the missing variables. For a test an option is enough." +
        (unread.length === 0 ? "" : ` ${sayUnread(unread)}.`)
    }),
    Unread: ({ variables }) => ({
      cause: sayUnread(variables),
      advice: "Correct the name, or remove the variable: the app ignores it."
    }),
    Wrong: ({ description, variable }) => ({
      cause: `${nameOptions(variable)} ${description}`,
      advice: /\(npm install \w+\)/.test(description)
        ? `Install it beside @effect-alf/cli: ${/npm install \w+/.exec(description)![0]}.`
        : /the file .+ cannot be read/.test(description)
        ? "Check its path and its permissions."
        : "Correct its value."
    }),
    Insecure: ({ host, variable }) => ({
      cause: `${nameOptions(variable)} uses http: others could read what is sent to ${host}`,
      advice: "Use its https address. Plain http is allowed to this machine alone: localhost, 127.0.0.1 or [::1]."
    }),
    ProxyUnreachable: ({ description, proxy }) => ({
      cause: `The proxy ${proxy} cannot be reached: ${description}`,
      advice: `Correct ${names.proxy}, HTTPS_PROXY or HTTP_PROXY, or add hosts that need no proxy to NO_PROXY.`
    }),
    ProxyRefuses: ({ host, proxy, status }) =>
      status === 407
        ? {
          cause: `The proxy ${proxy} requires credentials, or other ones (407)`,
          advice: "Write them into HTTPS_PROXY: http://user:password@host:port, with % codes for special characters."
        }
        : {
          cause: `The proxy ${proxy} does not connect to ${host}: it answers CONNECT with ${status}`,
          advice: `Allow ${host} there, or add it to NO_PROXY if it needs no proxy.`
        },
    ProxyUnused: ({ host, party, proxy, reason }) => ({
      cause: `The ${party} ${host} is only reached through the proxy ${proxy}, which is not used: ${reason}`,
      advice: "Set HTTPS_PROXY to this proxy, and remove the host from NO_PROXY."
    }),
    HostUnknown: ({ description, host, party }) => ({
      cause: `No proxy is used, and ${host} cannot be resolved (${description}): ` +
        `the name of the ${party} is wrong, or requests need a proxy`,
      advice: "Check the name and DNS. If requests need a proxy, set it: HTTPS_PROXY=http://proxy.example.com:3128."
    }),
    Unreachable: ({ description, host, party }) => ({
      cause: `The ${party} ${host} cannot be reached: ${description}`,
      advice: /REFUSED/.test(description)
        ? "Nothing listens there: check host, port and the server."
        : "A firewall may block the connection, or requests need a proxy: set HTTPS_PROXY."
    }),
    Tls: ({ code, description, host, party }) => ({
      cause: `No safe connection to the ${party} ${host}: ${description}`,
      advice: tlsAdvice(code)
    }),
    OtherIssuer: ({ issuer, named }) => ({
      cause: `The issuer is wrong: the server of ${issuer} calls itself ${named}`,
      advice: named.replace(/\/$/, "") === issuer.replace(/\/$/, "")
        ? `Set ${names.issuer} to ${named}: the slash at the end is part of it.`
        : `If that is the server you mean, set ${names.issuer} to ${named}; every character counts.`
    }),
    NoMetadata: ({ description, issuer }) => ({
      cause: `The issuer ${issuer} has no metadata: ${description}`,
      advice: `Compare ${names.issuer} with what the server calls its issuer, or set ${names.tokenEndpoint} instead.`
    }),
    NoTokenEndpoint: ({ endpoint, named, status }) => ({
      cause: `There is no token endpoint at ${endpoint}: it answers ${status}${status < 300 ? " with a page" : ""}`,
      advice: named === undefined
        ? `Correct ${names.tokenEndpoint}.`
        : `Set ${names.tokenEndpoint} to ${named}, as the server's metadata says.`
    }),
    WrongSecret: ({ clientId, kind, methods, padded, said, variable }) => ({
      cause: `The client ID or its ${kind} is wrong: ${said}`,
      advice: (padded ? `${variable} begins or ends with white space: remove it. ` : "") +
        `Compare ${names.clientId} (${clientId}) and ${variable} with the registration; the ${kind} may have been rotated.` +
        (methods.length === 0 ? "" : ` The server accepts ${listOf(methods)}.`)
    }),
    WrongMethod: ({ methods, taken, used }) => ({
      cause: `The secret is right, but the server accepts it by ${taken}, not by ${used}`,
      advice: `Set ${names.clientAuth} to ${taken}, or register the client for ${used}.` +
        (methods.length === 0 ? "" : ` The server's metadata names ${listOf(methods)}.`)
    }),
    ClientForbidden: ({ clientId, said }) => ({
      cause: `The client ${clientId} may not use the client credentials grant: ${said}`,
      advice:
        "Allow it the grant client_credentials at the server (often called service account or machine-to-machine)."
    }),
    WrongScope: ({ said, scope }) => ({
      cause: `The scope is wrong: ${said}`,
      advice: scope === ""
        ? `Set ${names.scope} to what the server allows this client.`
        : `Compare ${names.scope} (${scope}) with what the server allows this client.`
    }),
    TokenRefused: ({ said, unanswered }) => ({
      cause: `No token was issued: ${said}`,
      advice: unanswered
        ? "Try again. If it persists, ask the server's owner."
        : "Ask the server's owner, with the time of this request: the server's log says more."
    }),
    TokenUnusable: ({ said }) => ({
      cause: `No token was issued: ${said}`,
      advice:
        `Check ${names.tokenEndpoint}. If the token is in another field than access_token, set ${names.tokenField}; ` +
        `if the server has its own token_type for Bearer, set ${names.bearerTypes}.`
    }),
    ScopeNarrowed: ({ granted, missing }) => ({
      cause: `The token lacks a part of the scope: ${missing.join(" ")}`,
      advice: `Granted: ${
        granted === "" ? "nothing" : granted
      }. Allow the client the rest at the server, or remove it from ${names.scope}.`
    }),
    LifetimeUnknown: () => ({
      cause: "The server does not say how long its tokens live",
      advice: "They are renewed every hour, and when an API rejects them. The option defaultLifetime changes that."
    }),
    LifetimeShort: ({ seconds }) => ({
      cause: `Tokens live for ${seconds} s only`,
      advice: "Use at least a minute; an hour spares the server."
    }),
    LifetimeDiffers: ({ saidSeconds, tokenSeconds }) => ({
      cause: `The token expires after ${tokenSeconds} s by its claims, but after ${saidSeconds} s by expires_in`,
      advice: "Correct the server: the app uses expires_in."
    }),
    ClockOff: ({ aheadSeconds, evidence, server }) => ({
      cause: `The clock of this machine is ${sayTime(Math.abs(aheadSeconds))} ${
        aheadSeconds > 0 ? "ahead of" : "behind"
      } that of ${server}`,
      advice: `Evidence: ${evidence}. Correct the wrong clock (timedatectl, chronyc tracking): ` +
        "until then an API may find new tokens expired or not valid yet."
    }),
    StoreDown: ({ description, store }) => ({
      cause: `The store is down: ${description}`,
      advice: (/still connecting/.test(description)
        ? `Compare host and port in ${store.variable}, and use rediss:// if Redis speaks TLS, else redis://. `
        : store.scheme === "sqlite"
        ? `Check that the file and its directory can be written, or correct ${store.variable}. `
        : `Start ${kindOf(store)} or correct ${store.variable}. `) + "Until then each process requests its own tokens."
    }),
    StorePassword: ({ description, store }) => ({
      cause: `The store rejects the password: ${description}`,
      // The URL of a socket has no place for a password
      advice: `Correct ${store.variable}: ${store.scheme === "unix" ? "redis" : store.scheme}` +
        "://user:password@host:port, with % codes for special characters."
    }),
    StoreReadOnly: ({ description, store }) => ({
      cause: `The store is read-only: ${description}`,
      advice: kindOf(store) === "Memcached"
        ? "Memcached is full and may not evict (-M): give it more memory (-m), or let it evict."
        : store.scheme === "sqlite"
        ? "Let this process write the file and its directory, and check the disk."
        : `${store.variable} names a replica, or ${kindOf(store)} may not write: ` +
          "use the primary, or check its disk and memory."
    }),
    StoreRefuses: ({ description, step }) => ({
      cause: `The store refuses ${step}: ${description}`,
      advice: isNoTable(description)
        ? `Set ${names.sqlCreateTable} to true, or create the table with SqlTokenStore.migration.`
        : "Give its user the permissions that the store's guide lists. If a proxy is in between, it must allow them too."
    }),
    StoreSlow: ({ millis, store }) => ({
      cause: `The store is slow: a call takes ${millis} ms`,
      advice: `After 500 ms (storeTimeout) the app continues without it. Check the load of ${kindOf(store)}${
        kindOf(store) === "Redis" ? " (SLOWLOG)" : ""
      } and the network.`
    }),
    StoreBroken: ({ description, step }) => ({
      cause: `The store does not keep its entries: ${step}: ${description}`,
      advice: "Look for a proxy, a replica, or another program that writes the same keys."
    }),
    OriginForeign: ({ allowed, origin }) => ({
      cause: `No token may go to ${origin}: allowed ${allowed.length === 1 ? "is" : "are"} ${list(allowed)}`,
      advice: `Correct ${names.baseUrl}, or add the origin to ${names.origins}.`
    }),
    ApiRejects: ({ challenge, error, scope, status, url }) => ({
      cause: `The API rejects the token: ${url} answers ${status}${challenge === undefined ? "" : `, ${challenge}`}`,
      advice: status === 403 || error === "insufficient_scope"
        ? `The token is valid, but not sufficient: request ${
          scope.length === 0 ? "another scope" : `the scope ${scope.join(" ")}`
        } (${names.scope}), or allow the client more.`
        : error === undefined
        ? "It does not say why: compare issuer, audience and scope of the token (alf token) with what the API expects."
        : "Compare issuer, audience and times of the token (alf token) with what the API expects."
    }),
    ApiFails: ({ status, url }) => ({
      cause: `The API fails: ${url} answers ${status}`,
      advice: status === 404
        ? `Compare ${names.baseUrl} and the path.`
        : "Ask the API's owner; the token is not at fault."
    }),
    ApiSilent: ({ description, url }) => ({
      cause: `The API does not answer: ${url}: ${description}`,
      advice: "Ask the API's owner; the token is not at fault."
    })
  })

/** The store's own hint tells it. */
const isNoTable = (description: string): boolean => /createTable creates it$/.test(description)

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
      return "The server needs a new certificate; if it has one, check the clock of this machine."
    case "CERT_NOT_YET_VALID":
      return "Check the clock of this machine."
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "Use the name that the certificate is for."
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return "If the authority is your own, set its certificate in NODE_EXTRA_CA_CERTS or in the option http.ca."
    default:
      return "Check whether the server at this host and port speaks TLS."
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
    case "StoreRefuses":
    case "StoreSlow":
    case "StoreBroken":
      return ExitCode.degraded
  }
}
