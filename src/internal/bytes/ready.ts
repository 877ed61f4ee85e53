/** The readiness of one direction of a descriptor, for a program that makes its calls itself. */
import * as Effect from "effect/Effect"
import type { Ready } from "../../AsyncFd.ts"
import type { Direction } from "../descriptor/direction.ts"
import { Readiness } from "../kernel/selector.ts"
import { PublicObject } from "../objects/publicObject.ts"

/** Knows whether bytes were read ahead, which the kernel reports no more. */
export interface Ahead {
  readonly hasReadAhead: boolean
}

export class ReadyImpl extends PublicObject implements Ready {
  readonly #direction: Direction
  readonly #ahead: Ahead | undefined
  readonly #reports: number
  readonly #bits: number

  constructor(direction: Direction, ahead?: Ahead) {
    super()
    this.#direction = direction
    this.#ahead = ahead
    this.#reports = direction.reports
    this.#bits = direction.bits
  }

  get readClosed(): boolean {
    return (this.#bits & Readiness.ReadClosed) !== 0
  }

  get writeClosed(): boolean {
    return (this.#bits & Readiness.WriteClosed) !== 0
  }

  get error(): boolean {
    return (this.#bits & Readiness.Error) !== 0
  }

  get clear(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.#ahead?.hasReadAhead === true) return
      if (this.#direction.reports === this.#reports) this.#direction.forget()
    })
  }

  toJSON() {
    const { error, readClosed, writeClosed } = this
    return { _id: "effect-amy/Ready", readClosed, writeClosed, error }
  }

  toString(): string {
    const flags = (["readClosed", "writeClosed", "error"] as const).filter((flag) => this[flag])
    return `Ready(${flags.join(", ")})`
  }
}
