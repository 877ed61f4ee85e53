/**
 * Sends and receives datagrams, one call for each. The address of a sender is decoded only when it
 * is read.
 */
import * as Effect from "effect/Effect"
import { type Inspectable, NodeInspectSymbol } from "effect/Inspectable"
import * as NetAddress from "effect/net/NetAddress"
import type * as Option from "effect/Option"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import type { Datagram } from "../../net/Udp.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { changedError, transferredError } from "../errors/arguments.ts"
import type { Attempt } from "../descriptor/direction.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { copyOf } from "../bytes/chunkPool.ts"
import { unlessBlocked } from "../descriptor/systemCall.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { inet, placeOf } from "./addresses.ts"
import { capacity, decodeInet } from "./sockaddr.ts"

/** Maximum datagrams of one `receiveMany`, so that other fibers have their turn in between. */
const batch = 64

// All receiving on this thread shares these. No datagram of UDP is longer, so none is cut.
const scratch = Buffer.alloc(64 * 1024)
const from = new Uint8Array(capacity)
const fromLength = new Uint32Array(1)

const nowhere = NetAddress.inetAddressUnsafe(NetAddress.ipv4Unspecified, 0)

/** An address in the form of the kernel. Successive datagrams of one sender share it. */
export class Sender {
  readonly bytes: Uint8Array
  readonly #libc: Libc
  #address: NetAddress.InetAddress | undefined
  #host: string | undefined

  constructor(libc: Libc, bytes: Uint8Array) {
    this.#libc = libc
    this.bytes = bytes
  }

