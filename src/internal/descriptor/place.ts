/** A place in a direction's line that is kept until an attempt of several parts is over. */
import { resumeFiber } from "../objects/resumeFiber.ts"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { PollerError } from "../../PollerError.ts"
import type { Attempt, Direction, Waiter } from "./direction.ts"
import type { Resume, WaitedFd } from "./waitedFd.ts"

/**
 * Makes its attempt itself, whatever becomes of its fiber. Run as an effect, it leaves the line.
 */
export class Place<A> extends Effectable.Class<void> implements Waiter {
  readonly wants = 0
  readonly #watchedFd: WaitedFd
  readonly #direction: Direction
  readonly #attempt: Attempt<A>
  readonly #resume: Resume<A, PollerError>

  constructor(watchedFd: WaitedFd, direction: Direction, attempt: Attempt<A>, resume: Resume<A, PollerError>) {
    super()
    this.#watchedFd = watchedFd
    this.#direction = direction
    this.#attempt = attempt
    this.#resume = resume
  }

  wake(): void {
    const result = this.#attempt()
    if (result === undefined) this.#direction.forget()
    else this.#give(result)
  }

  fail(error: PollerError): void {
    this.#give(Effect.fail(error))
  }

  #give(result: Effect.Effect<A, PollerError>): void {
    this.#watchedFd.leave(this.#direction, this)
    resumeFiber(this.#resume, result)
  }

  asEffect(): Effect.Effect<void> {
    return Effect.sync(() => this.#watchedFd.leave(this.#direction, this))
  }
}
