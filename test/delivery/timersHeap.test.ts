/** The heap of timers by itself, on an alarm whose time is ours, against a model that looks at every timer each time. */
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
  /** Lets time pass, and answers what is reported if the alarm has gone off by then. */
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
  it("is reported when its time has come and not before", () => {
    const { advance, timers } = make()
    timers.add(1, 10, false)
    expect(advance(9.999)).toEqual([])
    expect(advance(0.001)).toEqual([1])
    expect(advance(1000)).toEqual([])
  })

  it("is not reported by an alarm that goes off early, and the alarm is set again", () => {
    const { alarm, timers } = make()
    timers.add(1, 10, false)
    const reported: Array<number> = []
    alarm.deadline = Infinity
    alarm.time += 5
    timers.expire((id) => reported.push(id))
    expect(reported).toEqual([])
    expect(alarm.deadline).toBe(1010)
  })

  it("of no time at all is due at once", () => {
    const { advance, timers } = make()
    timers.add(1, 0, false)
    expect(advance(0)).toEqual([1])
  })

  it("that is infinite never comes and keeps none from coming", () => {
    const { advance, alarm, timers } = make()
    timers.add(1, Infinity, false)
    timers.add(2, Infinity, true)
    expect(alarm.sets).toBe(0)
    timers.add(3, 10, false)
    expect(advance(10)).toEqual([3])
    expect(advance(1e15)).toEqual([])
    expect([timers.has(1), timers.has(2), timers.has(3)]).toEqual([true, true, false])
  })

  it("is reported in the order in which it is due", () => {
    const { advance, timers } = make()
    timers.add(1, 30, false)
    timers.add(2, 10, false)
    timers.add(3, 20, false)
    expect(advance(100)).toEqual([2, 3, 1])
  })
})

describe("promise 7: an interval does not drift", () => {
  it("is due at its start and so many periods, however late its consumer is", () => {
    const { advance, alarm, timers } = make()
    timers.add(1, 10, true)
    expect(advance(10)).toEqual([1])
    // Three periods and a half: one report for what was missed, and the next on the old grid.
    expect(advance(35)).toEqual([1])
    expect(alarm.deadline).toBe(1050)
    expect(advance(4.9)).toEqual([])
    expect(advance(0.1)).toEqual([1])
    expect(alarm.deadline).toBe(1060)
  })

  it("has gained and lost nothing after very many late periods of an awkward length", () => {
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

  it("is not reported twice for one period where sums round", () => {
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
  it("cancels once", () => {
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

  it("knows no timer that has gone off, and an interval for as long as it runs", () => {
    const { advance, timers } = make()
    timers.add(1, 10, false)
    timers.add(2, 10, true)
    expect(advance(10).toSorted()).toEqual([1, 2])
    expect([timers.has(1), timers.has(2), timers.cancel(1), timers.cancel(2)]).toEqual([false, true, false, true])
  })

  it("may be cancelled, and others added, while timers are reported", () => {
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
  it("is set for the first one due only", () => {
    const { alarm, timers } = make()
    for (let id = 1; id <= 1000; id++) timers.add(id, 100 + id, false)
    expect([alarm.sets, alarm.deadline]).toEqual([1, 1101])
    timers.add(1001, 50, false)
    expect([alarm.sets, alarm.deadline]).toEqual([2, 1050])
  })

  it("is closed with the timers", () => {
    const { alarm, timers } = make()
    timers.close()
    expect(alarm.closed).toBe(true)
  })
})

/** The same by the plainest means: every timer is looked at every time. */
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

  /** The ids that are due, with the time since which each is, the earliest first. */
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

/** A generator of numbers below `limit` that gives the same ones for the same seed. */
const random = (seed: number): ((limit: number) => number) => {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return Math.floor(((state >>> 0) / 2 ** 32) * limit)
  }
}

/** Does so many things at random to the heap and to the model, and answers what either had to say. */
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
      // Whole numbers, so that sums are exact and many are due at the same time.
      const millis = below(100) + (repeat ? 1 : 0)
      timers.add(++lastId, millis, repeat)
      model.add(lastId, alarm.time, millis, repeat)
    } else if (kind < 8) {
      // Often one that is there, sometimes one that is not.
      const { ids } = model
      const id = below(4) === 0 || ids.length === 0 ? below(lastId + 2) : ids[below(ids.length)]!
      heapSaid.push(timers.cancel(id))
      modelSaid.push(model.cancel(id))
    } else {
      const reported = advance(below(60))
      const expected = model.expire(alarm.time)
      const dueAt = new Map(expected.map(([due, id]) => [id, due]))
      // Of two that are due at the same time either may be first.
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
    // It may go off for one that was cancelled, but it must not be late for one that is there.
    if (alarm.deadline > model.next) late++
  }
  return { heapSaid, modelSaid, late }
}

describe("the heap agrees with a model", () => {
  it.each(Array.from({ length: 50 }, (_, seed) => seed))("after 500 steps at random (seed %i)", (seed) => {
    const { heapSaid, late, modelSaid } = run(seed, 500)
    expect(heapSaid).toEqual(modelSaid)
    expect(late).toBe(0)
  })
})
