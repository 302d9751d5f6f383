import type { Report } from "./Report.js"

export interface Settings {
  /** How often each subject is measured. */
  readonly rounds: number
  /** Only shows that everything works: as little load as possible. */
  readonly smoke: boolean
  /** Only what the goals need. */
  readonly goalsOnly: boolean
}

/** A situation, and what is measured in it. Each runs in a process of its own. */
export interface Scenario {
  readonly name: string
  readonly title: string
  /** Options of Node for its process. */
  readonly nodeOptions?: ReadonlyArray<string> | undefined
  readonly run: (settings: Settings) => Promise<Omit<Report, "name" | "title">>
}
