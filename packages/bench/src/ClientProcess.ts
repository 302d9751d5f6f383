/** A client in a process of its own: the heap and the compiled code of another cost it nothing. */
import * as Child from "./Child.js"
import type { Contender, Surroundings } from "./Client.js"

/** Which calls are made. */
export type Calls =
  | { readonly type: "count"; readonly calls: number }
  | { readonly type: "once" }
  | { readonly type: "during"; readonly millis: number }

/** What a run of calls took. Times of calls are in milliseconds. */
export interface Run {
  readonly calls: number
  readonly failed: number
  /** Until all callers were done, in milliseconds. */
  readonly time: number
  /** Of the process, in microseconds. */
  readonly cpu: number
  /** The time that collections took, and the longest of them, in milliseconds. */
  readonly collection: number
  readonly longestCollection: number
  /** By how much 99% of the timers were late at most, in milliseconds. */
  readonly delay: number
  /** The growth of the heap, if the process has `heapOptions`. */
  readonly bytes: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export type Order =
  | { readonly type: "open"; readonly surroundings: Surroundings }
  | { readonly type: "run"; readonly callers: number; readonly calls: Calls }
  | { readonly type: "close" }

/** Which client a process has, as it is told in the environment. */
export interface Identity {
  readonly module: string
  readonly name: string
}

export interface ClientProcess {
  /** Makes the client. */
  readonly open: (surroundings: Surroundings) => Promise<void>
  readonly run: (callers: number, calls: Calls) => Promise<Run>
  /** Closes the client; the process goes on. */
  readonly close: () => Promise<void>
  readonly end: () => void
}

/** All that a run allocates fits in: nothing is collected meanwhile. */
export const heapOptions = ["--expose-gc", "--min-semi-space-size=128", "--max-semi-space-size=128"]

export const start = async (contender: Contender, nodeOptions?: ReadonlyArray<string>): Promise<ClientProcess> => {
  const child = await Child.start("call.js", nodeOptions)
  const { module, name }: Identity = contender
  await child.ask({ module, name })
  const obey = (order: Order) => child.ask(order)
  return {
    open: (surroundings) => obey({ type: "open", surroundings }),
    run: (callers, calls) => obey({ type: "run", callers, calls }),
    close: () => obey({ type: "close" }),
    end: child.close
  }
}

/** Starts one for each, and ends them after use. */
export const useAll = async <A>(
  contenders: ReadonlyArray<Contender>,
  f: (processes: ReadonlyArray<readonly [Contender, ClientProcess]>) => Promise<A>,
  nodeOptions?: ReadonlyArray<string>
): Promise<A> => {
  const processes: Array<readonly [Contender, ClientProcess]> = []
  for (const contender of contenders) processes.push([contender, await start(contender, nodeOptions)])
  try {
    return await f(processes)
  } finally {
    for (const [, { end }] of processes) end()
  }
}

/** Makes a client of the process for one use. */
export const use = async <A>(
  client: ClientProcess,
  surroundings: Surroundings,
  f: () => Promise<A>
): Promise<A> => {
  await client.open(surroundings)
  const result = await f()
  await client.close()
  return result
}
