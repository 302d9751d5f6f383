import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "core",
    include: ["test/**/*.test.ts"],
    pool: "forks",
    setupFiles: ["test/quickClock.ts"],
    runner: "test/concurrentRunner.ts",
    // Everything timed runs under TestClock: only a hanging test takes this long, however busy the machine
    testTimeout: 60_000
  }
})
