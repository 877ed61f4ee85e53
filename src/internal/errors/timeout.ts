/** Timeouts as users give them. */
import * as Duration from "effect/Duration"

const hasNaN = (input: unknown): boolean =>
  typeof input === "number"
    ? Number.isNaN(input)
    : typeof input === "object" && input !== null && !Duration.isDuration(input) && Object.values(input).some(hasNaN)

/** Milliseconds, possibly with a fraction or infinite; `undefined` if it is negative or no duration at all. */
export const toMillis = (input: Duration.Input): number | undefined => {
  // `Duration` reads a NaN as zero; a timeout that someone failed to compute is a mistake and no poll.
  if (hasNaN(input)) return undefined
  const duration = Duration.fromInput(input)
  if (duration._tag === "None") return undefined
  const millis = Duration.toMillis(duration.value)
  return millis >= 0 ? millis : undefined
}
