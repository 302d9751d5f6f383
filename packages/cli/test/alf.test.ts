import { assert, describe } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Context, Effect, Layer, TestClock } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { isThorough } from "../../core/test/support/Runs.js"
import { shared } from "../../core/test/support/shared.js"
import { ExitCode } from "../src/ExitCode.js"
import * as Alf from "./Alf.js"
import * as ClientServer from "./ClientServer.js"
import * as Situations from "./Situations.js"

class Command extends Context.Tag("Command")<Command, Alf.Alf<Alf.ProcessOptions>>() {}

const guide = fileURLToPath(new URL("../../guides/command.md", import.meta.url))

const withToken = fileURLToPath(new URL("../../examples/src/tasks/with-token.sh", import.meta.url))

/** Neither a trace nor the insides of an effect, and no colours where there is no terminal. */
const assertPlain = ({ stderr, stdout }: Alf.Outcome) => {
  assert.notMatch(stdout + stderr, /^\s+at /m)
  assert.notInclude(stdout + stderr, "FiberFailure")
  assert.notInclude(stdout + stderr, "\u001b")
}

const assertSecret = ({ stderr, stdout }: Alf.Outcome, secrets: ReadonlyArray<string>) =>
  assert.isEmpty(secrets.filter((secret) => (stdout + stderr).includes(secret)))

// A clock that is never moved warns after some seconds of real time, in the log of the command
const standStill = TestClock.adjust(0)

const makeServer = Effect.zipRight(standStill, ClientServer.make())

const makeDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "alf-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true }))
)

