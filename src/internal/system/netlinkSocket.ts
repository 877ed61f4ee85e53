/** A netlink socket for a program's own messages: requests with their replies, and other messages. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import { isUint8Array } from "node:util/types"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Message, NetlinkSocket, OpenOptions, Outgoing } from "../../system/Netlink.ts"
import { transferredError } from "../errors/arguments.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import { type Network, network } from "../net/network.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { Fifo } from "./fifo.ts"
import { type NetlinkChannel, openChannel } from "./netlinkChannel.ts"
import { decodeMessages, encodeMessage, endOf } from "./netlinkMessage.ts"

export const TypeId = "~effect-amy/NetlinkSocket"

/** More than the default of most systems, which a few hundred messages fill. */
export const defaultReceiveBufferSize = 1024 * 1024

/** How many messages are kept while requests read, and no stream takes them. */
const mostKept = 65_536

/** The messages that answer a request, and whether they are complete. */
class Reply {
  readonly messages: Array<Message> = []
  readonly done = Deferred.makeUnsafe<void, PollerError>()
  readonly isDump: boolean
  /** Whether what a dump lists changed meanwhile, so that it may have holes. */
  isInconsistent = false

  constructor(isDump: boolean) {
    this.isDump = isDump
  }
}

const isByteArray = (value: unknown): value is Uint8Array =>
  isUint8Array(value) && transferredError(value) === undefined

