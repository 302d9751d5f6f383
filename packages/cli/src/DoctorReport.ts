/** What the doctor found, for a person and for a program. */
import * as Option from "effect/Option"
import * as Finding from "./Finding.js"
import { defaultPrefix, Naming } from "./Naming.js"
import * as Problem from "./Problem.js"
import type { Style } from "./Style.js"

const allIsWell = "Everything works: a token was issued, and the API can be reached"

/** The cause in the first line, then what to do, then every check. */
export const toText = (
  findings: ReadonlyArray<Finding.Finding>,
  style: Style["Type"],
  naming: Naming["Type"] = Naming.make(defaultPrefix)
): string => {
  const describe = (problem: Problem.Problem) => Problem.describe(problem, naming)
  const noApi = `A token was issued. No API was checked: set ${naming.names.baseUrl} or --base-url`
  const cause = Finding.cause(findings)
  const isApiUnknown = findings.some((finding) => finding._tag === "Skipped" && finding.check === "origin")
  const isFailed = findings.some(Finding.Finding.$is("Failed"))
  const head = Option.match(cause, {
    onNone: () => [style.green(isApiUnknown ? noApi : allIsWell)],
    onSome: (problem) => {
      const { advice, cause } = describe(problem)
      return [isFailed ? style.red(cause) : style.yellow(cause), advice]
    }
  })
  const width = Math.max(...findings.map(({ check }) => check.length))
  const line = (paint: (text: string) => string, outcome: string, check: string, text: string) =>
    `  ${paint(outcome.padEnd(7))}  ${check.padEnd(width)}  ${text}`
  const say = (problem: Problem.Problem) =>
    problem === Option.getOrUndefined(cause) ? "see above" : describe(problem).cause
  const lines = findings.map(Finding.Finding.$match({
    Ok: ({ check, says }) => line(style.green, "ok", check, says),
    Concern: ({ check, problem }) => line(style.yellow, "concern", check, say(problem)),
    Failed: ({ check, problem }) => line(style.red, "failed", check, say(problem)),
    Skipped: ({ because, check }) => line(style.dim, "skipped", check, style.dim(because))
  }))
  // What was found beside the cause has its advice as well
  const others = findings.flatMap((finding) =>
    (finding._tag === "Failed" || finding._tag === "Concern") && finding.problem !== Option.getOrUndefined(cause)
      ? [`${finding.check}: ${describe(finding.problem).advice}`]
      : []
  )
  return [...head, "", ...lines, ...(others.length === 0 ? [] : ["", ...others])].join("\n")
}

/**
 * The same as a value for `JSON.stringify`. A problem has its kind as `_tag` and
 * its particulars beside the words.
 */
export const toJson = (
  findings: ReadonlyArray<Finding.Finding>,
  naming: Naming["Type"] = Naming.make(defaultPrefix)
): Readonly<Record<string, unknown>> => {
  const describe = (problem: Problem.Problem) => Problem.describe(problem, naming)
  const cause = Finding.cause(findings)
  return {
    ok: Option.isNone(cause),
    exitCode: Finding.exitCode(findings),
    ...Option.match(cause, { onNone: () => ({}), onSome: describe }),
    checks: findings.map(Finding.Finding.$match({
      Ok: ({ check, says }) => ({ check, outcome: "ok", says }),
      Concern: ({ check, problem }) => ({ check, outcome: "concern", ...describe(problem), problem }),
      Failed: ({ check, problem }) => ({ check, outcome: "failed", ...describe(problem), problem }),
      Skipped: ({ because, check }) => ({ check, outcome: "skipped", because })
    }))
  }
}
