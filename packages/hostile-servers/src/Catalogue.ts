/** All that a hostile token endpoint does, by groups. */
import { accepted, answer, type Behaviour, http, row } from "./Behaviour.js"
import { content } from "./Content.js"
import { refusals } from "./Refusals.js"
import { size } from "./Size.js"
import { transport } from "./Transport.js"

export const tokenEndpoint: Readonly<Record<string, ReadonlyArray<Behaviour>>> = { transport, size, content, refusals }

/** What none of them does. */
export const honest: Behaviour = row("honest", "answers what it is asked", answer(({ document }) => http(200, {}, document)), accepted())
