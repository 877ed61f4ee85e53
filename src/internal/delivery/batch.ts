/**
 * Reading and writing the sockets of one batch of reports together, as far as its delivery is
 * concerned.
 */

/** A read that is made for a fiber that waits. */
export interface BatchReader {
  readonly fd: number
  /**
   * Called with the number of bytes that were read, or the negated errno; where the bytes are,
   * until the batch is over; and how many there was room for. Runs no consumer.
   */
  readonly received: (result: number, bytes: Buffer, at: number, room: number) => void
  /** Called when the batch is over: bytes that no fiber has taken have to be copied. */
  readonly keep: () => void
}

/** A write that a fiber waits for. */
export interface BatchWriter {
  readonly fd: number
  /** Whether there is nothing left to write: it was written otherwise, or given up. */
  readonly isOver: boolean
  /** Called with the number of bytes that were written, or the negated errno. Runs no consumer. */
  readonly sent: (result: number) => void
  /** Resumes the fiber. */
  readonly resume: () => void
}

export interface Batch {
  /** Maximum sockets of a batch. Further reports make the next batch. */
  readonly capacity: number
  /** Whether a batch is under way. There is one at a time. */
  readonly isOpen: boolean
  /** Whether a write may be put into the batch now. */
  readonly isCollecting: boolean
  /** Called when a batch begins. */
  readonly open: () => void
  /** Puts a read of at most `room` bytes into the batch. */
  readonly read: (reader: BatchReader, room: number) => void
  /** Makes all reads that were put in, if there are enough. */
  readonly readAll: () => void
  /** Puts a write into the batch. Its bytes are copied. */
  readonly write: (writer: BatchWriter, bytes: Uint8Array, length: number) => void
  /** Called after each report was consumed: makes the writes that have waited long enough. */
  readonly step: () => void
  /**
   * Makes all writes, and those that they lead to, for a few rounds. Further writes make their own
   * calls.
   */
  readonly settle: () => void
  /** Called when the batch is over. */
  readonly end: () => void
  readonly close: () => void
}
