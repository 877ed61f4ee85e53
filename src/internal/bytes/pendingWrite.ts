/**
 * A write that waits: for room, or for the other writes of a batch, with which it is made together.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { Batch, BatchWriter } from "../delivery/batch.ts"
import type { Waiter } from "../descriptor/direction.ts"
import type { ToFailure } from "../descriptor/waitedFd.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { type Resumable, resumeSuspended } from "../objects/suspension.ts"
import { ownCopyOf } from "./chunkPool.ts"

/** What is written to. */
export interface WriteTarget {
  readonly watchedFd: WatchedFd
  /**
   * Whether a call that takes less than all of the bytes says that there is no more room for now.
   */
  readonly isStream: boolean
  /** Writes now: returns the number of bytes, an error, or `undefined` if it would block. */
  readonly writeSome: (bytes: Uint8Array, length: number) => number | Effect.Effect<never, PollerError> | undefined
  /**
   * Returns the error of a write that a batch has made, or `undefined` if it would have blocked.
   */
  readonly writeError: (errno: number) => PollerError | undefined
  /** Called when a write has ended, so that the target keeps it no longer. */
  readonly writeOver: (write: object) => void
}

const empty = new Uint8Array(0)

/**
 * Stands in the line of the fibers that write to the same descriptor, from its first part to its
 * last, whatever becomes of its own fiber.
 */
export class PendingWrite<E> implements BatchWriter, Waiter {
  readonly wants = 0
  readonly #target: WriteTarget
  readonly #toFailure: ToFailure<E>
  #fiber: Resumable | undefined
  #rest: Uint8Array
  #left: number
  /** Whether it is in a batch, and no call was made for it yet. */
  #isBatched = false
  #result: Effect.Effect<void, E> | undefined
  #isResumed = false

  constructor(target: WriteTarget, bytes: Uint8Array, length: number, toFailure: ToFailure<E>) {
    this.#target = target
    this.#rest = bytes
    this.#left = length
    this.#toFailure = toFailure
  }

  /**
   * Writes what there is room for, and joins the line with the rest. Returns the result if it is
   * over already.
   */
  begin(): Effect.Effect<void, E> | undefined {
    const { watchedFd } = this.#target
    if (watchedFd.ended !== undefined) return this.#toFailure(watchedFd.ended)
    if (watchedFd.mayTry(watchedFd.writing)) this.wake()
    if (this.#result === undefined) watchedFd.enter(watchedFd.writing, this)
    return this.#result
  }

  /** Puts all of it into a batch, and joins the line. */
  putInto(batch: Batch): void {
    const { watchedFd } = this.#target
    this.#isBatched = true
    batch.write(this, this.#rest, this.#left)
    watchedFd.hold(watchedFd.writing, this)
  }

  /** Sets the fiber to resume. By then the write may be over already. */
  resumeWith(fiber: Resumable): void {
    if (this.#result === undefined) this.#fiber = fiber
    else fiber.evaluate(this.#result)
  }

  get fd(): number {
    return this.#target.watchedFd.fd
  }

  get isOver(): boolean {
    return !this.#isBatched
  }

  /** Called when its fiber goes on: leaves if the fiber was not resumed from here. */
  leaveUnlessResumed(): void {
    if (this.#isResumed) return
    this.#fiber = undefined
    this.leave()
  }

  /** Called when its fiber goes on: keeps the bytes if the fiber was not resumed from here. */
  keepUnlessResumed(): void {
    if (this.#isResumed) return
    this.#fiber = undefined
    this.keep()
  }

  /**
   * To be called when its fiber was interrupted: it leaves the line, since its buffer may be used
   * for something else from now on. A batched write is made first, as if it had been made at once.
   */
  leave(): void {
    if (this.#isBatched) {
      const count = this.#target.writeSome(this.#rest, this.#left)
      // An error says nothing of the room, and the kernel reports room only after there was none.
      if (typeof count !== "object" && count !== this.#left) this.#target.watchedFd.writing.forget()
    }
    this.#end(Effect.void)
  }

  /**
   * To be called when its fiber was interrupted, if it is to go on: copies the bytes, as its buffer
   * may be reused.
   */
  keep(): void {
    // If the buffer has lost some of the bytes, it may have others there by the time of the next
    // call, which fails without them.
    this.#rest = this.#rest.length < this.#left ? empty : ownCopyOf(this.#rest, 0, this.#left)
  }

  /** Writes it in place of the batch, before something is done that has to come after it. */
  writeNow(): void {
    if (this.#isBatched) this.#goOn()
  }

  sent(result: number): void {
    this.#isBatched = false
    if (result === this.#left) return this.#end(Effect.void)
    if (result >= 0) return this.#take(result)
    const error = this.#target.writeError(-result)
    if (error !== undefined) this.#end(this.#toFailure(error))
  }

  resume(): void {
    if (this.#isResumed) return
    if (this.#result === undefined) this.#goOn()
    else this.#finish(this.#result)
  }

  /** Writes the rest now, or when there is room: the batch has not found out whether there is. */
  #goOn(): void {
    const { watchedFd } = this.#target
    this.wake()
    if (this.#result === undefined) watchedFd.awaitReport(watchedFd.writing, this)
  }

  wake(): void {
    this.#isBatched = false
    const { isStream, watchedFd } = this.#target
    // Made once even of no bytes: it may be a message.
    for (;;) {
      const count = this.#target.writeSome(this.#rest, this.#left)
      if (count === undefined) return watchedFd.writing.forget()
      if (typeof count !== "number") return this.#give(Effect.catch(count, this.#toFailure))
      this.#take(count)
      if (this.#left === 0) return this.#give(Effect.void)
      if (isStream) return watchedFd.writing.forget()
    }
  }

  fail(error: PollerError): void {
    this.#give(this.#toFailure(error))
  }

  #take(count: number): void {
    this.#left -= count
    // The next call finds out if the buffer was transferred, or has shrunk: no view of it can be
    // made then.
    this.#rest = this.#rest.length < count ? empty : this.#rest.subarray(count)
  }

  #give(result: Effect.Effect<void, E>): void {
    this.#end(result)
    this.#finish(result)
  }

  #end(result: Effect.Effect<void, E>): void {
    if (this.#result !== undefined) return
    this.#result = result
    this.#isBatched = false
    // This object may be kept for some time.
    this.#rest = empty
    this.#target.watchedFd.leave(this.#target.watchedFd.writing, this)
    this.#target.writeOver(this)
  }

  #finish(result: Effect.Effect<void, E>): void {
    this.#isResumed = true
    const fiber = this.#fiber
    // It may wait for something else from now on.
    this.#fiber = undefined
    if (fiber !== undefined) resumeSuspended(fiber, result)
  }
}
