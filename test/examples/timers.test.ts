/**
 * Runs the example of timers, and checks what it prints. How late each timer is depends on the
 * machine.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { runExample } from "../support/example.ts"

const ticks = /^2: period (\d+), (\d+) missed, (\d+) ms after the one before$/gm

/**
 * Runs the example, checks everything that holds on any machine, and returns what it printed about
 * the interval.
 */
const run = Effect.gen(function* () {
  const { stdout, ...rest } = yield* runExample("timers")
  expect(rest).toEqual({ code: 0, signal: null, stderr: "" })
  const intervals = [...stdout.matchAll(ticks)].map(([, period, missed, after]) => ({
    period: Number(period),
    missed: Number(missed),
    after: Number(after)
  }))
  expect(stdout.replace(ticks, "2: a period").split("\n")).toEqual([
    "1: in 50 ms; 2: every 200 ms; 3: in an hour",
    "3: cancelled",
    "1: Read",
    "2: a period",
    "working for 500 ms",
    "4: cancelled",
    "2: a period",
    "2: a period",
    "2: cancelled",
    "1: no longer a timer",
    ""
  ])
  return intervals
})

describe("examples/timers.ts", () => {
  it.live(
    "the example reports each timer by its id, none that was cancelled, and one notification for missed periods",
    () =>
      Effect.gen(function* () {
        const [first, late, last] = yield* run
        // No timer is early.
        expect(first!.period).toBeGreaterThanOrEqual(1)
        expect(first!.after).toBeGreaterThanOrEqual(200)
        // It worked for two and a half periods, so it missed at least one. One line stands for all
        // of them.
        expect(late!.after).toBeGreaterThanOrEqual(500)
        expect(late!.missed).toBeGreaterThanOrEqual(1)
        expect(late!.period).toBe(first!.period + late!.missed + 1)
        expect(last!.period).toBe(late!.period + last!.missed + 1)
      })
  )

  it.live(
    "the interval does not drift",
    () =>
      // If the interval drifted, the next report would always be a whole period away. Without drift
      // it is about half a period away, which even on a busy machine is seen in one of several
      // runs.
      run.pipe(
        Effect.map((intervals) => intervals.at(-1)!.after),
        Effect.repeat({ until: (after) => after < 195 })
      ),
    180_000
  )
})
