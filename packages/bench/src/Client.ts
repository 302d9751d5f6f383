/** What is measured: a client as an app makes it once, and calls an API with. */

/** What the callers do, and where their calls are recorded. */
export interface Load {
  /** Whether there is another call to make. */
  readonly next: () => boolean
  /** A call has ended: with the status of the answer, or 0 without one. */
  readonly done: (status: number, millis: number) => void
}

export interface Client {
  /** Lets so many callers call the API at once, each one call after the other, until there is none left to make. */
  readonly run: (callers: number, load: Load) => Promise<void>
  readonly close: () => Promise<void>
}

/** Where tokens come from, and how long before its end one is renewed by those that can be told so. */
export interface TokenOptions {
  readonly tokenEndpoint: string
  readonly clientId: string
  readonly clientSecret: string
  /** Seconds. */
  readonly margin: number
}

/** Where a client is at work. */
export interface Surroundings extends TokenOptions {
  readonly url: string
}

export interface Contender {
  readonly name: string
  /** The address of the module that exports it. */
  readonly module: string
  /** Whether it gets its tokens itself; the others send a constant header. */
  readonly hasToken: boolean
  /** How long before its end it renews a token, in seconds, where it cannot be told. */
  readonly ownMargin?: number | undefined
  readonly make: (surroundings: Surroundings) => Client
}

/** What is called. */
export const path = "/resource"

/** A client of promises. `get` calls the API, reads the body and gives the status, or fails. */
export const fromPromises = (get: () => Promise<number>, close: () => Promise<void> = async () => {}): Client => {
  const call = async ({ done, next }: Load) => {
    while (next()) {
      const start = performance.now()
      const status = await get().catch(() => 0)
      done(status, performance.now() - start)
    }
  }
  return {
    run: async (callers, load) => {
      await Promise.all(Array.from({ length: callers }, () => call(load)))
    },
    close
  }
}

/** Makes a client for one use, in this process. */
export const use = async <A>(
  contender: Contender,
  surroundings: Surroundings,
  f: (client: Client) => Promise<A>
): Promise<A> => {
  const client = contender.make(surroundings)
  try {
    return await f(client)
  } finally {
    await client.close()
  }
}
