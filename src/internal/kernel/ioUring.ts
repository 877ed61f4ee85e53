/** io_uring(7), used for one purpose: to make many calls on sockets with one system call. */
import type { Libc } from "../libc/koffi.ts"
import type { IoUringProfile } from "../libc/profiles/ioUringProfile.ts"
import type { SubmissionQueue } from "./submissionQueue.ts"

/** Sizes of `struct io_uring_sqe` and `struct io_uring_cqe`, in words. */
const entryWords = 16
const completionWords = 4

/** Reads libuv's own switch. A reason to turn io_uring off for Node holds for this library, too. */
const isForbidden = (): boolean => process.env["UV_USE_IO_URING"] === "0"

/**
 * Opens a ring. Returns `undefined` if the system has no io_uring, or forbids it to this process,
 * as many containers do.
 */
export const openIoUring = (libc: Libc, capacity: number): SubmissionQueue | undefined => {
  const { profile } = libc
  // On a machine of 32 bits, C libraries differ in what mmap(2) takes as an offset.
  if (profile.selector !== "epoll" || profile.pointerBytes === 4 || isForbidden()) return undefined
  const { ioUring: uring } = profile
  const params = new Uint32Array(uring.paramsWords)
  const fd = setup(libc, uring, capacity, params)
  if (fd === -1) return undefined
  try {
    // Older kernels lack these calls, or wait in them.
    if ((params[uring.params.features]! & uring.FEAT_FAST_POLL) === 0) throw new Error("too old")
    return new MappedRing(libc, uring, fd, params)
  } catch {
    libc.functions.close(fd)
    return undefined
  }
}

const setup = ({ functions }: Libc, uring: IoUringProfile, capacity: number, params: Uint32Array): number => {
  // The first flags spare a lock, on kernels that know them.
  for (const flags of [uring.SETUP_SINGLE_ISSUER | uring.SETUP_COOP_TASKRUN, 0]) {
    params.fill(0)
    params[uring.params.flags] = flags
    const fd = functions.io_uring_setup(uring.setup, capacity, params)
    if (fd >= 0) return fd
  }
  return -1
}

class MappedRing implements SubmissionQueue {
  readonly capacity: number
  readonly #libc: Libc
  readonly #uring: IoUringProfile
  readonly #fd: number
  readonly #receiveFlags: number
  readonly #sendFlags: number
  readonly #mappings: ReadonlyArray<readonly [address: number, length: number]>
  /** The queue of submissions and the queue of completions. */
  readonly #words: Int32Array
  /** The entries to which the queue of submissions refers. */
  readonly #entries: Int32Array
  readonly #mask: number
  readonly #tailAt: number
  readonly #doneHeadAt: number
  readonly #doneTailAt: number
  readonly #doneMask: number
  readonly #doneAt: number
  #tail: number
  #count = 0
  /** The kernel has refused, or the ring is closed and its memory gone: no further call is made. */
  isBroken = false

  constructor(libc: Libc, uring: IoUringProfile, fd: number, params: Uint32Array) {
    const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
    this.#libc = libc
    this.#uring = uring
    this.#fd = fd
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
    // The queue names entries by their number. Each place names the entry of its own number.
    for (let i = 0; i < this.capacity; i++) this.#words[word(at.array) + i] = i
  }

  receive(fd: number, address: number, length: number): void {
    this.#queue(this.#uring.OP_RECV, fd, address, length, this.#receiveFlags)
  }

  send(fd: number, address: number, length: number): void {
    this.#queue(this.#uring.OP_SEND, fd, address, length, this.#sendFlags)
  }

  #queue(operation: number, fd: number, address: number, length: number, flags: number): void {
    const index = this.#count++
    if (this.isBroken) return
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
    const done = this.isBroken ? 0 : this.#enter(count)
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

  /** Submits the queued calls. Returns the number that are done: all, unless the kernel refuses. */
  #enter(count: number): number {
    const { errno, functions, profile } = this.#libc
    const { ENTER_GETEVENTS, enter } = this.#uring
    const words = this.#words
    Atomics.store(words, this.#tailAt, this.#tail)
    let left = count
    for (;;) {
      const missing = count - this.#done
      if (left === 0 && missing === 0) return count
      // Waits only for calls that the kernel took without completing them.
      const flags = left === 0 ? ENTER_GETEVENTS : 0
      const taken = functions.io_uring_enter(enter, this.#fd, left, left === 0 ? missing : 0, flags, null, 0)
      if (taken >= 0) left -= taken
      if ((taken === -1 && errno() !== profile.errno.EINTR) || (taken === 0 && left > 0)) {
        this.isBroken = true
        return this.#done
      }
    }
  }

  get #done(): number {
    return (Atomics.load(this.#words, this.#doneTailAt) - this.#words[this.#doneHeadAt]!) | 0
  }

  #unmap(mappings: ReadonlyArray<readonly [number, number]>): void {
    // It fails only for an address that is no mapping.
    for (const [address, length] of mappings) this.#libc.functions.munmap(address, length)
  }

  close(): void {
    this.isBroken = true
    this.#unmap(this.#mappings)
    this.#libc.functions.close(this.#fd)
  }
}
