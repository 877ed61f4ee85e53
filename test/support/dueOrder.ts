/**
 * Checks the order of timers, whose times of expiry are known only within bounds: a busy machine
 * may stop a thread at any time.
 */
import { expect } from "@effect/vitest"
import { Effect } from "effect"

/** When a timer is due: between these two times. */
interface Due {
  readonly earliest: number
  readonly latest: number
}

/** The times at which timers are due, by their ids. */
export type DueTimes = Map<number, Due>

/** Sets a timer, and notes when it is due by the clock `now`. */
export const noteDue = <E, R, E2, R2>(
  due: DueTimes,
  millis: number,
  set: (millis: number) => Effect.Effect<number, E, R>,
  now: Effect.Effect<number, E2, R2>
) =>
  Effect.gen(function* () {
    const before = yield* now
    const id = yield* set(millis)
    due.set(id, { earliest: before + millis, latest: (yield* now) + millis })
    return id
  })

/** The milliseconds by which two readings of clocks may differ because of rounding. */
const rounding = 0.01

const byNumber = (a: number, b: number) => a - b

/**
 * Expects timers to be reported once each, and none of them before another one that was due
 * earlier.
 */
export const expectDueOrder = (reported: ReadonlyArray<number>, due: ReadonlyMap<number, Due>): void => {
  expect(reported.toSorted(byNumber)).toEqual([...due.keys()].toSorted(byNumber))
  for (const [index, id] of reported.entries()) {
    for (const later of reported.slice(index + 1)) {
      expect(due.get(id)!.earliest, `timer ${id} before timer ${later}`).toBeLessThanOrEqual(
        due.get(later)!.latest + rounding
      )
    }
  }
}
