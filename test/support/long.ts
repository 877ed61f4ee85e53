/**
 * The two forms of the tests. `npm test` runs the short one, in a few minutes. `npm run test:long`
 * runs those files again that have a long form, which are the ones that import this file. Of the
 * other files, it runs on each layer what the short one has left out.
 */

/** Whether this is the long run. */
export const isLong = process.env["LONG"] === "1"

/** Returns how often a test repeats something: the short run looks for the same, but less long. */
export const times = (short: number, long: number): number => (isLong ? long : short)
