/** What this thread has registered, by id and by descriptor. */
import type { RegistrationId } from "../../Notification.ts"
import type { PollerError } from "../../PollerError.ts"
import type { Batch } from "./batch.ts"
import type { Reported } from "./notificationQueue.ts"

/** What stands behind a registration that is more than a descriptor. */
export interface Source {
  /**
   * Called once for each report as it arrives. Returns whether the report still holds. Runs no
   * consumer.
   */
  readonly admit?: () => boolean
  /**
   * Called for every source of a batch before any consumes its report, so that it can queue a read.
   * Runs no consumer.
   */
  readonly readIn?: (batch: Batch, bits: number) => void
  /**
   * Consumes a report in place of the queue, if a fiber waits for just this source. Returns whether
   * it did.
   */
  consume?: ((bits: number) => boolean) | undefined
  /** Called when nothing more will be reported, with the reason. */
  end?: ((error: PollerError) => void) | undefined
}

/** One thing that this thread has registered. */
export interface Registration extends Reported {
  /** Its descriptor, or -1 if it has none of the caller's. */
  readonly fd: number
  readonly exclusive: boolean
  readonly source: Source | undefined
  /** False once it is removed. */
  isOpen: boolean
}

export class Registrations {
  readonly #byId = new Map<number, Registration>()
  /** At each descriptor's number: numbers are small, and an array takes a third of a map. */
  readonly #byFd: Array<Registration | undefined> = []
  #size = 0

  byId(id: number): Registration | undefined {
    return this.#byId.get(id)
  }

  byFd(fd: number): Registration | undefined {
    return this.#byFd[fd]
  }

  /** How many descriptors this thread has registered. */
  get size(): number {
    return this.#size
  }

  /** The sources of all registrations. */
  *sources(): Iterable<Source> {
    for (const { source } of this.#byId.values()) if (source !== undefined) yield source
  }

  /** Adds a registration, of a descriptor or, with -1 in its place, of something that has none. */
  add(id: number, fd: number, exclusive: boolean, source: Source | undefined): Registration {
    const registration = {
      id: id as RegistrationId,
      fd,
      exclusive,
      source,
      isOpen: true,
      last: undefined,
      place: -1,
      chunk: undefined
    }
    this.#byId.set(id, registration)
    if (fd !== -1) {
      if (this.#byFd[fd] === undefined) this.#size++
      this.#byFd[fd] = registration
    }
    return registration
  }

  remove(registration: Registration): void {
    registration.isOpen = false
    this.#byId.delete(registration.id)
    const { fd } = registration
    if (fd === -1 || this.#byFd[fd] !== registration) return
    this.#byFd[fd] = undefined
    this.#size--
  }

  /**
   * Removes an id that has been reported for the last time, and leaves its last notification to its
   * consumer.
   */
  removeId(id: number): void {
    this.#byId.delete(id)
  }
}
