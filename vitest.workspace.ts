import { defineWorkspace } from "vitest/config"

export default defineWorkspace([
  "packages/*/vitest.config.ts",
  // The packages with real servers, as one project: each has the same imports, which a worker then makes once
  {
    ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
    test: {
      name: "live",
      include: ["packages/{authorization-servers,examples,node}/test/**/*.test.ts"],
      pool: "threads",
      setupFiles: ["packages/checks/src/freshMethods.ts"],
      globalSetup: ["packages/redis-server/src/setup.ts"],
      testTimeout: 60_000,
      hookTimeout: 30_000
    }
  }
])
