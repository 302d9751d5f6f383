/** What a hostile token endpoint issues. */

/** Every issued token begins so, the good as well as the bad: it must not be seen in anything but the token itself. */
export const issued = "1ssued/t0ken+by-a-hostile-server="

/** A token response of RFC 6749 §5.1, with fields added, replaced or (`undefined`) taken out. */
export const tokenOf = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ access_token: issued, token_type: "Bearer", expires_in: 3600, ...fields })

export const document = tokenOf({})

/** Nobody keeps a token for longer than ten years, whatever the server says. */
export const longest = 3650 * 24 * 3600
