/** The program that a Redis server is. */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

const names = ["redis-server", "valkey-server"]

/** The first in the folders of a PATH, if there is one. */
export const find = (searchPath = ""): string | undefined =>
  names
    .flatMap((name) => searchPath.split(delimiter).map((folder) => join(folder, name)))
    .find(is)

export const is = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
