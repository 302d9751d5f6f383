/** What the process of the client and that of the servers have to say to each other. */

/** Which HTTP client the token endpoint is asked with. */
export type HttpName = "fetch" | "undici"

/** What is asked: a token endpoint, or a server for its metadata. */
export type Consumer = "tokenEndpoint" | "discovery"

export interface Job {
  readonly name: string
  readonly http: HttpName
  readonly consumer: Consumer
  /** Where the hostile server is. */
  readonly origin: string
  /** Nobody is there to let time pass: the client has this many milliseconds of real time. */
  readonly realTimeout?: number
  /** How often the token is asked for. */
  readonly asks: number
  /** Jobs of one batch run at the same time, and the memory of each is that of all of them. */
  readonly batch: string
  /** Garbage is collected whenever memory is looked at, so that only what is held counts. */
  readonly collects: boolean
  /** Shows this text in every way in which a secret must not be shown. */
  readonly planted?: string
}

/** The messages to the process of the client. */
export type Message =
  | { readonly _tag: "Work"; readonly jobs: ReadonlyArray<Job> }
  /** Lets time pass on the clock of a job. */
  | { readonly _tag: "LetPass"; readonly name: string; readonly millis: number }

export type Outcome =
  | { readonly _tag: "Token"; readonly token: string; readonly lifetime: number | null; readonly scope: string | null }
  | {
    readonly _tag: "Error"
    readonly reason: string
    readonly message: string
    readonly error: string | null
    readonly retryAfter: number | null
  }
  | { readonly _tag: "Defect"; readonly message: string }

export interface Result {
  readonly name: string
  readonly outcome: Outcome
  /** In milliseconds of real time. */
  readonly time: number
  /** In bytes, beyond what was there before. */
  readonly memory: number
  /** Where a secret was seen. */
  readonly leaks: ReadonlyArray<string>
}

export interface Report {
  readonly results: ReadonlyArray<Result>
  /** The uncaught errors. */
  readonly uncaught: ReadonlyArray<string>
}

export const clientId = "client-of-hostile-servers"

/** All that makes a secret look different in another encoding is in it. */
export const clientSecret = "s3cret/of+the&client=ä\"<'>?~"
export const assertion = "aSs3rtion-header.aSs3rtion-payload.aSs3rtion_signature"
