/**
 * Bytes that arrive piece by piece. The buffer grows with what has arrived and not with what was
 * announced, so a sender that promises much and sends little costs little. It grows by doubling, so
 * each byte is copied about twice at most.
 */
const empty = new Uint8Array(0)
const smallest = 64
/**
 * The most that is kept for the next use: a connection that once had a long line must not hold its
 * memory for ever.
 */
const keep = 4096

export class GrowingBuffer {
  #bytes: Uint8Array<ArrayBuffer> = empty
  length = 0

  /** Adds bytes. The caller ensures that there are never more than `limit` in all. */
  append(bytes: Uint8Array, limit: number): void {
    const length = this.length + bytes.length
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(limit, Math.max(length, this.#bytes.length * 2, smallest)))
      grown.set(this.view(this.length))
      this.#bytes = grown
    }
    this.#bytes.set(bytes, this.length)
    this.length = length
  }

  /** The last byte, or -1. */
  get last(): number {
    return this.length === 0 ? -1 : this.#bytes[this.length - 1]!
  }

  /** Returns a view of the first `length` bytes, valid until the next change. */
  view(length: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, length)
  }

  /**
   * Hands the bytes over. Copies nothing if the limit of `append` is reached, because no room is
   * left then.
   */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.length === this.length ? this.#bytes : this.#bytes.slice(0, this.length)
    this.#bytes = empty
    this.length = 0
    return bytes
  }

  clear(): void {
    if (this.#bytes.length > keep) this.#bytes = empty
    this.length = 0
  }
}
