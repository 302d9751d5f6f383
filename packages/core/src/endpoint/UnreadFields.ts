/**
 * What a server says that cannot be read, and that nothing depends on: it counts
 * as if it were not said, and is told once, not with every answer.
 */
import * as Effect from "effect/Effect"

/** Tells what is wrong with fields, each time with those that were not told before. */
export const makeTell = (subject: string): (unread: ReadonlyArray<string>) => Effect.Effect<void> => {
  const told = new Set<string>()
  return (unread) => {
    const news = unread.filter((fault) => !told.has(fault))
    for (const fault of news) told.add(fault)
    return news.length === 0
      ? Effect.void
      : Effect.logWarning(`${subject} answers: ${news.join(", ")}. It counts as not said`)
  }
}
