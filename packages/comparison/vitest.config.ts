import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    name: "comparison",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../checks/src/freshMethods.ts"],
    testTimeout: 120_000
  }
})
