/**
 * The memory of a selector on Windows. All threads of a poller share it, and the kernel writes into
 * a part of it.
 *
 * There is one slot for each number that a socket can have. Slots lie in segments that belong to the
 * process, and not to the isolate of a thread: the kernel may complete a poll after its thread has
 * ended. The rest is a SharedArrayBuffer: which threads use the selector, where the segments
 * are, and the deadlines of alarms. To change which threads use it, a thread holds its lock.
 */
import { pollBytes, Slot } from "./afdPoll.ts"
import type { Afd, AfdCalls } from "./afdCalls.ts"
import { maxMailboxes } from "./userData.ts"

const pageBytes = 4096

/** Windows aligns what `VirtualAlloc` returns to this. So an address shows its segment. */
const segmentBytes = 0x1_0000
const slotBytes = Slot.stride * 4
const slotsPerSegment = segmentBytes / slotBytes
/** Numbers of sockets are multiples of 4, and from here on they are refused. */
const ceiling = 1 << 20
const mostSegments = ceiling / 4 / slotsPerSegment

const MEM_COMMIT_RESERVE = 0x3000
const MEM_RELEASE = 0x8000
const PAGE_READWRITE = 4

/** Words of the header. */
const Closed = 0
const Wake = 1
const MostAlarms = 2
const headerWords = 16

/** Each has a mailbox, or will find that all mailboxes are taken. */
const mostThreads = maxMailboxes + 1
/** Stands for a thread that has no number, so that no other thread could tell when it ends. */
const withoutNumber = -1

const threadsAt = headerWords * 4 + (mostSegments + 1 + maxMailboxes + 1) * 8
const bytes = threadsAt + mostThreads * 4

/** A slot, as a thread sees it. */
export interface SlotView {
  readonly words: Int32Array
  /** The place of its first word. */
  readonly at: number
  readonly address: number
}

const listAt = ({ at, words }: SlotView): number =>
  words[at + Slot.List + 1]! * 2 ** 32 + (words[at + Slot.List]! >>> 0)

interface Segment {
  readonly address: number
  readonly words: Int32Array
}

/** Returns the way of the poll at an address. */
export const wayAt = (address: number): number => (address % slotBytes) / pollBytes

/** The states of what is posted at most once until it is taken. */
export const Posting = { Idle: 0, Begun: 1, Done: 2 } as const

/**
 * Posts, unless it was posted and not taken since. A thread may be terminated between two steps. So
 * the next one that finds a post begun makes it, too.
 */
export const postOnce = (words: Int32Array, at: number, post: () => number): number => {
  if (Atomics.load(words, at) === Posting.Done) return 0
  Atomics.compareExchange(words, at, Posting.Idle, Posting.Begun)
  const errno = post()
  Atomics.compareExchange(words, at, Posting.Begun, errno === 0 ? Posting.Done : Posting.Idle)
  return errno
}

export class AfdMemory {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array
  /** The addresses of the segments, or 0. */
  readonly #addresses: BigInt64Array
  /** When a wait ends, in nanoseconds on the clock of alarms, and the deadline of each mailbox. */
  readonly #times: BigInt64Array
  /** The numbers of the threads that use the selector, or 0. */
  readonly #threads: Int32Array
  /** The place of this thread among them, or -1. */
  #place = -1
  readonly #segments: Array<Segment | undefined> = []
  readonly #byAddress = new Map<number, Segment>()
  readonly #libc: Afd
  readonly #calls: AfdCalls

  constructor(libc: Afd, calls: AfdCalls, buffer = new SharedArrayBuffer(bytes)) {
    this.buffer = buffer
    this.#libc = libc
    this.#calls = calls
    this.#words = new Int32Array(buffer)
    this.#addresses = new BigInt64Array(buffer, headerWords * 4, mostSegments)
    this.#times = new BigInt64Array(buffer, headerWords * 4 + mostSegments * 8, 1 + maxMailboxes + 1)
    this.#threads = new Int32Array(buffer, threadsAt)
  }

