/** What the command has of the process that it runs in. */
import * as Context from "effect/Context"

/** Something to write to, which may be a terminal. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean | undefined }

/**
 * The environment and the standard streams: those of the process, where nothing
 * else is provided.
 */
export class Process extends Context.Reference<Process>()("@effect-alf/cli/Process", {
  defaultValue: (): {
    readonly env: Readonly<Record<string, string | undefined>>
    readonly stdin: NodeJS.ReadableStream
    readonly stdout: Output
    readonly stderr: Output
  } => process
}) {}
