import { only, testsWith } from "./test/support/only.ts"

// Not every shell sets a variable for one command.
process.env["LONG"] = "1"

/** The long form of the tests that have one. */
export default only(testsWith(/support\/long\.ts"/))
