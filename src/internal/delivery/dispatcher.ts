/**
 * What happens to a batch of reports on the thread that consumes it. Reports become notifications
 * in one queue, merged while they wait there, or go straight to a source that consumes them.
 * Reports of deregistered ids are dropped.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { closed, fromThrown, notRegistered } from "../errors/pollerErrors.ts"
import type { Alarm } from "../kernel/selector.ts"
import { Readiness } from "../kernel/selector.ts"
import { highBits, joinId } from "../kernel/userData.ts"
import type { Batch } from "./batch.ts"
import { NotificationQueue } from "./notificationQueue.ts"
import { type Registration, Registrations, type Source } from "./registrations.ts"
import { Timers } from "./timers.ts"

export class Dispatcher {
  readonly queue: NotificationQueue
  readonly registrations: Registrations
  /**
   * Reports for sources that may consume them, once the batch is complete; and beside each its
   * bits.
   */
  readonly #consumable: Array<Registration> = []
  readonly #consumableBits: Array<number> = []
  /** How many of them were offered. A consumer may have more reported, and offered, meanwhile. */
  #offered = 0
  #timers: Timers | undefined
  #expired = false
  /** One-shot timers that went off, and whose notification may not have been taken. */
  readonly #fired = new Set<Registration>()
  /** Reads and writes the sources of one batch together, where the system can. */
  batch: Batch | undefined
  /** How many fibers wait for one source each. */
  waiters = 0
  /** Called when another fiber begins to wait, where no thread polls unless a fiber waits. */
  onWait: (() => void) | undefined
  /**
   * Whether a report that is offered now is as new as a look at the descriptor: this thread has just
   * been in the kernel, and no consumer has run since.
   */
  isFresh = false
  notifications = 0
  merged = 0
  batches = 0
  /** Whether the batch that is being handed over is among them. */
  #isCounted = false

  static readonly make: Effect.Effect<Dispatcher> = Effect.suspend(() => {
    const registrations = new Registrations()
    return Effect.map(
      NotificationQueue.make((id) => registrations.byId(id)),
      (queue) => new Dispatcher(queue, registrations)
    )
  })

  private constructor(queue: NotificationQueue, registrations: Registrations) {
    this.queue = queue
    this.registrations = registrations
  }

  /**
   * Notes a registration that the kernel has accepted. A registration that this thread had under
   * the same number is gone: its descriptor was closed, or another thread has deregistered it.
   */
  add(id: number, fd: number, exclusive: boolean, source?: Source): Registration {
    const previous = this.registrations.byFd(fd)
    if (previous !== undefined) {
      this.remove(previous)
      previous.source?.end?.(
        notRegistered("this descriptor was closed or deregistered elsewhere, and its number is in use again", fd)
      )
    }
    return this.registrations.add(id, fd, exclusive, source)
  }

  /** Notes something that has an id, and no descriptor of the caller's. */
  addSource(id: number, source: Source | undefined): Registration {
    return this.registrations.add(id, -1, false, source)
  }

  /** Removes a registration, and withdraws the notification that is on its way to a consumer. */
  remove(registration: Registration): void {
    this.registrations.remove(registration)
    this.queue.withdraw(registration)
  }

  /** Returns the timers of this thread, on an alarm that is opened for the first. */
  timers(open: () => Alarm): Timers {
    return (this.#timers ??= new Timers(open()))
  }

  /**
   * Ends a timer. Returns false if its last notification was taken, or if there is no such timer.
   */
  cancelTimer(id: number): boolean {
    const registration = this.registrations.byId(id)
    if (registration === undefined || this.#timers === undefined) return false
    if (!this.#timers.cancel(id)) {
      // A timer that has gone off still counts while its notification has not been taken.
      if (!this.#fired.has(registration) || !this.queue.has(registration)) return false
      this.#fired.delete(registration)
    }
    this.remove(registration)
    return true
  }

  /** Takes one entry of a batch. */
  readonly accept = (low: number, word: number): void => {
    const id = joinId(low, word)
    if (id === 0) {
      this.#expired = true
      return
    }
    const registration = this.registrations.byId(id)
    if (registration === undefined) return
    const bits = word >>> highBits
    const { source } = registration
    if (source !== undefined) {
      if (source.admit?.() === false) return
      if (source.consume !== undefined) {
        this.#consumable.push(registration)
        this.#consumableBits.push(bits)
        return
      }
    }
    this.#report(registration, bits)
  }

  #report(registration: Registration, bits: number): void {
    if (this.queue.report(registration, bits)) this.merged++
  }

  /**
   * Hands the batch to its consumers, and resumes those that wait, in this turn of the event loop.
   */
  flush(): void {
    this.#isCounted = false
    if (this.#expired) this.#expireTimers()
    if (this.#consumable.length > 0) this.#offerToSources()
    this.isFresh = false
    const count = this.queue.flush()
    if (count === 0) return
    this.#count(count)
    this.queue.resumeTakers()
  }

  /** Counts notifications, before their consumers run: those may look at the statistics. */
  #count(notifications: number): void {
    this.notifications += notifications
    if (this.#isCounted) return
    this.#isCounted = true
    this.batches++
  }

  #expireTimers(): void {
    this.#expired = false
    // Those whose notification was taken meanwhile are finished.
    for (const registration of this.#fired) {
      if (this.queue.has(registration)) continue
      this.#fired.delete(registration)
      this.registrations.removeId(registration.id)
    }
    try {
      this.#timers?.expire((id) => {
        const registration = this.registrations.byId(id)
        if (registration === undefined) return
        // What waits for this timer alone is offered it together with the reports of this batch.
        if (registration.source?.consume !== undefined) {
          this.#consumable.push(registration)
          this.#consumableBits.push(Readiness.Readable)
          this.registrations.removeId(id)
          return
        }
        this.#report(registration, Readiness.Readable)
        if (!this.#timers!.has(id)) this.#fired.add(registration)
      })
    } catch (thrown) {
      // No timer of this thread would expire any more.
      this.fail(fromThrown(thrown))
    }
  }

  #offerToSources(): void {
    const { batch } = this
    while (this.#offered < this.#consumable.length) {
      // A flush in the midst of a batch serves its sources one by one.
      const together = batch === undefined || batch.isOpen ? 1 : this.#consumable.length - this.#offered
      if (together > 1) this.#offerTogether(batch!, Math.min(together, batch!.capacity))
      else this.#offer()
    }
    this.#consumable.length = 0
    this.#consumableBits.length = 0
    this.#offered = 0
  }

  #offerTogether(batch: Batch, count: number): void {
    const end = this.#offered + count
    batch.open()
    try {
      for (let index = this.#offered; index < end; index++) {
        const { isOpen, source } = this.#consumable[index]!
        if (isOpen) source?.readIn?.(batch, this.#consumableBits[index]!)
      }
      batch.readAll()
      // A flush that a consumer causes has served the others as well.
      while (this.#offered < end && this.#offered < this.#consumable.length) {
        this.#offer()
        batch.step()
      }
    } finally {
      batch.end()
    }
  }

  #offer(): void {
    const index = this.#offered++
    const registration = this.#consumable[index]!
    const bits = this.#consumableBits[index]!
    // An earlier consumer may have ended this registration.
    if (!registration.isOpen) return
    const { batches, notifications } = this
    this.#count(1)
    if (registration.source?.consume?.(bits) !== true) {
      // It has no consumer yet, so nobody has seen the count.
      this.#isCounted = this.batches === batches
      this.batches = batches
      this.notifications = notifications
      this.#report(registration, bits)
    }
    this.isFresh = false
  }

  /** Ends every consumer, after it has taken what is there already. */
  end(): void {
    this.#finish(closed(), Cause.fail(Cause.Done()))
  }

  /** Fails every consumer, after it has taken what is there already. */
  fail(error: PollerError): void {
    this.#finish(error, Cause.fail(error))
  }

  #finish(error: PollerError, cause: Cause.Cause<PollerError | Cause.Done>): void {
    this.flush()
    this.queue.end(cause)
    this.#timers?.close()
    this.#timers = undefined
    for (const source of this.registrations.sources()) source.end?.(error)
  }
}
