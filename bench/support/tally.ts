/**
 * Memory that the threads of B9 share with the thread that measures them: their counts, and whether
 * to go on.
 */

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

/**
 * Words between two counts. Each count has its own cache line, so that counting slows down no other
 * thread.
 */
const wordsApart = 16

const slot = (thread: number): number => (thread + 1) * wordsApart
