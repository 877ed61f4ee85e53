/**
 * What happens to a batch on the thread that consumes it: ids become notifications in one queue, merged while they wait
 * there; ids that were deregistered vanish.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Notification } from "../Notification.ts"
import type { PollerError } from "../PollerError.ts"
import { highBits, joinId } from "./selector/selector.ts"
import type { Reported } from "./waiting.ts"
import { Waiting } from "./waiting.ts"

/** One descriptor that this thread has registered. */
export interface Registration extends Reported {
  readonly fd: number
  readonly exclusive: boolean
}

export type NotificationQueue = Queue.Queue<Notification, PollerError | Cause.Done>

export class Dispatcher {
  readonly queue: NotificationQueue
  readonly #byId = new Map<number, Registration>()
  readonly #byFd = new Map<number, Registration>()
  readonly #waiting = new Waiting((id) => this.#byId.get(id))
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
   * descriptor was closed, or another thread has deregistered it.
   */
  add(id: number, fd: number, exclusive: boolean): void {
    const previous = this.#byFd.get(fd)
    if (previous !== undefined) this.remove(previous)
    const registration: Registration = { id, fd, exclusive, last: undefined, place: -1, batch: undefined }
    this.#byId.set(id, registration)
    this.#byFd.set(fd, registration)
  }

  /** How many descriptors this thread has registered. */
  get registrations(): number {
    return this.#byFd.size
  }

  /** Forgets a registration, and takes back what is on its way to a consumer. */
  remove(registration: Registration): void {
    this.#byId.delete(registration.id)
    if (this.#byFd.get(registration.fd) === registration) this.#byFd.delete(registration.fd)
    this.#waiting.withdraw(registration, this.queue.messages)
  }

  /** Takes one entry of a batch. */
  readonly accept = (low: number, word: number): void => {
    const registration = this.#byId.get(joinId(low, word))
    if (registration === undefined) return
    if (this.#waiting.report(registration, word >>> highBits, this.queue.messages)) this.merged++
  }

  /** Hands the batch to the queue and runs whoever waits for it, in this very turn of the event loop. */
  flush(): void {
    if (this.queue.state._tag !== "Open") return this.#waiting.clear()
    // As Queue.offerAllUnsafe does, less the task it would schedule to release the takers: that costs a turn of the loop.
    const count = this.#waiting.flush(this.queue.messages)
    if (count === 0) return
    this.notifications += count
    this.batches++
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
