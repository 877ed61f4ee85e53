/**
 * What the sockets of one batch of reports have in common: they are read by one system call before anybody is told, and what
 * small things are written meanwhile is written by one system call afterwards. Each system call evicts the program's code and
 * data from the processor's caches, so what runs between two of them is worth more than what either takes.
 */
import type { Batch, BatchReader, BatchWriter } from "../delivery/batch.ts"
import type { Libc } from "../libc/koffi.ts"
import { type IoUring, openIoUring } from "../kernel/ioUring.ts"

/** Sockets of one batch; what is reported beyond that is the next. */
const capacity = 128
/** A read brings no more. Who gets so much had better read into its own memory: what is read here is copied once more. */
export const mostRead = 16 * 1024
/** Writes of more are made by themselves: the copy that is made of each would cost more than it saves. */
export const mostWritten = 4 * 1024
/** Bytes from one read to the next: with a power of two, all of them would share a few places in the processor's caches. */
const stride = mostRead + 64
/** What is to be read of fewer sockets, they read themselves. */
const fewest = 2
/**
 * Who has written and is told, may write again, and so on: so often this is done together. Then it writes by itself, so that
 * Effect sees how long it has kept the thread.
 */
const mostRounds = 4
/** Milliseconds that something written waits for what others write, at most; and as long as one of them takes. */
const patience = 0.25

export class SocketBatch implements Batch {
  readonly capacity = capacity
  readonly #libc: Libc
  readonly #onOpen: (fd: number) => void
  /** `null` if there is none. Opened when it is first of use: it is a descriptor and a piece of memory. */
  #uring: IoUring | null | undefined
  #isOpen = false
  #isCollecting = false
  readonly #results = new Int32Array(capacity)
  readonly #readers: Array<BatchReader> = []
  readonly #rooms = new Int32Array(capacity)
  #received = Buffer.alloc(0)
  #receivedAt = 0
  #toSend = Buffer.alloc(0)
  #toSendAt = 0
  /** What of it is taken. */
  #used = 0
  #writers: Array<BatchWriter> = []
  #lengths: Array<number> = []
  #since = 0

  /** `onOpen` is told of the descriptor that it opens when it is first of use. */
  constructor(libc: Libc, onOpen: (fd: number) => void) {
    this.#libc = libc
    this.#onOpen = onOpen
  }

  /** Whether it is in the midst of a batch. There is one at a time. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether what is written now may be put in. */
  get isCollecting(): boolean {
    return this.#isCollecting && this.#writers.length < capacity
  }

  /** A batch begins. */
  open(): void {
    this.#isOpen = true
  }

  /** Answers whether there is any. */
  #prepare(): boolean {
    if (this.#uring !== undefined) return this.#uring !== null
    this.#uring = openIoUring(this.#libc, capacity) ?? null
    if (this.#uring === null) return false
    this.#onOpen(this.#uring.fd)
    this.#received = Buffer.alloc(capacity * stride)
    this.#receivedAt = Number(this.#libc.addressOf(this.#received))
    this.#toSend = Buffer.alloc(capacity * mostWritten)
    this.#toSendAt = Number(this.#libc.addressOf(this.#toSend))
    return true
  }

  /** Puts in what is to be read: so much at most. */
  read(reader: BatchReader, room: number): void {
    this.#rooms[this.#readers.length] = room
    this.#readers.push(reader)
  }

  /** Reads all that was put in, if that is worth it. */
  readAll(): void {
    const readers = this.#readers
    if (readers.length < fewest || !this.#prepare()) return this.#readNothing()
    this.#isCollecting = true
    const uring = this.#uring!
    for (let i = 0; i < readers.length; i++) {
      uring.receive(readers[i]!.fd, this.#receivedAt + i * stride, this.#rooms[i]!)
    }
    uring.submit(this.#results)
    for (let i = 0; i < readers.length; i++) {
      readers[i]!.came(this.#results[i]!, this.#received, i * stride, this.#rooms[i]!)
    }
  }

  /** Whoever wanted to read does so itself. */
  #readNothing(): void {
    for (const reader of this.#readers) reader.came(-this.#libc.profile.errno.EAGAIN, this.#received, 0, 0)
    this.#readers.length = 0
  }

  /** Puts in what is to be written. */
  write(writer: BatchWriter, bytes: Uint8Array, length: number): void {
    if (this.#writers.length === 0) this.#since = performance.now()
    this.#toSend.set(bytes.length === length ? bytes : bytes.subarray(0, length), this.#used)
    this.#used += length
    this.#writers.push(writer)
    this.#lengths.push(length)
  }

  /** Who was told of a report has done what it does: what was written before that should not have to wait for much more. */
  step(): void {
    if (this.#writers.length > 0 && performance.now() - this.#since > patience) this.writeAll()
  }

  /** Writes all that was put in, and goes on with who waits for it. */
  writeAll(): void {
    const uring = this.#uring
    const writers: Array<BatchWriter> = []
    let at = this.#toSendAt
    for (let i = 0; i < this.#writers.length; i++) {
      const writer = this.#writers[i]!
      const length = this.#lengths[i]!
      if (!writer.isOver) {
        uring?.send(writer.fd, at, length)
        writers.push(writer)
      }
      at += length
    }
    // Others are put in while these are told.
    this.#writers = []
    this.#lengths = []
    this.#used = 0
    // Closed meanwhile, it is as if they would block: each finds out by itself.
    const results = new Int32Array(writers.length).fill(-this.#libc.profile.errno.EAGAIN)
    if (writers.length > 0) uring?.submit(results)
    for (let i = 0; i < writers.length; i++) writers[i]!.sent(results[i]!)
    for (const writer of writers) writer.tell()
  }

  /** Writes all that was put in, and what that leads to, if it does not lead on and on; from here on each writes by itself. */
  settle(): void {
    for (let round = 0; round < mostRounds && this.#writers.length > 0; round++) this.writeAll()
    this.#isCollecting = false
    if (this.#writers.length > 0) this.writeAll()
  }

  /** The batch is over. */
  end(): void {
    for (const reader of this.#readers) reader.keep()
    this.#readers.length = 0
    this.settle()
    this.#isOpen = false
  }

  close(): void {
    this.#isCollecting = false
    this.#uring?.close()
    this.#uring = null
  }
}
