/**
 * Runs the tests of a file at the same time: they wait for the next turn of the
 * event loop more than they work. Vitest takes no such word from one project.
 */
import type { SerializedConfig } from "vitest"
import { VitestTestRunner } from "vitest/runners"

export default class ConcurrentRunner extends VitestTestRunner {
  constructor(config: SerializedConfig) {
    super({ ...config, maxConcurrency: 20, sequence: { ...config.sequence, concurrent: true } })
  }
}
