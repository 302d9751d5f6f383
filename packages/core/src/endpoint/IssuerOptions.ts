/** The options of requests for the metadata of an issuer, checked. */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as LayerOptions from "../LayerOptions.js"
import * as Origin from "../Origin.js"

/** `AuthorizationServer.Options`, as used here. */
export interface IssuerOptions extends Pick<Origin.Options, "allowInsecure"> {
  readonly issuer: string | URL
  readonly metadataUrl?: string | URL | undefined
  readonly refreshEvery?: Duration.DurationInput | undefined
  readonly timeout?: Duration.DurationInput | undefined
  readonly maxResponseBytes?: number | undefined
}

// At most what the large providers state in Cache-Control
const defaultRefreshEvery = Duration.hours(1)
// Both addresses have their turn before `TokenProvider.maxWait` is over
const defaultTimeout = Duration.seconds(4)
const defaultMaxResponseBytes = 256 * 1024

const name = "AuthorizationServer"

/** Checks the options: returns their values, or names all that are wrong. */
export const check = (options: IssuerOptions) =>
  LayerOptions.collect({
    url: checkIssuer(options),
    metadataUrl: options.metadataUrl === undefined
      ? Exit.succeed(undefined)
      : Origin.checkUrl(`${name}.metadataUrl`, options.metadataUrl, options),
    refreshEvery: LayerOptions.positiveDuration(`${name}.refreshEvery`, options.refreshEvery ?? defaultRefreshEvery),
    timeout: LayerOptions.positiveDuration(`${name}.timeout`, options.timeout ?? defaultTimeout),
    maxResponseBytes: LayerOptions.positiveInteger(
      `${name}.maxResponseBytes`,
      options.maxResponseBytes ?? defaultMaxResponseBytes
    )
  })

const checkIssuer = (options: IssuerOptions): LayerOptions.Done<URL> =>
  Exit.flatMap(Origin.checkUrl(`${name}.issuer`, options.issuer, options), (url) => {
    if (url.search !== "") return LayerOptions.invalid(`${name}.issuer`, "must not have a query")
    return url.pathname.includes("/.well-known/")
      ? LayerOptions.invalid(
        `${name}.issuer`,
        "is the address of the metadata: give the issuer that the metadata names"
      )
      : Exit.succeed(url)
  })
