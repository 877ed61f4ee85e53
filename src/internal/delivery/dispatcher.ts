/**
 * What happens to a batch on the thread that consumes it: ids become notifications in one queue, merged while they wait
 * there; ids that were deregistered vanish.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Notification } from "../../Notification.ts"
import type { PollerError } from "../../PollerError.ts"
import { type Batch, capacity } from "../bytes/socketBatch.ts"
import { closed, notRegistered } from "../errors/pollerErrors.ts"
import type { Alarm } from "../kernel/selector.ts"
import { highBits, joinId, Readiness } from "../kernel/selector.ts"
import { Timers } from "./timers.ts"
import type { Reported } from "./notificationQueue.ts"
import { Waiting } from "./notificationQueue.ts"

/** What stands behind a registration where that is more than a descriptor. */
export interface Source {
  /** Asked once for each report, as it arrives: whether it still holds. Runs no consumer. */
  readonly admit?: () => boolean
  /** Asked before it consumes a report, together with others: puts in what may be read already. Runs no consumer. */
  readonly readIn?: (batch: Batch, bits: number) => void
  /** Takes a report in place of the queue, if someone waits for just this one; answers whether it did. */
  consume?: ((bits: number) => boolean) | undefined
  /** Told that nothing more will be reported, and why. */
  end?: ((error: PollerError) => void) | undefined
}

/** One thing that this thread has registered. */
export interface Registration extends Reported {
  /** Its descriptor, or -1 if it has none of the user's. */
  readonly fd: number
  readonly exclusive: boolean
  readonly source: Source | undefined
  /** Until it is removed. */
  isOpen: boolean
}

export type NotificationQueue = Queue.Queue<Notification, PollerError | Cause.Done>

export class Dispatcher {
  readonly queue: NotificationQueue
  readonly #byId = new Map<number, Registration>()
  readonly #byFd = new Map<number, Registration>()
  readonly #waiting = new Waiting((id) => this.#byId.get(id))
  /** Reported to sources that may take them; each is asked once the batch is complete. Beside each what was reported. */
  readonly #consumable: Array<Registration> = []
  readonly #consumableBits: Array<number> = []
  /** How many of them were asked: whoever is asked may have more reported, and asked, meanwhile. */
  #offered = 0
  #timers: Timers | undefined
  #expired = false
  /** The timers that went off once and may not have been reported to anybody yet. */
  readonly #fired = new Set<Registration>()
  /** By which sources read and write together, if they can. */
  batch: Batch | undefined
  /** How many wait for one descriptor; and whom to tell of another one, where nobody polls unasked. */
  waiters = 0
  onWait: (() => void) | undefined
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
  add(id: number, fd: number, exclusive: boolean, source?: Source): Registration {
    const previous = this.#byFd.get(fd)
    if (previous !== undefined) {
      this.remove(previous)
      previous.source?.end?.(
        notRegistered("this descriptor was closed or deregistered elsewhere, and its number is used anew", fd)
      )
    }
    const registration = this.#note(id, fd, exclusive, source)
    this.#byFd.set(fd, registration)
    return registration
  }

  /** Notes something that has an id and no descriptor of the user's. */
  addSource(id: number, source: Source | undefined): Registration {
    return this.#note(id, -1, false, source)
  }

  #note(id: number, fd: number, exclusive: boolean, source: Source | undefined): Registration {
    const registration = { id, fd, exclusive, source, isOpen: true, last: undefined, place: -1, batch: undefined }
    this.#byId.set(id, registration)
    return registration
  }

  /** How many descriptors this thread has registered. */
  get registrations(): number {
    return this.#byFd.size
  }

  /** Forgets a registration, and takes back what is on its way to a consumer. */
  remove(registration: Registration): void {
    registration.isOpen = false
    this.#byId.delete(registration.id)
    if (this.#byFd.get(registration.fd) === registration) this.#byFd.delete(registration.fd)
    this.withdraw(registration)
  }

  /** Takes back a notification that nobody has taken yet. */
  withdraw(registration: Registration): void {
    this.#waiting.withdraw(registration, this.queue.messages)
    // A queue that is closing is done with its last notification; taking that out here must not leave it waiting for one.
    const { messages, state } = this.queue
    if (state._tag === "Closing" && messages.length === 0) Effect.runSyncExit(Queue.clear(this.queue))
  }

  /** The timers of this thread, on an alarm that is opened for the first. */
  timers(open: () => Alarm): Timers {
    return (this.#timers ??= new Timers(open()))
  }

  /** Ends a timer. Answers whether it was one that has not been reported to anybody yet. */
  cancelTimer(id: number): boolean {
    const registration = this.#byId.get(id)
    if (registration === undefined || this.#timers === undefined) return false
    if (!this.#timers.cancel(id)) {
      // One that has gone off still counts while nobody has seen it.
      if (!this.#fired.has(registration) || !this.#waiting.has(registration, this.queue.messages)) return false
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
    const registration = this.#byId.get(id)
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
    if (this.#waiting.report(registration, bits, this.queue.messages)) this.merged++
  }

  /** Hands the batch to the queue and runs whoever waits for it, in this very turn of the event loop. */
  flush(): void {
    if (this.#expired) this.#expireTimers()
    if (this.#consumable.length > 0) this.#offerToSources()
    if (this.queue.state._tag !== "Open") return this.#waiting.clear()
    // As Queue.offerAllUnsafe does, less the task it would schedule to release the takers: that costs a turn of the loop.
    const count = this.#waiting.flush(this.queue.messages)
    if (count === 0) return
    this.notifications += count
    this.batches++
    Queue.flushUnsafe(this.queue)
  }

  #expireTimers(): void {
    this.#expired = false
    // Those that were taken meanwhile are finished.
    for (const registration of this.#fired) {
      if (this.#waiting.has(registration, this.queue.messages)) continue
      this.#fired.delete(registration)
      this.#byId.delete(registration.id)
    }
    this.#timers?.expire((id) => {
      const registration = this.#byId.get(id)
      if (registration === undefined) return
      this.#report(registration, Readiness.Readable)
      if (!this.#timers!.has(id)) this.#fired.add(registration)
    })
  }

  #offerToSources(): void {
    const { batch } = this
    while (this.#offered < this.#consumable.length) {
      // Whoever delivers in the midst of a batch is served by itself.
      const together = batch === undefined || batch.isOpen ? 1 : this.#consumable.length - this.#offered
      if (together > 1) this.#offerTogether(batch!, Math.min(together, capacity))
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
      // Whoever delivers meanwhile has served the others, too.
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
    // One consumer may have ended another's registration.
    if (!registration.isOpen) return
    if (registration.source?.consume?.(bits) === true) this.notifications++
    else this.#report(registration, bits)
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
