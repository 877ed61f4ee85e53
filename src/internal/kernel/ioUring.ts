/**
 * io_uring(7), used for one thing: to make many calls on sockets by one system call. None of the calls waits, so all are done
 * when that one returns. What becomes ready is still the selector's to tell.
 *
 * Plain synchronous TypeScript, as a selector is.
 */
import type { Libc } from "../libc/koffi.ts"
import type { IoUringProfile } from "../libc/profiles/profile.ts"

export interface IoUring {
  readonly fd: number
  /** As many calls can be put in at a time. */
  readonly capacity: number
  readonly receive: (fd: number, address: number, length: number) => void
  readonly send: (fd: number, address: number, length: number) => void
  /** Makes all calls that were put in, in that order. Each has answered what it would have by itself, or minus the errno. */
  readonly submit: (results: Int32Array) => void
  readonly close: () => void
}

/** Words of a `struct io_uring_sqe` and a `struct io_uring_cqe`. */
const entryWords = 16
const completionWords = 4

/** libuv's own switch: who turns it off for Node has a reason that holds here, too. */
const isForbidden = (): boolean => process.env["UV_USE_IO_URING"] === "0"

/**
 * Opens one, or answers `undefined` where the system has none, or none for this process: many containers forbid it. Then
 * the calls are made one by one.
 */
export const openIoUring = (libc: Libc, capacity: number): IoUring | undefined => {
  const { profile } = libc
  if (profile.selector !== "epoll" || isForbidden()) return undefined
  const { ioUring: uring } = profile
  const params = new Uint32Array(uring.paramsWords)
  const fd = setup(libc, uring, capacity, params)
  if (fd === -1) return undefined
  try {
    // Older kernels have it without these calls, or wait in them.
    if ((params[uring.params.features]! & uring.FEAT_FAST_POLL) === 0) throw new Error("too old")
    return new Mapped(libc, uring, fd, params)
  } catch {
    libc.functions.close(fd)
    return undefined
  }
}

const setup = ({ functions }: Libc, uring: IoUringProfile, capacity: number, params: Uint32Array): number => {
  // The first is spared a lock, where the kernel knows it.
  for (const flags of [uring.SETUP_SINGLE_ISSUER | uring.SETUP_COOP_TASKRUN, 0]) {
    params.fill(0)
    params[uring.params.flags] = flags
    const fd = functions.io_uring_setup(uring.setup, capacity, params)
    if (fd >= 0) return fd
  }
  return -1
}

class Mapped implements IoUring {
  readonly capacity: number
  readonly #libc: Libc
  readonly #uring: IoUringProfile
  readonly fd: number
  readonly #receiveFlags: number
  readonly #sendFlags: number
  readonly #mappings: ReadonlyArray<readonly [address: number, length: number]>
  /** Both queues, and the entries of the first. */
  readonly #words: Int32Array
  readonly #entries: Int32Array
  readonly #mask: number
  readonly #tailAt: number
  readonly #doneHeadAt: number
  readonly #doneTailAt: number
  readonly #doneMask: number
  readonly #doneAt: number
  #tail: number
  #count = 0
  /** The kernel has refused, or it is closed and its memory gone: nothing more is made. */
  #isBroken = false

