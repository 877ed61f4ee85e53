/** The sending end of a channel. Values travel through `MessagePort`s, one for each sender. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MessageChannel, MessagePort } from "node:worker_threads"
import type { Sender, SenderHandle } from "../../PollChannel.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import * as UserEvents from "../delivery/userEvent.ts"
import { textOf } from "../errors/arguments.ts"
import { otherVersion } from "../errors/copies.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { Counts } from "./counts.ts"
import * as Handle from "./handle.ts"
import { portHere } from "./realm.ts"

export const TypeId = "~effect-amy/PollChannel/Sender"

const receiverGone = () => closedBecause("the channel's receiver is gone")
const senderClosed = () => closedBecause("this sender is closed")

/**
 * The ports that have made a sender on this thread. What is posted to a port that was closed, or
 * transferred since, is lost.
 */
const used = new WeakSet<MessagePort>()

/** Returns whether either side of a port was closed. */
const isClosed = (port: MessagePort): boolean => {
  // A closed port refers to nothing.
  port.ref()
  const isOpen = port.hasRef()
  port.unref()
  return !isOpen
}

/**
 * The key under which a sender passes the port of a further sender to the receiver, in the order of
 * its messages.
 */
const portKey = "~effect-amy/PollChannel/port"

/**
 * Returns the port of a further sender, or `undefined` for a user's message. A user's message holds
 * no port, because `send` transfers none. Whatever it has under that key, it is a value to receive.
 */
export const portOf = (message: unknown): MessagePort | undefined =>
  typeof message === "object" && message !== null && portKey in message && message[portKey] instanceof MessagePort
    ? message[portKey]
    : undefined

export class SenderImpl<in A> extends PublicObject implements Sender<A> {
  static {
    detachMethods(this)
  }

  static is(u: unknown): u is Sender<never> {
    return typeof u === "object" && u !== null && #counts in u
  }

  readonly #counts: Counts
  readonly #event: UserEvents.RemoteUserEvent
  readonly #port: MessagePort
  readonly #adopt: ((port: MessagePort) => void) | undefined
  #closed = false
  #receiverGone = false
  #suspended = 0

  /**
   * `adopt` gives the receiver a port without a message. It is there if the receiver is on this
   * thread.
   */
  constructor(
    counts: Counts,
    event: UserEvents.RemoteUserEvent,
    port: MessagePort,
    adopt?: (port: MessagePort) => void
  ) {
    super()
    this.#counts = counts
    this.#event = event
    this.#port = port
    this.#adopt = adopt
    used.add(port)
    // Happens by itself if the receiver's thread was terminated: that thread could not write it to
    // the shared memory.
    port.once("close", () => {
      this.#receiverGone = true
      counts.wakeWaiters()
    })
    port.unref()
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  /** Returns why nothing can be sent, or `undefined` if a message can be sent. */
  get #refusal(): PollerError | undefined {
    if (this.#closed) return senderClosed()
    return this.#receiverGone || this.#counts.isReceiverGone ? receiverGone() : undefined
  }

  /** Sends if there is room. Returns whether there was, or why nothing can be sent. */
  #offer(value: A): boolean | PollerError {
    const refusal = this.#refusal
    if (refusal !== undefined) return refusal
    if (!this.#counts.reserve()) return false
    try {
      this.#port.postMessage(value)
    } catch (cause) {
      this.#counts.free()
      return invalidArgument(`this value cannot be sent to another thread (${textOf(cause)}): send plain data`)
    }
    this.#counts.countSent()
    if (this.#counts.countPosted()) this.#event.triggerUnsafe()
    return true
  }

  trySend(value: A): Effect.Effect<boolean, PollerError> {
    return Effect.suspend(() => {
      const result = this.#offer(value)
      return typeof result === "boolean" ? Effect.succeed(result) : Effect.fail(result)
    })
  }

  send(value: A): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const result = this.#offer(value)
      if (result === true) return Effect.void
      return result === false ? Effect.andThen(this.#room, this.send(value)) : Effect.fail(result)
    })
  }

  /**
   * Waits until there may be room. A wait in shared memory does not keep a thread alive, so the
   * port does it meanwhile.
   */
  readonly #room: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#suspended++ === 0) this.#port.ref()
    return Effect.onExit(this.#counts.awaitFree, () =>
      Effect.sync(() => {
        if (--this.#suspended === 0) this.#port.unref()
      })
    )
  })

  get handle(): Effect.Effect<SenderHandle, PollerError> {
    return Effect.suspend(() => {
      const port = this.#fork()
      return isPollerError(port)
        ? Effect.fail(port)
        : Effect.succeed(Handle.make(port, this.#counts.buffer, this.#event.handle))
    })
  }

  /**
   * Gives the receiver one side of a new pair of ports, for a further sender, and returns the other
   * side.
   */
  #fork(): MessagePort | PollerError {
    const refusal = this.#refusal
    if (refusal !== undefined) return refusal
    const { port1, port2 } = new MessageChannel()
    if (this.#adopt !== undefined) {
      this.#adopt(port1)
    } else {
      this.#port.postMessage({ [portKey]: port1 }, [port1])
      if (this.#counts.countPosted()) this.#event.triggerUnsafe()
    }
    return port2
  }

  get close(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.#closed) return
      this.#closed = true
      this.#port.close()
    })
  }

  toString(): string {
    return `Sender(${this.#event.id})`
  }

  toJSON(): unknown {
    return { _id: "effect-amy/Sender", id: this.#event.id }
  }
}

export const fromHandle = Effect.fnUntraced(function* <A>(
  handle: SenderHandle
): Effect.fn.Return<Sender<A>, PollerError, Scope.Scope> {
  const contents = Handle.contentsOf(handle)
  if (contents === undefined) {
    return yield* (
      otherVersion("handle of a sender", handle) ??
      invalidArgument("this is not the handle of a sender: pass what Sender.handle returned in another thread")
    )
  }
  if (used.has(contents.port)) {
    return yield* invalidArgument("this handle has made its sender already: get another one from Sender.handle")
  }
  const counts = new Counts(contents.shared)
  if (counts.isReceiverGone || isClosed(contents.port)) return yield* receiverGone()
  const event = yield* UserEvents.fromHandle(contents.event)
  return yield* Effect.acquireRelease(
    Effect.sync(() => {
      used.add(contents.port)
      return new SenderImpl<A>(counts, event, portHere(contents.port))
    }),
    (sender) => sender.close
  )
})