const isUint = (value: unknown, most: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most

const messageError = (type: unknown, flags: unknown, payload: unknown): PollerError | undefined => {
  if (!isUint(type, 0xffff)) {
    return invalidArgument(`invalid type ${String(type)} of a message: expected an integer from 0 to 65535`)
  }
  if (!isUint(flags, 0xffff)) {
    return invalidArgument(`invalid flags ${String(flags)} of a message: expected an integer from 0 to 65535`)
  }
  return isByteArray(payload) ? undefined : invalidArgument("invalid payload of a message: expected a Uint8Array")
}

export class NetlinkSocketImpl extends PublicObject implements NetlinkSocket {
  readonly #channel: NetlinkChannel
  /** One fiber reads at a time, for all that wait: what it reads is handed on by number. */
  readonly #reader = Semaphore.makeUnsafe(1)
  readonly #replies = new Map<number, Reply>()
  readonly #inbox = new Fifo<Message>()
  /** Settled when something comes for the stream of messages. */
  #arrival: Deferred.Deferred<void, PollerError> | undefined
  /** Whether messages were lost since the stream last heard of that. */
  #hasLost = false
  #sequence = 0

  static {
    detachMethods(this)
  }

  constructor(channel: NetlinkChannel) {
    super()
    this.#channel = channel
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get owned() {
    return this.#channel.owned
  }

  get fd(): number {
    return this.owned.fd
  }

  get pid(): number {
    return this.#channel.pid
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.owned.close
  }

  send({ flags = netlink.NLM_F_REQUEST, payload = new Uint8Array(0), type }: Outgoing) {
    return Effect.suspend((): Effect.Effect<number, PollerError> => {
      const invalid = messageError(type, flags, payload)
      if (invalid !== undefined) return Effect.fail(invalid)
      const sequence = this.#nextSequence()
      const failure = this.#channel.send(encodeMessage(type, flags, sequence, payload))
      return failure === undefined ? Effect.succeed(sequence) : Effect.fail(failure)
    })
  }

  request(
    type: number,
    flags: number = 0,
    payload: Uint8Array = new Uint8Array(0)
  ): Effect.Effect<ReadonlyArray<Message>, PollerError> {
    return Effect.suspend(() => {
      const invalid = messageError(type, flags, payload)
      if (invalid !== undefined) return Effect.fail(invalid)
      return this.#request(type, flags, payload)
    })
  }

  #request(type: number, flags: number, payload: Uint8Array): Effect.Effect<ReadonlyArray<Message>, PollerError> {
    return Effect.suspend(() => {
      const isDump = (flags & netlink.NLM_F_DUMP) === netlink.NLM_F_DUMP
      const before = isDump ? this.#unfinishedDump : undefined
      // The kernel makes one dump at a time for a socket, also if its fiber was interrupted.
      if (before !== undefined) {
        return Effect.andThen(Effect.exit(this.#until(before.done)), this.#request(type, flags, payload))
      }
      const sequence = this.#nextSequence()
      const message = encodeMessage(type, flags | netlink.NLM_F_REQUEST | netlink.NLM_F_ACK, sequence, payload)
      const failure = this.#channel.send(message)
      if (failure !== undefined) return Effect.fail(failure)
      // At once: what an interrupted fiber has asked for still arrives, and belongs to its request.
      const reply = new Reply(isDump)
      this.#replies.set(sequence, reply)
      return Effect.andThen(
        this.#until(reply.done),
        Effect.suspend(() =>
          reply.isInconsistent
            ? Effect.andThen(Effect.yieldNow, this.#request(type, flags, payload))
            : Effect.succeed(reply.messages)
        )
      )
    })
  }

  get #unfinishedDump(): Reply | undefined {
    for (const reply of this.#replies.values()) if (reply.isDump && !Deferred.isDoneUnsafe(reply.done)) return reply
    return undefined
  }

  get messages(): Stream.Stream<Message, PollerError> {
    const pull: Effect.Effect<readonly [Message], PollerError> = Effect.suspend(() => {
      const message = this.#inbox.shift()
      if (message !== undefined) return Effect.succeed([message] as const)
      if (this.#hasLost) {
        this.#hasLost = false
        return Effect.fail(this.#lost())
      }
      return Effect.andThen(this.#until((this.#arrival ??= Deferred.makeUnsafe())), pull)
    })
    return Stream.fromPull(Effect.succeed(pull))
  }

  #nextSequence(): number {
    // The kernel numbers its own messages 0.
    this.#sequence = this.#sequence === 0xffff_ffff ? 1 : this.#sequence + 1
    return this.#sequence
  }

  /** Reads, or waits for the fiber that reads, until it is done. */
  #until(done: Deferred.Deferred<void, PollerError>): Effect.Effect<void, PollerError> {
    const read = Effect.whileLoop({
      while: () => !Deferred.isDoneUnsafe(done),
      body: () => this.#reading,
      step: () => {}
    })
    return Effect.raceFirst(Deferred.await(done), Effect.andThen(this.#reader.withPermit(read), Deferred.await(done)))
  }

  readonly #reading = Effect.suspend(() => {
    const { watchedFd } = this.#channel
    return watchedFd.attempt(watchedFd.reading, () => {
      const datagram = this.#channel.receive()
      if (datagram === undefined) return undefined
      if (isPollerError(datagram)) return Effect.fail(datagram)
      if (datagram === "Overrun") this.#overrun()
      else for (const message of decodeMessages(datagram)) this.#accept(message)
      return Effect.void
    })
  })

  #accept(message: Message): void {
    const reply = message.pid === this.pid ? this.#replies.get(message.sequence) : undefined
    if (reply === undefined) {
      if (this.#inbox.length < mostKept) this.#inbox.push(message)
      else this.#hasLost = true
      return this.#arrive()
    }
    if ((message.flags & netlink.NLM_F_DUMP_INTR) !== 0) reply.isInconsistent = true
    const errno = endOf(message)
    if (errno === undefined) return void reply.messages.push(message)
    this.#replies.delete(message.sequence)
    const error = errno === 0 ? undefined : fromErrno("netlink", errno, { fd: this.fd })
    Deferred.doneUnsafe(reply.done, error === undefined ? Effect.void : Effect.fail(error))
  }

  #arrive(): void {
    const arrival = this.#arrival
    this.#arrival = undefined
    if (arrival !== undefined) Deferred.doneUnsafe(arrival, Effect.void)
  }

  /** The replies of requests may be among what the kernel has dropped. */
  #overrun(): void {
    this.#hasLost = true
    for (const { done } of this.#replies.values()) Deferred.doneUnsafe(done, Effect.fail(this.#lost()))
    this.#arrive()
  }

  #lost(): PollerError {
    return fromErrno("recvfrom", constants.errno.ENOBUFS, { fd: this.fd })
  }

  toJSON() {
    return { _id: "effect-amy/NetlinkSocket", fd: this.fd, pid: this.pid }
  }

  toString(): string {
    return `NetlinkSocket(${this.fd === -1 ? "closed" : this.fd})`
  }
}

export const isNetlinkSocket = (u: unknown): u is NetlinkSocket => u instanceof NetlinkSocketImpl

export const open = (
  protocol: number,
  options: OpenOptions | undefined
): Effect.Effect<NetlinkSocket, PollerError, Registrar | Scope.Scope> =>
  Effect.flatMap(network, (net) => openIn(net, protocol, options ?? {}))

export const openIn = (
  net: Network,
  protocol: number,
  { groups = [], receiveBufferSize = defaultReceiveBufferSize }: OpenOptions
): Effect.Effect<NetlinkSocketImpl, PollerError, Scope.Scope> =>
  Effect.map(openChannel(net, { protocol, groups, receiveBufferSize }), (channel) => new NetlinkSocketImpl(channel))
