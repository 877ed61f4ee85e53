/**
 * Whether the selector is worth another look before the event loop has its turn. Who answers what it was just told of is often
 * told of more at once, and the loop's own wait costs more than the look; where nothing comes of it, it is tried ever less.
 */

/** What reports more at a time has spread the cost of the loop's wait over that already. */
const few = 2
/** Looks in one turn of the loop, the first of them counted, and milliseconds until the last: timers and other I/O have their turn, too. */
const most = 16
const patience = 0.25
/** After how many turns in vain at the most it is tried again. */
const longestRest = 63

export class LookAgain {
  /** Looks in this turn so far, but for the first. */
  #count = 0
  #since = 0
  /** How many turns it is left alone after it was in vain, and how many of them are left. */
  #rest = 0
  #left = 0

  /** To be asked after each look, with how much it has found, and what that led to is done. */
  isWorthIt(found: number): boolean {
    if (this.#count === 0) return found > 0 && found <= few && this.#begins()
    if (found === 0) {
      this.#rest = Math.min(this.#rest * 2 + 1, longestRest)
      this.#left = this.#rest
      return this.#end()
    }
    this.#rest = 0
    if (found > few || this.#count === most - 1 || performance.now() - this.#since > patience) return this.#end()
    this.#count++
    return true
  }

  #begins(): boolean {
    if (this.#left > 0) {
      this.#left--
      return false
    }
    this.#since = performance.now()
    this.#count = 1
    return true
  }

  #end(): false {
    this.#count = 0
    return false
  }
}
