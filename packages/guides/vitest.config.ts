import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "guides",
    include: ["test/**/*.test.ts"],
    // Beside the projects in threads, which come one after the other
    pool: "forks",
    globalSetup: ["../redis-server/src/setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 30_000
  }
})
