/** A small write that is made together with those of others, and its place in the line of those who write meanwhile. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { BatchWriter } from "../delivery/batch.ts"
import type { Waiter } from "../descriptor/direction.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { ownCopyOf } from "./chunkPool.ts"
import type { Resume, ToFailure } from "../descriptor/turn.ts"

/** What it is written to. */
export interface Sink {
  readonly watchedFd: WatchedFd
  /** Writes now: answers how much that was, an error, or `undefined` if it would block. */
  readonly writeSome: (bytes: Uint8Array, length: number) => number | Effect.Effect<never, PollerError> | undefined
  /** What a write has failed with that was made by others, or `undefined` if it would have blocked. */
  readonly writeError: (errno: number) => PollerError | undefined
}

const none = new Uint8Array(0)

export class BatchedWrite<E> implements BatchWriter, Waiter {
  readonly wants = 0
  readonly #sink: Sink
  readonly #toFailure: ToFailure<E>
  readonly #resume: Resume<void, E>
  #rest: Uint8Array
  #left: number
  /** Nothing of it was tried yet. */
  #isPutIn = true
  #result: Effect.Effect<void, E> | undefined
  #isTold = false

  constructor(sink: Sink, bytes: Uint8Array, length: number, toFailure: ToFailure<E>, resume: Resume<void, E>) {
    this.#sink = sink
    this.#rest = bytes
    this.#left = length
    this.#toFailure = toFailure
    this.#resume = resume
  }

  get fd(): number {
    return this.#sink.watchedFd.fd
  }

  get isOver(): boolean {
    return !this.#isPutIn
  }

  /** Its fiber was interrupted, and its bytes may be others from now on. It is as if it had written when it was put in. */
  get leaving(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.#isPutIn && this.#sink.writeSome(this.#rest, this.#left) !== this.#left)
        this.#sink.watchedFd.writing.forget()
      this.#end(Effect.void)
    })
  }

  /** Its fiber was interrupted, and it goes on: its bytes may be others from now on. */
  get keeping(): Effect.Effect<void> {
    return Effect.sync(() => (this.#rest = ownCopyOf(this.#rest, 0, this.#left)))
  }

  /** Writes it in place of the batch, before something is done that has to come after it. */
  now(): void {
    if (this.#isPutIn) this.#goOn()
  }

  sent(result: number): void {
    this.#isPutIn = false
    if (result === this.#left) return this.#end(Effect.void)
    if (result >= 0) return this.#take(result)
    const error = this.#sink.writeError(-result)
    if (error !== undefined) this.#end(this.#toFailure(error))
  }

  tell(): void {
    if (this.#isTold) return
    if (this.#result === undefined) this.#goOn()
    else this.#tell(this.#result)
  }

  /** What is left is written now, or when there is room. Nobody else has found out whether there is. */
  #goOn(): void {
    this.wake()
    if (this.#result === undefined) this.#sink.watchedFd.awaitReport(this.#sink.watchedFd.writing, this)
  }

  /** There is room. */
  wake(): void {
    this.#isPutIn = false
    while (this.#left > 0) {
      const count = this.#sink.writeSome(this.#rest, this.#left)
      if (count === undefined) return this.#sink.watchedFd.writing.forget()
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
    this.#isPutIn = false
    // It may be kept for some time.
    this.#rest = none
    this.#sink.watchedFd.leave(this.#sink.watchedFd.writing, this)
  }

  #tell(result: Effect.Effect<void, E>): void {
    this.#isTold = true
    this.#resume(result)
  }
}
