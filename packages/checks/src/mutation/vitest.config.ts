// What StrykerJS runs in its copy of the work tree: all tests of core, on one worker
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { hang } from "../../../core/test/support/hang.js"

const root = fileURLToPath(new URL("../../../..", import.meta.url))

export default defineConfig({
  root,
  // Through node_modules they would be those of the work tree, without the mutants
  resolve: { alias: [{ find: /^@effect-alf\/(core|node)$/, replacement: `${root}packages/$1/src/index.ts` }] },
  ssr: { resolve: { conditions: ["@effect-alf/source", "node", "development|production"] } },
  test: {
    include: ["packages/core/test/**/*.{test,thorough}.ts"],
    // As in `.ci/run`
    env: { THOROUGH: "1" },
    // Reads the text of the sources, which mutants change
    exclude: ["packages/core/test/OAuthMetrics.guide.test.ts"],
    isolate: false,
    testTimeout: hang,
    hookTimeout: hang
  }
})
