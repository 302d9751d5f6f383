import { defineConfig } from "vitest/config"

export default defineConfig({
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  test: {
    name: "authorization-servers",
    include: ["test/**/*.test.ts"],
    pool: "threads",
    setupFiles: ["../checks/src/freshMethods.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
