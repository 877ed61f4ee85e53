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
import { closed } from "./failure.ts"
import type { Alarm } from "./selector/selector.ts"
import { highBits, joinId, Readiness } from "./selector/selector.ts"
import { Timers } from "./timers.ts"

/** What stands behind a registration where that is more than a descriptor. */
export interface Source {
  /** Asked once for each report, as it arrives: whether it still holds. Runs no consumer. */
  readonly admit?: () => boolean
  /** Takes a report in place of the queue, if someone waits for just this one; answers whether it did. */
  consume?: (() => boolean) | undefined
  /** Told that nothing more will be reported, and why. */
  end?: ((error: PollerError) => void) | undefined
}

/** One thing that this thread has registered. */
export interface Registration {
  readonly id: number
  /** Its descriptor, or -1 if it has none of the user's. */
  readonly fd: number
  readonly exclusive: boolean
  readonly source: Source | undefined
  /** The notification made last for it, and its place among all that were ever queued. */
  last: NotificationImpl | undefined
  place: number
}

export type NotificationQueue = Queue.Queue<Notification, PollerError | Cause.Done>

export class Dispatcher {
  readonly queue: NotificationQueue
  readonly #byId = new Map<number, Registration>()
  readonly #byFd = new Map<number, Registration>()
  /** Reported to sources that may take them; each is asked once the batch is complete. */
  #consumable: Array<{ readonly registration: Registration; readonly bits: number }> = []
  #timers: Timers | undefined
  #expired = false
  /** The timers that went off once, in the order of their notifications. */
  #fired: Array<Registration> = []
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
    this.#byFd.set(fd, this.#note({ id, fd, exclusive, source: undefined, last: undefined, place: -1 }))
    return previous !== undefined
  }

  /** Notes something that has an id and no descriptor of the user's. */
  addSource(id: number, source: Source | undefined): Registration {
    return this.#note({ id, fd: -1, exclusive: false, source, last: undefined, place: -1 })
  }

  #note(registration: Registration): Registration {
    this.#byId.set(registration.id, registration)
    return registration
  }

  /** The timers of this thread, on an alarm that is opened for the first. */
  timers(open: () => Alarm): Timers {
    return (this.#timers ??= new Timers(open()))
  }

  /** Ends a timer. Answers whether it was one that has not been reported to anybody yet. */
  cancelTimer(id: number): boolean {
    const registration = this.#byId.get(id)
    if (registration === undefined || this.#timers === undefined) return false
    // One that has gone off still counts while nobody has seen it.
    if (!this.#timers.cancel(id) && !(this.#fired.includes(registration) && this.#isWaiting(registration))) return false
    this.remove(registration)
    return true
  }

  /** Forgets a registration, and takes back what is on its way to a consumer. */
  remove(registration: Registration): void {
    this.#byId.delete(registration.id)
    if (this.#byFd.get(registration.fd) === registration) this.#byFd.delete(registration.fd)
    this.withdraw(registration)
  }

  /** Takes back a notification that nobody has taken yet. */
  withdraw(registration: Registration): void {
    const last = registration.last
    if (last === undefined || !this.#isWaiting(registration)) return
    registration.last = undefined
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

  /** Whether its last notification has not been taken yet. */
  #isWaiting(registration: Registration): boolean {
    return registration.last !== undefined && registration.place >= this.#front
  }

  #renumber(notifications: ReadonlyArray<NotificationImpl>, first: number): void {
    for (let i = 0; i < notifications.length; i++) {
      const registration = this.#byId.get(notifications[i]!.id)
      if (registration !== undefined) registration.place = first + i
    }
  }

  /** Takes one entry of a batch. */
  readonly accept = (low: number, word: number): void => {
    const id = joinId(low, word)
    if (id === 0) {
      this.#expired = true
      return
    }
    const registration = this.#byId.get(id)
    if (registration === undefined) return
    const bits = word >>> highBits
    const { source } = registration
    if (source !== undefined) {
      if (source.admit?.() === false) return
      if (source.consume !== undefined) {
        this.#consumable.push({ registration, bits })
        return
      }
    }
    this.#report(registration, bits)
  }

  #report(registration: Registration, bits: number): void {
    if (this.#isWaiting(registration)) {
      registration.last!.bits |= bits
      this.merged++
      return
    }
    registration.place = this.#queued + this.#batch.length
    registration.last = new NotificationImpl(registration.id, bits)
    this.#batch.push(registration.last)
  }

  /** Hands the batch to the queue and runs whoever waits for it, in this very turn of the event loop. */
  flush(): void {
    if (this.#expired) this.#expireTimers()
    if (this.#consumable.length > 0) this.#offerToSources()
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

  #expireTimers(): void {
    this.#expired = false
    this.#timers?.expire((id) => {
      const registration = this.#byId.get(id)
      if (registration === undefined) return
      this.#report(registration, Readiness.Readable)
      if (!this.#timers!.has(id)) this.#fired.push(registration)
    })
    // Those that were taken are finished.
    const waiting = this.#fired.findIndex((registration) => this.#isWaiting(registration))
    for (const { id } of this.#fired.splice(0, waiting === -1 ? this.#fired.length : waiting)) this.#byId.delete(id)
  }

  #offerToSources(): void {
    const consumable = this.#consumable
    this.#consumable = []
    for (const { bits, registration } of consumable) {
      // One consumer may have ended another's registration.
      if (this.#byId.get(registration.id) !== registration) continue
      if (registration.source?.consume?.() === true) this.notifications++
      else this.#report(registration, bits)
    }
  }

  /** Consumers take what is there already, and then see the end. */
  end(): void {
    this.#finish(closed(), Cause.fail(Cause.Done()))
  }

  /** Consumers take what is there already, and then fail. */
  fail(error: PollerError): void {
    this.#finish(error, Cause.fail(error))
  }

  #finish(error: PollerError, cause: Cause.Cause<PollerError | Cause.Done>): void {
    this.flush()
    Queue.failCauseUnsafe(this.queue, cause)
    this.#timers?.close()
    this.#timers = undefined
    for (const { source } of this.#byId.values()) source?.end?.(error)
  }
}
