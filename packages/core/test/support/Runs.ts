/** Whether all tests run, as in CI: also the files `*.thorough.ts`, and in full what `npm test` tries in part. */
export const isThorough = process.env.THOROUGH !== undefined

/** How many times a property is tried: an eighth of the given number in `npm test`. */
export const runs = (whole: number): { readonly fastCheck: { readonly numRuns: number } } => ({
  fastCheck: { numRuns: isThorough ? whole : Math.ceil(whole / 8) }
})
