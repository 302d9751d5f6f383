/** What is compared: a client as an app makes it once, and calls an API with. */
export interface Client {
  /** Calls the API with a token; gives the status of the answer, whatever it is. */
  readonly get: (url: string) => Promise<number>
  readonly close?: () => Promise<void>
}

/** Where a client gets its tokens, and where it may keep them for other processes. */
export interface Surroundings {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly api: string
  readonly clientId: string
  readonly clientSecret: string
  readonly storage: Map<string, string>
}

/** How long before its end a token is renewed by those that can be told so, in seconds. */
export const margin = 60

/** A way to make a client, as the documentation of its package tells to. */
export interface Contender {
  /** The packages that it is made of, which are named with their versions; none is this repository. */
  readonly packages: ReadonlyArray<string>
  readonly make: (surroundings: Surroundings) => Client
  /** What the documentation says of it, as nothing was measured. */
  readonly documented: {
    readonly privateKeyJwt: string
    readonly mutualTls: string
    readonly dpop: string
    readonly authorizationCode: string
    readonly certified: string
  }
}
