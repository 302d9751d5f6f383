/** The pages that hold the table, between the marks. */
export const pages: ReadonlyArray<URL> = ["../../../guides/comparison.md", "../../../../README.md"]
  .map((page) => new URL(page, import.meta.url))

const marked = /(<!-- comparison -->\n)[^]*?(<!-- \/comparison -->)/

/** A page with this table in the place of the one that it holds, if it holds one. */
export const insert = (page: string, table: string): string =>
  page.replace(marked, (_, begin, end) => `${begin}${table}\n${end}`)
