/**
 * The receiving end of a channel: it takes from the ports of all its senders. A user event tells its poller of the first
 * message only.
 */
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
import type { Counts } from "./counts.ts"
import { portOf } from "./sender.ts"

const sendersGone = () => closedBecause("all senders of the channel are gone")

/** A chunk of a stream holds no more, so that a fast sender does not keep the consumer from its work. */
const largestChunk = 1024

/** The receiving end, on the thread whose poller it is registered with. */
export class ReceivingEnd<out A> {
  readonly #counts: Counts
  readonly #ports: Array<MessagePort> = []
  readonly #waiters = new Set<() => void>()
  readonly #trigger: () => void
  readonly #dispatcher: UserEventImpl["dispatcher"]
  #next = 0
  #received = 0
  #ended: PollerError | undefined

  /** Takes over the reports of the event by which senders tell this end. */
  constructor(
    counts: Counts,
    { dispatcher, source, triggerUnsafe }: Pick<UserEventImpl, "dispatcher" | "source" | "triggerUnsafe">,
    port: MessagePort
  ) {
    this.#counts = counts
    this.#dispatcher = dispatcher
    this.#trigger = triggerUnsafe
    this.adopt(port)
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

  /** Receives from a further sender. */
  readonly adopt = (port: MessagePort): void => {
    this.#ports.push(port)
    // Comes when the sender has closed its side or its thread has ended, and everything from it was received.
    port.once("close", () => {
      this.#ports.splice(this.#ports.indexOf(port), 1)
      // A thread that was terminated may have been about to take a free place, or to tell this end of a message.
      this.#counts.wakeSender(Infinity)
      this.#wakeAll()
      // For whoever waits for notifications: that there will be no more is worth one, too.
      if (this.#ports.length === 0 && this.#ended === undefined) this.#trigger()
    })
    port.unref()
  }

  /** The next message in a holder, `undefined` if there is none now, or why there will be none. */
  take(): { readonly value: A } | PollerError | undefined {
    let posted: number
    do {
      posted = this.#counts.posted(this.#received)
      // Also when nothing is pending: the end of a sender lies behind its last message, and is seen by looking for more.
      for (let message = this.#receive(); message !== undefined; message = this.#receive()) {
        this.#counts.countReceived()
        this.#received++
        const port = portOf(message.message)
        if (port !== undefined) {
          this.adopt(port)
          continue
        }
        this.#counts.free()
        return { value: message.message as A }
      }
    } while (this.#ports.length > 0 && this.#counts.foundEmpty(posted, this.#received))
    return this.#ended ?? (this.#ports.length === 0 ? sendersGone() : undefined)
  }

  /** Looks at one port after the other, and stays with one that has something. */
  #receive(): { readonly message: unknown } | undefined {
    for (let looked = 0; looked < this.#ports.length; looked++) {
      if (this.#next >= this.#ports.length) this.#next = 0
      const message = receiveMessageOnPort(this.#ports[this.#next]!) as { readonly message: unknown } | undefined
      if (message !== undefined) return message
      this.#next++
    }
    return undefined
  }

  readonly tryReceive: Effect.Effect<Option.Option<A>, PollerError> = Effect.suspend(() => {
    const taken = this.take()
    if (taken === undefined) return Effect.succeedNone
    return isPollerError(taken) ? Effect.fail(taken) : Effect.succeed(Option.some(taken.value))
  })

  readonly receive: Effect.Effect<A, PollerError> = Effect.suspend(() => {
    const taken = this.take()
    if (taken === undefined) return Effect.andThen(this.#arrival, this.receive)
    return isPollerError(taken) ? Effect.fail(taken) : Effect.succeed(taken.value)
  })

  /** Everything that is there, once there is something. */
  readonly receiveAll: Effect.Effect<readonly [A, ...Array<A>], PollerError> = Effect.suspend(() => {
    const first = this.take()
    if (first === undefined) return Effect.andThen(this.#arrival, this.receiveAll)
    if (isPollerError(first)) return Effect.fail(first)
    const all: [A, ...Array<A>] = [first.value]
    while (all.length < largestChunk) {
      const taken = this.take()
      if (taken === undefined || isPollerError(taken)) break
      all.push(taken.value)
    }
    return Effect.succeed(all)
  })

  readonly #arrival: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.#waiters.add(wake)
    this.#dispatcher.waiters++
    // The fiber may have been made to yield before it came here, and that was told meanwhile.
    if (this.#counts.isTold || this.#ended !== undefined || this.#ports.length === 0) {
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

  close(): void {
    this.#end(closedBecause("the channel is closed (its scope has ended)"))
    for (const port of this.#ports.splice(0)) {
      port.removeAllListeners("close")
      port.close()
    }
  }
}

const endIfClosed = (error: PollerError): Effect.Effect<never, PollerError | Cause.Done> =>
  error.reason._tag === "Closed" ? Cause.done() : Effect.fail(error)

export const toReceiver = <A>(end: ReceivingEnd<A>, id: RegistrationId): Receiver<A> => ({
  id,
  tryReceive: end.tryReceive,
  receive: end.receive,
  stream: Stream.fromPull(Effect.succeed(Effect.catch(end.receiveAll, endIfClosed)))
})
