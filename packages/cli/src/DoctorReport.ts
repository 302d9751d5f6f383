/** What the doctor found, for a person and for a program. */
import * as Option from "effect/Option"
import * as Finding from "./Finding.js"
import * as Problem from "./Problem.js"
import type { Style } from "./Style.js"

const allIsWell = "Everything works: a token was issued, and the API can be reached"
const noApi = "A token was issued. No API was checked: set ALF_BASE_URL or --base-url"

/** The cause in the first line, then what to do, then every check. */
export const toText = (findings: ReadonlyArray<Finding.Finding>, style: Style["Type"]): string => {
  const cause = Finding.cause(findings)
  const isApiUnknown = findings.some((finding) => finding._tag === "Skipped" && finding.check === "origin")
  const isFailed = findings.some(Finding.Finding.$is("Failed"))
  const head = Option.match(cause, {
    onNone: () => [style.green(isApiUnknown ? noApi : allIsWell)],
    onSome: (problem) => {
      const { advice, cause } = Problem.describe(problem)
      return [isFailed ? style.red(cause) : style.yellow(cause), advice]
    }
  })
  const width = Math.max(...findings.map(({ check }) => check.length))
  const line = (paint: (text: string) => string, outcome: string, check: string, text: string) =>
    `  ${paint(outcome.padEnd(7))}  ${check.padEnd(width)}  ${text}`
  const say = (problem: Problem.Problem) =>
    problem === Option.getOrUndefined(cause) ? "see above" : Problem.describe(problem).cause
  const lines = findings.map(Finding.Finding.$match({
    Ok: ({ check, says }) => line(style.green, "ok", check, says),
    Concern: ({ check, problem }) => line(style.yellow, "concern", check, say(problem)),
    Failed: ({ check, problem }) => line(style.red, "failed", check, say(problem)),
    Skipped: ({ because, check }) => line(style.dim, "skipped", check, style.dim(because))
  }))
  // What was found beside the cause has its advice as well
  const others = findings.flatMap((finding) =>
    (finding._tag === "Failed" || finding._tag === "Concern") && finding.problem !== Option.getOrUndefined(cause)
      ? [`${finding.check}: ${Problem.describe(finding.problem).advice}`]
      : []
  )
  return [...head, "", ...lines, ...(others.length === 0 ? [] : ["", ...others])].join("\n")
}

/**
 * The same as a value for `JSON.stringify`. A problem has its kind as `_tag` and
 * its particulars beside the words.
 */
export const toJson = (findings: ReadonlyArray<Finding.Finding>): Readonly<Record<string, unknown>> => {
  const cause = Finding.cause(findings)
  return {
    ok: Option.isNone(cause),
    exitCode: Finding.exitCode(findings),
    ...Option.match(cause, { onNone: () => ({}), onSome: Problem.describe }),
    checks: findings.map(Finding.Finding.$match({
      Ok: ({ check, says }) => ({ check, outcome: "ok", says }),
      Concern: ({ check, problem }) => ({ check, outcome: "concern", ...Problem.describe(problem), problem }),
      Failed: ({ check, problem }) => ({ check, outcome: "failed", ...Problem.describe(problem), problem }),
      Skipped: ({ because, check }) => ({ check, outcome: "skipped", because })
    }))
  }
}
