/** All that hostile servers do, by groups. */
import { accepted, answer, type Behaviour, http, row } from "./Behaviour.js"
import { bodies, content } from "./Content.js"
import { largeMetadata, metadata } from "./Metadata.js"
import { redirects, refusals } from "./Refusals.js"
import { floods, size } from "./Size.js"
import { transport } from "./Transport.js"

export type Groups = Readonly<Record<string, ReadonlyArray<Behaviour>>>

export const tokenEndpoint: Groups = { transport, size, content, refusals }

/** What is only seen by a client that comes twice. */
const isLasting = ({ expected }: Behaviour) => expected.outcome === "accepted" && expected.visits !== undefined

export const discovery: Groups = {
  transport: transport.filter((behaviour) => !isLasting(behaviour)),
  size: [...floods, ...largeMetadata],
  content: bodies,
  redirects,
  metadata
}

/** What none of them does. */
export const honest: Behaviour = row(
  "honest",
  "answers what it is asked",
  answer(({ document }) => http(200, {}, document)),
  accepted()
)
