/** A connected stream socket, TCP or Unix: what the two have in common. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import { constants } from "node:os"
import type { Ready } from "../../AsyncFd.ts"
import type { PollerError } from "../../PollerError.ts"
import type { ByteCalls } from "../bytes/byteCalls.ts"
import { ByteChannel } from "../bytes/byteChannel.ts"
import { ReadyImpl } from "../bytes/ready.ts"
import { sinkOf, streamOf } from "../bytes/streams.ts"
import { textOf } from "../errors/arguments.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { OwnedFd } from "../descriptor/ownedFd.ts"
import { Interest, Readiness } from "../kernel/selector.ts"
import { queueMicrotask } from "../libc/realTime.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { type Family, unnamed } from "./addresses.ts"
import type { Network } from "./network.ts"
import * as Socket from "./socketCalls.ts"

/** The calls on a socket. They never block, whatever its mode is, and never raise SIGPIPE. */
const calls = new WeakMap<Libc, { readonly [key: string]: ByteCalls }>()

const callsOf = (libc: Libc, isStream: boolean): ByteCalls => {
  const known = calls.get(libc)?.[String(isStream)]
  if (known !== undefined) return known
  const { recv, send } = libc.functions
  const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL
  const made: ByteCalls = {
    reading: "recv",
    read: (fd, buffer, count) => recv(fd, buffer, count, MSG_DONTWAIT),
    writing: "send",
    write: (fd, buffer, count) => send(fd, buffer, count, flags),
    isStream
  }
  calls.set(libc, { ...calls.get(libc), [String(isStream)]: made })
  return made
}

const ways = new Map([
  ["read", 0],
  ["write", 1],
  ["both", 2]
] as const)

/** There may be thousands, so it keeps only what it cannot find in its channel. */
export abstract class StreamSocket<Address> extends PublicObject {
  readonly #channel: ByteChannel
  /** The address of the peer: as it was connected to, or packed, as the kernel reported it. */
  readonly #peer: Address | Socket.PackedAddress
  #owned: OwnedFd | undefined

  static {
    detachMethods(this)
  }

  constructor(
    { attachment, libc }: Network,
    fd: number,
    { isStream }: Family<Address>,
    peer: Address | Socket.PackedAddress
  ) {
    super()
    this.#peer = peer
    // Urgent data ends a read before it, so a short read is the last one only where urgent data is
    // reported.
    const hasUrgent = isStream && (attachment.selector.lacks & Interest.Priority) === 0
    const interest = hasUrgent ? Interest.Read | Interest.Priority : Interest.Read
    const watchedFd = new WatchedFd(attachment, fd, interest)
    watchedFd.named = this
    this.#channel = new ByteChannel(watchedFd, libc, callsOf(libc, hasUrgent))
  }

  abstract get family(): Family<Address>

  /** The name that the object prints. */
  abstract get kind(): string

