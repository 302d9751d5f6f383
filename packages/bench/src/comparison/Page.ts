/** The page that holds the table, between the marks. */
export const page = new URL("../../../guides/comparison.md", import.meta.url)

const marked = /(<!-- comparison -->\n)[^]*?(<!-- \/comparison -->)/

/** The page with this table in the place of the one that it holds. */
export const insert = (text: string, table: string): string =>
  text.replace(marked, (_, begin, end) => `${begin}${table}\n${end}`)
