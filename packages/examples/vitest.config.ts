import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "examples",
    include: ["test/**/*.test.ts"],
    pool: "threads",
    setupFiles: ["../checks/src/freshMethods.ts"],
    globalSetup: ["../redis-server/src/setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 30_000
  }
})
