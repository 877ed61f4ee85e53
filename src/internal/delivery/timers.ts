/**
 * All timers of one thread, on one alarm of the kernel: a heap ordered by the time at which each is
 * due next.
 *
 * The consuming thread determines what is due. So a consumer that is late gets one notification for
 * all the periods that it has missed, and the periods themselves do not shift.
 */
import type { Alarm } from "../kernel/selector.ts"

interface Timer {
  readonly id: number
  readonly start: number
  /** Milliseconds, or 0 for a timer that expires once. */
  readonly period: number
  deadline: number
  /** Its place in the heap. */
  index: number
}

export class Timers {
  readonly #alarm: Alarm
  readonly #heap: Array<Timer> = []
  readonly #byId = new Map<number, Timer>()
  /** When the alarm expires. */
  #armed = Infinity

  constructor(alarm: Alarm) {
    this.#alarm = alarm
  }

  /**
   * Starts a timer. With `repeat` it expires again and again. Throws `SystemCallError`, and then
   * there is no such timer.
   */
  add(id: number, millis: number, repeat: boolean): void {
    const start = this.#alarm.now()
    const timer: Timer = { id, start, period: repeat ? millis : 0, deadline: start + millis, index: this.#heap.length }
    this.#byId.set(id, timer)
    this.#heap.push(timer)
    this.#up(timer)
    try {
      this.#arm()
    } catch (thrown) {
      this.#remove(timer)
      throw thrown
    }
  }

  /** Cancels a timer. Returns whether there was one. */
  cancel(id: number): boolean {
    const timer = this.#byId.get(id)
    if (timer === undefined) return false
    this.#remove(timer)
    return true
  }

  has(id: number): boolean {
    return this.#byId.has(id)
  }

  /** Whether a timer has to be reported by now. */
  isDue(id: number): boolean {
    const timer = this.#byId.get(id)
    return timer !== undefined && timer.deadline <= this.#alarm.now()
  }

  /**
   * Reports all timers that are due, the earliest first, and sets the alarm for the next. Throws
   * `SystemCallError` if it cannot.
   */
  expire(report: (id: number) => void): void {
    const now = this.#alarm.now()
    this.#armed = Infinity
    for (let timer = this.#heap[0]; timer !== undefined && timer.deadline <= now; timer = this.#heap[0]) {
      if (timer.period === 0) {
        this.#remove(timer)
      } else {
        // From the start and not from now: the next period is due when it would have been, however
        // late this call is.
        timer.deadline = timer.start + (Math.floor((now - timer.start) / timer.period) + 1) * timer.period
        // Rounding must not make the same one due again.
        if (timer.deadline <= now) timer.deadline += timer.period
        this.#down(timer)
      }
      report(timer.id)
    }
    this.#arm()
  }

  close(): void {
    this.#alarm.close()
  }

  #arm(): void {
    const next = this.#heap[0]
    // An alarm that expires too early, for a timer that was cancelled, does no harm.
    if (next === undefined || next.deadline >= this.#armed) return
    this.#alarm.set(next.deadline)
    this.#armed = next.deadline
  }

  #remove(timer: Timer): void {
    this.#byId.delete(timer.id)
    const last = this.#heap.pop()!
    if (last === timer) return
    this.#put(last, timer.index)
    this.#up(last)
    this.#down(last)
  }

  #put(timer: Timer, index: number): void {
    this.#heap[index] = timer
    timer.index = index
  }

  #up(timer: Timer): void {
    while (timer.index > 0) {
      const parent = this.#heap[(timer.index - 1) >> 1]!
      if (parent.deadline <= timer.deadline) return
      const { index } = parent
      this.#put(parent, timer.index)
      this.#put(timer, index)
    }
  }

  #down(timer: Timer): void {
    for (;;) {
      const left = this.#heap[timer.index * 2 + 1]
      const right = this.#heap[timer.index * 2 + 2]
      const child = right !== undefined && right.deadline < left!.deadline ? right : left
      if (child === undefined || timer.deadline <= child.deadline) return
      const { index } = child
      this.#put(child, timer.index)
      this.#put(timer, index)
    }
  }
}
