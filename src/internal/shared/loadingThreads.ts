/**
 * The threads that are loading native code. If one of them ended meanwhile, koffi would abort the
 * process, so the exit of the process waits for them.
 *
 * Each thread takes a place, and writes its number there. A terminated thread keeps its place, but the
 * exit does not wait for it.
 */
import { now, sharedNow } from "../libc/realTime.ts"

/** The number of places. If all are taken, a thread takes over that of another. */
export const loadingPlaces = 32

/** Can be cloned and posted to a thread that takes it over. */
export interface LoadingPlace {
  readonly index: number
  /**
   * The kernel's number of the thread. For a thread that does not know it, the negated time at which
   * it began.
   */
  readonly mark: number
}

/** Milliseconds after which a thread without a number is taken for dead. Loading takes up to 50. */
const longest = 1000
/** Milliseconds between two looks at whether a thread still runs. */
const patience = 20
/** Times are counted modulo this, so that they fit into a word. */
const period = 2 ** 30

const timestamp = (): number => Math.floor(sharedNow()) % period

export class LoadingThreads {
  /** 0 is a free place, and any other word its mark. */
  readonly #places: Int32Array

  constructor(places: Int32Array) {
    this.#places = places
  }

  /** Called before a thread loads native code, with the kernel's number of the thread or 0. */
  begin(thread: number): LoadingPlace {
    const time = timestamp()
    const mark = thread > 0 ? thread : -1 - time
    const free = this.#places.findIndex((_, index) => Atomics.compareExchange(this.#places, index, 0, mark) === 0)
    if (free >= 0) return { index: free, mark }
    const index = (time + thread) % loadingPlaces
    Atomics.store(this.#places, index, mark)
    return { index, mark }
  }

  /** Hands a place over to the thread that loads, with the kernel's number of that thread or 0. */
  takeOver(place: LoadingPlace, thread: number): LoadingPlace {
    if (thread === 0) return place
    Atomics.compareExchange(this.#places, place.index, place.mark, thread)
    return { index: place.index, mark: thread }
  }

  end({ index, mark }: LoadingPlace): void {
    if (Atomics.compareExchange(this.#places, index, mark, 0) === mark) Atomics.notify(this.#places, index)
  }

  /** Blocks until no living thread is loading, for `timeout` milliseconds at most. */
  awaitAll(timeout: number, isAlive: (thread: number) => boolean): void {
    const until = now() + timeout
    for (let index = 0; index < loadingPlaces; index++) {
      for (let mark = this.#loading(index, isAlive); mark !== 0; mark = this.#loading(index, isAlive)) {
        const left = until - now()
        if (left <= 0) return
        Atomics.wait(this.#places, index, mark, Math.min(left, patience))
      }
    }
  }

  /** Returns the mark of a place, or 0 if its thread has ended. */
  #loading(index: number, isAlive: (thread: number) => boolean): number {
    const mark = Atomics.load(this.#places, index)
    if (mark === 0 || (mark > 0 ? isAlive(mark) : (timestamp() + 1 + mark + period) % period < longest)) return mark
    this.end({ index, mark })
    return 0
  }
}
