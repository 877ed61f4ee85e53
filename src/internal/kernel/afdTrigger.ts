/** Triggers on Windows: entries that a program posts to an I/O completion port. */
import type { AfdCalls } from "./afdCalls.ts"
import { type Afd, bindAfdCalls, closeHandle } from "./afdCalls.ts"
import { Posting, postOnce } from "./afdMemory.ts"
import type { Trigger } from "./selector.ts"
import { SystemCallError } from "./systemCallError.ts"
import { highWordOf, lowOf } from "./userData.ts"

/** The keys of the entries of a port. */
export const Key = { Wake: 0, Poll: 1, Trigger: 2 } as const

/** Words of a trigger's shared memory: whether it is posted, and the two words of its user data. */
const Posted = 0
const Low = 1
const High = 2
const words = 3

/**
 * Opens a trigger that is reported to a mailbox under an id. It has a duplicate of the port, which is
 * closed with it, or for its thread: so other threads see that it has ended. Throws
 * `SystemCallError`.
 */
export const openTrigger = (libc: Afd, calls: AfdCalls, port: number, mailbox: number, id: number): Trigger => {
  const shared = new Int32Array(new SharedArrayBuffer(words * 4))
  shared[Low] = lowOf(id)
  shared[High] = highWordOf(mailbox, id)
  return make(libc, calls, port, shared)
}

/** Opens the trigger of another thread, through a duplicate of its port. Throws `SystemCallError`. */
export const attachTrigger = (libc: Afd, handle: number, memory: SharedArrayBuffer): Trigger =>
  make(libc, bindAfdCalls(libc), handle, new Int32Array(memory))

const DUPLICATE_SAME_ACCESS = 2
/** This process. */
const self = -1

const make = (libc: Afd, calls: AfdCalls, original: number, shared: Int32Array): Trigger => {
  const copy = new BigInt64Array(1)
  if (calls.DuplicateHandle(self, original, self, copy, 0, 0, DUPLICATE_SAME_ACCESS) === 0) {
    throw new SystemCallError("DuplicateHandle", calls.lastErrno())
  }
  const port = Number(copy[0])
  libc.noteHandle?.(port, true)
  const post = (): number =>
    calls.PostQueuedCompletionStatus(port, shared[Low]! >>> 0, Key.Trigger, shared[High]! >>> 0) === 0
      ? calls.lastErrno()
      : 0
  return {
    handle: port,
    memory: shared.buffer as SharedArrayBuffer,
    trigger: () => postOnce(shared, Posted, post),
    reset: () => Atomics.exchange(shared, Posted, Posting.Idle) !== Posting.Idle,
    close: () => closeHandle(libc, calls, port)
  }
}
