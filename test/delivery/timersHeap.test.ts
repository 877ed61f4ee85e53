/**
 * The heap of timers by itself, on an alarm whose clock the test sets, compared with a simple
 * model.
 */
import { describe, expect, it } from "@effect/vitest"
import type { Alarm } from "../../src/internal/kernel/selector.ts"
import { Timers } from "../../src/internal/delivery/timers.ts"
import { times } from "../support/long.ts"

class FakeAlarm implements Alarm {
  time = 1000
  deadline = Infinity
  sets = 0
  closed = false
  readonly now = (): number => this.time
  readonly set = (deadline: number): void => {
    this.deadline = deadline
    this.sets++
  }
  readonly close = (): void => {
    this.closed = true
  }
}

const make = () => {
  const alarm = new FakeAlarm()
  const timers = new Timers(alarm)
  /** Lets time pass. Returns the ids that are reported, if the alarm goes off. */
  const advance = (millis: number): Array<number> => {
    alarm.time += millis
    return fire()
  }
  const fire = (): Array<number> => {
    const reported: Array<number> = []
    if (alarm.deadline > alarm.time) return reported
    alarm.deadline = Infinity
    timers.expire((id) => reported.push(id))
    return reported
  }
  return { alarm, timers, advance }
}

describe("promise 7: a timer is never early", () => {
  it("a timer is reported when it is due and not before", () => {
    const { advance, timers } = make()
    timers.add(1, 10, false)
    expect(advance(9.999)).toEqual([])
    expect(advance(0.001)).toEqual([1])
    expect(advance(1000)).toEqual([])
  })

  it("an alarm that goes off early reports nothing and is set again", () => {
    const { alarm, timers } = make()
    timers.add(1, 10, false)
    const reported: Array<number> = []
    alarm.deadline = Infinity
    alarm.time += 5
    timers.expire((id) => reported.push(id))
    expect(reported).toEqual([])
    expect(alarm.deadline).toBe(1010)
  })

  it("a timer of zero is due at once", () => {
    const { advance, timers } = make()
    timers.add(1, 0, false)
    expect(advance(0)).toEqual([1])
  })

  it("an infinite timer is never reported and does not delay others", () => {
    const { advance, alarm, timers } = make()
    timers.add(1, Infinity, false)
    timers.add(2, Infinity, true)
    expect(alarm.sets).toBe(0)
    timers.add(3, 10, false)
    expect(advance(10)).toEqual([3])
    expect(advance(1e15)).toEqual([])
    expect([timers.has(1), timers.has(2), timers.has(3)]).toEqual([true, true, false])
  })

  it("timers are reported in the order in which they are due", () => {
    const { advance, timers } = make()
    timers.add(1, 30, false)
    timers.add(2, 10, false)
    timers.add(3, 20, false)
    expect(advance(100)).toEqual([2, 3, 1])
  })
})

describe("promise 7: an interval does not drift", () => {
  it("an interval keeps its grid, however late its consumer is", () => {
    const { advance, alarm, timers } = make()
    timers.add(1, 10, true)
    expect(advance(10)).toEqual([1])
    // After three and a half periods there is one report. The next one is on the old grid.
    expect(advance(35)).toEqual([1])
    expect(alarm.deadline).toBe(1050)
    expect(advance(4.9)).toEqual([])
    expect(advance(0.1)).toEqual([1])
    expect(alarm.deadline).toBe(1060)
  })

  it("very many late periods of a fractional length add up without an error", () => {
    const { alarm, timers } = make()
    const period = 1.1
    timers.add(1, period, true)
    const count = times(100_000, 1_000_000)
    let seen = 0
    for (let i = 0; i < count; i++) {
      alarm.time = alarm.deadline + 0.3
      timers.expire(() => seen++)
    }
    expect(seen).toBe(count)
    expect(alarm.deadline).toBeCloseTo(1000 + (count + 1) * period, 3)
  })

  it("a period is not reported twice if the sums are rounded", () => {
    const { alarm, timers } = make()
    alarm.time = 123_456_789.123
    timers.add(1, 0.1 + 0.2, true)
    for (let i = 0; i < 10_000; i++) {
      alarm.time = alarm.deadline
      let count = 0
      timers.expire(() => count++)
      expect(count).toBe(1)
      expect(alarm.deadline).toBeGreaterThan(alarm.time)
    }
  })
})

