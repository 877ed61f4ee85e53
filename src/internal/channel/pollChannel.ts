/**
 * The two ends of a channel between threads. Values travel by `MessagePort`, one for each sender; a few words of shared
 * memory count them; a user event tells the receiver's poller of the first one only.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { closedBecause, invalidArgument } from "../errors/pollerErrors.ts"
import type { UserEventImpl } from "../delivery/userEvent.ts"

/** Words of the memory that all ends share. */
const Word = {
  /** 1 once the receiver is gone. */
  ReceiverGone: 0,
  /** Messages that were sent and not received. */
  Pending: 1,
  /** 1 from the trigger that tells the receiver until the receiver has found the channel empty. */
  Told: 2,
  /** How many messages it may hold; 0 for any number. */
  Capacity: 3,
  /** Messages that hold a place of a bounded channel. */
  Used: 4,
  /** How many senders wait for a place. */
  Waiting: 5,
  /** Changes whenever a place becomes free, and the address at which senders wait. */
  Freed: 6,
  Sent: 7,
  Triggers: 8
} as const

export const sharedBytes = 64

const receiverGone = () => closedBecause("the channel's receiver is gone")
const sendersGone = () => closedBecause("all senders of the channel are gone")
const senderClosed = () => closedBecause("this sender is closed")

/** Under this name a sender hands a further sender's port to the receiver, in the order of its own messages. */
const portKey = "~effect-amy/PollChannel/port"

