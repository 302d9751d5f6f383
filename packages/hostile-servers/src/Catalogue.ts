/** All that a hostile token endpoint does, by groups. */
import type { Behaviour } from "./Behaviour.js"
import { content } from "./Content.js"
import { refusals } from "./Refusals.js"
import { size } from "./Size.js"
import { transport } from "./Transport.js"

export const tokenEndpoint: Readonly<Record<string, ReadonlyArray<Behaviour>>> = { transport, size, content, refusals }
