/** Points in time of C libraries, as a time that is left. */
import { monotonicNow } from "../libc/realTime.ts"

/** From here on, a number stands for "never": UINT64_MAX, INT64_MAX, or what is close to them. */
const never = 2 ** 63

export const timeUntil = (micros: number | bigint): number | undefined => {
  // What is neither stays no number, which the wait that it is for refuses.
  const at = typeof micros === "number" || typeof micros === "bigint" ? Number(micros) : NaN
  if (at >= never - 1024) return undefined
  const left = at - Number(monotonicNow()) / 1e3
  return left < 0 ? 0 : left / 1e3
}
