/** CI plays as a whole what takes long and is played in part otherwise. */
export const isThorough = process.env.THOROUGH !== undefined

/** How many times a property is tried: in CI as often as it is worth, otherwise an eighth of that. */
export const runs = (whole: number): { readonly fastCheck: { readonly numRuns: number } } => ({
  fastCheck: { numRuns: isThorough ? whole : Math.ceil(whole / 8) }
})
