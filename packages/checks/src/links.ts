// Every link of a Markdown file to another file, or to a heading, leads somewhere. Nothing outside the repository is
// asked.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { report, root } from "./workspace.js"

interface Link {
  readonly line: number
  readonly target: string
}

interface Page {
  readonly anchors: ReadonlySet<string>
  readonly links: ReadonlyArray<Link>
}

const isOurs = (file: string) => file.endsWith(".md") && !/(^|\/)(node_modules|dist|build)\//.test(file)

const files = [
  ...readdirSync(root).filter((file) => file.endsWith(".md")),
  ...readdirSync(join(root, "packages"), { recursive: true, encoding: "utf8" })
    .filter(isOurs)
    .map((file) => join("packages", file))
].map((file) => join(root, file))

/** The name that GitHub gives to a heading. */
const slug = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, "")
    .replaceAll(" ", "-")

const parse = (text: string): Page => {
  const anchors = new Set<string>()
  const links: Array<Link> = []
  let inCode = false
  text.split("\n").forEach((line, index) => {
    if (/^\s*```/.test(line)) inCode = !inCode
    if (inCode) return
    const heading = /^#{1,6} +(.*?) *#*$/.exec(line)
    if (heading !== null) {
      const name = slug(heading[1])
      let anchor = name
      for (let count = 1; anchors.has(anchor); count++) anchor = `${name}-${count}`
      anchors.add(anchor)
    }
    for (const [, name] of line.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name)
    const prose = line.replaceAll(/`[^`]*`/g, "")
    for (const [, target] of prose.matchAll(/\]\(([^()\s]+)(?: "[^"]*")?\)/g)) links.push({ line: index + 1, target })
  })
  return { anchors, links }
}

const pages = new Map(files.map((file) => [file, parse(readFileSync(file, "utf8"))]))

/** What is wrong with a link, if anything. */
const problem = (file: string, target: string): string | undefined => {
  if (/^[a-z]+:/i.test(target)) return target.startsWith("http:") ? "is not https" : undefined
  const [path, anchor] = target.split("#")
  const to = path === "" ? file : resolve(dirname(file), path)
  if (!existsSync(to)) return "leads nowhere"
  if (anchor === undefined) return undefined
  const page = pages.get(statSync(to).isDirectory() ? join(to, "README.md") : to)
  return page?.anchors.has(anchor) === true ? undefined : "has no such heading"
}

const problems = [...pages].flatMap(([file, { links }]) =>
  links.flatMap(({ line, target }) => {
    const found = problem(file, target)
    return found === undefined ? [] : [`${relative(root, file)}:${line}: ${target} ${found}`]
  })
)
report(`links (${files.length} files)`, problems)
