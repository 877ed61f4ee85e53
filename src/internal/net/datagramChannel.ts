/** Sends and receives datagrams, for the fibers that wait for one descriptor. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import { changedError, transferredError } from "../errors/arguments.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import type { Attempt } from "../descriptor/direction.ts"
import type { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { unlessBlocked } from "../descriptor/systemCall.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import { inet, placeOf } from "./addresses.ts"
import { DatagramImpl } from "./datagram.ts"
import { DatagramReader, mostMessages } from "./datagramReader.ts"
import { type Outgoing, SendMany, type SendTarget } from "./sendMany.ts"

/** Datagrams of one `receiveMany`. */
export type Many = readonly [DatagramImpl, ...Array<DatagramImpl>]

const none: Array<DatagramImpl | undefined> = []

/** Maximum tries to find the socket empty, and looks at it for each of them. */
const mostTries = 16
const mostLooks = 1024

export class DatagramChannel implements SendTarget {
  readonly watchedFd: WatchedFd
  readonly libc: Libc
  /** Waits for the next datagram. Reads nothing that it does not return, unless datagrams are joined. */
  readonly receive: Effect.Effect<DatagramImpl, PollerError>
  /** As `receive`, for a caller that goes on: reads as many as have come, for the calls that follow. */
  readonly pull: Effect.Effect<readonly [DatagramImpl], PollerError>
  /** Receives every datagram that has come, and waits for the first. */
  readonly receiveMany: Effect.Effect<Many, PollerError>
  joinable = Infinity
  readonly #reader: DatagramReader
  /** What was read, and not returned yet, from `#next` on. */
  #ahead: Array<DatagramImpl | undefined> = none
  #next = 0
  /** Whether the socket was empty after that, and how many reports it covers. */
  #isLast = false
  #reports = 0
  /**
   * An error that followed datagrams. The kernel reports it once, and the datagrams are returned
   * first.
   */
  #kept: PollerError | undefined

  constructor(watchedFd: WatchedFd, libc: Libc) {
    this.watchedFd = watchedFd
    this.libc = libc
    this.#reader = new DatagramReader(watchedFd, libc)
    this.receive = this.#reading(this.#receiving)
    this.pull = this.#reading(this.#pulling)
    this.receiveMany = this.#reading(this.#receivingMany)
  }

