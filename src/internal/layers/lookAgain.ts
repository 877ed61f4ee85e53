/**
 * Decides whether to look at the selector again before the event loop has its turn.
 *
 * A program that replies to a notification usually gets the next one immediately, and the loop's
 * own wait costs more than the look. Where nothing comes of it, the program is looked at again ever
 * less often.
 */
import { TurnBudget } from "../delivery/turnBudget.ts"

/**
 * With more notifications than this at a time, the cost of the loop's wait is shared by all of
 * them.
 */
const few = 2
/** The largest number of turns after a look in vain until the next is tried. */
const longestRest = 63

export class LookAgain {
  readonly #budget = new TurnBudget()
  /** How many turns pass after a look in vain, and how many of those are left. */
  #rest = 0
  #left = 0

  /** Called after each look, with how many reports it found, once their consumers have run. */
  isWorthIt(found: number): boolean {
    if (!this.#budget.isBegun) return found > 0 && found <= few && this.#begins()
    if (found === 0) {
      this.#rest = Math.min(this.#rest * 2 + 1, longestRest)
      this.#left = this.#rest
      return this.#ends()
    }
    this.#rest = 0
    return found > few ? this.#ends() : this.#budget.spend()
  }

  #begins(): boolean {
    if (this.#left > 0) {
      this.#left--
      return false
    }
    // The look that was made counts as well.
    return this.#budget.spend() && this.#budget.spend()
  }

  #ends(): false {
    this.#budget.end()
    return false
  }
}
