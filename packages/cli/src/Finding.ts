/**
 * The results of the checks: for each one line, and of all of them the one cause
 * that comes first.
 */
import * as Arr from "effect/Array"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Ref from "effect/Ref"
import { ExitCode } from "./ExitCode.js"
import * as Problem from "./Problem.js"

/** The checks in the order in which a cause comes before what it leads to. */
export const checks = [
  "configuration",
  "address",
  "proxy",
  "name",
  "connection",
  "certificate",
  "discovery",
  "credentials",
  "scope",
  "lifetime",
  "clock",
  "store",
  "origin",
  "api network",
  "api"
] as const

/** The name of a check. */
export type Check = (typeof checks)[number]

/** The result of one check. A concern is a problem with which tokens still work. */
export type Finding = Data.TaggedEnum<{
  Ok: { readonly check: Check; readonly says: string }
  Concern: { readonly check: Check; readonly problem: Problem.Problem }
  Failed: { readonly check: Check; readonly problem: Problem.Problem }
  Skipped: { readonly check: Check; readonly because: string }
}>

/** The constructors, and `$match`. */
export const Finding = Data.taggedEnum<Finding>()

/**
 * What a check brings when it passes: a line, what the next ones need, and what
 * is not as it should be although it works.
 */
export interface Passed<A> {
  readonly says: string
  readonly value: A
  readonly concern?: Problem.Problem | undefined
}

/** Collects findings while checks run. */
export interface Journal {
  /** Runs a check and notes its result; its value is there when it passed. */
  readonly note: <A, R>(
    check: Check,
    effect: Effect.Effect<Passed<A>, Problem.Problem, R>
  ) => Effect.Effect<Option.Option<A>, never, R>
  readonly skip: (because: string, ...checks: ReadonlyArray<Check>) => Effect.Effect<void>
  /** Everything so far, in the order of `checks`. */
  readonly findings: Effect.Effect<ReadonlyArray<Finding>>
}

/** Makes an empty journal. */
export const makeJournal: Effect.Effect<Journal> = Effect.map(
  Ref.make<ReadonlyArray<Finding>>([]),
  (ref): Journal => {
    const add = (finding: Finding) => Ref.update(ref, (findings) => [...findings, finding])
    return {
      note: (check, effect) =>
        Effect.matchEffect(effect, {
          onFailure: (problem) => Effect.as(add(Finding.Failed({ check, problem })), Option.none()),
          onSuccess: ({ concern, says, value }) =>
            Effect.as(
              add(concern === undefined ? Finding.Ok({ check, says }) : Finding.Concern({ check, problem: concern })),
              Option.some(value)
            )
        }),
      skip: (because, ...checks) =>
        Effect.forEach(checks, (check) => add(Finding.Skipped({ check, because })), { discard: true }),
      findings: Effect.map(
        Ref.get(ref),
        Arr.sortWith(({ check }) => checks.indexOf(check), Order.number)
      )
    }
  }
)

/** The cause: the first failure, else the first concern. */
export const cause = (findings: ReadonlyArray<Finding>): Option.Option<Problem.Problem> =>
  Option.map(
    Option.fromNullable(findings.find(Finding.$is("Failed")) ?? findings.find(Finding.$is("Concern"))),
    ({ problem }) => problem
  )

/** How the command ends with these findings. */
export const exitCode = (findings: ReadonlyArray<Finding>): ExitCode =>
  Option.match(cause(findings), { onNone: () => ExitCode.ok, onSome: Problem.exitCode })
