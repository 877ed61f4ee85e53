/**
 * Reads and writes the sockets of one batch of reports together, by io_uring or Linux AIO.
 *
 * The sockets are read by one system call before any fiber is resumed. The small writes that the
 * fibers then make are made by one system call afterwards. Each system call evicts the program's
 * code and data from the processor's caches, and that costs more than the call itself.
 */
import type { Batch, BatchReader, BatchWriter } from "../delivery/batch.ts"
import type { Libc } from "../libc/koffi.ts"
import { now } from "../libc/realTime.ts"
import type { ContextPlace } from "../kernel/aioContext.ts"
import { openSubmissionQueue } from "../kernel/openSubmissionQueue.ts"
import type { SubmissionQueue } from "../kernel/submissionQueue.ts"

/** Maximum sockets of a batch. Further reports make the next batch. */
const capacity = 128
/**
 * Maximum bytes of a batched read. Larger reads go straight to the caller's buffer; a batched read
 * costs an extra copy.
 */
export const mostRead = 16 * 1024
/**
 * Maximum bytes of a batched write. For a larger write, the copy that a batch takes costs more than
 * it saves.
 */
export const mostWritten = 4 * 1024
/**
 * Bytes from one read to the next. With a power of two, all of them would share a few places in the
 * processor's caches.
 */
const stride = mostRead + 64
/** With fewer sockets to read, each makes its own call. */
const fewest = 2
/**
 * Maximum rounds of batched writes. A fiber that is resumed after its write may write again at
 * once. After this many rounds it makes its own calls, so that Effect notices how long it keeps the
 * thread.
 */
const mostRounds = 4
/**
 * Milliseconds after which batched writes are made, once the fiber that is running by then waits.
 */
const patience = 0.25
/**
 * Milliseconds after which a queue that could not be opened, or has failed, is opened anew. While
 * it goes on to fail, each pause is twice as long as the one before: what is lacking for a moment
 * comes back, and what is forbidden does not.
 */
const firstPause = 1000

const copyBytes = Buffer.prototype.copy

export class SocketBatch implements Batch {
  /** By which the age of a write is measured. Tests let it stand still. */
  static now = now
  readonly capacity = capacity
  readonly #libc: Libc
  /** Where this thread's context of AIO is noted. */
  readonly #place: ContextPlace
  /** Opened when it is first useful, because it takes a descriptor or a context, and memory. */
  #calls: SubmissionQueue | undefined
  #pause = firstPause
  /** When it may be opened. */
  #opensAt = 0
  #isOpen = false
  #isCollecting = false
  readonly #results = new Int32Array(capacity)
  readonly #readers: Array<BatchReader> = []
  readonly #rooms = new Int32Array(capacity)
  #received = Buffer.alloc(0)
  #receivedAt = 0
  #toSend = Buffer.alloc(0)
  #toSendAt = 0
  /** Bytes of it that are in use. */
  #used = 0
  #writers: Array<BatchWriter> = []
  #lengths: Array<number> = []
  /** When the first of them was put in. */
  #since = 0

  constructor(libc: Libc, place: ContextPlace) {
    this.#libc = libc
    this.#place = place
  }

  /** Whether a batch is under way. There is one at a time. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether a write may be put into the batch now. */
  get isCollecting(): boolean {
    return this.#isCollecting && this.#writers.length < capacity
  }

  /** Called when a batch begins. */
  open(): void {
    this.#isOpen = true
  }

  /** Opens the queue and its memory if that was not done yet. Returns whether there is a queue. */
  #prepare(): boolean {
    if (this.#calls?.isBroken === false) return true
    const time = SocketBatch.now()
    if (time < this.#opensAt) return false
    // It has worked for long, or nobody needed it.
    if (time >= this.#opensAt + this.#pause) this.#pause = firstPause
    this.#opensAt = time + this.#pause
    this.#pause *= 2
    this.#calls?.close()
    this.#calls = openSubmissionQueue(this.#libc, capacity, this.#place)
    if (this.#calls === undefined) return false
    if (this.#received.length > 0) return true
    this.#received = Buffer.alloc(capacity * stride)
    this.#receivedAt = Number(this.#libc.addressOf(this.#received))
    this.#toSend = Buffer.alloc(capacity * mostWritten)
    this.#toSendAt = Number(this.#libc.addressOf(this.#toSend))
    return true
  }

  /** Puts a read of at most `room` bytes into the batch. */
  read(reader: BatchReader, room: number): void {
    this.#rooms[this.#readers.length] = room
    this.#readers.push(reader)
  }

  /** Makes all reads that were put in, if there are enough. */
  readAll(): void {
    const readers = this.#readers
    if (readers.length < fewest || !this.#prepare()) return this.#readNothing()
    this.#isCollecting = true
    const calls = this.#calls!
    for (let i = 0; i < readers.length; i++) {
      calls.receive(readers[i]!.fd, this.#receivedAt + i * stride, this.#rooms[i]!)
    }
    calls.submit(this.#results)
    for (let i = 0; i < readers.length; i++) {
      readers[i]!.received(this.#results[i]!, this.#received, i * stride, this.#rooms[i]!)
    }
  }

  /** Returns the reads unmade: each socket then makes its own. */
  #readNothing(): void {
    for (const reader of this.#readers) reader.received(-this.#libc.profile.errno.EAGAIN, this.#received, 0, 0)
    this.#readers.length = 0
  }

  /** Puts a write into the batch. Its bytes are copied. */
  write(writer: BatchWriter, bytes: Uint8Array, length: number): void {
    if (this.#writers.length === 0) this.#since = SocketBatch.now()
    // Unlike `set`, it needs no view of the part.
    copyBytes.call(bytes, this.#toSend, this.#used, 0, length)
    this.#used += length
    this.#writers.push(writer)
    this.#lengths.push(length)
  }

  /** Called after each report was consumed: makes the writes that have waited long enough. */
  step(): void {
    if (this.#writers.length > 0 && SocketBatch.now() - this.#since > patience) this.writeAll()
  }

  /** Makes all writes that were put in, and resumes their fibers. */
  writeAll(): void {
    const calls = this.#calls
    const writers: Array<BatchWriter> = []
    let at = this.#toSendAt
    for (let i = 0; i < this.#writers.length; i++) {
      const writer = this.#writers[i]!
      const length = this.#lengths[i]!
      if (!writer.isOver) {
        calls?.send(writer.fd, at, length)
        writers.push(writer)
      }
      at += length
    }
    // Before the fibers are resumed, because those put in the next ones.
    this.#writers = []
    this.#lengths = []
    this.#used = 0
    // If the queue was closed meanwhile, each write is as if it would block, and finds out by
    // itself.
    const results = new Int32Array(writers.length).fill(-this.#libc.profile.errno.EAGAIN)
    if (writers.length > 0) calls?.submit(results)
    for (let i = 0; i < writers.length; i++) writers[i]!.sent(results[i]!)
    for (const writer of writers) writer.resume()
  }

  /**
   * Makes all writes, and those that they lead to, for a few rounds. Further writes make their own
   * calls.
   */
  settle(): void {
    for (let round = 0; round < mostRounds && this.#writers.length > 0; round++) this.writeAll()
    this.#isCollecting = false
    if (this.#writers.length > 0) this.writeAll()
  }

  /** Called when the batch is over. */
  end(): void {
    for (const reader of this.#readers) reader.keep()
    this.#readers.length = 0
    this.settle()
    this.#isOpen = false
  }

  close(): void {
    this.#isCollecting = false
    this.#calls?.close()
    this.#calls = undefined
    this.#opensAt = Infinity
  }
}
