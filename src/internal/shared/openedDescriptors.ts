/**
 * Notes which thread opened which descriptor for a poller, in memory that all of its threads share.
 * A thread that is terminated closes nothing. Another thread then closes what is noted for it.
 *
 * A note is one word at the descriptor's number: the kernel's number of the thread, or 0. A thread
 * removes its note before it closes the descriptor. So a descriptor that is noted has not been
 * closed, and its number has not been reused.
 */
import { Owner, Owners } from "../kernel/owners.ts"
import type { Libc } from "../libc/koffi.ts"

/**
 * Numbers from here on are not noted. They are far above what any system lets a process open.
 * Memory below that is not used costs nothing.
 */
const ceiling = 1 << 22
const firstSize = 1024

export class OpenedDescriptors {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    // The view grows with its buffer, whichever thread grows it.
    this.#words = new Int32Array(buffer)
  }

  /** Throws `RangeError` if there is no memory. */
  static make(): OpenedDescriptors {
    return new OpenedDescriptors(new SharedArrayBuffer(firstSize * 4, { maxByteLength: ceiling * 4 }))
  }

  /** Whether a buffer can hold notes. */
  static isBuffer(buffer: SharedArrayBuffer): boolean {
    return buffer.growable && buffer.maxByteLength === ceiling * 4 && buffer.byteLength >= firstSize * 4
  }

  /** Returns the thread that has opened a descriptor, or 0. */
  threadOf(fd: number): number {
    return fd >= 0 && fd < this.#words.length ? Atomics.load(this.#words, fd) : 0
  }

  /**
   * Returns the C library with functions that note what they open for a thread. A thread without a
   * number has no notes, for no other thread could tell when it ends.
   */
  noting(libc: Libc, thread: number): Libc {
    if (thread === 0) return libc
    const { functions, profile } = libc
    const words = this.#words
    // Windows has no functions of these names. It opens handles, and says so.
    if (profile.selector === "afd") {
      return {
        ...libc,
        noteHandle: (handle, isOpen) => {
          if (handle < words.length) Atomics.store(words, handle, isOpen ? thread : 0)
          else if (isOpen) this.#noteBeyond(handle, thread)
        }
      }
    }
    // A thread may be terminated wherever it calls a function. So the note follows the system call
    // at once.
    const noted =
      <Args extends ReadonlyArray<unknown>>(open: (...args: Args) => number) =>
      (...args: Args): number => {
        const fd = open(...args)
        if (fd >= 0 && fd < words.length) Atomics.store(words, fd, thread)
        else if (fd >= 0) this.#noteBeyond(fd, thread)
        return fd
      }
    const duplicate = noted(functions.fcntl)
    const overrides: Partial<Libc["functions"]> = {
      epoll_create1: noted(functions.epoll_create1),
      eventfd: noted(functions.eventfd),
      timerfd_create: noted(functions.timerfd_create),
      io_uring_setup: noted(functions.io_uring_setup),
      socket: noted(functions.socket),
      fcntl: (fd, command, ...rest) =>
        command === profile.fcntl.F_DUPFD_CLOEXEC
          ? duplicate(fd, command, ...rest)
          : functions.fcntl(fd, command, ...rest),
      close: (fd) => {
        if (fd >= 0 && fd < words.length) Atomics.store(words, fd, 0)
        return functions.close(fd)
      }
    }
    // By its prototype, because to copy a function that this system lacks would look it up.
    const own = Object.create(functions, Object.getOwnPropertyDescriptors(overrides)) as Libc["functions"]
    return { ...libc, functions: own }
  }

  /** Notes a descriptor for which there is no room yet. Without memory it stays without a note. */
  #noteBeyond(fd: number, thread: number): void {
    if (fd >= ceiling) return
    try {
      this.buffer.grow(Math.min(Math.max(fd + 1, this.#words.length * 2), ceiling) * 4)
    } catch {
      // Another thread may have grown it to more than this one asked for.
      if (fd >= this.#words.length) return
    }
    Atomics.store(this.#words, fd, thread)
  }

  /**
   * Closes what terminated threads have left, whose numbers then have no owner among the `owners` of
   * the poller. Returns whether a thread that is alive, other than the calling one, has something
   * open.
   */
  closeLeft(
    { closeHandle, functions }: Libc,
    thread: number,
    isAlive: (thread: number) => boolean,
    owners: SharedArrayBuffer
  ): boolean {
    const owned = new Owners(owners)
    const close = closeHandle ?? functions.close
    // Of a fixed length, which V8 reads faster. It is the exchange that decides.
    const words = new Int32Array(this.buffer, 0, this.#words.length)
    const alive = new Set([thread])
    const dead = new Set<number>()
    for (let fd = 0; fd < words.length; fd++) {
      const owner = words[fd]!
      if (owner === 0 || alive.has(owner)) continue
      if (!dead.has(owner)) {
        const known = isAlive(owner) ? alive : dead
        known.add(owner)
        if (known === alive) continue
      }
      // If two threads find it dead, only one of them closes.
      if (Atomics.compareExchange(words, fd, owner, 0) !== owner) continue
      owned.lock(fd)
      close(fd)
      owned.unlock(fd, Owner.None)
    }
    return alive.size > 1
  }
}
