import type { Load } from "./Client.js"

export interface Recorded extends Load {
  /** How long each call took that ended with 200, in milliseconds. */
  readonly latencies: ReadonlyArray<number>
  readonly failed: () => number
}

/** Calls as long as `next` says, and records how each of them ended. */
export const record = (next: () => boolean): Recorded => {
  const latencies: Array<number> = []
  let failed = 0
  return {
    next,
    done: (status, millis) => {
      if (status === 200) latencies.push(millis)
      else failed++
    },
    latencies,
    failed: () => failed
  }
}

/** So many calls in all, shared out among the callers as they go. A call that fails ends the benchmark. */
export const count = (calls: number): Recorded => {
  let left = calls
  const load = record(() => left-- > 0)
  return {
    ...load,
    done: (status, millis) => {
      if (status !== 200) throw new Error(`A call that nothing disturbs ended with ${status}`)
      load.done(status, millis)
    }
  }
}

/** One call for each caller. */
export const once = (callers: number): Recorded => {
  let left = callers
  return record(() => left-- > 0)
}

/** Calls for so many milliseconds from now on. */
export const during = (duration: number): Recorded => {
  const end = performance.now() + duration
  return record(() => performance.now() < end)
}
