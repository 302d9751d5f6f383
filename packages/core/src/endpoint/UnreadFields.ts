/** Unreadable fields on which nothing depends: they count as absent, and are logged once, not with every response. */
import * as Effect from "effect/Effect"

/** Logs what is wrong with fields, each time only what was not logged before. */
export const makeTell = (subject: string): (unread: ReadonlyArray<string>) => Effect.Effect<void> => {
  const told = new Set<string>()
  return (unread) => {
    const news = unread.filter((fault) => !told.has(fault))
    for (const fault of news) told.add(fault)
    return news.length === 0
      ? Effect.void
      : Effect.logWarning(`${subject} answers: ${news.join(", ")}. This is ignored`)
  }
}