  constructor(libc: Libc, uring: IoUringProfile, fd: number, params: Uint32Array) {
    const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
    this.#libc = libc
    this.#uring = uring
    this.fd = fd
    this.#receiveFlags = MSG_DONTWAIT
    this.#sendFlags = MSG_DONTWAIT | MSG_NOSIGNAL
    const at = uring.params
    this.capacity = params[at.entries]!
    const word = (offset: number) => params[offset]! / 4
    const ringBytes = Math.max(
      params[at.array]! + this.capacity * 4,
      params[at.completions]! + params[at.completionEntries]! * completionWords * 4
    )
    const entriesBytes = this.capacity * entryWords * 4
    const mappings: Array<readonly [number, number]> = []
    const map = (length: number, offset: number): Int32Array => {
      const { PROT_READ, PROT_WRITE, MAP_SHARED } = uring.mmap
      const address = libc.functions.mmap(null, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)
      if (address === -1) {
        this.#unmap(mappings)
        throw new Error("mmap")
      }
      mappings.push([address, length])
      return new Int32Array(libc.memoryAt(address, length))
    }
    this.#words = map(ringBytes, uring.OFF_SQ_RING)
    this.#entries = map(entriesBytes, uring.OFF_SQES)
    this.#mappings = mappings
    this.#mask = this.#words[word(at.mask)]!
    this.#tailAt = word(at.tail)
    this.#tail = this.#words[this.#tailAt]!
    this.#doneHeadAt = word(at.completionHead)
    this.#doneTailAt = word(at.completionTail)
    this.#doneMask = this.#words[word(at.completionMask)]!
    this.#doneAt = word(at.completions)
    // The kernel is told of entries by their number: each stands for itself.
    for (let i = 0; i < this.capacity; i++) this.#words[word(at.array) + i] = i
  }

  receive(fd: number, address: number, length: number): void {
    this.#put(this.#uring.OP_RECV, fd, address, length, this.#receiveFlags)
  }

  send(fd: number, address: number, length: number): void {
    this.#put(this.#uring.OP_SEND, fd, address, length, this.#sendFlags)
  }

  #put(operation: number, fd: number, address: number, length: number, flags: number): void {
    const index = this.#count++
    if (this.#isBroken) return
    const entries = this.#entries
    const at = (this.#tail & this.#mask) * entryWords
    entries[at] = operation
    entries[at + 1] = fd
    entries[at + 4] = address
    entries[at + 5] = address / 2 ** 32
    entries[at + 6] = length
    entries[at + 7] = flags
    entries[at + 8] = index
    this.#tail = (this.#tail + 1) | 0
  }

  submit(results: Int32Array): void {
    const count = this.#count
    this.#count = 0
    const done = this.#isBroken ? 0 : this.#enter(count)
    // As if it would have blocked: whoever asked for it finds out by a call of its own.
    if (done < count) results.fill(-this.#libc.profile.errno.EAGAIN, 0, count)
    if (done === 0) return
    const words = this.#words
    let head = words[this.#doneHeadAt]!
    for (let i = 0; i < done; i++) {
      const at = this.#doneAt + (head & this.#doneMask) * completionWords
      results[words[at]!] = words[at + 2]!
      head = (head + 1) | 0
    }
    Atomics.store(words, this.#doneHeadAt, head)
  }

  /** Has the kernel make the calls, and answers how many are done: all but for an error that nobody knows of. */
  #enter(count: number): number {
    const { errno, functions, profile } = this.#libc
    const { ENTER_GETEVENTS, enter } = this.#uring
    const words = this.#words
    Atomics.store(words, this.#tailAt, this.#tail)
    let left = count
    for (;;) {
      const missing = count - this.#done
      if (left === 0 && missing === 0) return count
      // Only calls that were put off are waited for.
      const flags = left === 0 ? ENTER_GETEVENTS : 0
      const taken = functions.io_uring_enter(enter, this.fd, left, left === 0 ? missing : 0, flags, null, 0)
      if (taken >= 0) left -= taken
      if ((taken === -1 && errno() !== profile.errno.EINTR) || (taken === 0 && left > 0)) {
        this.#isBroken = true
        return this.#done
      }
    }
  }

  get #done(): number {
    return (Atomics.load(this.#words, this.#doneTailAt) - this.#words[this.#doneHeadAt]!) | 0
  }

  #unmap(mappings: ReadonlyArray<readonly [number, number]>): void {
    for (const [address, length] of mappings) this.#libc.functions.munmap(address, length)
  }

  close(): void {
    this.#isBroken = true
    this.#unmap(this.#mappings)
    this.#libc.functions.close(this.fd)
  }
}
