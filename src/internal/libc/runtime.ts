/** The runtimes other than Node, where they differ from it. */
const { bun, deno } = process.versions

/** The name and the version of a runtime that is not Node, as far as it is known. */
export const otherRuntime: string | undefined =
  bun !== undefined ? `Bun ${bun}` : deno !== undefined ? `Deno ${deno}` : undefined

/**
 * Whether `node:fs` knows only those descriptors that it has opened on the same thread, as in Deno.
 * It takes each for open until it closes it, and closes it when it opens the same number again.
 */
export const fsKnowsItsOwnOnly: boolean = deno !== undefined
