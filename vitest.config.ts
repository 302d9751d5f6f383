import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import projects from "./vitest.workspace.js"

// One for each processor, as many from the start to the end: a worker keeps what it has imported
const workers = availableParallelism()

// What mostly waits, for other processes or for seconds to pass, and so leaves its processor to the other worker
const waiting = ["HostileServers", "alf", "RedisFailover", "SqlTokenStore", "demo"].map((name) => `/${name}.test.ts`)

/** Starts first what waits: at the end of a run nobody would use the time. */
class WaitingFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const sorted = await super.sort(files)
    const first = waiting.flatMap((name) => sorted.filter(({ moduleId }) => moduleId.endsWith(name)))
    return [...new Set([...first, ...sorted])]
  }
}

export default defineConfig({
  test: {
    projects,
    pool: "forks",
    // A worker imports each module once and not again for each of the files that it runs: imports would cost more than
    // the tests. What a test changes beside its own values, it puts back.
    isolate: false,
    sequence: { sequencer: WaitingFirst },
    minWorkers: workers,
    maxWorkers: workers
  }
})
