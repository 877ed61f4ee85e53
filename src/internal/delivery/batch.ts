/** How the sockets of one batch of reports are read and written together, as far as delivering it has to know. */

/** What is to be read for who waits. */
export interface BatchReader {
  readonly fd: number
  /**
   * Told of what was read, or of minus the errno: so many bytes from there on, where there was room for so many, as long as the
   * batch goes on. Runs no consumer.
   */
  readonly came: (result: number, bytes: Buffer, at: number, room: number) => void
  /** The batch is over: what was not taken has to be kept elsewhere. */
  readonly keep: () => void
}

/** What is to be written for who waits. */
export interface BatchWriter {
  readonly fd: number
  /** It was written otherwise, or is not to be written any more. */
  readonly isOver: boolean
  /** Told of how much was written, or of minus the errno. Runs no consumer. */
  readonly sent: (result: number) => void
  /** Goes on with who waits for it. */
  readonly tell: () => void
}

export interface Batch {
  /** Sockets of one batch; what is reported beyond that is the next. */
  readonly capacity: number
  /** Whether it is in the midst of a batch. There is one at a time. */
  readonly isOpen: boolean
  /** Whether what is written now may be put in. */
  readonly isCollecting: boolean
  /** A batch begins. */
  readonly open: () => void
  /** Puts in what is to be read: so much at most. */
  readonly read: (reader: BatchReader, room: number) => void
  /** Reads all that was put in, if that is worth it. */
  readonly readAll: () => void
  /** Puts in what is to be written. */
  readonly write: (writer: BatchWriter, bytes: Uint8Array, length: number) => void
  /** Who was told of a report has done what it does: what was written before that should not have to wait for much more. */
  readonly step: () => void
  /** Writes all that was put in, and what that leads to, if it does not lead on and on; from here on each writes by itself. */
  readonly settle: () => void
  /** The batch is over. */
  readonly end: () => void
  readonly close: () => void
}
