/** What time it is at a server, read from the answers it gives anyway. */
import type { AccessToken } from "@effect-alf/core/AccessToken"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { Passed } from "./Finding.js"
import * as JwtClaims from "./JwtClaims.js"
import { Problem } from "./Problem.js"

/**
 * How far the clock of this machine is ahead of a server's (ms), as one answer
 * showed it.
 */
export interface Reading {
  readonly host: string
  readonly aheadMillis: number
}

/**
 * A client that notes the `Date` (RFC 9110 §6.6.1) of every answer beside the
 * time of this machine.
 */
export const observe = (
  client: HttpClient.HttpClient
): Effect.Effect<{ readonly client: HttpClient.HttpClient; readonly reading: Effect.Effect<Option.Option<Reading>> }> =>
  Effect.map(Ref.make(Option.none<Reading>()), (ref) => ({
    client: HttpClient.transform(
      client,
      (response, request) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (sentAt) =>
            Effect.tap(response, ({ headers }) =>
              Effect.flatMap(Clock.currentTimeMillis, (now) => {
                const date = Date.parse(headers.date ?? "")
                if (Number.isNaN(date)) {
                  return Effect.void
                }
                const host = URL.canParse(request.url) ? new URL(request.url).host : request.url
                return Ref.set(ref, Option.some({ host, aheadMillis: (sentAt + now) / 2 - date }))
              }))
        )
    ),
    reading: Ref.get(ref)
  }))

// Servers take a minute or so; the header knows whole seconds only, and an answer is under way for some
const tolerance = 60

/**
 * Compares this machine's clock with what the server's answers and its token
 * say. A token that is not valid yet when it is issued, or has expired, is of no
 * use whatever the header says.
 */
export const compare = (
  reading: Option.Option<Reading>,
  token: Option.Option<AccessToken>,
  server: string
): Effect.Effect<Passed<void>, Problem> => {
  // Half of the second that the header cuts off
  const ahead = Option.map(reading, ({ aheadMillis }) => aheadMillis / 1000 - 0.5)
  const off = Option.map(ahead, (seconds): Off => ({ seconds, evidence: "the Date header" })).pipe(
    Option.filter(({ seconds }) => Math.abs(seconds) > tolerance),
    Option.orElse(() => Option.flatMap(token, offByToken))
  )
  if (Option.isSome(off)) {
    const { evidence, seconds } = off.value
    return Effect.fail(Problem.ClockOff({ aheadSeconds: Math.round(seconds), server, evidence }))
  }
  return Effect.succeed({
    says: Option.match(ahead, {
      onNone: () => "the server does not say what time it is",
      onSome: (seconds) =>
        Math.abs(seconds) < 2 ? `as that of ${server}` : `${Math.round(Math.abs(seconds))} s from that of ${server}`
    }),
    value: undefined
  })
}

interface Off {
  /** How far this machine is ahead. */
  readonly seconds: number
  readonly evidence: Extract<Problem, { readonly _tag: "ClockOff" }>["evidence"]
}

const offByToken = (token: AccessToken): Option.Option<Off> =>
  Option.flatMap(JwtClaims.decode(token.value), (jwt) => {
    const now = token.obtainedAt.epochMillis / 1000
    const since = (name: "iat" | "nbf" | "exp") =>
      Option.map(JwtClaims.date(jwt, name), (date) => now - date.epochMillis / 1000)
    const issued = since("iat")
    const expired = since("exp")
    const isNew = Option.zipWith(token.expiresAt, Option.product(issued, expired), (expiresAt, [issued, expired]) =>
      Math.abs(issued - expired - (expiresAt.epochMillis / 1000 - now)) < tolerance / 10)
    // A token that the server gives out again was issued long ago, which says nothing of its clock
    const byIssue = Option.filter(issued, (seconds) =>
      seconds < -tolerance || (seconds > tolerance && Option.contains(isNew, true)))
    return Option.firstSomeOf([
      Option.map(byIssue, (seconds): Off => ({ seconds, evidence: "the token's iat" })),
      Option.map(
        Option.filter(since("nbf"), (seconds) =>
          seconds < -tolerance),
        (seconds): Off => ({ seconds, evidence: "the token's nbf" })
      ),
      Option.map(
        Option.filter(expired, (seconds) =>
          seconds > tolerance),
        (seconds): Off => ({ seconds, evidence: "the token's exp" })
      )
    ])
  })
