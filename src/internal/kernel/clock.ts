/** The clock by which the kernel's timers run: CLOCK_MONOTONIC, which never goes back. */

/** Returns milliseconds, with a fraction. */
export const now = (): number => {
  const [seconds, nanos] = process.hrtime()
  return seconds * 1000 + nanos / 1e6
}
