import { FastCheck as fc } from "effect"

const surrogates = 0x800
const firstSurrogate = 0xd800

/** Any code point. The unit "binary" of fast-check lists all of them first: a second and 100 MB in every worker. */
const codePoint = fc.integer({ min: 0, max: 0x10ffff - surrogates }).map((n) =>
  String.fromCodePoint(n < firstSurrogate ? n : n + surrogates)
)

/** Any string without lone surrogates, and the names that JavaScript's own objects have. */
export const anyString = (constraints?: { readonly maxLength: number }): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: codePoint, ...constraints }) },
    { weight: 1, arbitrary: fc.string(constraints) }
  )