  get address(): NetAddress.InetAddress {
    return (this.#address ??= decodeInet(this.#libc.profile.socket, this.bytes) ?? nowhere)
  }

  get host(): string {
    return (this.#host ??= NetAddress.formatHost(this.address))
  }

  get port(): number {
    return this.address.port
  }
}

export const DatagramTypeId = "~effect-amy/Datagram"

/** Extends nothing: one is made for each datagram, so making it has to be cheap. */
export class DatagramImpl implements Datagram, Inspectable {
  readonly payload: Uint8Array
  readonly #sender: Sender

  constructor(payload: Uint8Array, sender: Sender) {
    this.payload = payload
    this.#sender = sender
  }

  get [DatagramTypeId](): typeof DatagramTypeId {
    return DatagramTypeId
  }

  get sender(): Sender {
    return this.#sender
  }

  get address(): NetAddress.InetAddress {
    return this.#sender.address
  }

  toJSON(): unknown {
    return { _id: "effect-amy/Datagram", address: NetAddress.formatInet(this.address), length: this.payload.length }
  }

  toString(): string {
    return `Datagram(${this.payload.length} bytes from ${NetAddress.formatInet(this.address)})`
  }

  [NodeInspectSymbol](): string {
    return this.toString()
  }
}

const isSame = (bytes: Uint8Array, length: number): boolean => {
  if (bytes.length !== length) return false
  for (let i = 0; i < length; i++) if (bytes[i] !== from[i]) return false
  return true
}

export class DatagramChannel {
  readonly watchedFd: WatchedFd
  readonly #libc: Libc
  #last: Sender
  /**
   * An error that followed datagrams. The kernel reports it once, and the datagrams are returned
   * first.
   */
  #kept: PollerError | undefined

  constructor(watchedFd: WatchedFd, libc: Libc) {
    this.watchedFd = watchedFd
    this.#libc = libc
    this.#last = new Sender(libc, new Uint8Array(0))
  }

  readonly receive: Effect.Effect<DatagramImpl, PollerError> = Effect.suspend(() =>
    this.watchedFd.attempt(this.watchedFd.reading, this.#receiving)
  )

  /** Receives a datagram now. Gives none if none has arrived, or if another fiber waits for one. */
  get tryReceive(): Effect.Effect<Option.Option<DatagramImpl>, PollerError> {
    return Effect.suspend(() => {
      const received = this.watchedFd.attemptOnce(this.watchedFd.reading, this.#receiving)
      return received === undefined ? Effect.succeedNone : Effect.asSome(received)
    })
  }

  /** Receives every datagram that has arrived, and waits for the first. */
  readonly receiveMany: Effect.Effect<readonly [DatagramImpl, ...Array<DatagramImpl>], PollerError> = Effect.suspend(
    () =>
      this.watchedFd.attempt(this.watchedFd.reading, () => {
        const first = this.#receive()
        if (!(first instanceof DatagramImpl)) return first && Effect.fail(first)
        const received: [DatagramImpl, ...Array<DatagramImpl>] = [first]
        while (received.length < batch) {
          const next = this.#receive()
          if (next instanceof DatagramImpl) {
            received.push(next)
            continue
          }
          if (next === undefined) this.watchedFd.reading.forget()
          this.#kept = next
          break
        }
        return Effect.succeed(received)
      })
  )

  readonly #receiving: Attempt<DatagramImpl> = () => {
    const received = this.#receive()
    return received instanceof DatagramImpl ? Effect.succeed(received) : received && Effect.fail(received)
  }

  #receive(): DatagramImpl | PollerError | undefined {
    const kept = this.#kept
    if (kept !== undefined) {
      this.#kept = undefined
      return kept
    }
    const libc = this.#libc
    const { fd } = this.watchedFd
    const count = retryInterrupted(libc, () => {
      fromLength[0] = capacity
      return libc.functions.recvfrom(fd, scratch, scratch.length, libc.profile.socket.MSG_DONTWAIT, from, fromLength)
    })
    if (count >= 0) return new DatagramImpl(copyOf(scratch, 0, count), this.#sender(Math.min(fromLength[0]!, capacity)))
    return count === -libc.profile.errno.EAGAIN ? undefined : fromErrno("recvfrom", -count, this.watchedFd)
  }

  #sender(length: number): Sender {
    if (!isSame(this.#last.bytes, length)) this.#last = new Sender(this.#libc, from.slice(0, length))
    return this.#last
  }

  /**
   * Sends to an address, or to the peer of a connected socket. The call is made at once: the result
   * is an `Exit` unless the datagram has to wait for room.
   */
  sendUnsafe(payload: Uint8Array, to: Uint8Array | undefined): Effect.Effect<number, PollerError> {
    const invalid = payloadError(payload)
    if (invalid !== undefined) return Effect.fail(invalid)
    const { length } = payload
    const attempt = () => this.#send(payload, length, to)
    const { writing } = this.watchedFd
    return this.watchedFd.tryNow(writing, attempt, Effect.fail) ?? this.watchedFd.attempt(writing, attempt)
  }

  /** Sends as `sendUnsafe` does, and never waits for room. */
  trySendUnsafe(payload: Uint8Array, to: Uint8Array | undefined): Effect.Effect<Option.Option<number>, PollerError> {
    const invalid = payloadError(payload)
    if (invalid !== undefined) return Effect.fail(invalid)
    const sent = this.watchedFd.attemptOnce(this.watchedFd.writing, () => this.#send(payload, payload.length, to))
    return sent === undefined ? Effect.succeedNone : Effect.asSome(sent)
  }

  #send(
    payload: Uint8Array,
    length: number,
    to: Uint8Array | undefined
  ): Effect.Effect<number, PollerError> | undefined {
    if (payload.length < length) return Effect.fail(changedError())
    const libc = this.#libc
    const { send, sendto } = libc.functions
    const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL
    const { fd } = this.watchedFd
    const result = retryInterrupted(libc, () =>
      to === undefined ? send(fd, payload, length, flags) : sendto(fd, payload, length, flags, to, to.length)
    )
    if (to === undefined) return unlessBlocked(libc, "send", this.watchedFd, result)
    if (result >= 0) return Effect.succeed(result)
    const place = placeOf(fd, () => inet.format(inet.decode(libc, to)))
    return unlessBlocked(libc, "sendto", place, result)
  }
}

const payloadError = (payload: Uint8Array): PollerError | undefined =>
  isUint8Array(payload)
    ? transferredError(payload)
    : invalidArgument("invalid payload of a datagram: expected a Uint8Array")
