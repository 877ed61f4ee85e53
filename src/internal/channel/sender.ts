/** The sending end of a channel. Values travel by `MessagePort`, one for each sender. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MessageChannel, type MessagePort } from "node:worker_threads"
import type { Sender, SenderHandle } from "../../PollChannel.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { UserEventHandle } from "../../UserEvent.ts"
import * as userEvent from "../delivery/userEvent.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import { Counts, sharedBytes } from "./counts.ts"

const receiverGone = () => closedBecause("the channel's receiver is gone")
const senderClosed = () => closedBecause("this sender is closed")

/** Those that have made a sender on this thread. What is posted to one that was closed, or transferred since, is lost. */
const used = new WeakSet<MessagePort>()
const isUsed = (port: MessagePort): boolean => used.has(port)

/** Whether either side of it was closed: such a port refers to nothing. */
const isClosed = (port: MessagePort): boolean => {
  port.ref()
  const isOpen = port.hasRef()
  port.unref()
  return !isOpen
}

/** Under this name a sender hands a further sender's port to the receiver, in the order of its own messages. */
const portKey = "~effect-amy/PollChannel/port"

export const portOf = (message: unknown): MessagePort | undefined =>
  typeof message === "object" && message !== null && portKey in message ? (message[portKey] as MessagePort) : undefined

/** The sending end, on whichever thread. */
export class SendingEnd<in A> {
  readonly #counts: Counts
  readonly #port: MessagePort
  readonly #trigger: () => void
  #closed = false
  #receiverGone = false
  #suspended = 0

  readonly #adopt: ((port: MessagePort) => void) | undefined

  /** With `adopt` where the receiver is on this thread, and can be given a port without a message. */
  constructor(counts: Counts, port: MessagePort, trigger: () => void, adopt?: (port: MessagePort) => void) {
    this.#counts = counts
    this.#adopt = adopt
    this.#port = port
    this.#trigger = trigger
    used.add(port)
    // Comes by itself if the receiver's thread was terminated, for then nobody could say so in the shared memory.
    port.once("close", () => {
      this.#receiverGone = true
      counts.wakeWaiters()
    })
    port.unref()
  }

  /** Why nothing can be sent, if so. */
  get refusal(): PollerError | undefined {
    if (this.#closed) return senderClosed()
    return this.#receiverGone || this.#counts.isReceiverGone ? receiverGone() : undefined
  }

  /** Sends if there is a place; answers whether there was, or why nothing can be sent. */
  offer(value: A): boolean | PollerError {
    const { refusal } = this
    if (refusal !== undefined) return refusal
    if (!this.#counts.reserve()) return false
    try {
      this.#port.postMessage(value)
    } catch (cause) {
      this.#counts.free()
      return invalidArgument(`this value cannot be sent to another thread (${String(cause)}): send plain data`)
    }
    this.#counts.countSent()
    if (this.#counts.countPosted()) this.#trigger()
    return true
  }

  readonly trySend = (value: A): Effect.Effect<boolean, PollerError> =>
    Effect.suspend(() => {
      const result = this.offer(value)
      return typeof result === "boolean" ? Effect.succeed(result) : Effect.fail(result)
    })

  readonly send = (value: A): Effect.Effect<void, PollerError> =>
    Effect.suspend(() => {
      const result = this.offer(value)
      if (result === true) return Effect.void
      return result === false ? Effect.andThen(this.#room, this.send(value)) : Effect.fail(result)
    })

  /** Waits until there may be a place. What waits in shared memory does not keep a thread alive, so the port does. */
  readonly #room: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#suspended++ === 0) this.#port.ref()
    return Effect.onExit(this.#counts.awaitFree, () =>
      Effect.sync(() => {
        if (--this.#suspended === 0) this.#port.unref()
      })
    )
  })

  /** Makes the port of a further sender known to the receiver, and answers the other side of it. */
  fork(): MessagePort | PollerError {
    const { refusal } = this
    if (refusal !== undefined) return refusal
    const { port1, port2 } = new MessageChannel()
    if (this.#adopt !== undefined) {
      this.#adopt(port1)
    } else {
      this.#port.postMessage({ [portKey]: port1 }, [port1])
      if (this.#counts.countPosted()) this.#trigger()
    }
    return port2
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#port.close()
  }
}

export const toSender = <A>(end: SendingEnd<A>, counts: Counts, event: UserEventHandle): Sender<A> => ({
  send: end.send,
  trySend: end.trySend,
  handle: Effect.suspend(() => {
    const port = end.fork()
    return isPollerError(port)
      ? Effect.fail(port)
      : Effect.succeed({ _tag: "effect-amy/SenderHandle", port, shared: counts.buffer, event } as const)
  }),
  close: Effect.sync(() => end.close())
})

/** Opens the sender that a handle is for; with `undefined` in its place where it is none. */
export const fromHandle = Effect.fnUntraced(function* <A>(
  handle: SenderHandle | undefined
): Effect.fn.Return<Sender<A>, PollerError, Scope.Scope> {
  if (handle === undefined || handle.shared.byteLength !== sharedBytes) {
    return yield* invalidArgument("this is no handle of a sender: give what Sender.handle is in another thread")
  }
  const counts = new Counts(handle.shared)
  if (isUsed(handle.port)) {
    return yield* invalidArgument("this handle has made its sender already: ask for another one by Sender.handle")
  }
  if (counts.isReceiverGone || isClosed(handle.port)) return yield* receiverGone()
  const event = yield* userEvent.fromHandle(handle.event)
  const end = yield* Effect.acquireRelease(
    Effect.sync(() => new SendingEnd<A>(counts, handle.port, event.triggerUnsafe)),
    (end) => Effect.sync(() => end.close())
  )
  return toSender(end, counts, handle.event)
})
