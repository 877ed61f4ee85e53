/**
 * The places from which files of this package, and of those that it needs, can be found. A bundled
 * program may run far from them, and a bundler may have changed what a module knows of itself.
 */
import { isAbsolute, join } from "node:path"
import { fileURLToPath } from "node:url"

/**
 * Makes a `require` that looks from a file. Not imported, because webpack takes what is required by
 * an imported one into the bundle, and breaks what it cannot know.
 */
export const { createRequire } = process.getBuiltinModule("node:module")

/** Returns the path of a file that a module was given as its own, if it is one. */
const toPath = (own: string | undefined): string | undefined => {
  if (own === undefined) return undefined
  if (own.startsWith("file:")) return fileURLToPath(own)
  return isAbsolute(own) ? own : undefined
}

/**
 * Returns the file of a CommonJS bundle. In an ES module there is no such variable, and it throws.
 * A `typeof` would be replaced by webpack, whichever of the two it makes.
 */
const ownFile = (): string | undefined => {
  try {
    return __filename
  } catch {
    return undefined
  }
}

/**
 * Returns the paths of files, the closest first: this module or the bundle that it is in, the
 * program or single executable, and any file of the working directory.
 */
const places = (): ReadonlyArray<string> => {
  // esbuild leaves `import.meta` empty in a CommonJS bundle; webpack puts the path at build time in.
  const url: string | undefined = import.meta.url
  const found = [url, ownFile(), process.argv[1], join(process.cwd(), "_")].map(toPath)
  return [...new Set(found.filter((path) => path !== undefined))]
}

/** Returns the path of a module as it is found from the closest place, or `undefined`. */
export const find = (specifier: string): string | undefined => {
  for (const place of places()) {
    try {
      return createRequire(place).resolve(specifier)
    } catch {
      // Not from there.
    }
  }
  return undefined
}
