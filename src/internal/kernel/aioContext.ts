/**
 * Contexts of Linux AIO. A context belongs to the process, and not to a thread: it stays when its
 * thread ends, and any thread can use it afterwards, or destroy it.
 *
 * To destroy one takes the kernel some 30 ms, during which the calling thread is blocked. So each is
 * used for as long as possible: by the next thread that takes the same mailbox, and by the next
 * poller of the main thread.
 */
import { isMainThread } from "node:worker_threads"
import type { Libc } from "../libc/koffi.ts"
import type { AioCalls } from "../libc/profiles/aioProfile.ts"

/**
 * A word of 64 bits in memory that the threads of a poller share. It has the address of a context,
 * or 0. The kernel writes it, so a thread that is terminated meanwhile loses no context.
 */
export type ContextPlace = BigInt64Array<ArrayBufferLike>

/** The calls for whose results each context has room: another queue may have it next. */
export const contextCapacity = 128

/**
 * A context that a poller of the main thread has left, or 0. The kernel destroys it with the process.
 */
let spare = 0

/** The numbers of the calls on this machine, if it has them. */
export const aioCalls = ({ profile }: Libc): AioCalls | undefined =>
  profile.selector === "epoll" ? profile.aio.calls[process.arch] : undefined

/**
 * Returns the context that a place has, or puts one there. Returns 0 if the kernel has none to give:
 * all processes together may have a limited number (`/proc/sys/fs/aio-max-nr`).
 */
export const openContext = (libc: Libc, calls: AioCalls, place: ContextPlace): number => {
  if (place[0] === 0n) {
    if (spare !== 0) {
      Atomics.store(place, 0, BigInt(spare))
      spare = 0
    } else if (libc.functions.io_setup(calls.setup, contextCapacity, place) !== 0) return 0
  }
  return Number(Atomics.load(place, 0))
}

/** Takes the context out of a place, and destroys it. */
export const destroyContext = (libc: Libc, calls: AioCalls, place: ContextPlace): void => {
  // If two threads do so, only one of them has it.
  const context = Number(Atomics.exchange(place, 0, 0n))
  if (context !== 0) libc.functions.io_destroy(calls.destroy, context)
}

/** Takes the context out of a place that no thread will use any more. */
export const releaseContext = (libc: Libc, place: ContextPlace): void => {
  const calls = aioCalls(libc)
  if (calls === undefined) return
  // No thread could destroy what a worker keeps, after that has been terminated.
  if (!isMainThread || spare !== 0) return destroyContext(libc, calls, place)
  spare = Number(Atomics.exchange(place, 0, 0n))
}
