/** Reads timeouts and durations that callers pass. */
import * as Duration from "effect/Duration"

const hasNaN = (input: unknown): boolean =>
  typeof input === "number"
    ? Number.isNaN(input)
    : typeof input === "object" && input !== null && !Duration.isDuration(input) && Object.values(input).some(hasNaN)

/**
 * Returns milliseconds, which may have a fraction or be infinite. Returns `undefined` if the input
 * is negative or not a duration.
 */
export const toMillis = (input: Duration.Input): number | undefined => {
  try {
    // `Duration` reads NaN as zero, which would poll. A timeout that came out as NaN is a mistake.
    if (hasNaN(input)) return undefined
    const duration = Duration.fromInput(input)
    if (duration._tag === "None") return undefined
    const millis = Duration.toMillis(duration.value)
    return millis >= 0 ? millis : undefined
  } catch {
    // A getter of the input has thrown.
    return undefined
  }
}
