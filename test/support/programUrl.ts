/** Locates the programs that the tests start as threads or processes. */
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * Returns the URL of a program, named by its path within `test`. Under Vitest it is the one that
 * `bundle.ts` has made of it; a program that is started by hand finds the sources of the others.
 */
export const programUrl = (name: string): URL => {
  const bundled = process.env["EFFECT_AMY_PROGRAMS"]
  return bundled === undefined
    ? new URL(`../${name}.ts`, import.meta.url)
    : pathToFileURL(join(bundled, "test", `${name}.js`))
}