shared(Layer.scoped(Command, Alf.make))("alf", (it) => {
  describe.concurrent("the command", () => {
    it.effect(
      "doctor names the cause of each situation in its first line, as the guide shows it",
      () =>
        Effect.gen(function*() {
          yield* standStill
          const { secrets, situations, transcript } = yield* Situations.play(yield* Command)
          const first = (name: Situations.Name) => situations[name].outcome.stdout.split("\n")[0]
          assert.match(first("good"), /^Everything works/)
          assert.match(first("wrongSecret"), /^The client ID or its secret is wrong: .* 401 invalid_client/)
          assert.match(first("wrongIssuer"), /^The issuer is wrong: the server of .* calls itself /)
          assert.match(first("clockOff"), /^The clock of this machine is 10 minutes behind that of /)
          assert.match(first("redisDown"), /^The store is down: .*ECONNREFUSED/)
          assert.match(first("plainHttp"), /^ALF_TOKEN_ENDPOINT .* uses http/)
          assert.match(
            first("proxyNeeded"),
            /^No proxy is used, and auth\.corp\.test cannot be resolved .* requests need a proxy/
          )
          assert.match(first("proxyUsed"), /^Everything works/)
          const exitCodes = Object.values(situations).map(({ outcome }) => outcome.exitCode)
          deepStrictEqual(exitCodes, [0, 1, 1, 4, 4, 2, 3, 0])
          for (const { outcome } of Object.values(situations)) {
            assert.strictEqual(outcome.stderr, "")
            assertPlain(outcome)
            assertSecret(outcome, secrets)
          }
          assert.include(
            yield* Effect.promise(() => readFile(guide, "utf8")),
            transcript,
            "the guide shows another session: npm run record"
          )
        })
    )

    it.scoped("doctor says of each store that is down what to start, and names the variable that is set", () =>
      Effect.gen(function*() {
        const { env } = yield* makeServer
        const advice = {
          "redis://127.0.0.1:1": "Start Redis or",
          "memcached://127.0.0.1:1": "Start Memcached or",
          "postgres://app@127.0.0.1:1/app": "Start the database or",
          "mysql://app@127.0.0.1:1/app": "Start the database or",
          "sqlite:/missing/tokens.db": "Check that the file and its directory can be written, or"
        }
        const outcomes = yield* Effect.forEach(
          Object.keys(advice),
          (url) =>
            Effect.repeat(Alf.here.run(["doctor"], { env: { ...env, ALF_STORE_URL: url } }), { while: Alf.isLate }),
          { concurrency: "unbounded" }
        )
        for (const [index, start] of Object.values(advice).entries()) {
          const { exitCode, stdout } = outcomes[index]
          const [cause, advised] = stdout.split("\n")
          assert.match(cause, /^The store is down: /)
          assert.strictEqual(
            advised,
            `${start} correct ALF_STORE_URL. Until then each process requests its own tokens.`
          )
          assert.strictEqual(exitCode, 4)
        }
      }))

    it.scoped("doctor names the option where a value came from one", () =>
      Effect.gen(function*() {
        const { env } = yield* ClientServer.make({ scope: "orders:read" })
        yield* standStill
        const scope = "orders:read orders:write"
        const [option, variable] = yield* Effect.all([
          Alf.here.run(["doctor", "--scope", scope], { env }),
          Alf.here.run(["doctor"], { env: { ...env, ALF_SCOPE: scope } })
        ], { concurrency: "unbounded" })
        assert.match(option.stdout, /^.*\nGranted: orders:read\. .* or remove it from --scope\.\n/)
        assert.match(variable.stdout, /^.*\nGranted: orders:read\. .* or remove it from ALF_SCOPE\.\n/)
      }))

    it.scoped("token shows everything except the token's value, and with --reveal the value alone", () =>
      Effect.gen(function*() {
        const { env, secrets } = yield* makeServer
        const [shown, revealed] = yield* Effect.all([
          Alf.here.run(["token", "--scope", "orders:write"], { env }),
          Alf.here.run(["token", "--reveal"], { env })
        ], { concurrency: "unbounded" })
        deepStrictEqual([shown.exitCode, shown.stderr, revealed.exitCode], [0, "", 0])
        assertPlain(shown)
        assertSecret(shown, secrets)
        assert.match(shown.stdout, /^scope +orders:write$/m)
        assert.match(shown.stdout, /^expires +in \w+( \w+)?, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m)
        assert.include(shown.stdout, "nothing of it is verified")
        assert.include(secrets, revealed.stdout.trimEnd())
      }))

    it.scoped("request calls the API as curl would", () =>
      Effect.gen(function*() {
        const { apiUrl, env, secrets } = yield* makeServer
        const directory = yield* makeDirectory
        const file = join(directory, "order.json")
        yield* Effect.promise(() => writeFile(file, "{\"item\":\"tea\"}"))
        const [post, put, failed, whole, numbers, picture] = yield* Effect.all([
          Alf.here.run(["request", "post", "/orders", "-d", `@${file}`, "-i", "-H", "X-Trace: 1"], { env }),
          Alf.here.run(["request", "PUT", "/large", "-d", "@-", "-o", join(directory, "large")], { env, stdin: "a;b" }),
          Alf.here.run(["request", "GET", "/teapot", "--fail"], { env }),
          Alf.here.run(["request", "GET", `${apiUrl}/orders`, "--json"], { env: { ...env, ALF_BASE_URL: undefined } }),
          Alf.here.run(["request", "GET", "/numbers", "--json"], { env }),
          Alf.here.run(["request", "GET", "/picture", "--json"], { env })
        ], { concurrency: "unbounded" })
        assert.match(post.stdout, /^HTTP 200 OK\n[^]*content-type: application\/json[^]*\n\n\{/)
        deepStrictEqual(JSON.parse(post.stdout.split("\n\n")[1]), {
          method: "POST",
          type: "application/json",
          body: "{\"item\":\"tea\"}"
        })
        deepStrictEqual(put, { exitCode: 0, stdout: "", stderr: "" })
        assert.strictEqual((yield* Effect.promise(() => readFile(join(directory, "large")))).length, 300_000)
        deepStrictEqual(failed, {
          exitCode: 1,
          stdout: "{\"short\":\"and stout\"}",
          stderr: "alf: GET /teapot was answered with 418 I'm a Teapot\n"
        })
        const answer = JSON.parse(whole.stdout)
        deepStrictEqual([answer.status, answer.body.method], [200, "GET"])
        assert.match(numbers.stdout, /^\{\n {2}"status": 200,\n[^]*\n {2}"body": \{"id": 12345678901234567890\}\n\}\n$/)
        assert.strictEqual(JSON.parse(numbers.stdout).headers["content-type"], "application/json")
        const { body, bodyEncoding } = JSON.parse(picture.stdout)
        deepStrictEqual([body, bodyEncoding], [Buffer.from([0xff, 0xd8, 0xff]).toString("base64"), "base64"])
        for (const outcome of [post, put, failed, whole, numbers, picture]) {
          assertPlain(outcome)
          assertSecret(outcome, secrets)
        }
      }))

    it.scoped("request sends every given header, and can write JSON to a file", () =>
      Effect.gen(function*() {
        const { env } = yield* makeServer
        const directory = yield* makeDirectory
        const file = join(directory, "answer.json")
        const given = ["Cookie: a=1", "Accept: text/csv", "cookie: b=2", "accept: text/plain"]
        const headers = given.flatMap((line) => ["-H", line])
        const [written, refused] = yield* Effect.all([
          Alf.here.run(["request", "GET", "/headers", ...headers, "--json", "-o", file], { env }),
          Alf.here.run(["request", "GET", "/headers", "-H", "X-Name: 日本"], { env })
        ], { concurrency: "unbounded" })
        deepStrictEqual(written, { exitCode: 0, stdout: "", stderr: "" })
        const { body } = JSON.parse(yield* Effect.promise(() => readFile(file, "utf8")))
        deepStrictEqual(body, { cookie: "a=1; b=2", accept: "text/csv, text/plain" })
        assert.strictEqual(refused.exitCode, 2)
        assert.match(refused.stderr, /^alf: GET .*\/headers: .*invalid x-name header\n$/)
      }))

    it.scoped("request -o accepts a pipe, and reports a file or an output that cannot be written", () =>
      Effect.gen(function*() {
        const alf = yield* Command
        const { env } = yield* makeServer
        const directory = yield* makeDirectory
        const pipe = join(directory, "pipe")
        execFileSync("mkfifo", [pipe])
        const down = { ...env, ALF_TOKEN_ENDPOINT: "http://127.0.0.1:9/token" }
        const [read, piped, missing, folder, full, fullFile] = yield* Effect.all([
          Effect.promise(() => readFile(pipe)),
          Alf.here.run(["request", "GET", "/large", "-o", pipe], { env }),
          Alf.here.run(["request", "GET", "/large", "-o", "/missing/file"], { env: down }),
          Alf.here.run(["request", "GET", "/large", "-o", directory], { env: down }),
          alf.run(["request", "GET", "/large"], { env, output: "/dev/full" }),
          Alf.here.run(["request", "GET", "/large", "-o", "/dev/full"], { env })
        ], { concurrency: "unbounded" })
        deepStrictEqual([piped.exitCode, piped.stderr, read.length], [0, "", 300_000])
        deepStrictEqual([missing, folder, full, fullFile].map(({ exitCode, stderr }) => [exitCode, stderr]), [
          [2, "alf: the file /missing/file cannot be written: ENOENT\n"],
          [2, `alf: the file ${directory} cannot be written: EISDIR\n`],
          [70, "alf: the output cannot be written: ENOSPC\n"],
          [70, "alf: the file /dev/full cannot be written: ENOSPC\n"]
        ])
      }))

    it.scoped("reports each error in one line, with an exit code for each kind", () =>
      Effect.gen(function*() {
        const { env, url } = yield* makeServer
        const [usage, configuration, refusal] = yield* Effect.all([
          Alf.here.run(["token", "--client-secret", "x"]),
          Alf.here.run(["request", "GET", "https://api.example.com/orders"]),
          Alf.here.run(["token", "--json"], { env: { ...env, ALF_CLIENT_SECRET: "wrong" } })
        ], { concurrency: "unbounded" })
        const message = `Token endpoint ${url}/token answered 401 invalid_client: client authentication failed`
        deepStrictEqual([usage, configuration, refusal], [
          { exitCode: 2, stdout: "", stderr: "alf: Received unknown argument: '--client-secret'\n" },
          {
            exitCode: 2,
            stdout: "",
            stderr:
              "alf: ALF_TOKEN_ENDPOINT (--token-endpoint) or ALF_ISSUER (--issuer) is not set; ALF_CLIENT_ID (--client-id) is not set; " +
              "ALF_CLIENT_SECRET or ALF_CLIENT_SECRET_FILE or ALF_CLIENT_KEY_FILE is not set\n"
          },
          { exitCode: 1, stdout: "", stderr: `${JSON.stringify({ error: { kind: "OAuth", message, exitCode: 1 } })}\n` }
        ])
      }))

    // Each run of the command is a process, which takes half a second of a processor
    if (isThorough) {
      it.scopedLive("a script gets a token and decides by exit codes: with-token.sh", () =>
        Effect.gen(function*() {
          const { env, secrets } = yield* ClientServer.make({ ahead: 600 })
          const alf = yield* Command
          const run = (variables: Alf.Environment) =>
            alf.run(["printenv", "API_TOKEN"], { script: withToken, env: { ...env, ...variables } })
          const concern = yield* run({})
          assert.strictEqual(concern.exitCode, 0)
          assert.include(secrets, concern.stdout.trimEnd())
          assert.match(concern.stderr, /^The clock of this machine is 10 minutes behind[^]*\nGoing on with a problem/)
          const refused = yield* run({ ALF_CLIENT_SECRET: "wrong" })
          deepStrictEqual([refused.exitCode, refused.stdout], [78, ""])
          assert.match(refused.stderr, /^The client ID or its secret is wrong/)
          for (const { stderr } of [concern, refused]) {
            assert.isEmpty(secrets.filter((secret) => stderr.includes(secret)))
          }
        }))
    }

    describe("--prefix", () => {
      const under = (env: Alf.Environment): Alf.Environment =>
        Object.fromEntries(
          Object.entries({ ...Alf.limits, ...env }).map(([name, value]) => [name.replace(/^ALF_/, "BILLING_"), value])
        )

      it.scoped("reads the variables under another prefix, before and after the name of each command", () =>
        Effect.gen(function*() {
          const { env, secrets } = yield* makeServer
          const environment = { ...under(env), ALF_TOKEN_ENDPOINT: "https://auth.example.com", ALF_CLIENT_ID: "other" }
          const outcomes = yield* Effect.forEach(
            [
              ["--prefix", "BILLING", "token", "--json"],
              ["token", "--prefix=BILLING", "--scope", "orders:write", "--json"],
              ["--prefix", "ALF", "request", "--prefix", "BILLING", "GET", "/orders"],
              ["--prefix=BILLING", "doctor", "--api", "/orders"]
            ],
            (args) => Alf.here.run(args, { env: environment }),
            { concurrency: "unbounded" }
          )
          deepStrictEqual(outcomes.map(({ exitCode, stderr }) => [exitCode, stderr]), outcomes.map(() => [0, ""]))
          const [first, overridden, , doctor] = outcomes
          deepStrictEqual([first, overridden].map(({ stdout }) => JSON.parse(stdout).scope), [
            "orders:read",
            "orders:write"
          ])
          assert.match(doctor.stdout, /^Everything works[^]* BILLING_TOKEN_ENDPOINT says where the endpoint is$/m)
          for (const outcome of outcomes) {
            assert.notMatch(outcome.stdout, /\bALF_/)
            assertSecret(outcome, secrets)
          }
        }))

      it.scoped("errors, advice and help name the variables with the prefix", () =>
        Effect.gen(function*() {
          const { env } = yield* makeServer
          const billing = under(env)
          const [missing, wrong, misspelt, ...helps] = yield* Effect.forEach(
            [
              [["--prefix", "BILLING", "token"], { BILLING_TOKEN_ENDPIONT: "https://auth.example.com" }],
              [["--prefix", "BILLING", "doctor"], { ...billing, BILLING_CLIENT_SECRET: "wrong" }],
              [["doctor", "--prefix", "BILLING"], { ...billing, BILLING_SCOPES: "a", BILLING_DATABASE: "b" }],
              [["--prefix", "BILLING", "--help"], {}],
              ...["token", "request", "doctor"].map((name) => [[name, "--prefix=BILLING", "--help"], {}] as const)
            ] as const,
            ([args, env]) => Alf.here.run(args, { env }),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(
            missing.stderr,
            "alf: BILLING_TOKEN_ENDPOINT (--token-endpoint) or BILLING_ISSUER (--issuer) is not set, but " +
              "BILLING_TOKEN_ENDPIONT is; BILLING_CLIENT_ID (--client-id) is not set; BILLING_CLIENT_SECRET or " +
              "BILLING_CLIENT_SECRET_FILE or BILLING_CLIENT_KEY_FILE is not set\n"
          )
          assert.include(
            wrong.stdout,
            "\nCompare BILLING_CLIENT_ID (shop) and BILLING_CLIENT_SECRET with the registration"
          )
          // The app's own variables have this prefix too
          assert.match(misspelt.stdout, /^Nothing reads BILLING_SCOPES \(likely meant: BILLING_SCOPE\)\n/)
          for (const help of helps) assert.match(help.stdout, /\bBILLING_/)
          for (const { stderr, stdout } of [missing, wrong, misspelt, ...helps]) {
            assert.notMatch(stdout + stderr, /\bALF_/)
          }
        }))

      it.scoped("rejects a prefix that no variable can begin with", () =>
        Effect.gen(function*() {
          const refused = yield* Alf.here.run(["--prefix", "a b", "token"])
          deepStrictEqual([refused.exitCode, refused.stdout], [2, ""])
          assert.include(refused.stderr, "A prefix has letters, digits and underscores")
        }))
    })

    it.scoped("shows its help and its shell completions", () =>
      Effect.gen(function*() {
        const [help, late, completions, ...others] = yield* Effect.all([
          Alf.here.run(["--help"]),
          Alf.here.run(["request", "GET", "/orders", "-i", "-h"]),
          Alf.here.run(["--completions", "zsh"]),
          ...["token", "request", "doctor"].map((name) => Alf.here.run([name, "--help"]))
        ], { concurrency: "unbounded" })
        assert.include(help.stdout, "Exit codes: 0 success")
        assert.include(late.stdout, "$ request ")
        assert.include(completions.stdout, "doctor")
        for (const { stdout } of [help, late, ...others]) {
          assert.match(stdout, /\bALF_TOKEN_ENDPOINT\b/)
          assert.notInclude(stdout, process.execPath)
        }
        for (const code of Object.values(ExitCode)) assert.match(help.stdout, new RegExp(`[ ,]${code}\\s`))
        for (const outcome of [help, late, completions, ...others]) {
          assert.strictEqual(outcome.exitCode, 0)
          assertPlain(outcome)
        }
      }))

    it.scoped("shows a spinner at a terminal while it waits, and exits at once on Ctrl-C", () =>
      Effect.gen(function*() {
        const { env } = yield* ClientServer.make({ onToken: () => {} })
        const alf = yield* Command
        const { exitCode, stdout } = yield* alf.run(["token"], {
          env,
          terminal: true,
          interruptAt: "waiting for a token"
        })
        assert.match(stdout, /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] waiting for a token/)
        assert.include(stdout, "\u001b[K")
        assert.strictEqual(exitCode, 130)
      }))
  })
})
