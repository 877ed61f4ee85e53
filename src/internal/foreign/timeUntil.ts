/** Points in time of C libraries, as a time that is left. */
import { monotonicNow } from "../libc/realTime.ts"

/** From here on, a number stands for "never": UINT64_MAX, INT64_MAX, or what is close to them. */
const never = 2 ** 63

export const timeUntil = (micros: number | bigint): number | undefined => {
  const at = Number(micros)
  if (at >= never - 1024) return undefined
  const left = at - Number(monotonicNow()) / 1e3
  // What is not a number stays so: the wait that it is for fails then.
  return left < 0 ? 0 : left / 1e3
}
