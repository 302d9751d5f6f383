import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import projects from "./vitest.workspace.js"

// One more than there are processors: tests also wait, for other processes and for seconds to pass. As many from the
// start to the end, as a worker keeps what it has imported.
const workers = availableParallelism() + 1

export default defineConfig({
  test: {
    projects,
    pool: "forks",
    // A worker imports each module once and not again for each of the files that it runs: imports would cost more than
    // the tests. What a test changes beside its own values, it puts back.
    isolate: false,
    minWorkers: workers,
    maxWorkers: workers
  }
})
