import { ClientAuth } from "@effect-alf/core"
import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"

const context: ClientAuth.Context = {
  clientId: "app",
  endpoint: "https://auth.example.com/token",
  issuer: undefined,
  attempt: 1
}

const sent = <R>(auth: ClientAuth.ClientAuth<R>) =>
  Effect.map(auth.authenticate(context), ({ params }) => {
    const assertion = params?.client_assertion
    return Redacted.isRedacted(assertion) ? Redacted.value(assertion) : assertion
  })

describe("ClientAuth.assertionFile on Node", () => {
  it.scopedLive("follows a projected token of Kubernetes, which is replaced by way of a symbolic link", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { join } = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      for (const generation of ["one", "two"]) {
        yield* fs.makeDirectory(join(directory, generation))
        yield* fs.writeFileString(join(directory, generation, "token"), `${generation}.jwt.signed\n`)
      }
      yield* fs.symlink("one", join(directory, "data"))
      yield* fs.symlink("data/token", join(directory, "token"))

      const auth = ClientAuth.assertionFile(join(directory, "token"))
      assert.strictEqual(yield* sent(auth), "one.jwt.signed")
      yield* fs.symlink("two", join(directory, "next"))
      yield* fs.rename(join(directory, "next"), join(directory, "data"))
      assert.strictEqual(yield* sent(auth), "two.jwt.signed")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("an error names a file that is missing, that is a directory or that is empty", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { join } = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped()
      const message = (path: string) => Effect.map(Effect.flip(sent(ClientAuth.assertionFile(path))), String)
      const missing = join(directory, "missing")
      assert.strictEqual(
        yield* message(missing),
        `CredentialsError: the file ${missing} cannot be read: NotFound`
      )
      assert.match(yield* message(directory), /cannot be read: \w+$/)
      yield* fs.writeFileString(join(directory, "empty"), "\n")
      assert.strictEqual(
        yield* message(join(directory, "empty")),
        `CredentialsError: the file ${join(directory, "empty")} is empty`
      )
    }).pipe(Effect.provide(NodeContext.layer)))
})
