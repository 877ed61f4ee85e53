/**
 * Linux AIO, io_submit(2), used for one purpose: to make many calls on sockets with one system call.
 * A read or a write that must not block is made before that call returns.
 */
import type { Libc } from "../libc/koffi.ts"
import type { AioCalls } from "../libc/profiles/aioProfile.ts"
import type { EpollProfile } from "../libc/profiles/epollProfile.ts"
import { aioCalls, contextCapacity, type ContextPlace, destroyContext, openContext } from "./aioContext.ts"
import { AioEntries } from "./aioEntries.ts"
import { AioRing, copyResult, eventWords } from "./aioRing.ts"
import type { SubmissionQueue } from "./submissionQueue.ts"

/** Words that are enough for the `struct sigaction` of any C library. */
const actionWords = 64

/** Reads the library's own switch, which is named after that of libuv for io_uring. */
const isForbidden = (): boolean => process.env["EFFECT_AMY_USE_AIO"] === "0"

/**
 * Opens a queue, of at most as many calls as a context has room for, in the context that `place`
 * has, or that is put there. Returns `undefined` if the
 * system has no AIO, forbids it to this process, has no context left, or does not make the calls
 * at once.
 */
export const openAio = (libc: Libc, capacity: number, place: ContextPlace): SubmissionQueue | undefined => {
  const { profile } = libc
  const calls = aioCalls(libc)
  if (profile.selector !== "epoll" || calls === undefined || isForbidden()) return undefined
  const context = openContext(libc, calls, place)
  if (context === 0) return undefined
  const kernel = kernelOf(libc, calls, context)
  const ring = AioRing.of(libc, context, profile.aio.RING_MAGIC)
  if (ring !== undefined) {
    const entries = new AioEntries(libc, Math.min(capacity, contextCapacity))
    const flags = knownFlags(libc, profile, kernel, entries, ring)
    if (flags !== undefined) return new Aio(libc, profile, kernel, entries, ring, flags)
  }
  destroyContext(libc, calls, place)
  return undefined
}

/** The system calls on one context. */
interface Kernel {
  readonly submit: (count: number, calls: number) => number
  /** Waits for one result. */
  readonly await: (event: Int32Array) => number
}

const kernelOf = ({ functions }: Libc, { getevents, submit }: AioCalls, context: number): Kernel => ({
  submit: (count, calls) => functions.io_submit(submit, context, count, calls),
  await: (event) => functions.io_getevents(getevents, context, 1, 1, event, null)
})

/**
 * Returns the flags of a call that the kernel knows, found out by a read that finds nothing. Returns
 * `undefined` if the result of that read is not there at once.
 */
const knownFlags = (
  { functions }: Libc,
  { aio, errno, socket }: EpollProfile,
  kernel: Kernel,
  entries: AioEntries,
  ring: AioRing
): number | undefined => {
  const { AF_UNIX, SOCK_CLOEXEC = 0, SOCK_DGRAM, SOCK_NONBLOCK = 0 } = socket
  const fd = functions.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd === -1) return undefined
  const result = new Int32Array(1)
  // The kernel learned the flags one after the other. The oldest kernels know none of them.
  const flags = [aio.RWF_NOWAIT | aio.RWF_NOSIGNAL, aio.RWF_NOWAIT, 0].find((flags) => {
    entries.put(0, aio.CMD_PREAD, flags, fd, entries.from(0), 1, 0)
    return kernel.submit(1, entries.from(0)) === 1
  })
  const isDone = flags !== undefined && ring.take(result, 1) === 1 && result[0] === -errno.EAGAIN
  functions.close(fd)
  return isDone ? flags : undefined
}

class Aio implements SubmissionQueue {
  readonly capacity: number
  readonly #libc: Libc
  readonly #profile: EpollProfile
  readonly #kernel: Kernel
  readonly #entries: AioEntries
  readonly #ring: AioRing
  readonly #flags: number
  /** Whether flags keep the kernel from waiting, and from raising SIGPIPE. */
  readonly #saysNoWait: boolean
  readonly #saysNoSignal: boolean
  readonly #action = new Int32Array(actionWords)
  readonly #event = new Int32Array(eventWords)
  /** The number of calls, and how many of them have an entry. */
  #count = 0
  #queued = 0
  /** Whether the process ignores SIGPIPE, once that was looked up for the calls that are queued. */
  #ignoresPipe: boolean | undefined
  /** The kernel has refused, or the queue is closed: no further call is made. */
  isBroken = false

