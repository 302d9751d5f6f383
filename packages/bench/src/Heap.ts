/** What the heap holds, in a process with `--expose-gc`. */
import { setTimeout as sleep } from "node:timers/promises"

// What was begun in the background is over by then
const settling = 300
// Weak references and finalizers let go one collection, and one turn of the event loop, after the other
const most = 12
const noMore = 1_024

/** The bytes in use, when a collection finds nothing more that could go. */
export const used = async (): Promise<number> => {
  if (globalThis.gc === undefined) throw new Error("What the heap holds can only be told with --expose-gc")
  await sleep(settling)
  let least = Infinity
  for (let turn = 0; turn < most; turn++) {
    globalThis.gc()
    const { heapUsed } = process.memoryUsage()
    if (turn >= 3 && heapUsed > least - noMore) return Math.min(heapUsed, least)
    least = Math.min(heapUsed, least)
    await sleep(20)
  }
  return least
}

/** The timers that hold the process. */
export const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
