/** What holds up a process: its garbage collection, and whatever else delays the event loop. */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"

export interface Pauses {
  /** How long collections took, in milliseconds. */
  readonly collection: number
  /** The longest collection, in milliseconds. */
  readonly longestCollection: number
  /** By how much 99% of the timers were late at most, in milliseconds. */
  readonly delay: number
}

// Timers of so many milliseconds, whose own time is no delay
const resolution = 1

/** Begins to watch; the outcome ends that, and tells what there was. */
export const watch = (): () => Pauses => {
  let collection = 0
  let longestCollection = 0
  const add = (entries: ReadonlyArray<{ readonly duration: number }>) => {
    for (const { duration } of entries) {
      collection += duration
      longestCollection = Math.max(longestCollection, duration)
    }
  }
  const observer = new PerformanceObserver((list) => add(list.getEntries()))
  observer.observe({ entryTypes: ["gc"] })
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  return () => {
    delays.disable()
    add(observer.takeRecords())
    observer.disconnect()
    return {
      collection,
      longestCollection,
      delay: delays.count === 0 ? 0 : Math.max(0, delays.percentile(99) / 1e6 - resolution)
    }
  }
}
