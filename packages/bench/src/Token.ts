/** A token in the form of a JWT, which some clients read the end of: in seconds since the epoch. */
export const tokenOf = (id: string, end: number): string =>
  [{ alg: "HS256", typ: "JWT" }, { jti: id, exp: end }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .concat("x".repeat(43))
    .join(".")

/** A token that the API takes at any time. */
export const constantToken = tokenOf("constant", 4_102_444_800)
