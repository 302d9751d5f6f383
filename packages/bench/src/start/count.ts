/** Loaded before a program, counts the files that it loads after this one. */
import { Session } from "node:inspector"

const session = new Session()
session.connect()
const files = new Set<string>()
session.on("Debugger.scriptParsed", ({ params: { url } }) => {
  if (url.startsWith("file:") || url.startsWith("/")) files.add(url)
})
session.post("Debugger.enable")
files.clear()

globalThis.countModules = () => files.size
