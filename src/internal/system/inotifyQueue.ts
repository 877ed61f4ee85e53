/**
 * One inotify instance: its watches, and the queue of its events.
 *
 * The queue has positions, counted in bytes. The position at its end tells what the kernel has
 * queued up to a moment, and so which events are older than something that was looked up then.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { fromErrno } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { inotify } from "../libc/profiles/system/inotify.ts"
import { type InotifyFunctions, inotifyPrototypes } from "../libc/prototypes/system/inotify.ts"
import { type Layout, readStruct, viewOf } from "./layout.ts"

/** `struct inotify_event`: these members, and then `len` bytes of a name and zeros. */
export const inotifyEvent = {
  wd: [0, "i32"],
  mask: [4, "u32"],
  cookie: [8, "u32"],
  len: [12, "u32"]
} as const satisfies Layout

const eventSize = 16

/** An event as the kernel reports it. */
export interface RawEvent {
  readonly wd: number
  readonly mask: number
  readonly cookie: number
  /** The name's bytes, one a character: a name is in no particular encoding. */
  readonly name: string
  /** Where the event begins in the queue. */
  readonly at: number
}

/** Decodes the events of one read, the first of which begins at a position of the queue. */
export const decodeEvents = (bytes: Buffer, at: number): Array<RawEvent> => {
  const events: Array<RawEvent> = []
  const view = viewOf(bytes)
  for (let offset = 0; offset + eventSize <= bytes.length;) {
    const { cookie, len, mask, wd } = readStruct(inotifyEvent, view, offset)
    const start = offset + eventSize
    const end = bytes.indexOf(0, start)
    const name = len === 0 ? "" : bytes.toString("latin1", start, end === -1 || end > start + len ? start + len : end)
    events.push({ wd, mask, cookie, name, at: at + offset })
    offset = start + len
  }
  return events
}

/** The functions of each C library, bound once for each thread. */
const functionsOf = new WeakMap<Libc, InotifyFunctions>()

/** Returns the functions of inotify(7). */
export const bindInotify = (libc: Libc): InotifyFunctions => {
  const known = functionsOf.get(libc)
  if (known !== undefined) return known
  const functions = libc.bindMore<InotifyFunctions>(inotifyPrototypes)
  functionsOf.set(libc, functions)
  return functions
}

/** Bytes that one read may bring: some two thousand events with short names. */
const readSize = 64 * 1024
const structural = inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.IGNORED
/** How many events may come between the two halves of a rename. Usually there is none. */
const mostBetween = 4096

/** What is known about the second half of a rename. */
export type Half = RawEvent | "none" | "unknown"

export class InotifyQueue {
  readonly attachment: Attachment
  readonly owned: OwnedFd
  /** Waits for further events, and reads them. */
  readonly more: Effect.Effect<void, PollerError>
  readonly #libc: Libc
  readonly #functions: InotifyFunctions
  readonly #watchedFd: WatchedFd
  readonly #buffer = Buffer.alloc(readSize)
  readonly #available = new Int32Array(1)
  #events: Array<RawEvent> = []
  #head = 0
  #read = 0
  #error: PollerError | undefined

  constructor(attachment: Attachment, libc: Libc, fd: number) {
    this.attachment = attachment
    this.#libc = libc
    this.#functions = bindInotify(libc)
    this.#watchedFd = new WatchedFd(attachment, fd)
    this.owned = new OwnedFd(libc, fd, "this inotify instance", this.#watchedFd)
    this.more = this.#watchedFd.attempt(this.#watchedFd.reading, () => {
      const hasMore = this.readMore()
      if (this.#error !== undefined) return Effect.fail(this.#error)
      return hasMore ? Effect.void : undefined
    })
  }

  /** Adds a watch, or changes it: the path is one byte a character. Returns -errno on failure. */
  add(path: string, mask: number): number {
    const bytes = Buffer.from(`${path}\0`, "latin1")
    return retryInterrupted(this.#libc, () => this.#functions.inotify_add_watch(this.owned.fd, bytes, mask))
  }

  /** Removes a watch, unless the kernel has removed it already. */
  remove(wd: number): number {
    return retryInterrupted(this.#libc, () => this.#functions.inotify_rm_watch(this.owned.fd, wd))
  }

  /** The position at which the next event that the program takes begins. */
  get position(): number {
    return this.first?.at ?? this.#read
  }

  /** The position at the end of what the kernel has queued by now. */
  get end(): number {
    const { FIONREAD } = inotify
    const { ioctl } = this.#functions
    const result = retryInterrupted(this.#libc, () => ioctl(this.owned.fd, FIONREAD, "void *", this.#available))
    return result < 0 ? this.#read : this.#read + this.#available[0]!
  }

  get first(): RawEvent | undefined {
    return this.#events[this.#head]
  }

  /** Takes the first event. */
  take(): void {
    this.#head++
  }

  /** Reads without waiting. Returns whether there were events. */
  readMore(): boolean {
    const { functions } = this.#libc
    const count = retryInterrupted(this.#libc, () => functions.read(this.owned.fd, this.#buffer, readSize))
    if (count > 0) {
      // What is left waits for the second half of a rename.
      const left = this.#events.slice(this.#head)
      this.#events = left.concat(decodeEvents(this.#buffer.subarray(0, count), this.#read))
      this.#head = 0
      this.#read += count
      return true
    }
    if (count < 0 && count !== -this.#libc.profile.errno.EAGAIN) {
      this.#error = fromErrno("read", -count, this.#watchedFd)
    }
    return false
  }

  /**
   * Looks for the second half of a rename, whose first half is the first event. The kernel queues
   * both before it unlocks the two directories. So after another change of the first directory,
   * there is none to come.
   */
  secondHalf(): Half {
    const events = this.#events
    const { cookie, wd } = events[this.#head]!
    const last = Math.min(events.length, this.#head + mostBetween)
    for (let index = this.#head + 1; index < last; index++) {
      const event = events[index]!
      if ((event.mask & inotify.MOVED_TO) !== 0 && event.cookie === cookie) return event
      if ((event.wd === wd && (event.mask & structural) !== 0) || (event.mask & inotify.Q_OVERFLOW) !== 0) return "none"
    }
    return last < events.length ? "none" : "unknown"
  }

  /** Takes a second half that was found. */
  takeHalf(half: RawEvent): void {
    this.#events.splice(this.#events.indexOf(half, this.#head), 1)
  }
}
