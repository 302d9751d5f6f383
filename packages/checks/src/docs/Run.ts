/**
 * The process that runs the code of the docs, in their world: imports the modules it is told of, one after the other,
 * runs the Effects and builds the Layers that each exports, and waits until its fibers have ended. Says to its parent
 * what it begins, and what failed.
 */
import { AuthedHttpClient, TokenEndpoint, TokenStore } from "@effect-alf/core"
import { NodeHttp } from "@effect-alf/node"
import { KeyValueStore } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import * as Undici from "@effect/platform-node/Undici"
import { Cause, type Context, Effect, Either, Exit, Fiber, Layer, Option, Predicate, Redacted } from "effect"
import { pathToFileURL } from "node:url"
import { format } from "node:util"
import * as StandIn from "./StandIn.js"

export interface Module {
  readonly file: string
  /** Whether it serves until it is stopped. */
  readonly isServer: boolean
}

/** What it says. */
export type Message =
  | { readonly began: string }
  | { readonly failed: string; readonly problem: string }

/** For all that one value of a module does, also on a busy machine. */
const timeLimit = "30 seconds"

/** How long a server is given to fail. */
const serverTime = "1 second"

const { DOCS_FOLDER: folder = "" } = process.env

let current = ""
let output: Array<string> = []

const say = (message: Message) => process.send?.(message)

/** Of a stack trace only the lines that are in the docs. */
const withoutInternals = (problem: string) =>
  problem.split("\n").filter((line) => !/^ +at /.test(line) || line.includes(current)).join("\n")

const fail = (problem: string) =>
  say({ failed: current, problem: [withoutInternals(problem), ...output.slice(-20)].join("\n") })

process.on("uncaughtException", (error) => fail(`not caught: ${format(error)}`))
process.on("unhandledRejection", (error) => fail(`not caught: ${format(error)}`))
process.setMaxListeners(0)

/** `NodeRuntime.runMain` ends the process when the app fails. */
const exit = process.exit
process.exit = ((code?: number) => {
  if (code !== undefined && code !== 0) fail(`ends with code ${code}`)
}) as typeof process.exit

for (const method of ["debug", "error", "info", "log", "trace", "warn"] as const) {
  console[method] = (...args: ReadonlyArray<unknown>) => {
    output.push(format(...args))
  }
}

/** What the effects and layers of a module may ask for. */
const World = AuthedHttpClient.layer({ baseUrl: "https://api.example.com" }).pipe(
  Layer.provideMerge(Layer.mergeAll(
    TokenEndpoint.layer({
      tokenEndpoint: "https://auth.example.com/token",
      clientId: "client-id",
      clientSecret: Redacted.make("client-secret")
    }),
    TokenStore.layerMemory(),
    KeyValueStore.layerMemory
  )),
  Layer.provideMerge(NodeHttp.layerMutualTls({
    certificate: { certificateFile: `${folder}/client.crt`, keyFile: `${folder}/client.key` }
  })),
  Layer.provideMerge(NodeContext.layer)
)

/** How a value is put to the test; functions and plain data are fine as they are. */
const use = (value: unknown): Effect.Effect<unknown, unknown, any> => {
  if (typeof value === "function" || Option.isOption(value) || Either.isEither(value)) return Effect.void
  if (Layer.isLayer(value)) return Layer.build(value as Layer.Layer<unknown, unknown, any>)
  if (Effect.isEffect(value)) return value as Effect.Effect<unknown, unknown, any>
  return Predicate.isPromiseLike(value) ? Effect.promise(() => Promise.resolve(value)) : Effect.void
}

const limited = (what: string) =>
  Effect.timeoutFail({ duration: timeLimit, onTimeout: () => `${what} is still running after ${timeLimit}` })

/** Until all fibers have ended that were not there before. */
const settle = (before: ReadonlySet<unknown>): Effect.Effect<void, string> =>
  Effect.flatMap(Fiber.roots, (fibers) => {
    const strays = fibers.filter((fiber) => !before.has(fiber))
    return strays.length === 0
      ? Effect.void
      : Effect.zipRight(limited("a fiber")(Fiber.awaitAll(strays)), settle(before))
  })

const runModule = ({ file, isServer }: Module, context: Context.Context<any>) =>
  Effect.gen(function*() {
    current = file
    output = []
    say({ began: file })
    const before = new Set(yield* Fiber.roots)
    const exports: Record<string, unknown> = yield* Effect.tryPromise({
      try: () => import(pathToFileURL(file).href),
      catch: (error) => error
    }).pipe(limited("the import"))
    if (isServer) {
      yield* Effect.sleep(serverTime)
    } else {
      yield* Effect.forEach(
        Object.entries(exports),
        ([name, value]) => use(value).pipe(Effect.scoped, Effect.provide(context), limited(name)),
        { concurrency: "unbounded", discard: true }
      )
      yield* settle(before)
    }
    yield* Effect.flatMap(Fiber.roots, (fibers) => Fiber.interruptAll(fibers.filter((fiber) => !before.has(fiber))))
  }).pipe(
    Effect.catchAllCause((cause) => Effect.sync(() => fail(Cause.pretty(cause, { renderErrorCause: true }))))
  )

const program = Effect.gen(function*() {
  const modules: ReadonlyArray<Module> = JSON.parse(process.argv[2])
  // NodeHttp reads the variable; fetch uses the dispatcher
  process.env.HTTPS_PROXY = (yield* StandIn.listen(folder)).url
  Undici.setGlobalDispatcher(new Undici.EnvHttpProxyAgent())
  const context = yield* Layer.build(World)
  yield* Effect.forEach(modules, (module) => runModule(module, context), { discard: true })
}).pipe(Effect.scoped)

void Effect.runPromiseExit(program).then((result) => {
  if (Exit.isFailure(result)) fail(Cause.pretty(result.cause))
  process.disconnect()
  exit(0)
})
