/** Writes the tables of docs/errors.md anew: `npm run docs:errors`. */
import { writeFileSync } from "node:fs"
import { expectedPage, page } from "../support/errorsPage.ts"

writeFileSync(page, await expectedPage())
