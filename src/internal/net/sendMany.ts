/**
 * Sends many datagrams, each once and in their order: by sendmmsg(2), where the system has it, or
 * else one by one.
 *
 * Datagrams of one size to one address are handed to the kernel as one message, which it cuts apart
 * again (`UDP_SEGMENT`). That spares the way through the network stack for each of them.
 */
import * as Effect from "effect/Effect"
import { constants } from "node:os"
import { PollerError, type PollerErrorReason } from "../../PollerError.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import { changedError } from "../errors/arguments.ts"
import { fromErrno, type Where } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import { SendVector } from "./messageVector.ts"
import { getOption } from "./socketCalls.ts"

/** A datagram to send, and where to, unless the socket is connected. */
export interface Outgoing {
  readonly payload: Uint8Array
  readonly length: number
  readonly to: Uint8Array | undefined
}

/** The socket that sends. */
export interface SendTarget {
  readonly watchedFd: WatchedFd
  readonly libc: Libc
  /** The size up to which datagrams are joined. It shrinks when the kernel refuses a size. */
  joinable: number
  /** Sends one datagram. Returns the number of bytes, or the negated errno. */
  readonly sendNow: (payload: Uint8Array, length: number, to: Uint8Array | undefined) => number
  readonly placeOf: (to: Uint8Array | undefined) => Where
}

/** The memory of this thread for one C library. `null` if the system has turned out to lack the call. */
const vectors = new WeakMap<Libc, SendVector | null>()

const vectorOf = (libc: Libc): SendVector | null => {
  const known = vectors.get(libc)
  if (known !== undefined) return known
  const vector = libc.profile.socket.manyDatagrams === undefined ? null : new SendVector(libc)
  vectors.set(libc, vector)
  return vector
}

/** Bytes of the longest datagram that is put beside others. */
const mostBytes = 64 * 1024 - 1

/** A message of joined datagrams that the kernel has refused. */
interface Refusal {
  readonly first: number
  readonly size: number
  readonly errno: number
}

const { ECONNREFUSED, EHOSTUNREACH, EINVAL, EIO, EMSGSIZE, ENETUNREACH, ENOPROTOOPT, ENOSYS } = constants.errno

/** What the network reports of earlier datagrams to the peer of a connected socket: each once. */
const networkReports: ReadonlySet<number> = new Set([ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT])

export class SendMany {
  readonly #target: SendTarget
  readonly #datagrams: ReadonlyArray<Outgoing>
  #next = 0
  readonly #unsent: Array<{ readonly index: number; readonly reason: PollerErrorReason }> = []
  /** Datagrams before this one are sent one by one: joined, they were refused. */
  #singleUntil = 0
  #refusal: Refusal | undefined

  constructor(target: SendTarget, datagrams: ReadonlyArray<Outgoing>) {
    this.#target = target
    this.#datagrams = datagrams
  }

  /** Sends what there is room for. Returns `undefined` if there are more, and there is no more room. */
  readonly attempt = (): Effect.Effect<void, PollerError> | undefined => {
    while (this.#next < this.#datagrams.length) {
      const vector = vectorOf(this.#target.libc)
      const hasRoom = vector === null || this.#isLong(this.#next) ? this.#sendOne() : this.#sendSome(vector)
      if (!hasRoom) return undefined
    }
    return this.#result
  }

  /** Fails because nothing more can be sent. */
  readonly toFailure = (error: PollerError): Effect.Effect<never, PollerError> => {
    if (error.unsent !== undefined) return Effect.fail(error)
    for (; this.#next < this.#datagrams.length; this.#next++) this.#refuse(error)
    return Effect.fail(new PollerError({ reason: error.reason, unsent: this.#unsent }))
  }

  get #result(): Effect.Effect<void, PollerError> {
    const [first] = this.#unsent
    if (first === undefined) return Effect.void
    return Effect.fail(new PollerError({ reason: first.reason, unsent: this.#unsent }))
  }

  #isLong(index: number): boolean {
    return this.#datagrams[index]!.length > mostBytes
  }

  /** Notes that the next datagram was not sent. */
  #refuse(error: PollerError): void {
    this.#unsent.push({ index: this.#next, reason: error.reason })
  }

  /** Returns the bytes of a datagram, or `undefined` if its buffer has lost some while it waited. */
  #payloadOf({ length, payload }: Outgoing): Uint8Array | undefined {
    if (payload.length === length) return payload
    return payload.length < length ? undefined : payload.subarray(0, length)
  }

  /** Returns false if there is no room. */
  #sendOne(): boolean {
    const { length, payload, to } = this.#datagrams[this.#next]!
    if (payload.length < length) this.#refuse(changedError())
    else {
      const result = this.#target.sendNow(payload, length, to)
      if (result === -this.#target.libc.profile.errno.EAGAIN) return false
      if (result < 0) this.#refuse(fromErrno(to === undefined ? "send" : "sendto", -result, this.#target.placeOf(to)))
    }
    this.#next++
    return true
  }

  /** Puts in as many datagrams as one call takes, and sends them. Returns false if there is no room. */
  #sendSome(vector: SendVector): boolean {
    const { libc } = this.#target
    vector.clear()
    for (let index = this.#next; index < this.#datagrams.length && !this.#isLong(index); index++) {
      const datagram = this.#datagrams[index]!
      const payload = this.#payloadOf(datagram)
      if (payload === undefined) break
      if (!vector.add(payload, datagram.to, index < this.#singleUntil ? 0 : this.#joinable(vector))) break
    }
    // The next one has lost its bytes.
    if (vector.count === 0) return this.#sendOne()
    const sent = vector.send(this.#target.watchedFd.fd)
    if (sent >= 0) {
      // If it is not all, the next call finds out why.
      for (let i = 0; i < sent; i++) this.#next += vector.datagramsOf(i)
      if (this.#refusal !== undefined && this.#next > this.#refusal.first) this.#learn(this.#refusal)
      return true
    }
    if (sent === -libc.profile.errno.EAGAIN) return false
    if (sent === -ENOSYS) {
      vectors.set(libc, null)
      return true
    }
    this.#refused(vector.datagramsOf(0), -sent)
    return true
  }

  /** Called with the error of the next message, of which the kernel has sent nothing. */
  #refused(count: number, errno: number): void {
    const { length, to } = this.#datagrams[this.#next]!
    // The kernel has forgotten a report of the network, so the first one fails with it, as if alone.
    if (count > 1 && !networkReports.has(errno)) {
      // One of them may be refused by itself, or only their being joined is.
      this.#singleUntil = this.#next + count
      this.#refusal = { first: this.#next, size: length, errno }
      return
    }
    this.#refusal = undefined
    this.#refuse(fromErrno("sendmmsg", errno, this.#target.placeOf(to)))
    this.#next++
  }

  /** Called when a datagram went that was refused joined with others: the joining was at fault. */
  #learn({ errno, size }: Refusal): void {
    this.#refusal = undefined
    if (errno === EIO) this.#target.joinable = 0
    else if (errno === EINVAL || errno === EMSGSIZE) this.#target.joinable = Math.min(this.#target.joinable, size - 1)
  }

  /** Returns the size up to which datagrams may be joined. */
  #joinable(vector: SendVector): number {
    if (vector.canSegment === undefined) {
      const { IPPROTO_UDP, UDP_SEGMENT } = this.#target.libc.profile.socket.manyDatagrams!
      vector.canSegment = getOption(this.#target.libc, this.#target.watchedFd.fd, IPPROTO_UDP, UDP_SEGMENT) >= 0
    }
    return vector.canSegment ? this.#target.joinable : 0
  }
}
