/** Chooses test files by what is in them, for the configurations of Vitest that run a part. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import config from "../../vitest.config.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Returns the test files that contain a text. */
export const testsWith = (text: RegExp): ReadonlyArray<string> =>
  globSync("test/**/*.test.ts", { cwd: root })
    // In a pattern, a backslash of Windows would mean something else.
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => text.test(readFileSync(join(root, file), "utf8")))

/** Returns the usual configuration, for some of its files. */
export const only = (include: ReadonlyArray<string>): typeof config => ({
  ...config,
  test: { ...config.test, include: [...include] }
})
