/**
 * The notifications that wait to be taken: one for each registration, merged in place, and taken back in constant time.
 *
 * They lie in the queue that consumers take from, which tells nobody what was taken. But this is its only producer and it
 * is first in, first out: the count of all that were ever put in, less those that are in it now, is the place of the
 * first that has not been taken.
 */
import * as MutableList from "effect/MutableList"
import type { MutableList as List } from "effect/MutableList"
import { NotificationImpl } from "./notification.ts"

/** Where the last notification of a registration is, for as long as nobody has taken it. */
export interface Reported {
  readonly id: number
  last: NotificationImpl | undefined
  /** Among all that were ever put in. */
  place: number
  batch: Batch | undefined
}

/** What was put in at one time. The array is the queue's own, so that a notification in it can be replaced. */
interface Batch {
  items: ReadonlyArray<NotificationImpl>
  /** The place of its first. */
  readonly first: number
}

export class Waiting {
  readonly #find: (id: number) => Reported | undefined
  /** Collected, and not yet in the queue. */
  #items: Array<NotificationImpl> = []
  #batch: Batch = { items: this.#items, first: 0 }
  /** How many were ever put into the queue. */
  #queued = 0
  /** The batches of which something may still be in the queue, the oldest first. */
  readonly #open: Array<Batch> = []

  constructor(find: (id: number) => Reported | undefined) {
    this.#find = find
  }

  /** Whether the last notification of a registration has not been taken. */
  has(reported: Reported, queue: { readonly length: number }): boolean {
    return reported.last !== undefined && reported.place >= this.#queued - queue.length
  }

  /** Reports readiness. Answers whether it could be merged into a notification that waits. */
  report(reported: Reported, bits: number, queue: { readonly length: number }): boolean {
    if (this.has(reported, queue)) {
      reported.last!.bits |= bits
      return true
    }
    reported.place = this.#queued + this.#items.length
    reported.batch = this.#batch
    reported.last = new NotificationImpl(reported.id, bits)
    this.#items.push(reported.last)
    return false
  }

  /** Takes back a notification that nobody has taken yet: another one takes its place. */
  withdraw(reported: Reported, queue: List<NotificationImpl>): void {
    if (this.has(reported, queue)) {
      // Of those that are in the queue the first can be removed, of those that are not the last.
      const other = reported.place < this.#queued ? MutableList.take(queue) : this.#items.pop()
      if (other instanceof NotificationImpl && other !== reported.last) this.#move(other, reported)
    }
    reported.last = undefined
    reported.batch = undefined
  }

  #move(notification: NotificationImpl, to: Reported): void {
    const { batch, place } = to
    ;(batch!.items as Array<NotificationImpl>)[place - batch!.first] = notification
    const owner = this.#find(notification.id)
    if (owner === undefined) return
    owner.place = place
    owner.batch = batch
  }

  /** Puts what was collected into the queue. Answers how many those are. */
  flush(queue: List<NotificationImpl>): number {
    const count = this.#items.length
    if (count === 0) return 0
    // As one that is not to be changed: otherwise the queue would move what is in it about.
    MutableList.appendAllUnsafe(queue, this.#items, false)
    this.#open.push(this.#batch)
    this.#queued += count
    this.#items = []
    this.#batch = { items: this.#items, first: this.#queued }
    this.#forgetTaken(this.#queued - queue.length)
    return count
  }

  /** A registration keeps its last batch; that must not keep all the notifications of it. */
  #forgetTaken(front: number): void {
    while (this.#open.length > 0) {
      const { 0: batch } = this.#open
      if (batch!.first + batch!.items.length > front) return
      batch!.items = []
      this.#open.shift()
    }
  }

  /** Drops what was collected. */
  clear(): void {
    this.#items = []
    this.#batch = { items: this.#items, first: this.#queued }
  }
}
