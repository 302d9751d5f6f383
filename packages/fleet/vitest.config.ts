import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "fleet",
    include: ["test/**/*.test.ts"],
    // Beside the projects in threads, which come one after the other
    pool: "forks",
    // Many simulations in one test, all of them work for the processor
    testTimeout: 600_000
  }
})