  /** Makes an attempt at once, which spares the effect of waiting if it succeeds. */
  #reading<A>(attempt: Attempt<A>): Effect.Effect<A, PollerError> {
    const { reading } = this.watchedFd
    const waiting = this.watchedFd.attempt(reading, attempt)
    return Effect.suspend(() => this.watchedFd.tryNow(reading, attempt, Effect.fail) ?? waiting)
  }

  /** Receives a datagram now. Gives none if none has come, or if another fiber waits for one. */
  get tryReceive(): Effect.Effect<Option.Option<DatagramImpl>, PollerError> {
    return Effect.suspend(() => {
      const received = this.watchedFd.attemptOnce(this.watchedFd.reading, this.#receiving)
      return received === undefined ? Effect.succeedNone : Effect.asSome(received)
    })
  }

  /** Whether the kernel may join datagrams that come together: this then takes them apart. */
  get joins(): boolean {
    return this.#reader.joins
  }

  set joins(joins: boolean) {
    this.#reader.joins = joins
  }

  /**
   * Makes the kernel no longer join datagrams. It then does not tell the size of those that it has
   * joined before, so they are read while it still does. If others come in between, it is taken back.
   * Where they come that fast, the kernel goes on joining them.
   */
  stopJoining(): Effect.Effect<void, PollerError> {
    let error: PollerError | undefined
    for (let tries = 0; this.joins && error === undefined && tries < mostTries; tries++) {
      this.#readAllAhead()
      error = this.#setJoining(0)
      if (error === undefined && this.#isEmpty) this.joins = false
      else error ??= this.#setJoining(1)
    }
    this.watchedFd.reading.run()
    return error === undefined ? Effect.void : Effect.fail(error)
  }

  #setJoining(value: number): PollerError | undefined {
    const { functions, profile } = this.libc
    const { manyDatagrams } = profile.socket
    if (manyDatagrams === undefined) return undefined
    const { IPPROTO_UDP, UDP_GRO } = manyDatagrams
    const bytes = new Uint8Array(Int32Array.of(value).buffer)
    const { fd } = this.watchedFd
    const result = retryInterrupted(this.libc, () => functions.setsockopt(fd, IPPROTO_UDP, UDP_GRO, bytes, 4))
    return result < 0 ? fromErrno("setsockopt", -result, this.watchedFd) : undefined
  }

  get #isEmpty(): boolean {
    const { attachment, fd } = this.watchedFd
    return (attachment.selector.readinessNow(fd, Interest.Read) & Readiness.Readable) === 0
  }

  /** Reads what has come, for the calls that follow. */
  #readAllAhead(): void {
    const read = this.#ahead.slice(this.#next) as Array<DatagramImpl>
    let isLast = false
    for (let looks = 0; !isLast && looks < mostLooks; looks++) {
      const look = this.#reader.readMany(read, mostMessages)
      isLast = look.isLast
      // The first error is reported. One that follows it is no passing one.
      if (look.error !== undefined && this.#kept !== undefined) break
      this.#kept ??= look.error
    }
    if (read.length === 0 && this.#kept === undefined) return
    // The kernel has nothing left to report.
    this.watchedFd.reading.report(Readiness.Readable)
    this.#keep(read, isLast)
  }

  readonly #receiving: Attempt<DatagramImpl> = () => {
    const received = this.#receive()
    return received instanceof DatagramImpl ? Effect.succeed(received) : received && Effect.fail(received)
  }

  #receive(): DatagramImpl | PollerError | undefined {
    if (this.#next < this.#ahead.length) return this.#takeNext()
    const kept = this.#takeKept()
    if (kept !== undefined) return kept
    return this.#reader.joins ? this.#readAhead(1) : this.#reader.readOne()
  }

  readonly #pulling: Attempt<readonly [DatagramImpl]> = () => {
    const received =
      this.#next < this.#ahead.length ? this.#takeNext() : (this.#takeKept() ?? this.#readAhead(mostMessages))
    return received instanceof DatagramImpl ? Effect.succeed([received]) : received && Effect.fail(received)
  }

  #takeKept(): PollerError | undefined {
    const kept = this.#kept
    this.#kept = undefined
    return kept
  }

  /** Reads up to `most` messages, and returns the first datagram. */
  #readAhead(most: number): DatagramImpl | PollerError | undefined {
    const read: Array<DatagramImpl> = []
    const { error, isLast } = this.#reader.readMany(read, most)
    if (read.length === 0) return error
    this.#kept = error
    this.#keep(read, isLast)
    return this.#takeNext()
  }

  #keep(read: Array<DatagramImpl>, isLast: boolean): void {
    this.#ahead = read
    this.#next = 0
    this.#isLast = isLast
    this.#reports = this.watchedFd.reading.reports
    // Also where no report led here: the next call finds what was read.
    this.watchedFd.reading.mayTry = true
  }

  #takeNext(): DatagramImpl {
    const datagram = this.#ahead[this.#next]!
    this.#ahead[this.#next++] = undefined
    if (this.#next === this.#ahead.length) this.#forgetAhead()
    return datagram
  }

  /** Called when what was read is used up: the socket is empty, unless more was reported meanwhile. */
  #forgetAhead(): void {
    const { reading } = this.watchedFd
    this.#ahead = none
    this.#next = 0
    if (this.#isLast && this.#kept === undefined && reading.reports === this.#reports) reading.forgetUnlessFinal()
  }

  readonly #receivingMany: Attempt<Many> = () => {
    if (this.#next === this.#ahead.length) {
      const kept = this.#takeKept()
      if (kept !== undefined) return Effect.fail(kept)
      const read: Array<DatagramImpl> = []
      const { error, isLast } = this.#reader.readMany(read, mostMessages)
      if (read.length === 0) return error && Effect.fail(error)
      this.#kept = error
      this.#keep(read, isLast)
    }
    const many = this.#ahead.slice(this.#next, this.#next + mostMessages)
    this.#next += many.length
    if (this.#next === this.#ahead.length) this.#forgetAhead()
    return Effect.succeed(many as unknown as Many)
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

  /**
   * Sends datagrams in their order, each once. The calls are made at once: the result is an `Exit`
   * unless one of them has to wait for room. No other datagram comes in between.
   */
  sendManyUnsafe(datagrams: ReadonlyArray<Outgoing>): Effect.Effect<void, PollerError> {
    const { watchedFd } = this
    const sending = new SendMany(this, datagrams)
    const sent = watchedFd.tryNow(watchedFd.writing, sending.attempt, sending.toFailure)
    if (sent !== undefined) return sent
    return Effect.catch(watchedFd.attemptInOnePiece(watchedFd.writing, sending.attempt), sending.toFailure)
  }

  #send(
    payload: Uint8Array,
    length: number,
    to: Uint8Array | undefined
  ): Effect.Effect<number, PollerError> | undefined {
    if (payload.length < length) return Effect.fail(changedError())
    const result = this.sendNow(payload, length, to)
    if (to === undefined) return unlessBlocked(this.libc, "send", this.watchedFd, result)
    if (result >= 0) return Effect.succeed(result)
    return unlessBlocked(this.libc, "sendto", this.placeOf(to), result)
  }

  /** Sends one datagram. Returns the number of bytes, or the negated errno. */
  sendNow(payload: Uint8Array, length: number, to: Uint8Array | undefined): number {
    const { functions, profile } = this.libc
    const flags = profile.socket.MSG_DONTWAIT | profile.socket.MSG_NOSIGNAL
    const { fd } = this.watchedFd
    return retryInterrupted(this.libc, () =>
      to === undefined
        ? functions.send(fd, payload, length, flags)
        : functions.sendto(fd, payload, length, flags, to, to.length)
    )
  }

  /** Returns the place that an error of a datagram to this address names. */
  placeOf(to: Uint8Array | undefined): WatchedFd | ReturnType<typeof placeOf> {
    const { watchedFd } = this
    return to === undefined ? watchedFd : placeOf(watchedFd.fd, () => inet.format(inet.decode(this.libc, to)))
  }
}

/** Returns the error of a payload that no datagram can have. */
export const payloadError = (payload: Uint8Array): PollerError | undefined =>
  isUint8Array(payload)
    ? transferredError(payload)
    : invalidArgument("invalid payload of a datagram: expected a Uint8Array")
