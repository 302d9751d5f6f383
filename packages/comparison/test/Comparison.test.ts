import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { insert, pages } from "../src/Page.js"

describe("the comparison with other clients", () => {
  it("is as it is measured now", async () => {
    // A process of its own: the time of the clients is moved
    const { stdout } = await promisify(execFile)("npx", [
      "tsx",
      "--conditions=@effect-alf/source",
      fileURLToPath(new URL("../src/compare.ts", import.meta.url))
    ])
    for (const page of pages) {
      const text = readFileSync(page, "utf8")
      assert.strictEqual(text, insert(text, stdout.trim()), `npm run compare -- --write renews ${page.pathname}`)
    }
  })
})
