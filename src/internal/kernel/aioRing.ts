/**
 * The ring in which the kernel puts the results of io_submit(2). It lies at the address of its
 * context, and a program may take results without a system call.
 */
import type { Libc } from "../libc/koffi.ts"

/** Offsets in the header of the ring, in words. */
const Word = { Length: 1, Head: 2, Tail: 3, Magic: 4, Incompatible: 6, HeaderBytes: 7 } as const
const leastHeaderBytes = 32
/** Offsets in `struct io_event`, in words, and its size. */
const Event = { Data: 0, Result: 4 } as const
export const eventWords = 8

export class AioRing {
  readonly #words: Int32Array
  readonly #eventsAt: number
  readonly #length: number

  private constructor(words: Int32Array) {
    this.#words = words
    this.#eventsAt = words[Word.HeaderBytes]! / 4
    this.#length = words[Word.Length]!
    this.clear()
  }

  /** Returns the ring of a context, or `undefined` if a program cannot read it. */
  static of(libc: Libc, context: number, magic: number): AioRing | undefined {
    const header = new Int32Array(libc.memoryAt(context, leastHeaderBytes))
    if (header[Word.Magic]! >>> 0 !== magic || header[Word.Incompatible] !== 0) return undefined
    const words = header[Word.HeaderBytes]! / 4 + header[Word.Length]! * eventWords
    return new AioRing(new Int32Array(libc.memoryAt(context, words * 4)))
  }

  /** Drops what is there: a thread may have been terminated with results unread. */
  clear(): void {
    Atomics.store(this.#words, Word.Head, Atomics.load(this.#words, Word.Tail))
  }

  /**
   * Takes at most `most` results, and writes each to the place that the data of its call names.
   * Returns how many there were.
   */
  take(results: Int32Array, most: number): number {
    const words = this.#words
    const tail = Atomics.load(words, Word.Tail)
    let head = words[Word.Head]!
    let count = 0
    while (head !== tail && count < most) {
      copyResult(words, this.#eventsAt + head * eventWords, results)
      count++
      if (++head === this.#length) head = 0
    }
    Atomics.store(words, Word.Head, head)
    return count
  }
}

/** Copies a result out of a `struct io_event`. */
export const copyResult = (words: Int32Array, at: number, results: Int32Array): void => {
  results[words[at + Event.Data]!] = words[at + Event.Result]!
}
