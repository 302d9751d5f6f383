/** Lists of origins, of which there is one for each token. */

/** No origins. */
export const none: ReadonlyArray<string> = []

/** Most tokens go to one origin, and those of most apps to the same: it has one list for all of them. */
let alone: ReadonlyArray<string> = none

/** A list with one more origin. At `most` origins it starts again. */
export const add = (origins: ReadonlyArray<string>, origin: string, most: number): ReadonlyArray<string> => {
  if (origins.includes(origin)) return origins
  if (origins.length > 0 && origins.length < most) return origins.concat(origin)
  return alone[0] === origin ? alone : alone = [origin]
}