export class Shared {
  readonly buffer: SharedArrayBuffer
  readonly words: Int32Array
  readonly capacity: number
  readonly #waiters = new Set<() => void>()
  #watching = false

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.capacity = this.words[Word.Capacity]!
  }

  /** A capacity of 0 is none. */
  static make(capacity: number): Shared {
    const buffer = new SharedArrayBuffer(sharedBytes)
    new Int32Array(buffer)[Word.Capacity] = capacity
    return new Shared(buffer)
  }

  get isReceiverGone(): boolean {
    return Atomics.load(this.words, Word.ReceiverGone) !== 0
  }
  /** Whether the receiver was told, and has not found it empty since. */
  get isTold(): boolean {
    return Atomics.load(this.words, Word.Told) !== 0
  }
  get pending(): number {
    // The receiver may be faster than a sender that has posted a message and not counted it yet.
    return Math.max(0, Atomics.load(this.words, Word.Pending))
  }
  get sent(): number {
    return Atomics.load(this.words, Word.Sent) >>> 0
  }
  get triggers(): number {
    return Atomics.load(this.words, Word.Triggers) >>> 0
  }

  /** Takes a place for one message. Answers whether there was one. */
  reserve(): boolean {
    if (this.capacity === 0) return true
    for (;;) {
      const used = Atomics.load(this.words, Word.Used)
      if (used >= this.capacity) return false
      if (Atomics.compareExchange(this.words, Word.Used, used, used + 1) === used) return true
    }
  }

  /** Gives a place back. */
  free(): void {
    if (this.capacity === 0) return
    Atomics.sub(this.words, Word.Used, 1)
    if (Atomics.load(this.words, Word.Waiting) > 0) this.wakeSender(1)
  }

  wakeSender(count: number): void {
    Atomics.add(this.words, Word.Freed, 1)
    Atomics.notify(this.words, Word.Freed, count)
  }

  /** Waits until a place may have become free. */
  readonly awaitFree: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.#waiters.add(wake)
    this.#watch()
    return Effect.sync(() => void this.#waiters.delete(wake))
  })

  /** Lets all of this end go on that wait for a place. */
  wakeWaiters(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }

  get #isHopeless(): boolean {
    return Atomics.load(this.words, Word.Used) >= this.capacity && !this.isReceiverGone
  }

  /** Waits in shared memory once for all of this end, for such a wait cannot be taken back when one is interrupted. */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    Atomics.add(this.words, Word.Waiting, 1)
    const freed = Atomics.load(this.words, Word.Freed)
    const result = this.#isHopeless ? Atomics.waitAsync(this.words, Word.Freed, freed) : undefined
    const woken = () => {
      this.#watching = false
      Atomics.sub(this.words, Word.Waiting, 1)
      this.#admitWaiters()
    }
    if (result?.async === true) void result.value.then(woken)
    else woken()
  }

  /** Lets one after the other go on while there are places, which they take at once. */
  #admitWaiters(): void {
    for (const wake of this.#waiters) {
      if (this.#isHopeless) break
      this.#waiters.delete(wake)
      wake()
    }
    if (this.#waiters.size > 0) this.#watch()
    // The wake-up is another end's: those who waited here do not any more.
    else if (!this.#isHopeless) this.wakeSender(1)
  }

  /** Counts what is in its port by now. Answers whether the receiver has to be told. */
  countPosted(): boolean {
    Atomics.add(this.words, Word.Pending, 1)
    if (Atomics.load(this.words, Word.Told) !== 0) return false
    if (Atomics.compareExchange(this.words, Word.Told, 0, 1) !== 0) return false
    Atomics.add(this.words, Word.Triggers, 1)
    return true
  }

  countSent(): void {
    Atomics.add(this.words, Word.Sent, 1)
  }

  countReceived(): void {
    Atomics.sub(this.words, Word.Pending, 1)
  }

  /** How many were ever posted and counted, of which so many were received. */
  posted(received: number): number {
    return (Atomics.load(this.words, Word.Pending) + received) | 0
  }

  /**
   * The receiver has found nothing, after so many were posted: from now on it has to be told. Answers whether more have been
   * posted meanwhile, of which it is not told; whoever tells it at this very moment does so for the next batch, and not once
   * more for this one. What was posted before and not found went to a port that its sender had given away.
   */
  foundEmpty(posted: number, received: number): boolean {
    Atomics.store(this.words, Word.Told, 0)
    return this.posted(received) !== posted && Atomics.compareExchange(this.words, Word.Told, 0, 1) === 0
  }

  closeReceiver(): void {
    Atomics.store(this.words, Word.ReceiverGone, 1)
    this.wakeSender(Infinity)
  }
}

/** Those that have made a sender on this thread. What is posted to one that was closed, or transferred since, is lost. */
const used = new WeakSet<MessagePort>()
export const isUsed = (port: MessagePort): boolean => used.has(port)

/** Whether either side of it was closed: such a port refers to nothing. */
export const isClosed = (port: MessagePort): boolean => {
  port.ref()
  const isOpen = port.hasRef()
  port.unref()
  return !isOpen
}

/** The sending end, on whichever thread. */
export class SendingEnd<in A> {
  readonly #shared: Shared
  readonly #port: MessagePort
  readonly #trigger: () => void
  #closed = false
  #receiverGone = false
  #suspended = 0

  readonly #adopt: ((port: MessagePort) => void) | undefined

  /** With `adopt` where the receiver is on this thread, and can be given a port without a message. */
  constructor(shared: Shared, port: MessagePort, trigger: () => void, adopt?: (port: MessagePort) => void) {
    this.#shared = shared
    this.#adopt = adopt
    this.#port = port
    this.#trigger = trigger
    used.add(port)
    // Comes by itself if the receiver's thread was terminated, for then nobody could say so in the shared memory.
    port.once("close", () => {
      this.#receiverGone = true
      shared.wakeWaiters()
    })
    port.unref()
  }

  /** Why nothing can be sent, if so. */
  get refusal(): PollerError | undefined {
    if (this.#closed) return senderClosed()
    return this.#receiverGone || this.#shared.isReceiverGone ? receiverGone() : undefined
  }

  /** Sends if there is a place; answers whether there was, or why nothing can be sent. */
  offer(value: A): boolean | PollerError {
    const { refusal } = this
    if (refusal !== undefined) return refusal
    if (!this.#shared.reserve()) return false
    try {
      this.#port.postMessage(value)
    } catch (cause) {
      this.#shared.free()
      return invalidArgument(`this value cannot be sent to another thread (${String(cause)}): send plain data`)
    }
    this.#shared.countSent()
    if (this.#shared.countPosted()) this.#trigger()
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
    return Effect.onExit(this.#shared.awaitFree, () =>
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
      if (this.#shared.countPosted()) this.#trigger()
    }
    return port2
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#port.close()
  }
}

const portOf = (message: unknown): MessagePort | undefined =>
  typeof message === "object" && message !== null && portKey in message ? (message[portKey] as MessagePort) : undefined

/** The receiving end, on the thread whose poller it is registered with. */
export class ReceivingEnd<out A> {
  readonly #shared: Shared
  readonly #ports: Array<MessagePort> = []
  readonly #waiters = new Set<() => void>()
  readonly #trigger: () => void
  readonly #dispatcher: UserEventImpl["dispatcher"]
  #next = 0
  #received = 0
  #ended: PollerError | undefined

  /** Takes over the reports of the event by which senders tell this end. */
  constructor(
    shared: Shared,
    { dispatcher, source, triggerUnsafe }: Pick<UserEventImpl, "dispatcher" | "source" | "triggerUnsafe">,
    port: MessagePort
  ) {
    this.#shared = shared
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
      this.#shared.wakeSender(Infinity)
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
      posted = this.#shared.posted(this.#received)
      // Also when nothing is pending: the end of a sender lies behind its last message, and is seen by looking for more.
      for (let message = this.#receive(); message !== undefined; message = this.#receive()) {
        this.#shared.countReceived()
        this.#received++
        const port = portOf(message.message)
        if (port !== undefined) {
          this.adopt(port)
          continue
        }
        this.#shared.free()
        return { value: message.message as A }
      }
    } while (this.#ports.length > 0 && this.#shared.foundEmpty(posted, this.#received))
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
    if (this.#shared.isTold || this.#ended !== undefined || this.#ports.length === 0) {
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
    this.#shared.closeReceiver()
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

/** A chunk of a stream holds no more, so that a fast sender does not keep the consumer from its work. */
const largestChunk = 1024