  /** Made when it is first asked for: that is mostly when the connection is closed. */
  get owned(): OwnedFd {
    return (this.#owned ??= new OwnedFd(this.libc, this.watchedFd.fd, "the connection", this.#channel))
  }

  get watchedFd(): WatchedFd {
    return this.#channel.watchedFd
  }

  get libc(): Libc {
    return this.#channel.libc
  }

  get channel(): ByteChannel {
    return this.#channel
  }

  get fd(): number {
    return this.#owned === undefined ? this.watchedFd.fd : this.#owned.fd
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.owned.close
  }

  get take(): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      if (this.fd !== -1) this.#channel.deliverAhead()
      if (this.fd !== -1 && this.#channel.hasReadAhead) {
        return Effect.fail(
          invalidArgument(
            "bytes have arrived for a fiber that was interrupted meanwhile: read them before you give the connection away",
            this.fd
          )
        )
      }
      return this.owned.take
    })
  }

  /** Notes the error that the kernel has reported already. Returns this. */
  brokenBy(errno: number): this {
    if (errno !== 0) this.#channel.breakWith(errno)
    return this
  }

  get localAddress(): Effect.Effect<Address, PollerError> {
    return this.owned.use(() => addressOf(this, "getsockname"))
  }

  /** The kernel forgets the address once the peer has reset the connection. */
  get remoteAddress(): Effect.Effect<Address, PollerError> {
    return this.owned.use(() => {
      const known = this.knownPeer
      // What the kernel reported needs no second call. What a program has connected to does: it
      // may be a wildcard.
      if (known !== undefined && typeof this.#peer === "string") return Effect.succeed(known)
      const address = addressOf(this, "getpeername")
      return known === undefined ? address : Effect.catchIf(address, isForgotten, () => Effect.succeed(known))
    })
  }

  get knownPeer(): Address | undefined {
    const peer = this.#peer
    if (typeof peer !== "string") return peer
    return peer === "" ? undefined : this.family.decode(this.libc, Socket.unpack(peer))
  }

  read(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#channel.read(buffer, offset, length)
  }

  tryRead(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#channel.tryRead(buffer, offset, length)
  }

  write(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<number, PollerError> {
    return this.#channel.write(buffer, offset, length)
  }

  tryWrite(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#channel.tryWrite(buffer, offset, length)
  }

  writeAll(buffer: Uint8Array, offset?: number, length?: number): Effect.Effect<void, PollerError> {
    return this.#channel.writeAll(buffer, offset, length)
  }

  /** Bytes that were read ahead are there to read, whatever the kernel says. */
  get readable(): Effect.Effect<Ready, PollerError> {
    const { reading } = this.watchedFd
    return Effect.suspend(() =>
      this.fd !== -1 && this.#channel.hasReadAhead
        ? Effect.succeed(new ReadyImpl(reading, this.#channel))
        : Effect.map(this.watchedFd.whenReady(reading), () => new ReadyImpl(reading, this.#channel))
    )
  }

  get writable(): Effect.Effect<Ready, PollerError> {
    const { writing } = this.watchedFd
    return Effect.suspend(() => Effect.map(this.watchedFd.whenReady(writing), () => new ReadyImpl(writing)))
  }

  get stream(): Stream.Stream<Uint8Array, PollerError> {
    return streamOf(this.#channel.readChunk)
  }

  get sink(): Sink.Sink<void, Uint8Array, never, PollerError> {
    return sinkOf((chunks) => this.#channel.writeChunks(chunks))
  }

  shutdown(how: "read" | "write" | "both"): Effect.Effect<void, PollerError> {
    const way = ways.get(how)
    if (way === undefined) {
      return Effect.fail(invalidArgument(`cannot shut down ${textOf(how)}: expected "read", "write" or "both"`))
    }
    const libc = this.libc
    return this.owned.use((fd) => {
      this.#channel.flush()
      const result = retryInterrupted(libc, () => libc.functions.shutdown(fd, way))
      if (result >= 0) reportOwnEnd(this.watchedFd, way)
      // Nothing is left to shut down once the connection is gone.
      return result >= 0 || result === -constants.errno.ENOTCONN
        ? Effect.void
        : Effect.fail(fromErrno("shutdown", -result, this.watchedFd))
    })
  }

  /** The address that errors say: the peer's, if it has one. */
  get addressText(): string | undefined {
    const text = peerTextOf(this)
    return text === unnamed ? undefined : text
  }

  toJSON(): unknown {
    return {
      _id: `effect-amy/${this.kind}`,
      fd: this.fd,
      localAddress: describe(this, "getsockname"),
      remoteAddress: this.fd === -1 ? undefined : peerTextOf(this)
    }
  }

  toString(): string {
    if (this.fd === -1) return `${this.kind}(closed)`
    return `${this.kind}(${describe(this, "getsockname") ?? "?"} <- ${peerTextOf(this) ?? "?"})`
  }
}

/** Whether the kernel has no address of the peer any more. The BSDs and macOS return EINVAL. */
const isForgotten = ({ reason }: PollerError): boolean =>
  "code" in reason && (reason.code === "ENOTCONN" || reason.code === "EINVAL")

/** Windows reports the ends of the peer only. So the fibers that wait are resumed from here. */
const reportOwnEnd = (watchedFd: WatchedFd, way: number): void => {
  if (watchedFd.attachment.selector.rearm === undefined) return
  const read = way === 1 ? 0 : Readiness.Readable | Readiness.ReadClosed
  const written = way === 0 ? 0 : Readiness.Writable | Readiness.WriteClosed
  // Not here, because the fiber that shuts it down has its turn.
  queueMicrotask(() => {
    if (watchedFd.ended === undefined) watchedFd.consume(read | written)
  })
}

// Private methods would take eight bytes of each connection.
const addressOf = <Address>(
  { family, libc, watchedFd }: StreamSocket<Address>,
  side: Socket.Side
): Effect.Effect<Address, PollerError> =>
  Effect.map(Socket.addressOf(libc, watchedFd, side), (bytes) => family.decode(libc, bytes))

const describe = <Address>({ family, fd, libc }: StreamSocket<Address>, side: Socket.Side): string | undefined =>
  fd === -1 ? undefined : Socket.describe(libc, fd, side, family)

const peerTextOf = <Address>(socket: StreamSocket<Address>): string | undefined => {
  const known = socket.knownPeer
  return known === undefined ? describe(socket, "getpeername") : socket.family.format(known)
}
