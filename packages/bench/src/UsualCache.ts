export interface UsualCache {
  readonly get: () => Promise<string>
  readonly clear: () => void
}

/** The cache that most apps write around a client without one: a variable, and a margin. */
export const usualCache = (
  fetchToken: () => Promise<{ readonly token: string; readonly expiresIn: number }>,
  margin: number
): UsualCache => {
  let cached: { readonly token: string; readonly expiresAt: number } | undefined
  return {
    get: async () => {
      if (cached === undefined || cached.expiresAt - margin * 1000 < Date.now()) {
        const { expiresIn, token } = await fetchToken()
        cached = { token, expiresAt: Date.now() + expiresIn * 1000 }
      }
      return cached.token
    },
    clear: () => {
      cached = undefined
    }
  }
}
