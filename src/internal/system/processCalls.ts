/** The calls on processes, bound once for each thread. */
import type { Libc } from "../libc/koffi.ts"
import { type ProcessNumbers, processNumbers } from "../libc/profiles/system/process.ts"
import {
  type CloseFromFunctions,
  closeFromPrototypes,
  type ProcessFunctions,
  processPrototypes
} from "../libc/prototypes/system/process.ts"
import { type Pidfds, pidfdsOf } from "./pidfd.ts"

export interface ProcessCalls {
  readonly libc: Libc
  readonly functions: ProcessFunctions
  /** Throws where the C library has no such function. */
  readonly closeFrom: CloseFromFunctions
  readonly pidfds: Pidfds
  readonly numbers: ProcessNumbers
}

const known = new WeakMap<Libc, ProcessCalls>()

/** Returns the calls, or `undefined` if the library does not know this system's numbers. */
export const processCalls = (libc: Libc): ProcessCalls | undefined => {
  const bound = known.get(libc)
  if (bound !== undefined) return bound
  const numbers = processNumbers(libc.profile.platform)
  if (numbers === undefined) return undefined
  const made = {
    libc,
    functions: libc.bindMore<ProcessFunctions>(processPrototypes),
    closeFrom: libc.bindMore<CloseFromFunctions>(closeFromPrototypes),
    pidfds: pidfdsOf(libc),
    numbers
  }
  known.set(libc, made)
  return made
}
