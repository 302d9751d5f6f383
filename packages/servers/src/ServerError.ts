/** A server is not there, or does not do what it should. */
import { Data } from "effect"

export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}
