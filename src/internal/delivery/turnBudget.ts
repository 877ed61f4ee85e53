/**
 * How long one thread may go on in the same turn of its event loop: up to 16 rounds or 0.25
 * milliseconds. Then timers and other I/O have their turn.
 */
import { now } from "../libc/realTime.ts"

const mostRounds = 16
const patience = 0.25

export class TurnBudget {
  /** By which the length of a turn is measured. Tests let it stand still. */
  static now = now

  #rounds = 0
  #since = 0

  /** Whether a turn has begun and not been ended. */
  get isBegun(): boolean {
    return this.#rounds > 0
  }

  /**
   * Counts one more round. Returns whether it is still within the turn; if not, the turn has ended.
   */
  spend(): boolean {
    const time = TurnBudget.now()
    if (this.#rounds++ === 0) this.#since = time
    const isWithin = this.#rounds <= mostRounds && time - this.#since < patience
    if (!isWithin) this.end()
    return isWithin
  }

  end(): void {
    this.#rounds = 0
  }
}
