/** Lowers the process's limit of descriptors for a moment. */
import { Effect } from "effect"
import koffi from "koffi"
import { cFunction } from "./cLibrary.ts"
import { openDescriptors } from "./kernel.ts"

const getrlimit = cFunction("int getrlimit(int resource, void *limit)") as LimitCall
const setrlimit = cFunction("int setrlimit(int resource, void *limit)") as LimitCall
type LimitCall = (resource: number, limit: BigUint64Array) => number

const RLIMIT_NOFILE = process.platform === "linux" ? 7 : 8

const check = (result: number): void => {
  if (result !== 0) throw new Error(`errno ${koffi.errno()}`)
}

/** Returns the limit that leaves room for `room` further descriptors. */
const limitFor = (room: number): number => {
  const open = openDescriptors()
  let limit = 0
  for (let free = 0; ; limit++) {
    if (open.has(limit)) continue
    if (free++ === room) return limit
  }
}

/**
 * Runs an effect while the process can open only `room` further descriptors. The effect must not
 * have to wait.
 */
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
