/** A small write that is made together with those of others, and its place in the line of those who write meanwhile. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../PollerError.ts"
import type { Writer } from "./batch.ts"
import type { Waiter } from "./direction.ts"
import type { Io } from "./io.ts"
import type { Resume, ToFailure } from "./waiter.ts"

/** What it is written to. */
export interface Sink {
  readonly io: Io
  /** Writes now: answers how much that was, an error, or `undefined` if it would block. */
  readonly writeSome: (bytes: Uint8Array, length: number) => number | Effect.Effect<never, PollerError> | undefined
  /** What a write has failed with that was made by others, or `undefined` if it would have blocked. */
  readonly writeError: (errno: number) => PollerError | undefined
}

export class Sending<E> implements Writer, Waiter {
  readonly #sink: Sink
  readonly #toFailure: ToFailure<E>
  readonly #goesOn: boolean
  #rest: Uint8Array
  #left: number
  #resume: Resume<void, E> | undefined
  #result: Effect.Effect<void, E> | undefined
  #isTold = false

  constructor(sink: Sink, bytes: Uint8Array, length: number, goesOn: boolean, toFailure: ToFailure<E>) {
    this.#sink = sink
    this.#rest = bytes
    this.#left = length
    this.#goesOn = goesOn
    this.#toFailure = toFailure
  }

  get fd(): number {
    return this.#sink.io.fd
  }

  get isOver(): boolean {
    return this.#result !== undefined
  }

  /** Returns when it is written. */
  get effect(): Effect.Effect<void, E> {
    return Effect.callback((resume) => {
      if (this.#result === undefined) this.#resume = resume
      else resume(this.#result)
    })
  }

  sent(result: number): void {
    if (result === this.#left) return this.#end(Effect.void)
    if (result >= 0) {
      this.#take(result)
    } else {
      const error = this.#sink.writeError(-result)
      if (error !== undefined) return this.#end(this.#toFailure(error))
    }
    this.#sink.io.writing.forget()
  }

  tell(): void {
    if (this.#isTold) return
    if (this.#result === undefined) this.#waitForRoom()
    else this.#tell(this.#result)
  }

  #waitForRoom(): void {
    const { io } = this.#sink
    const resume = this.#resume
    this.#resume = undefined
    resume?.(this.#onwards)
    // Whoever was interrupted meanwhile does not come to wait any more, and what is left is not written for it.
    if (resume !== undefined && this.#resume === undefined && !this.#goesOn) this.#end(Effect.void)
    else if (this.#result === undefined) io.awaitReport(io.writing, this)
  }

  get #onwards(): Effect.Effect<void, E> {
    return Effect.callback((resume) => {
      if (this.#result !== undefined) return resume(this.#result)
      this.#resume = resume
      return this.#goesOn ? undefined : Effect.sync(() => this.#end(Effect.void))
    })
  }

  /** There is room. */
  wake(): void {
    while (this.#left > 0) {
      const count = this.#sink.writeSome(this.#rest, this.#left)
      if (count === undefined) return this.#sink.io.writing.forget()
      if (typeof count !== "number") return this.#give(Effect.catch(count, this.#toFailure))
      this.#take(count)
    }
    this.#give(Effect.void)
  }

  leaveIfGone(): void {}

  fail(error: PollerError): void {
    this.#give(this.#toFailure(error))
  }

  #take(count: number): void {
    this.#left -= count
    this.#rest = this.#rest.subarray(count)
  }

  #give(result: Effect.Effect<void, E>): void {
    this.#end(result)
    this.#tell(result)
  }

  #end(result: Effect.Effect<void, E>): void {
    if (this.#result !== undefined) return
    this.#result = result
    this.#sink.io.leave(this.#sink.io.writing, this)
  }

  #tell(result: Effect.Effect<void, E>): void {
    this.#isTold = true
    this.#resume?.(result)
  }
}
