/** What the threads of B9 and the thread that measures them share: how much each has done, and whether to go on. */

export class Tally {
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    this.#words = new Int32Array(shared)
  }

  static of(threads: number): Tally {
    return new Tally(new SharedArrayBuffer((threads + 1) * wordsApart * 4))
  }

  add(thread: number): void {
    Atomics.add(this.#words, slot(thread), 1)
  }

  done(thread: number): number {
    return Atomics.load(this.#words, slot(thread))
  }

  get isOver(): boolean {
    return Atomics.load(this.#words, 0) === 1
  }

  end(): void {
    Atomics.store(this.#words, 0, 1)
  }
}

/** A cache line for each, so that no thread slows down another by counting. */
const wordsApart = 16

const slot = (thread: number): number => (thread + 1) * wordsApart
