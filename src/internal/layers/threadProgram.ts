/**
 * What the polling thread runs: in the sources, the file `shared/pollingThread.ts`.
 *
 * In the published package, `npm run build` replaces this module by one with the whole program as
 * text. So the thread is wherever the library is: in a bundle, and in a single executable.
 */
import { existsSync } from "node:fs"
import { dirname, extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { find } from "../libc/places.ts"

export interface ThreadProgram {
  /** The program's text, or the path of its file. */
  readonly program: string
  readonly isText: boolean
}

/** Returns the path of the file beside this one, if it has not been bundled. */
const beside = (): string | undefined => {
  const url: string | undefined = import.meta.url
  if (url === undefined) return undefined
  const path = fileURLToPath(url)
  // TypeScript here, and JavaScript in the tests' own bundles.
  return join(dirname(path), `../shared/pollingThread${extname(path)}`)
}

/** Returns the path of the file in the package, for a bundle of the sources. */
const inPackage = (): string | undefined => {
  const manifest = find("effect-amy/package.json")
  return manifest === undefined ? undefined : join(dirname(manifest), "src/internal/shared/pollingThread.ts")
}

let known: ThreadProgram | undefined

export const threadProgram = (): ThreadProgram => {
  if (known !== undefined) return known
  const program = [beside, inPackage].map((locate) => locate()).find((path) => path !== undefined && existsSync(path))
  if (program === undefined) throw new Error("the file of the polling thread was not found: use the built package")
  return (known = { program, isText: false })
}
