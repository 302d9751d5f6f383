/** The programs that servers are. */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

export const redis = ["redis-server", "valkey-server"]

export const memcached = ["memcached"]

export const postgres = ["postgres"]

export const mariadb = ["mariadbd"]

/** The first of these in the folders of a PATH, and then in others, if there is one. */
export const find = (
  names: ReadonlyArray<string>,
  searchPath = "",
  folders: ReadonlyArray<string> = []
): string | undefined =>
  names
    .flatMap((name) => [...searchPath.split(delimiter), ...folders].map((folder) => join(folder, name)))
    .find(is)

export const is = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
