/** Alarms on Windows: deadlines in shared memory, which the thread that waits respects. */
import { now } from "../libc/realTime.ts"
import type { AfdCalls } from "./afdCalls.ts"
import type { AfdMemory } from "./afdMemory.ts"
import { never } from "./afdMemory.ts"
import type { Alarm } from "./selector.ts"

/** Nanoseconds in a millisecond. */
const nanos = 1e6

/**
 * The clock of alarms, in nanoseconds. All threads share it, and it never goes back. A thread knows
 * how far its own clock is from it, for both run by the same counter.
 */
export interface AlarmClock {
  readonly now: () => bigint
  /** Converts a time of this thread's clock, in milliseconds. A fraction is rounded up. */
  readonly at: (time: number) => bigint
}

export const openAlarmClock = ({ QueryPerformanceCounter, QueryPerformanceFrequency }: AfdCalls): AlarmClock => {
  const word = new BigInt64Array(1)
  QueryPerformanceFrequency(word)
  const frequency = Number(word[0])
  QueryPerformanceCounter(word)
  const offset = (Number(word[0]) / frequency) * 1000 - now()
  const at = (time: number): bigint => {
    const wanted = Math.ceil((time + offset) * nanos)
    return wanted < Number(never) ? BigInt(wanted) : never - 1n
  }
  return { now: () => at(now()), at }
}

/** Opens the alarm of a mailbox. `wake` ends the wait that another thread is in. */
export const openAlarm = (memory: AfdMemory, clock: AlarmClock, mailbox: number, wake: () => void): Alarm => ({
  now,
  set(deadline) {
    if (memory.setDeadline(mailbox, clock.at(deadline))) wake()
  },
  close: () => void memory.setDeadline(mailbox, 0n)
})
