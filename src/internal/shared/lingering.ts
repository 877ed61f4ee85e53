/**
 * Decides whether the polling thread looks at the kernel once more before it blocks there.
 *
 * A thread that had nothing left to consume often replies at once to what it is notified of, and so
 * makes the next descriptor ready. To block, and to be woken, takes the polling thread longer than
 * that reply takes. So it goes on looking for a few microseconds. After a time in vain it does not
 * try again for a while: the time is only well spent where a reply nearly always comes.
 */
import { availableParallelism } from "node:os"
import { now } from "../libc/realTime.ts"

/** Milliseconds that it looks for a reply: three times as long as a short one takes. */
const patience = 0.03
/** How often it blocks at once, after a time in vain, until it tries again. */
const rest = 63

export class Lingering {
  /** Where all threads share one core, a thread that looks keeps the others from replying. */
  readonly #isPossible: boolean
  /** When the present time began, or `undefined`. */
  #since: number | undefined
  #left = 0

  constructor(cores = availableParallelism()) {
    this.#isPossible = cores > 1
  }

  /**
   * Called after each poll. Returns whether to look again at once. `isAwaited` says whether it has
   * notified a thread that had nothing left to consume.
   */
  isWorthIt(found: number, isAwaited: boolean): boolean {
    if (found === 0) return this.#goesOn()
    this.#since = undefined
    if (!isAwaited || !this.#isPossible) return false
    if (this.#left > 0) {
      this.#left--
      return false
    }
    this.#since = now()
    return true
  }

  #goesOn(): boolean {
    if (this.#since === undefined) return false
    if (now() - this.#since < patience) return true
    this.#since = undefined
    this.#left = rest
    return false
  }
}
