/** A process that answers one message after the other. */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Child {
  /** Its first message. */
  readonly hello: any
  /** Sends a message and waits for the answer; fails if the process ends first. */
  readonly ask: (message: object) => Promise<any>
  readonly close: () => void
}

/** Starts a compiled module of this folder, which says hello when it is ready. */
export const start = async (module: string, nodeOptions: ReadonlyArray<string> = []): Promise<Child> => {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), { execArgv: [...nodeOptions] })
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`${module} ended with ${code}`)))
  })
  ended.catch(() => {})
  const answer = () =>
    Promise.race([
      ended,
      new Promise<any>((resolve) => {
        child.once("message", resolve)
      })
    ])
  const hello = await answer()
  return {
    hello,
    ask: (message) => {
      const answered = answer()
      child.send(message)
      return answered
    },
    close: () => child.disconnect()
  }
}

/** In the child: answers every message, until the other process is done. */
export const serve = (hello: object, answer: (message: any) => unknown): void => {
  process.on("message", (message) => {
    Promise.resolve(message).then(answer).then((value) => process.send?.(value ?? {}), (error) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(1)
    })
  })
  process.once("disconnect", () => process.exit())
  process.send?.(hello)
}
