// Every ts block of the READMEs, of the guides and of the doc comments in the published packages is compiled and run,
// each as a module of its own; every script that an sh block runs is there, and every message is on the page "Errors".
// Given pages or modules, only theirs:
//
//     npm run check:docs -- packages/guides/errors.md
//
// The world that they run in is in docs/World.ts. What a block exports is run: an Effect succeeds, a Layer can be built;
// of a block that exports nothing, each of its constants. A block that is a test is run by vitest, beside the other files that its page names.
import { Effect } from "effect"
import { type ChildProcess, fork, spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { text } from "node:stream/consumers"
import ts from "typescript"
import * as Page from "../../guides/test/Page.js"
import * as Block from "./docs/Block.js"
import type { Message, Module } from "./docs/Run.js"
import * as Texts from "./docs/Texts.js"
import * as World from "./docs/World.js"
import { report, root } from "./workspace.js"

const chosen = process.argv.slice(2).map((file) => relative(root, resolve(file)))
const sources = (chosen.length > 0 ? chosen : Block.sources()).map(Block.read)
const isErrorsChosen = chosen.length === 0 || chosen.includes(Page.path)
const problems = [...sources.flatMap(({ problems }) => problems), ...isErrorsChosen ? Texts.problems : []]
const blocks = sources.flatMap(({ blocks }) => blocks)
const code = blocks.filter(({ language }) => language === "ts")
const files = new Map(code.map((block) => [Block.fileOf(block), block]))
const filesWith = (is: (block: Block.Block) => boolean) =>
  [...files].flatMap(([file, block]) => is(block) ? [file] : [])
const tests = filesWith(Block.isTest)
// What has a title is imported by those that are tests
const modules = filesWith((block) => !Block.isTest(block) && block.title === undefined)

/** Says where in the docs it is: at the line, or where the text places it in the file, or at the block. */
const found = (file: string, text: string, at?: number) => {
  const block = files.get(file)
  const line = at ?? new RegExp(`${file}:(\\d+)`).exec(text)?.[1] ?? block?.line
  problems.push(block === undefined ? text : `${block.source}:${line}: ${text.replaceAll(file, block.source)}`)
}

const write = (world: World.World) => {
  for (const home of Block.homes) rmSync(home, { recursive: true, force: true })
  for (const [file, block] of files) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, world.inside(Block.toModule(block)))
  }
}

const checkScripts = () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  for (const { code, language, line, source } of blocks) {
    if (language !== "sh") continue
    code.split("\n").forEach((text, index) => {
      for (const [, script = "test"] of text.matchAll(/\bnpm (?:run ([\w:-]+)|test\b)/g)) {
        if (!(script in scripts)) problems.push(`${source}:${line + index}: there is no script ${script}`)
      }
    })
  }
}

const compile = () => {
  const base = join(root, "tsconfig.base.json")
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(base, ts.sys.readFile).config, ts.sys, root)
  Object.assign(options, { composite: false, noEmit: true, types: ["node"] })
  delete options.rootDir
  const program = ts.createProgram([...files.keys()], options)
  for (const file of files.keys()) {
    const sourceFile = program.getSourceFile(file)
    for (
      const { messageText, start } of [
        ...program.getSyntacticDiagnostics(sourceFile),
        ...program.getSemanticDiagnostics(sourceFile)
      ]
    ) {
      const { line = 0 } = sourceFile?.getLineAndCharacterOfPosition(start ?? 0) ?? {}
      found(file, ts.flattenDiagnosticMessageText(messageText, "\n  "), line + 1)
    }
  }
}

/** Each module has a limit of its own, unless it keeps the process busy. */
const timeLimit = "3 minutes"

const ended = (child: ChildProcess) =>
  Effect.async<number | null>((resume) => {
    child.once("close", (code) => resume(Effect.succeed(code)))
  }).pipe(
    Effect.timeout(timeLimit),
    Effect.ensuring(Effect.sync(() => child.kill("SIGKILL"))),
    Effect.orElseSucceed(() => null)
  )

const run = (world: World.World) => {
  const isServer = (file: string) => files.get(file)?.code.includes("Layer.launch") ?? false
  const told = modules.map((file): Module => ({ file, isServer: isServer(file) }))
  const child = fork(join(import.meta.dirname, "docs/Run.ts"), [JSON.stringify(told)], {
    env: world.env,
    execArgv: ["--import", "tsx", "--conditions=@effect-alf/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  let current = ""
  child.on("message", (message: Message) => {
    if ("began" in message) current = message.began
    else found(message.failed, message.problem)
  })
  return Effect.map(ended(child), (code) => {
    if (code !== 0) found(current, `its process has ${code === null ? "not ended" : `ended with ${code}`}`)
  })
}

const runTests = () => {
  if (tests.length === 0) return Effect.void
  const vitest = join(root, "node_modules/vitest/vitest.mjs")
  const child = spawn(
    process.execPath,
    [vitest, "run", "--config", join(import.meta.dirname, "docs/vitest.config.ts")],
    {
      stdio: ["ignore", "pipe", "inherit"]
    }
  )
  return Effect.map(
    Effect.all([Effect.promise(() => text(child.stdout)), ended(child)], { concurrency: 2 }),
    ([output, code]) => {
      if (code !== 0) problems.push(output)
    }
  )
}

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const world = yield* World.make
  write(world)
  checkScripts()
  yield* Effect.all([run(world), runTests(), Effect.sync(compile)], { concurrency: "unbounded", discard: true })
})))
report(`docs (${modules.length} blocks, ${tests.length} tests)`, problems)
