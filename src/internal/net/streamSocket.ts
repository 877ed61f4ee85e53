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
import { Interest } from "../kernel/selector.ts"
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

export abstract class StreamSocket<Address> extends PublicObject {
  readonly #owned: OwnedFd
  readonly #watchedFd: WatchedFd
  readonly #libc: Libc
  readonly #channel: ByteChannel
  readonly #family: Family<Address>
  /** The address of the peer: as it was connected to, or packed, as the kernel reported it. */
  readonly #peer: Address | Socket.PackedAddress

  static {
    detachMethods(this)
  }

  constructor(
    { attachment, libc }: Network,
    fd: number,
    family: Family<Address>,
    peer: Address | Socket.PackedAddress
  ) {
    super()
    this.#libc = libc
    this.#family = family
    this.#peer = peer
    // Urgent data ends a read before it, so a short read is the last one only where urgent data is
    // reported.
    const hasUrgent = family.isStream && (attachment.selector.lacks & Interest.Priority) === 0
    this.#watchedFd = new WatchedFd(attachment, fd, hasUrgent ? Interest.Read | Interest.Priority : Interest.Read)
    this.#watchedFd.named = this
    const batch = hasUrgent ? attachment.dispatcher.batch : undefined
    this.#channel = new ByteChannel(this.#watchedFd, libc, callsOf(libc, hasUrgent), batch)
    this.#owned = new OwnedFd(libc, fd, "the connection", this.#channel)
  }

  /** The name that the object prints. */
  abstract get kind(): string

  get owned(): OwnedFd {
    return this.#owned
  }

  get watchedFd(): WatchedFd {
    return this.#watchedFd
  }

  get libc(): Libc {
    return this.#libc
  }

  get channel(): ByteChannel {
    return this.#channel
  }

  get fd(): number {
    return this.#owned.fd
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.#owned.close
  }

  get take(): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      if (this.fd !== -1 && this.#channel.hasReadAhead) {
        return Effect.fail(
          invalidArgument(
            "bytes have arrived for a fiber that was interrupted meanwhile: read them before you give the connection away",
            this.fd
          )
        )
      }
      return this.#owned.take
    })
  }

  /** Notes the error that the kernel has reported already. Returns this. */
  brokenBy(errno: number): this {
    if (errno !== 0) this.#channel.breakWith(errno)
    return this
  }

  get localAddress(): Effect.Effect<Address, PollerError> {
    return this.#owned.use(() => this.#address("getsockname"))
  }

  /** The kernel forgets the address once the peer has reset the connection. */
  get remoteAddress(): Effect.Effect<Address, PollerError> {
    return this.#owned.use(() => {
      const known = this.#knownPeer
      // What the kernel reported needs no second call. What a program has connected to does: it
      // may be a wildcard.
      if (known !== undefined && typeof this.#peer === "string") return Effect.succeed(known)
      const address = this.#address("getpeername")
      return known === undefined ? address : Effect.catchIf(address, isForgotten, () => Effect.succeed(known))
    })
  }

  get #knownPeer(): Address | undefined {
    const peer = this.#peer
    if (typeof peer !== "string") return peer
    return peer === "" ? undefined : this.#family.decode(this.#libc, Socket.unpack(peer))
  }

  #address(side: Socket.Side): Effect.Effect<Address, PollerError> {
    return Effect.map(Socket.addressOf(this.#libc, this.#watchedFd, side), (bytes) =>
      this.#family.decode(this.#libc, bytes)
    )
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
    const { reading } = this.#watchedFd
    return Effect.suspend(() =>
      this.fd !== -1 && this.#channel.hasReadAhead
        ? Effect.succeed(new ReadyImpl(reading))
        : Effect.map(this.#watchedFd.whenReady(reading), () => new ReadyImpl(reading))
    )
  }

  get writable(): Effect.Effect<Ready, PollerError> {
    const { writing } = this.#watchedFd
    return Effect.suspend(() => Effect.map(this.#watchedFd.whenReady(writing), () => new ReadyImpl(writing)))
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
    const libc = this.#libc
    return this.#owned.use((fd) => {
      this.#channel.flush()
      const result = retryInterrupted(libc, () => libc.functions.shutdown(fd, way))
      // Nothing is left to shut down once the connection is gone.
      return result >= 0 || result === -constants.errno.ENOTCONN
        ? Effect.void
        : Effect.fail(fromErrno("shutdown", -result, this.#watchedFd))
    })
  }

  #describe(side: Socket.Side): string | undefined {
    const { fd } = this
    return fd === -1 ? undefined : Socket.describe(this.#libc, fd, side, this.#family)
  }

  get #peerText(): string | undefined {
    const known = this.#knownPeer
    return known === undefined ? this.#describe("getpeername") : this.#family.format(known)
  }

  /** The address that errors say: the peer's, if it has one. */
  get addressText(): string | undefined {
    const text = this.#peerText
    return text === unnamed ? undefined : text
  }

  toJSON(): unknown {
    return {
      _id: `effect-amy/${this.kind}`,
      fd: this.fd,
      localAddress: this.#describe("getsockname"),
      remoteAddress: this.fd === -1 ? undefined : this.#peerText
    }
  }

  toString(): string {
    if (this.fd === -1) return `${this.kind}(closed)`
    return `${this.kind}(${this.#describe("getsockname") ?? "?"} <- ${this.#peerText ?? "?"})`
  }
}

/** Whether the kernel has no address of the peer any more. The BSDs and macOS return EINVAL. */
const isForgotten = ({ reason }: PollerError): boolean =>
  "code" in reason && (reason.code === "ENOTCONN" || reason.code === "EINVAL")
