/** A scheduler that makes a fiber yield where the test wants it. */
import { Scheduler } from "effect"

/** Makes its fibers yield at one of the coming steps, and at no other. */
export class YieldAt extends Scheduler.MixedScheduler {
  left: number
  /** Called when a fiber is about to yield. */
  onYield: () => void = () => {}

  constructor(left = Infinity) {
    super()
    this.left = left
  }

  override shouldYield(): boolean {
    if (--this.left !== 0) return false
    this.onYield()
    return true
  }
}
