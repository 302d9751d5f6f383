import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "hostile-servers",
    include: ["test/**/*.test.ts"],
    // Beside the projects in threads, which come one after the other
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 120_000
  }
})
