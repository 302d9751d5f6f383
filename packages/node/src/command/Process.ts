/**
 * What the command has of the process that it runs in.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * Something to write to, which may be a terminal.
 *
 * @since 0.1.0
 * @category models
 */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean | undefined }

/**
 * The environment and the standard streams: those of the process, where nothing
 * else is provided.
 *
 * @since 0.1.0
 * @category references
 */
export class Process extends Context.Reference<Process>()("@effect-alf/node/command/Process", {
  defaultValue: (): {
    readonly env: Readonly<Record<string, string | undefined>>
    readonly stdin: NodeJS.ReadableStream
    readonly stdout: Output
    readonly stderr: Output
  } => process
}) {}
