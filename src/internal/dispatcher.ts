/**
 * What happens to a batch on the thread that consumes it: ids become notifications in one queue, merged while they wait
 * there; ids that were deregistered vanish.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import type { Notification } from "../Notification.ts"
import type { PollerError } from "../PollerError.ts"
import { NotificationImpl } from "./notification.ts"
import { highBits, joinId } from "./selector/selector.ts"

/** One descriptor that this thread has registered. */
export interface Registration {
  readonly id: number
  readonly fd: number
  readonly exclusive: boolean
  /** The notification made last for it, and its place among all that were ever queued. */
  last: NotificationImpl | undefined
  place: number
}

export type NotificationQueue = Queue.Queue<Notification, PollerError | Cause.Done>

export class Dispatcher {
  readonly queue: NotificationQueue
  readonly #byId = new Map<number, Registration>()
  readonly #byFd = new Map<number, Registration>()
  /** Accepted, and not yet in the queue. */
  #batch: Array<NotificationImpl> = []
  /** How many notifications the queue was ever given, so that a place below `#queued - queue.messages.length` is taken. */
  #queued = 0
  notifications = 0
  merged = 0
  batches = 0

  constructor(queue: NotificationQueue) {
    this.queue = queue
  }

  static readonly make: Effect.Effect<Dispatcher> = Effect.map(
    Queue.make<Notification, PollerError | Cause.Done>(),
    (queue) => new Dispatcher(queue)
  )

  byFd(fd: number): Registration | undefined {
    return this.#byFd.get(fd)
  }

  byId(id: number): Registration | undefined {
    return this.#byId.get(id)
  }

  /**
   * Notes a registration that the kernel has accepted. Whatever was known of the same number before is gone: its
   * descriptor must have been closed. Answers whether there was such a thing.
   */
  add(id: number, fd: number, exclusive: boolean): boolean {
    const previous = this.#byFd.get(fd)
    if (previous !== undefined) this.remove(previous)
    const registration: Registration = { id, fd, exclusive, last: undefined, place: -1 }
    this.#byId.set(id, registration)
    this.#byFd.set(fd, registration)
    return previous !== undefined
  }

  /** Forgets a registration, and takes back what is on its way to a consumer. */
  remove(registration: Registration): void {
    this.#byId.delete(registration.id)
    if (this.#byFd.get(registration.fd) === registration) this.#byFd.delete(registration.fd)
    const last = registration.last
    if (last === undefined || registration.place < this.#front) return
    if (registration.place >= this.#queued) {
      this.#batch = this.#batch.filter((each) => each !== last)
      this.#renumber(this.#batch, this.#queued)
      return
    }
    const messages = this.queue.messages
    MutableList.remove(messages, last)
    this.#renumber(MutableList.toArray(messages), this.#front)
  }

  /** The place of the first notification that is still in the queue. */
  get #front(): number {
    return this.#queued - this.queue.messages.length
  }

  #renumber(notifications: ReadonlyArray<NotificationImpl>, first: number): void {
    for (let i = 0; i < notifications.length; i++) {
      const registration = this.#byId.get(notifications[i]!.id)
      if (registration !== undefined) registration.place = first + i
    }
  }

  /** Takes one entry of a batch. */
  readonly accept = (low: number, word: number): void => {
    const registration = this.#byId.get(joinId(low, word))
    if (registration === undefined) return
    const bits = word >>> highBits
    if (registration.last !== undefined && registration.place >= this.#front) {
      registration.last.bits |= bits
      this.merged++
      return
    }
    registration.place = this.#queued + this.#batch.length
    registration.last = new NotificationImpl(registration.id, bits)
    this.#batch.push(registration.last)
  }

  /** Hands the batch to the queue and runs whoever waits for it, in this very turn of the event loop. */
  flush(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.notifications += batch.length
    this.batches++
    if (this.queue.state._tag !== "Open") return
    // As Queue.offerAllUnsafe does, less the task it would schedule to release the takers: that costs a turn of the loop.
    this.#queued += MutableList.appendAllUnsafe(this.queue.messages, batch, true)
    Queue.flushUnsafe(this.queue)
  }

  /** Consumers take what is there already, and then see the end. */
  end(): void {
    this.flush()
    Queue.endUnsafe(this.queue)
  }

  /** Consumers take what is there already, and then fail. */
  fail(error: PollerError): void {
    this.flush()
    Queue.failCauseUnsafe(this.queue, Cause.fail(error))
  }
}
