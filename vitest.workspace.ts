import { defineProject } from "vitest/config"
import { hang } from "./packages/core/test/support/hang.js"
import { isThorough } from "./packages/core/test/support/Runs.js"

/** The projects of `vitest.config.ts`: one, as each of several would have workers that import everything again. */
export default [
  defineProject({
    // The packages are tested as they are written, not as they were last built
    ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
    test: {
      name: "effect-alf",
      include: ["packages/*/test/**/*.test.ts", ...isThorough ? ["packages/*/test/**/*.thorough.ts"] : []],
      // There are a redis-server and a memcached to start, or a sentence says how to get one
      globalSetup: ["packages/servers/src/setup.ts"],
      testTimeout: hang,
      hookTimeout: hang
    }
  })
]
