import { defineWorkspace } from "vitest/config"

export default defineWorkspace([
  "packages/*/vitest.config.ts",
  // The packages with real servers, as one project: each has the same imports, which a worker then makes once
  {
    ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
    test: {
      name: "live",
      include: ["packages/{authorization-servers,bench,examples,guides,hostile-servers,node}/test/**/*.test.ts"],
      pool: "threads",
      setupFiles: ["packages/checks/src/freshMethods.ts"],
      globalSetup: ["packages/redis-server/src/setup.ts"],
      testTimeout: 120_000,
      hookTimeout: 120_000
    }
  }
])
