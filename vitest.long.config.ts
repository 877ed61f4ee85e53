/** The long form of the tests. Not every shell sets a variable for one command. */
process.env["LONG"] = "1"

export { default } from "./vitest.config.ts"
