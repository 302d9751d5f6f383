/** How many times a property is tried: in CI as often as it is worth, otherwise an eighth of that. */
export const runs = (whole: number): { readonly fastCheck: { readonly numRuns: number } } => ({
  fastCheck: { numRuns: process.env.THOROUGH === undefined ? Math.ceil(whole / 8) : whole }
})