  /**
   * Notes a thread that uses the selector, with its number or 0. Returns false if there is no room.
   * A thread that is terminated at any step is either noted, and then `forget` finds it, or not.
   */
  enter(thread: number): boolean {
    this.#place = this.#threads.indexOf(0)
    if (this.#place === -1) return false
    Atomics.store(this.#threads, this.#place, thread === 0 ? withoutNumber : thread)
    return true
  }

  leave(): void {
    if (this.#place >= 0) Atomics.store(this.#threads, this.#place, 0)
    this.#place = -1
  }

  /** Takes the threads out that were terminated. */
  forget(isAlive: (thread: number) => boolean): void {
    for (let place = 0; place < mostThreads; place++) {
      // It is the exchange that decides.
      const thread = this.#threads[place]!
      if (thread > 0 && !isAlive(thread)) Atomics.compareExchange(this.#threads, place, thread, 0)
    }
  }

  /** Whether the selector is closed: no thread may use it any more. */
  get isClosed(): boolean {
    return Atomics.load(this.#words, Closed) !== 0
  }

  /** Closes the selector if no thread uses it. Returns whether this call has closed it. */
  closeIfUnused(): boolean {
    if (this.isClosed || this.#threads.some((thread) => thread !== 0)) return false
    Atomics.store(this.#words, Closed, 1)
    return true
  }

  /** Returns the slot of a number, or `undefined` if there is no room. */
  reserve(socket: number): SlotView | undefined {
    if (socket >= ceiling) return undefined
    return this.#slot(socket, (index) => this.#allocate(index))
  }

  /** Returns the slot of a number, or `undefined` if it never had any. */
  find(socket: number): SlotView | undefined {
    return socket >= 0 && socket < ceiling ? this.#slot(socket, (index) => this.#look(index)) : undefined
  }

  /** Returns the slot that has a poll at an address. `wayAt` returns which of its polls that is. */
  at(address: number): SlotView {
    const base = address - (address % segmentBytes)
    let segment = this.#byAddress.get(base)
    for (let index = 0; segment === undefined && index < mostSegments; index++) {
      if (Atomics.load(this.#addresses, index) === BigInt(base)) segment = this.#look(index)
    }
    const slot = address - (address % slotBytes)
    return { words: segment!.words, at: (slot - base) / 4, address: slot }
  }

  #slot(socket: number, segmentAt: (index: number) => Segment | undefined): SlotView | undefined {
    const number = socket / 4
    const index = Math.floor(number / slotsPerSegment)
    const segment = this.#segments[index] ?? segmentAt(index)
    if (segment === undefined) return undefined
    const at = (number % slotsPerSegment) * Slot.stride
    return { words: segment.words, at, address: segment.address + at * 4 }
  }

  #look(index: number): Segment | undefined {
    const address = Number(Atomics.load(this.#addresses, index))
    if (address === 0) return undefined
    const segment = { address, words: new Int32Array(this.#libc.memoryAt(address, segmentBytes)) }
    this.#segments[index] = segment
    this.#byAddress.set(address, segment)
    return segment
  }

  #allocate(index: number): Segment | undefined {
    const known = this.#look(index)
    if (known !== undefined) return known
    const address = this.#calls.VirtualAlloc(0, segmentBytes, MEM_COMMIT_RESERVE, PAGE_READWRITE)
    if (address === 0) return undefined
    // Another thread may have been faster.
    if (Atomics.compareExchange(this.#addresses, index, 0n, BigInt(address)) !== 0n) {
      this.#calls.VirtualFree(address, 0, MEM_RELEASE)
    }
    return this.#look(index)
  }

  /**
   * Returns the address of the list of a set, with room for a number of bytes, or 0 if there is no
   * memory. No poll of the set may be under way.
   */
  reserveList(slot: SlotView, bytes: number): number {
    const { at, words } = slot
    if (words[at + Slot.ListBytes]! >= bytes) return listAt(slot)
    this.dropList(slot)
    const room = 2 ** Math.ceil(Math.log2(Math.max(bytes, pageBytes)))
    const address = this.#calls.VirtualAlloc(0, room, MEM_COMMIT_RESERVE, PAGE_READWRITE)
    if (address === 0) return 0
    words[at + Slot.List] = address
    words[at + Slot.List + 1] = Math.floor(address / 2 ** 32)
    words[at + Slot.ListBytes] = room
    return address
  }

  /** Gives the list of a set back, if there is one. No poll of the set may be under way. */
  dropList(slot: SlotView): void {
    const { at, words } = slot
    if (words[at + Slot.ListBytes] === 0) return
    words[at + Slot.ListBytes] = 0
    this.#calls.VirtualFree(listAt(slot), 0, MEM_RELEASE)
  }

  /** Calls back with each slot that was ever used. */
  forEach(use: (slot: SlotView) => void): void {
    for (let index = 0; index < mostSegments; index++) {
      const segment = this.#segments[index] ?? this.#look(index)
      if (segment === undefined) continue
      for (let at = 0; at < segment.words.length; at += Slot.stride) {
        if (segment.words[at + Slot.Socket] !== 0) {
          use({ words: segment.words, at, address: segment.address + at * 4 })
        }
      }
    }
  }

  /** Gives all memory back. No poll may be under way, and no thread may look at a slot again. */
  free(): void {
    this.forEach((slot) => this.dropList(slot))
    for (let index = 0; index < mostSegments; index++) {
      const address = Number(Atomics.exchange(this.#addresses, index, 0n))
      if (address !== 0) this.#calls.VirtualFree(address, 0, MEM_RELEASE)
    }
    this.#segments.length = 0
    this.#byAddress.clear()
  }

  /** Posts a wake-up, unless one is on its way. */
  postWake(post: () => number): number {
    return postOnce(this.#words, Wake, post)
  }

  /**
   * Called when a wake-up has arrived, and when a wait has found nothing: then no wake-up is on its
   * way, whatever a terminated thread has left here.
   */
  takeWake(): void {
    Atomics.store(this.#words, Wake, Posting.Idle)
  }

  /** Sets the deadline of a mailbox, or 0n for none. Returns whether a wait must be cut short. */
  setDeadline(mailbox: number, deadline: bigint): boolean {
    for (;;) {
      const most = Atomics.load(this.#words, MostAlarms)
      if (most >= mailbox || Atomics.compareExchange(this.#words, MostAlarms, most, mailbox) === most) break
    }
    Atomics.store(this.#times, mailbox, deadline)
    return deadline !== 0n && deadline < Atomics.load(this.#times, 0)
  }

  /** Whether any mailbox ever had an alarm. */
  get hasAlarms(): boolean {
    return Atomics.load(this.#words, MostAlarms) > 0
  }

  /**
   * Notes until when this thread is going to wait, and returns the first deadline before that. While
   * it looks, each thread that sets a deadline wakes it.
   */
  waitUntil(end: bigint): bigint {
    Atomics.store(this.#times, 0, never)
    let first = end
    for (let mailbox = Atomics.load(this.#words, MostAlarms); mailbox > 0; mailbox--) {
      const deadline = Atomics.load(this.#times, mailbox)
      if (deadline !== 0n && deadline < first) first = deadline
    }
    Atomics.store(this.#times, 0, first)
    return first
  }

  /** Calls back with each mailbox whose deadline is over, for as long as that returns true. */
  expire(now: bigint, report: (mailbox: number) => boolean): void {
    for (let mailbox = Atomics.load(this.#words, MostAlarms); mailbox > 0; mailbox--) {
      const deadline = Atomics.load(this.#times, mailbox)
      if (deadline === 0n || deadline > now) continue
      if (!report(mailbox)) return
      // Its thread may have set another one meanwhile.
      Atomics.compareExchange(this.#times, mailbox, deadline, 0n)
    }
  }
}

/** A time that does not come. */
export const never = 2n ** 63n - 1n
