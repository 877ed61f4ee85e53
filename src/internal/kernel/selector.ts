/**
 * The kernel's poller behind one small interface, so that nothing above knows which kernel facility it talks to.
 *
 * It is written for epoll and kqueue alike: interest and readiness are bits of our own, a wake-up is a method and not a
 * descriptor, and a batch may hold two entries for one registration (kqueue has one filter for reading and one for
 * writing), for what comes out is merged by id further up.
 *
 * Everything here is plain synchronous TypeScript: the polling thread runs it without loading `effect`.
 */

/** What is asked for. */
export const Interest = {
  Read: 1,
  Write: 2,
  Priority: 4,
  /** Report once, then stay silent until modified. */
  Oneshot: 8,
  /** Of several pollers that watch one descriptor, wake only one. */
  Exclusive: 16
} as const

/** What is reported. */
export const Readiness = {
  Readable: 1,
  Writable: 2,
  ReadClosed: 4,
  WriteClosed: 8,
  Error: 16,
  Priority: 32
} as const

/** Structured-cloneable: with it another thread of this process opens the same selector. */
export interface SelectorHandle {
  readonly fd: number
  /** The descriptor that wakes the waiter, or -1 where the kernel needs none for it. */
  readonly wake: number
  /** What threads tell each other of registrations, where the kernel does not. */
  readonly watched?: SharedArrayBuffer
}

/** One timer of the kernel's, for all the timers of one thread: its expiry is reported to its mailbox as id 0. */
export interface Alarm {
  /** Milliseconds on the clock that never goes back, with a fraction. */
  readonly now: () => number
  /** Goes off once, at that time or as soon afterwards as can be; in place of what was set before. */
  readonly set: (deadline: number) => void
  readonly close: () => void
}

/** What is reported because a program says so. Usable from every thread. */
export interface Trigger {
  /** What another thread needs in order to open it. */
  readonly handle: number
  readonly trigger: () => void
  /** Answers whether it was triggered since the last time, and forgets it. */
  readonly reset: () => boolean
  readonly close: () => void
}

/** The handle of a trigger that exists on one thread only, as in the poller for tests. */
export const localTrigger = -1

export interface Selector {
  readonly handle: SelectorHandle
  /** What the calls of `add`, `modify` and `remove` are named in an error. */
  readonly syscalls: { readonly add: string; readonly modify: string; readonly remove: string }
  /** The bits of interest that this kernel has nothing for. `add` and `modify` answer EINVAL to them. */
  readonly lacks: number

  /** Watches a descriptor, reporting to a mailbox under an id. Answers 0, or the errno. */
  readonly add: (fd: number, interest: number, mailbox: number, id: number) => number
  /** Changes what is watched, and reports present readiness again. Answers 0, or the errno. */
  readonly modify: (fd: number, interest: number, mailbox: number, id: number) => number
  /** Answers 0, or the errno. */
  readonly remove: (fd: number) => number

  /** Whether the kernel has a descriptor under an id, or `undefined` if it does not tell. Slow, for cases of doubt. */
  readonly isRegisteredAs: (fd: number, id: number) => boolean | undefined

  /**
   * Waits in the kernel and says how many entries `mailbox`, `low`, `high` and `readiness` now answer for. A timeout in
   * milliseconds, 0 to poll. A signal ends it early with no entries. Throws `SystemCallError`.
   */
  readonly wait: (timeout: number) => number
  /** As many entries as one `wait` can report: fewer means that nothing else was ready. */
  readonly capacity: number
  /** 0 is a wake-up. */
  readonly mailbox: (index: number) => number
  readonly low: (index: number) => number
  readonly high: (index: number) => number
  readonly readiness: (index: number) => number

  /** Opens the alarm of a mailbox. Throws `SystemCallError`. */
  readonly openAlarm: (mailbox: number) => Alarm
  /** Opens something to trigger, reported to a mailbox under an id. Throws `SystemCallError`. */
  readonly openTrigger: (mailbox: number, id: number) => Trigger

  /** Makes the `wait` of whichever thread is in it, or the next one, return. */
  readonly wake: () => void
  readonly close: () => void
}
