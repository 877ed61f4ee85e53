/**
 * The receiving end of a channel. It takes messages from the ports of all senders. A user event
 * reports the first message to its poller, and no other until the channel has been found empty.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import type { Receiver } from "../../PollChannel.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { RegistrationId } from "../../Registrar.ts"
import type { UserEventImpl } from "../delivery/userEvent.ts"
import { closedBecause } from "../errors/pollerErrors.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { resumeFiber } from "../objects/resumeFiber.ts"
import type { Counts } from "./counts.ts"
import { portOf } from "./sender.ts"

export const TypeId = "~effect-amy/PollChannel/Receiver"

const sendersGone = () => closedBecause("all senders of the channel are gone")

/**
 * The most messages that are taken at once, so that a fast sender does not keep the consumer from
 * its work.
 */
const mostAtOnce = 1024

const endIfClosed = (error: PollerError): Effect.Effect<never, PollerError | Cause.Done> =>
  error.reason._tag === "Closed" ? Cause.done() : Effect.fail(error)

/** It belongs to the thread whose poller it is registered with. */
export class ReceiverImpl<out A> extends PublicObject implements Receiver<A> {
  static {
    detachMethods(this)
  }

  static is(u: unknown): u is Receiver<unknown> {
    return typeof u === "object" && u !== null && #counts in u
  }

  /** Receives from a further sender of this thread. */
  static adopt(receiver: ReceiverImpl<unknown>, port: MessagePort): void {
    receiver.#adopt(port)
  }

  /** Ends the channel, when its scope closes. */
  static close(receiver: ReceiverImpl<unknown>): void {
    receiver.#close()
  }

  readonly #counts: Counts
  readonly #id: RegistrationId
  readonly #ports: Array<MessagePort> = []
  readonly #waiters = new Set<() => void>()
  readonly #trigger: () => void
  readonly #dispatcher: UserEventImpl["dispatcher"]
  #next = 0
  #received = 0
  #ended: PollerError | undefined

  /** Takes over the reports of the event that the senders trigger. */
  constructor(
    counts: Counts,
    { dispatcher, id, source, triggerUnsafe }: Pick<UserEventImpl, "dispatcher" | "id" | "source" | "triggerUnsafe">,
    port: MessagePort
  ) {
    super()
    this.#counts = counts
    this.#id = id
    this.#dispatcher = dispatcher
    this.#trigger = triggerUnsafe
    this.#adopt(port)
    source.consume = () => {
      if (this.#waiters.size === 0) return false
      this.#wakeAll()
      return true
    }
    const { end } = source
    source.end = (error) => {
      end?.(error)
      this.#end(error)
    }
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get id(): RegistrationId {
    return this.#id
  }

  /** Receives from a further sender. */
  #adopt(port: MessagePort): void {
    this.#ports.push(port)
    // Happens once the sender has closed its side, or its thread has ended, and all of its messages
    // were received.
    port.once("close", () => {
      const index = this.#ports.indexOf(port)
      // This end has closed it.
      if (index === -1) return
      this.#ports.splice(index, 1)
      // A thread that was terminated may have been about to take a free place, or to report a
      // message to this end.
      this.#counts.wakeSender(Infinity)
      this.#wakeAll()
      // A consumer that waits for notifications needs one for the end of the last sender, too.
      if (this.#ports.length === 0 && this.#ended === undefined) this.#trigger()
    })
    port.unref()
  }

  /**
   * Takes the next message, in a holder. Returns `undefined` if there is none now, or why there
   * will be none.
   */
  #take(): { readonly value: A } | PollerError | undefined {
    let posted: number
    do {
      posted = this.#counts.posted(this.#received)
      // Also when nothing is pending: the end of a sender comes after its last message, and is
      // found by looking for more.
      for (let message = this.#receive(); message !== undefined; message = this.#receive()) {
        this.#counts.countReceived()
        this.#received++
        const port = portOf(message.message)
        if (port !== undefined) {
          this.#adopt(port)
          continue
        }
        this.#counts.free()
        return { value: message.message as A }
      }
    } while (this.#ports.length > 0 && this.#counts.foundEmpty(posted, this.#received))
    return this.#ended ?? (this.#ports.length === 0 ? sendersGone() : undefined)
  }

  /** Looks at one port after the other, and stays with a port that has a message. */
  #receive(): { readonly message: unknown } | undefined {
    for (let looked = 0; looked < this.#ports.length; looked++) {
      if (this.#next >= this.#ports.length) this.#next = 0
      const message = receiveMessageOnPort(this.#ports[this.#next]!) as { readonly message: unknown } | undefined
      if (message !== undefined) return message
      this.#next++
    }
    return undefined
  }

  readonly #tryReceive: Effect.Effect<Option.Option<A>, PollerError> = Effect.suspend(() => {
    const taken = this.#take()
    if (taken === undefined) return Effect.succeedNone
    return isPollerError(taken) ? Effect.fail(taken) : Effect.succeed(Option.some(taken.value))
  })

  get tryReceive(): Effect.Effect<Option.Option<A>, PollerError> {
    return this.#tryReceive
  }

  readonly #receiveOne: Effect.Effect<A, PollerError> = Effect.suspend(() => {
    const taken = this.#take()
    if (taken === undefined) return Effect.andThen(this.#arrival, this.#receiveOne)
    return isPollerError(taken) ? Effect.fail(taken) : Effect.succeed(taken.value)
  })

  get receive(): Effect.Effect<A, PollerError> {
    return this.#receiveOne
  }

  readonly #receiveAll: Effect.Effect<readonly [A, ...Array<A>], PollerError> = Effect.suspend(() => {
    const first = this.#take()
    if (first === undefined) return Effect.andThen(this.#arrival, this.#receiveAll)
    if (isPollerError(first)) return Effect.fail(first)
    const all: [A, ...Array<A>] = [first.value]
    while (all.length < mostAtOnce) {
      const taken = this.#take()
      if (taken === undefined || isPollerError(taken)) break
      all.push(taken.value)
    }
    return Effect.succeed(all)
  })

  get receiveMany(): Effect.Effect<readonly [A, ...Array<A>], PollerError> {
    return this.#receiveAll
  }

  get stream(): Stream.Stream<A, PollerError> {
    return Stream.fromPull(Effect.succeed(Effect.catch(Effect.map(this.#receiveOne, Arr.of), endIfClosed)))
  }

  /** Waits until there may be a message. */
  readonly #arrival: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resumeFiber(resume, Effect.void)
    this.#waiters.add(wake)
    this.#dispatcher.waiters++
    // The fiber may have been made to yield before it came here, and a message may have been
    // reported meanwhile.
    if (this.#counts.isReported || this.#ended !== undefined || this.#ports.length === 0) {
      this.#forget(wake)
      return wake()
    }
    this.#dispatcher.onWait?.()
    return Effect.sync(() => this.#forget(wake))
  })

  #forget(wake: () => void): void {
    if (this.#waiters.delete(wake)) this.#dispatcher.waiters--
  }

  #wakeAll(): void {
    const waiters = [...this.#waiters]
    for (const wake of waiters) this.#forget(wake)
    for (const wake of waiters) wake()
  }

  #end(error: PollerError): void {
    this.#counts.closeReceiver()
    this.#ended ??= error
    this.#wakeAll()
  }

  #close(): void {
    this.#end(closedBecause("the channel is closed (its scope has ended)"))
    for (const port of this.#ports.splice(0)) port.close()
  }

  toString(): string {
    return `Receiver(${this.#id})`
  }

  toJSON(): unknown {
    return { _id: "effect-amy/Receiver", id: this.#id }
  }
}