  constructor(libc: Libc, profile: EpollProfile, kernel: Kernel, entries: AioEntries, ring: AioRing, flags: number) {
    this.#libc = libc
    this.#profile = profile
    this.#kernel = kernel
    this.#entries = entries
    this.#ring = ring
    this.capacity = entries.capacity
    this.#flags = flags
    this.#saysNoWait = (flags & profile.aio.RWF_NOWAIT) !== 0
    this.#saysNoSignal = (flags & profile.aio.RWF_NOSIGNAL) !== 0
  }

  receive(fd: number, address: number, length: number): void {
    this.#queue(this.#profile.aio.CMD_PREAD, fd, address, length)
  }

  send(fd: number, address: number, length: number): void {
    // A program that handles SIGPIPE, or lets it kill, must not notice how its sockets are written
    // to. Its writes are then made by send(2), which can be told to raise none.
    if (this.#saysNoSignal || (this.#ignoresPipe ??= this.#findIgnoresPipe())) {
      this.#queue(this.#profile.aio.CMD_PWRITE, fd, address, length)
    } else this.#count++
  }

  #queue(operation: number, fd: number, address: number, length: number): void {
    const index = this.#count++
    if (this.isBroken || !(this.#saysNoWait || this.#isNonBlocking(fd))) return
    this.#entries.put(this.#queued++, operation, this.#flags, fd, address, length, index)
  }

  /** Whether a descriptor is in non-blocking mode. The kernel refuses one that is not open. */
  #isNonBlocking(fd: number): boolean {
    const { F_GETFL, O_NONBLOCK } = this.#profile.fcntl
    return (this.#libc.functions.fcntl(fd, F_GETFL, "int", 0) & O_NONBLOCK) !== 0
  }

  #findIgnoresPipe(): boolean {
    const { SIGPIPE, SIG_IGN } = this.#profile.aio
    const action = this.#action.fill(0)
    // The handler comes first: a pointer, of one or two words.
    return this.#libc.functions.sigaction(SIGPIPE, null, action) === 0 && action[0] === SIG_IGN
  }

  submit(results: Int32Array): void {
    const count = this.#count
    const queued = this.#queued
    this.#count = 0
    this.#queued = 0
    this.#ignoresPipe = undefined
    results.fill(-this.#profile.errno.EAGAIN, 0, count)
    if (queued === 0 || this.isBroken) return
    let pending = this.#submitAll(queued, results)
    pending -= this.#ring.take(results, pending)
    while (pending > 0 && this.#awaitOne(results)) pending--
  }

  /** Submits the queued calls. Returns how many of them have a result that was not taken yet. */
  #submitAll(queued: number, results: Int32Array): number {
    const { errno } = this.#profile
    let pending = 0
    // The kernel ends early at a call that it refuses. It says why if that is the first one.
    for (let at = 0; at < queued;) {
      const taken = this.#kernel.submit(queued - at, this.#entries.from(at))
      if (taken > 0) {
        at += taken
        pending += taken
        continue
      }
      const reason = taken === 0 ? 0 : this.#libc.errno()
      if (reason === errno.EBADF) {
        results[this.#entries.dataOf(at)] = -reason
        at++
        continue
      }
      if (reason !== errno.EAGAIN) {
        this.isBroken = true
        break
      }
      // There is no room for further results.
      const room = this.#ring.take(results, pending)
      if (room === 0) break
      pending -= room
    }
    return pending
  }

  /**
   * Waits for a call that the kernel took without completing it: it writes to the caller's memory
   * until then. No call on a socket is of this kind.
   */
  #awaitOne(results: Int32Array): boolean {
    const { EINTR } = this.#profile.errno
    for (;;) {
      if (this.#kernel.await(this.#event) === 1) break
      if (this.#libc.errno() !== EINTR) {
        this.isBroken = true
        return false
      }
    }
    copyResult(this.#event, 0, results)
    return true
  }

  /** The context stays for the next queue. */
  close(): void {
    this.isBroken = true
  }
}
