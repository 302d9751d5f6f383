/**
 * What `npm run fleet` does: what the processes of a fleet do to get by with
 * one token, with real processes, a real store and a token endpoint that counts.
 */
import { Clock, Console, Duration, Effect, Either } from "effect"
import type { Scope } from "effect"
import * as SharedStore from "../SharedStore.js"
import * as Style from "../Style.js"
import * as Fleet from "./Fleet.js"
import * as OAuthServer from "./OAuthServer.js"
import * as Scenarios from "./Scenarios.js"
import * as Table from "./Table.js"

const size = 8
/** A noisy machine has its quiet moments. */
const maxPlays = 3
const names = Object.keys(Scenarios.all)

const usage = `Usage: npm run fleet [-- [--store name] [scenario ...]]

Runs an Effect app in ${size} processes that share their token through a server that it starts and
stops, and shows how often they ask for one.

  --store   where the token is shared: ${SharedStore.list}; without it in redis

The scenarios are ${names.join(", ")}; without a name it plays all of them.`

const fail = (message: string) => Effect.as(Console.error(message), false)

const show = (store: SharedStore.Name, chosen: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const style = yield* Style.Style
    const startedAt = yield* Clock.currentTimeMillis
    const server = yield* SharedStore.all[store].start
    const fleet = yield* Fleet.make(size)
    const play = <A, E>(scenario: Effect.Effect<A, E, Scenarios.Stage | Scope.Scope>) =>
      Effect.scoped(Effect.provideService(scenario, Scenarios.Stage, { fleet, server, store }))
    yield* play(Scenarios.rehearsal)
    yield* Console.log(
      `${style.bold("effect-alf")}: ${size} processes that share a token through ${server.name}; ` +
        `a token request takes ${Duration.toMillis(OAuthServer.latency)} ms\n`
    )
    yield* Table.header
    let failed = 0
    for (const name of chosen) {
      const scenario = Scenarios.all[name]
      let played = yield* play(scenario.play)
      for (
        let again = 1;
        again < maxPlays && !Scenarios.passed(played) && played.pause > (scenario.maxPause ?? Infinity);
        again++
      ) {
        yield* Table.printPause(scenario, played)
        played = yield* play(scenario.play)
      }
      yield* Table.print(scenario, played)
      if (!Scenarios.passed(played)) failed++
    }
    const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1000
    const verdict = failed === 0
      ? style.green(`All ${chosen.length} scenarios went as promised`)
      : style.red(`${failed} of ${chosen.length} scenarios did not go as promised`)
    yield* Console.log(`\n${verdict}, in ${seconds.toFixed(1)} seconds.`)
    return failed === 0
  }).pipe(Effect.scoped, Effect.provide(Style.layer))

/** Brings whether everything went as promised. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<boolean> => {
  if (args.includes("--help")) return Effect.as(Console.log(usage), true)
  const parsed = SharedStore.fromArgs(args)
  if (Either.isLeft(parsed)) return fail(parsed.left)
  const { rest, store = "redis" } = parsed.right
  const unknown = rest.find((arg) => !names.includes(arg))
  if (unknown !== undefined) return fail(`The fleet does not play ${unknown}: it knows ${names.join(", ")}.`)
  return Effect.matchEffect(show(store, rest.length === 0 ? names : names.filter((name) => rest.includes(name))), {
    onFailure: (error) => fail(error.message),
    onSuccess: (passed) => passed ? Effect.succeed(true) : fail("The fleet did not do what it should.")
  })
}
