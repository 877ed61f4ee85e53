/**
 * Notes which registration each descriptor's number belongs to, in memory that all threads of a
 * poller share.
 *
 * A descriptor may be closed behind a thread's back, and its number be registered by another thread
 * at once. The kernel knows a registration by the number alone, so the first thread would change or
 * remove what is the other's by now. A thread therefore looks here before it does either.
 *
 * To look, to make the system call, and to note the result is one step: each number has a lock.
 * There is one word a number: a bit for the lock, and above it the owner.
 */

/** What a number belongs to, beside the owners that `ownerOf` returns. */
export const Owner = {
  /** To no registration that is noted. */
  None: 0,
  /** To a descriptor that the library opened, such as that of a user event. */
  Library: 0x7fff_ffff
} as const

/** Why a selector does not make a system call, in the place of an errno. */
export const Refused = {
  /** The number belongs to another registration by now. */
  Another: -1,
  /** The number belongs to a descriptor that the library opened. */
  Library: -2
} as const

const locked = 1 << 31

const firstSize = 1024

/**
 * Numbers from here on are not noted: this is the most that Linux lets a process open by default.
 * Memory below that is not used costs nothing.
 */
const ceiling = 1 << 20

/** How often a thread looks at a lock before it sleeps: about as long as a system call takes. */
const mostLooks = 1000

/**
 * How many milliseconds a thread sleeps, at most, before it takes a lock by force. A lock is held
 * for one system call, unless the thread that holds it was terminated in the midst.
 */
const mostSleeps = 20

/** Returns the number that stands for a registration. Ids that share one are 2^31 apart. */
export const ownerOf = (id: number): number => 1 + (id % (Owner.Library - 1))

/**
 * Returns why a registration must not be changed or removed under a number, or 0. Without an id,
 * any registration may be.
 */
export const refusalOf = (owner: number, id: number | undefined): number => {
  if (owner === Owner.None) return 0
  if (owner === Owner.Library) return Refused.Library
  return id === undefined || owner === ownerOf(id) ? 0 : Refused.Another
}

export class Owners {
  readonly buffer: SharedArrayBuffer
  /**
   * What there was room for when this thread last looked. A view of fixed length is ten times as
   * fast as one that grows with its buffer.
   */
  #words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer, 0, buffer.byteLength / 4)
  }

  static make(): Owners {
    return new Owners(new SharedArrayBuffer(firstSize * 4, { maxByteLength: ceiling * 4 }))
  }

  /** Locks a number. Returns its owner. `unlock` must follow. */
  lock(fd: number): number {
    if (!this.#has(fd) && !this.#reserve(fd)) return Owner.None
    const words = this.#words
    const owner = Atomics.load(words, fd)
    if (owner >= 0 && Atomics.compareExchange(words, fd, owner, owner | locked) === owner) return owner
    return this.#waitFor(fd)
  }

  /** Notes the owner of a number, and unlocks it. */
  unlock(fd: number, owner: number): void {
    if (this.#has(fd)) Atomics.store(this.#words, fd, owner)
  }

  /** Whether a number belongs to a descriptor that the library opened. */
  isLibrary(fd: number): boolean {
    return (this.#has(fd) || this.#look(fd)) && (Atomics.load(this.#words, fd) & ~locked) === Owner.Library
  }

  #has(fd: number): boolean {
    return fd >= 0 && fd < this.#words.length
  }

  /** Makes room for a number. Returns false if there can be none. */
  #reserve(fd: number): boolean {
    if (fd < 0 || fd >= ceiling) return false
    if (this.#look(fd)) return true
    const wanted = (fd + 1) * 4
    try {
      this.buffer.grow(Math.min(Math.max(wanted, this.buffer.byteLength * 2), this.buffer.maxByteLength))
    } catch {
      // There is no memory, or another thread has grown it to more than this one asked for.
    }
    return this.#look(fd)
  }

  /** Looks for room that another thread has made. */
  #look(fd: number): boolean {
    this.#words = new Int32Array(this.buffer, 0, this.buffer.byteLength / 4)
    return this.#has(fd)
  }

  #waitFor(fd: number): number {
    const words = this.#words
    let looks = 0
    let sleeps = 0
    for (;;) {
      const word = Atomics.load(words, fd)
      if (word >= 0) {
        if (Atomics.compareExchange(words, fd, word, word | locked) === word) return word
      } else if (++looks > mostLooks) {
        if (++sleeps > mostSleeps) return word & ~locked
        Atomics.wait(words, fd, word, 1)
      }
    }
  }
}
