/** A process that has no number left for another descriptor, for a moment. */
import { Effect } from "effect"
import koffi from "koffi"
import { openDescriptors } from "./kernel.ts"

const libc = koffi.load(null)
const getrlimit = libc.func("int getrlimit(int resource, void *limit)") as LimitCall
const setrlimit = libc.func("int setrlimit(int resource, void *limit)") as LimitCall
type LimitCall = (resource: number, limit: BigUint64Array) => number

const RLIMIT_NOFILE = 7

const check = (result: number): void => {
  if (result !== 0) throw new Error(`errno ${koffi.errno()}`)
}

/** The lowest number that is above so many free ones. */
const limitFor = (room: number): number => {
  const open = openDescriptors()
  let limit = 0
  for (let free = 0; ; limit++) {
    if (open.has(limit)) continue
    if (free++ === room) return limit
  }
}

/** Runs something, which must not have to wait, while only so many descriptors more can be opened. */
export const withRoomFor = <A, E, R>(room: number, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = new BigUint64Array(2)
      check(getrlimit(RLIMIT_NOFILE, before))
      check(setrlimit(RLIMIT_NOFILE, new BigUint64Array([BigInt(limitFor(room)), before[1]!])))
      return before
    }),
    () => effect,
    (before) => Effect.sync(() => check(setrlimit(RLIMIT_NOFILE, before)))
  )
