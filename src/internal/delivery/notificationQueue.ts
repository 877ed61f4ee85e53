/**
 * The queue of notifications that wait to be taken: one for each registration, merged in place, and
 * withdrawn in constant time.
 *
 * This is the only file that reads the fields of Effect's `Queue`. A queue does not report what was
 * taken from it. But the dispatcher is its only producer, and it is first in, first out. So the
 * number of notifications ever queued, less those that are in the queue now, is the place of the
 * first one that has not been taken.
 */
import { reportUncaught } from "../libc/uncaught.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import type { Notification, RegistrationId } from "../../Notification.ts"
import type { PollerError } from "../../PollerError.ts"
import { NotificationImpl } from "./notification.ts"

type QueueError = PollerError | Cause.Done

/** Where the last notification of a registration is, until a consumer takes it. */
export interface Reported {
  readonly id: RegistrationId
  last: NotificationImpl | undefined
  /** Its place among all notifications ever queued. */
  place: number
  chunk: Chunk | undefined
}

/**
 * Notifications that were queued together. The queue holds this very array, so one in it can be
 * replaced.
 */
interface Chunk {
  items: Array<NotificationImpl>
  /** The place of its first. */
  readonly first: number
}

const emptyChunk = (first: number): Chunk => ({ items: [], first })

export class NotificationQueue {
  readonly queue: Queue.Queue<Notification, QueueError>
  readonly #find: (id: number) => Reported | undefined
  /** Collected, and not in the queue yet. */
  #collected = emptyChunk(0)
  /** How many notifications were ever put into the queue. */
  #queued = 0
  /** The chunks of which something may still be in the queue, the oldest first. */
  readonly #chunks: Array<Chunk> = []

  /** `find` returns the registration that has an id. */
  static make(find: (id: number) => Reported | undefined): Effect.Effect<NotificationQueue> {
    return Effect.map(Queue.make<Notification, QueueError>(), (queue) => new NotificationQueue(queue, find))
  }

  private constructor(queue: Queue.Queue<Notification, QueueError>, find: (id: number) => Reported | undefined) {
    this.queue = queue
    this.#find = find
  }

  /** How many notifications a consumer can take now. */
  get length(): number {
    return this.queue.messages.length
  }

  /** Whether it still takes notifications in. */
  get isOpen(): boolean {
    return this.queue.state._tag === "Open"
  }

  /** Whether a consumer waits in it. */
  get hasTakers(): boolean {
    const { state } = this.queue
    return state._tag !== "Done" && state.takers.size > 0
  }

  /** Calls back whenever a consumer begins to wait in it. */
  onTaker(callback: () => void): void {
    class Takers<T> extends Set<T> {
      override add(taker: T): this {
        callback()
        return super.add(taker)
      }
    }
    const { state } = this.queue
    if (state._tag === "Open") this.queue.state = { ...state, takers: new Takers(state.takers) }
  }

  /** Takes everything that is in it. */
  get takeAll(): Effect.Effect<Array<Notification>, PollerError> {
    return Queue.clear(this.queue)
  }

  /** Returns once a notification is there, and takes nothing. */
  get arrival(): Effect.Effect<Notification, QueueError> {
    return Queue.peek(this.queue)
  }

  /** Whether the last notification of a registration has not been taken. */
  has(reported: Reported): boolean {
    return reported.last !== undefined && reported.place >= this.#queued - this.length
  }

  /**
   * Collects a report. Returns whether it was merged into a notification that has not been taken.
   */
  report(reported: Reported, bits: number): boolean {
    if (this.has(reported)) {
      reported.last!.bits |= bits
      return true
    }
    const { items } = this.#collected
    reported.place = this.#queued + items.length
    reported.chunk = this.#collected
    reported.last = new NotificationImpl(reported.id, bits)
    items.push(reported.last)
    return false
  }

  /**
   * Withdraws the notification of a registration, if it has not been taken: another one moves to
   * its place.
   */
  withdraw(reported: Reported): void {
    const { messages } = this.queue
    if (this.has(reported)) {
      // Of those in the queue the first can be removed, of those collected the last.
      const other = reported.place < this.#queued ? MutableList.take(messages) : this.#collected.items.pop()
      if (other instanceof NotificationImpl && other !== reported.last) this.#move(other, reported)
    }
    reported.last = undefined
    reported.chunk = undefined
    // A closing queue ends with its last notification. It must not wait for the one that was just
    // withdrawn.
    if (this.queue.state._tag === "Closing" && messages.length === 0) {
      this.#finalize(() => void Effect.runSyncExit(Queue.clear(this.queue)))
    }
  }

  #move(notification: NotificationImpl, to: Reported): void {
    const { chunk, place } = to
    chunk!.items[place - chunk!.first] = notification
    const owner = this.#find(notification.id)
    if (owner === undefined) return
    owner.place = place
    owner.chunk = chunk
  }

  /**
   * Puts what was collected into the queue. Returns how many notifications those are. Call
   * `resumeTakers` after that.
   */
  flush(): number {
    if (!this.isOpen) {
      this.#collected = emptyChunk(this.#queued)
      return 0
    }
    const { items } = this.#collected
    const count = items.length
    if (count === 0) return 0
    // As Queue.offerAllUnsafe does, less the task that it schedules to resume takers: that costs a
    // turn of the event loop. Marked as immutable, for otherwise the queue would move its elements
    // about.
    MutableList.appendAllUnsafe(this.queue.messages, items, false)
    this.#chunks.push(this.#collected)
    this.#queued += count
    this.#collected = emptyChunk(this.#queued)
    this.#forgetTaken(this.#queued - this.length)
    return count
  }

  /** Resumes the consumers that wait, in this turn of the event loop. */
  resumeTakers(): void {
    for (;;) {
      try {
        return Queue.flushUnsafe(this.queue)
      } catch (thrown) {
        // By a consumer that has been taken off the list: there is one less of them each time.
        reportUncaught(thrown)
      }
    }
  }

  /**
   * Releases the notifications of chunks that were taken whole: a registration keeps its last
   * chunk.
   */
  #forgetTaken(front: number): void {
    while (this.#chunks.length > 0) {
      const { 0: chunk } = this.#chunks
      if (chunk!.first + chunk!.items.length > front) return
      chunk!.items = []
      this.#chunks.shift()
    }
  }

  /** Consumers take what is in it, and then end or fail with this cause. */
  end(cause: Cause.Cause<QueueError>): void {
    this.#finalize(() => void Queue.failCauseUnsafe(this.queue, cause))
  }

  /**
   * Ends the queue by an action, and with it every consumer that waits: also those behind one that
   * throws.
   */
  #finalize(action: () => void): void {
    const { state } = this.queue
    const waiting =
      state._tag === "Done" ? [] : [...Array.from(state.takers, ({ resume }) => resume), ...state.awaiters]
    try {
      action()
    } catch (thrown) {
      reportUncaught(thrown)
      const ended = this.queue.state
      // A consumer that was resumed already is not resumed again.
      if (ended._tag === "Done") for (const resume of waiting) resumeFiber(resume, ended.exit)
    }
  }
}
