import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { hang } from "../../../core/test/support/hang.js"

export default defineConfig({
  root: fileURLToPath(new URL("../../../..", import.meta.url)),
  ssr: { resolve: { conditions: ["@effect-alf/source", "module", "node", "development|production"] } },
  // docs.ts ends the whole run
  test: { include: ["packages/*/build/docs/**/*.test.ts"], testTimeout: hang }
})
