/** The garbage collector on demand, for tests that measure memory or processor time. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")

export const collectGarbage = runInNewContext("gc") as () => void
