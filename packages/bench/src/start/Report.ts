/** What a process that starts tells about itself after its first response. */

export interface FirstResponse {
  /** Of the process since it exists, and since its imports, in milliseconds. */
  readonly cpu: number
  readonly cpuOfRequest: number
  /** Files that were loaded, if they are counted. */
  readonly modules: number
}

declare global {
  var countModules: (() => number) | undefined
}

const millis = ({ system, user }: NodeJS.CpuUsage) => (system + user) / 1000

/** Makes the first request, and tells what it took. The imports are over. */
export const report = async (request: (url: string) => Promise<unknown>): Promise<void> => {
  const imported = process.cpuUsage()
  await request(process.env["BENCH_URL"] ?? "")
  const first: FirstResponse = {
    cpu: millis(process.cpuUsage()),
    cpuOfRequest: millis(process.cpuUsage(imported)),
    modules: globalThis.countModules?.() ?? 0
  }
  process.send?.(first, undefined, {}, () => process.exit())
}
