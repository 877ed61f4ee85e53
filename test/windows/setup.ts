/** Under Vitest on Windows: skips the tests of `skips.ts`, each with its reason. */
import { beforeEach } from "vitest"
import { reasonOf, skipsOf } from "./skips.ts"

beforeEach(({ skip, task }) => {
  const file = task.file.name.replaceAll("\\", "/").replaceAll(/^test\/|\.test\.ts$/g, "")
  const reason = reasonOf(skipsOf(file, false), task.fullTestName)
  if (reason !== undefined) skip(reason)
})