describe("promise 12: a cancelled timer's id is never reported afterwards", () => {
  it("a timer can be cancelled once", () => {
    const { advance, timers } = make()
    timers.add(1, 10, false)
    timers.add(2, 10, true)
    expect([timers.cancel(1), timers.cancel(1), timers.cancel(2), timers.cancel(2), timers.cancel(3)]).toEqual([
      true,
      false,
      true,
      false,
      false
    ])
    expect(advance(100)).toEqual([])
  })

  it("a timeout that was reported cannot be cancelled, and an interval can", () => {
    const { advance, timers } = make()
    timers.add(1, 10, false)
    timers.add(2, 10, true)
    expect(advance(10).toSorted()).toEqual([1, 2])
    expect([timers.has(1), timers.has(2), timers.cancel(1), timers.cancel(2)]).toEqual([false, true, false, true])
  })

  it("timers can be cancelled and added while timers are reported", () => {
    const { advance, alarm, timers } = make()
    timers.add(1, 10, false)
    timers.add(2, 20, false)
    timers.add(3, 30, true)
    alarm.time += 50
    const reported: Array<number> = []
    timers.expire((id) => {
      reported.push(id)
      if (id !== 1) return
      timers.cancel(2)
      timers.add(4, 5, false)
    })
    expect(reported).toEqual([1, 3])
    expect(advance(4)).toEqual([])
    expect(advance(1)).toEqual([4])
    expect(advance(5)).toEqual([3])
  })
})

describe("the alarm", () => {
  it("the alarm is set for the first timer that is due", () => {
    const { alarm, timers } = make()
    for (let id = 1; id <= 1000; id++) timers.add(id, 100 + id, false)
    expect([alarm.sets, alarm.deadline]).toEqual([1, 1101])
    timers.add(1001, 50, false)
    expect([alarm.sets, alarm.deadline]).toEqual([2, 1050])
  })

  it("the alarm is closed with the timers", () => {
    const { alarm, timers } = make()
    timers.close()
    expect(alarm.closed).toBe(true)
  })
})

/** The model: it looks at every timer every time. */
class Model {
  readonly #timers = new Map<
    number,
    { readonly start: number; readonly millis: number; repeat: boolean; seen: number }
  >()

  add(id: number, now: number, millis: number, repeat: boolean): void {
    this.#timers.set(id, { start: now, millis, repeat, seen: 0 })
  }

  cancel(id: number): boolean {
    return this.#timers.delete(id)
  }

  get ids(): ReadonlyArray<number> {
    return [...this.#timers.keys()]
  }

  get next(): number {
    return Math.min(...Array.from(this.#timers.values(), ({ millis, seen, start }) => start + (seen + 1) * millis))
  }

  /**
   * Returns the ids that are due, each with the time at which it became due, the earliest first.
   */
  expire(now: number): ReadonlyArray<readonly [due: number, id: number]> {
    const due: Array<readonly [number, number]> = []
    for (const [id, timer] of this.#timers) {
      const first = timer.start + (timer.seen + 1) * timer.millis
      if (first > now) continue
      due.push([first, id])
      if (timer.repeat) while (timer.start + (timer.seen + 1) * timer.millis <= now) timer.seen++
      else this.#timers.delete(id)
    }
    return due.toSorted(([a], [b]) => a - b)
  }
}

/** Returns a generator of numbers below `limit`. The same seed gives the same numbers. */
const random = (seed: number): ((limit: number) => number) => {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return Math.floor(((state >>> 0) / 2 ** 32) * limit)
  }
}

/** Takes random steps on the heap and on the model. Returns the results of both. */
const run = (seed: number, steps: number) => {
  const { advance, alarm, timers } = make()
  const model = new Model()
  const below = random(seed)
  const heapSaid: Array<unknown> = []
  const modelSaid: Array<unknown> = []
  let late = 0
  let lastId = 0
  for (let step = 0; step < steps; step++) {
    const kind = below(10)
    if (kind < 5) {
      const repeat = below(3) === 0
      // Whole numbers make the sums exact, and many timers due at the same time.
      const millis = below(100) + (repeat ? 1 : 0)
      timers.add(++lastId, millis, repeat)
      model.add(lastId, alarm.time, millis, repeat)
    } else if (kind < 8) {
      // Usually an id that exists, and sometimes one that does not.
      const { ids } = model
      const id = below(4) === 0 || ids.length === 0 ? below(lastId + 2) : ids[below(ids.length)]!
      heapSaid.push(timers.cancel(id))
      modelSaid.push(model.cancel(id))
    } else {
      const reported = advance(below(60))
      const expected = model.expire(alarm.time)
      const dueAt = new Map(expected.map(([due, id]) => [id, due]))
      // The order of timers that are due at the same time does not matter.
      heapSaid.push(
        reported.toSorted((a, b) => a - b),
        reported.map((id) => dueAt.get(id))
      )
      modelSaid.push(
        [...dueAt.keys()].toSorted((a, b) => a - b),
        expected.map(([due]) => due)
      )
    }
    heapSaid.push(Array.from({ length: lastId + 2 }, (_, id) => id).filter((id) => timers.has(id)))
    modelSaid.push(model.ids.toSorted((a, b) => a - b))
    // The alarm may go off for a cancelled timer, but must not be late for any other.
    if (alarm.deadline > model.next) late++
  }
  return { heapSaid, modelSaid, late }
}

describe("the heap agrees with a model", () => {
  it.each(Array.from({ length: 50 }, (_, seed) => seed))("after 500 random steps (seed %i)", (seed) => {
    const { heapSaid, late, modelSaid } = run(seed, 500)
    expect(heapSaid).toEqual(modelSaid)
    expect(late).toBe(0)
  })
})
