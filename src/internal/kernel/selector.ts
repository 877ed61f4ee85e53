/**
 * The kernel's poller behind one small interface. Nothing above it knows which kernel facility is
 * in use.
 *
 * The interface fits epoll, kqueue and the polls of Windows alike. Interest and readiness are bits of the library's own.
 * A wake-up is a method and not a descriptor. One batch may hold two entries for one registration,
 * because a kqueue has one filter for reading and one for writing; the dispatcher merges them by
 * id.
 *
 * This is plain synchronous TypeScript, which the polling thread runs without loading `effect`.
 */

/** What a registration asks for. */
export const Interest = {
  Read: 1,
  Write: 2,
  Priority: 4,
  /** Report once, then stay silent until modified. */
  Oneshot: 8,
  /** Of several pollers that watch one descriptor, wake only one. */
  Exclusive: 16
} as const

/** What the kernel reports. */
export const Readiness = {
  Readable: 1,
  Writable: 2,
  ReadClosed: 4,
  WriteClosed: 8,
  Error: 16,
  Priority: 32
} as const

/** Opens the same selector on another thread of this process. It can be cloned and posted. */
export interface SelectorHandle {
  readonly fd: number
  /** The descriptor that wakes the waiting thread, or -1 if the kernel needs none. */
  readonly wake: number
  /** Which registration each number belongs to: `owners.ts`. */
  readonly owners: SharedArrayBuffer
  /** What the threads know of each other's registrations, if the kernel does not. */
  readonly knotes?: SharedArrayBuffer
  /** On Windows, the device that polls sockets, and `afdMemory.ts`. */
  readonly afd?: { readonly device: number; readonly memory: SharedArrayBuffer }
}

/**
 * One kernel timer for all timers of a thread. It reports its expiry to the thread's mailbox as id
 * 0.
 */
export interface Alarm {
  /** Returns milliseconds, with a fraction, on a clock that never goes back. */
  readonly now: () => number
  /**
   * Expires once, at the deadline or as soon afterwards as possible. Replaces an earlier deadline.
   * Throws `SystemCallError`.
   */
  readonly set: (deadline: number) => void
  readonly close: () => void
}

/** An event that a program triggers. Usable from every thread. */
export interface Trigger {
  /** What another thread needs to open it. */
  readonly handle: number
  /** What it needs beside that, if the kernel does not keep it. */
  readonly memory?: SharedArrayBuffer
  /** Returns 0, or the errno. */
  readonly trigger: () => number
  /** Returns whether it was triggered since the last reset. */
  readonly reset: () => boolean
  readonly close: () => void
}

/** The handle of a trigger that works on one thread only, as in the poller for tests. */
export const localTrigger = -1

/**
 * A set of descriptors that reports each for as long as it is ready. It is a descriptor itself,
 * readable while one of the set is ready.
 */
export interface LevelSet {
  readonly fd: number
  /**
   * Sets what a descriptor is watched for, by bits of `Interest`. With 0 it is watched no longer.
   * Returns 0, or the errno.
   */
  readonly update: (fd: number, interest: number) => number
  /**
   * Returns how many descriptors are ready now, which `ready` and `readiness` then describe. If
   * there are more than one look can report, the next reports others. Throws `SystemCallError`.
   */
  readonly look: () => number
  readonly ready: (index: number) => number
  readonly readiness: (index: number) => number
  readonly close: () => void
}

export interface Selector {
  readonly handle: SelectorHandle
  /** How errors name the calls behind `add`, `modify` and `remove`. */
  readonly syscalls: { readonly add: string; readonly modify: string; readonly remove: string }
  /**
   * The bits of interest that this kernel does not support. `add` and `modify` return EINVAL for
   * them.
   */
  readonly lacks: number

  /**
   * Watches a descriptor, and reports to a mailbox under an id. Returns 0, the errno, or
   * `Refused.Library` in place of EEXIST.
   */
  readonly add: (fd: number, interest: number, mailbox: number, id: number) => number
  /**
   * Changes what is watched, and reports present readiness again. Returns 0, the errno, or why this
   * was `Refused`: the descriptor is not registered under this id.
   */
  readonly modify: (fd: number, interest: number, mailbox: number, id: number) => number
  /**
   * Removes the registration of a descriptor if it has this id, or whichever id it has if there is
   * none. Returns 0, the errno, or why this was `Refused`.
   */
  readonly remove: (fd: number, id?: number) => number

  /**
   * Called when an attempt has found that the descriptor is not ready any more. From then on its
   * readiness is reported again. Missing where the kernel reports each edge by itself.
   */
  readonly rearm?: (fd: number, interest: number) => void

  /**
   * Returns what a descriptor is ready for at this moment, 0 if there is nothing, or the negated
   * errno. The descriptor need not be registered.
   */
  readonly readinessNow: (fd: number, interest: number) => number
  /**
   * Opens a level-triggered set. Throws `SystemCallError`, or `UnsupportedSystem` where the kernel
   * has none.
   */
  readonly openLevelSet: () => LevelSet

  /** Whether a descriptor is one that the library opened and registered here. */
  readonly isOwn: (fd: number) => boolean

  /**
   * Waits in the kernel. Returns the number of entries that `mailbox`, `low`, `high` and
   * `readiness` then describe. The timeout is in milliseconds: 0 polls, and a negative one never
   * ends. A signal ends the wait early, without entries. Throws `SystemCallError`.
   */
  readonly wait: (timeout: number) => number
  /** The most entries that one `wait` can report. If it reports fewer, nothing else was ready. */
  readonly capacity: number
  /** Returns the mailbox of an entry. 0 is a wake-up. */
  readonly mailbox: (index: number) => number
  readonly low: (index: number) => number
  readonly high: (index: number) => number
  readonly readiness: (index: number) => number

  /** Opens the alarm of a mailbox. Throws `SystemCallError`. */
  readonly openAlarm: (mailbox: number) => Alarm
  /** Opens a trigger that is reported to a mailbox under an id. Throws `SystemCallError`. */
  readonly openTrigger: (mailbox: number, id: number) => Trigger

  /** Ends the `wait` that a thread is in, or else the next one. */
  readonly wake: () => void
  readonly close: () => void
}
