/** UDP over the sockets of the C library. */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type {
  BindOptions,
  Datagram,
  JoinMulticastOptions,
  OutgoingDatagram,
  SetOptions,
  UdpSocket
} from "../../net/Udp.ts"
import { readArgument } from "../errors/arguments.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import type { Libc } from "../libc/koffi.ts"
import { OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { systemCall } from "../descriptor/systemCall.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { domainOf, inet, inFamily, isIpv4, placeOf, readAddress, toAddress, wrongFamily } from "./addresses.ts"
import { DatagramImpl } from "./datagram.ts"
import { DatagramChannel, payloadError } from "./datagramChannel.ts"
import { udp } from "./foreignSocket.ts"
import * as Multicast from "./multicast.ts"
import { type Network, network } from "./network.ts"
import * as Opening from "./opening.ts"
import type { Outgoing } from "./sendMany.ts"
import type { Sender } from "./senders.ts"
import { encodeInet } from "./sockaddr.ts"
import * as Socket from "./socketCalls.ts"
import { enable, setOption, setUdpOptions, udpOptions } from "./socketOptions.ts"
import { resolveZone } from "./zone.ts"

export const TypeId = "~effect-amy/UdpSocket"

export class UdpSocketImpl extends PublicObject implements UdpSocket {
  readonly #owned: OwnedFd
  readonly #channel: DatagramChannel
  readonly #libc: Libc
  /** The address that the socket was bound to before it was connected. */
  readonly #bound: NetAddress.InetAddress
  readonly #addressLength: number
  #dualStack: boolean | undefined
  #lastTo: NetAddress.InetAddress | string | undefined
  #lastBytes: Uint8Array | undefined

  static {
    detachMethods(this)
  }

  constructor({ attachment, libc }: Network, fd: number, bound: NetAddress.InetAddress) {
    super()
    const watchedFd = new WatchedFd(attachment, fd)
    this.#libc = libc
    this.#bound = bound
    this.#addressLength = encodeInet(libc.profile.socket, bound).length
    watchedFd.named = this
    this.#owned = new OwnedFd(libc, fd, "the socket", watchedFd)
    this.#channel = new DatagramChannel(watchedFd, libc)
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get owned(): OwnedFd {
    return this.#owned
  }

  get channel(): DatagramChannel {
    return this.#channel
  }

  get #watchedFd(): WatchedFd {
    return this.#channel.watchedFd
  }

  get fd(): number {
    return this.#owned.fd
  }

  get #isIpv6(): boolean {
    return this.#bound._tag === "InetAddressV6"
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.#owned.close
  }

  get take(): Effect.Effect<number, PollerError> {
    return this.#owned.take
  }

  get receive(): Effect.Effect<Datagram, PollerError> {
    return this.#channel.receive
  }

  get tryReceive(): Effect.Effect<Option.Option<Datagram>, PollerError> {
    return this.#channel.tryReceive
  }

  get receiveMany(): Effect.Effect<readonly [Datagram, ...Array<Datagram>], PollerError> {
    return this.#channel.receiveMany
  }

  get stream(): Stream.Stream<Datagram, PollerError> {
    return Stream.fromPull(Effect.succeed(this.#channel.pull))
  }

  send(payload: Uint8Array, to?: NetAddress.InetAddressInput | Datagram): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      const bytes = this.#bytesOf(to)
      return isPollerError(bytes) ? Effect.fail(bytes) : this.#channel.sendUnsafe(payload, bytes)
    })
  }

  trySend(
    payload: Uint8Array,
    to?: NetAddress.InetAddressInput | Datagram
  ): Effect.Effect<Option.Option<number>, PollerError> {
    return Effect.suspend(() => {
      const bytes = this.#bytesOf(to)
      return isPollerError(bytes) ? Effect.fail(bytes) : this.#channel.trySendUnsafe(payload, bytes)
    })
  }

  sendMany(datagrams: ReadonlyArray<OutgoingDatagram | Datagram>): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const outgoing = readArgument("the datagrams", () => this.#toOutgoing(datagrams))
      return isPollerError(outgoing) ? Effect.fail(outgoing) : this.#channel.sendManyUnsafe(outgoing)
    })
  }

  /** Checks all datagrams. Returns the error of the first that is invalid. */
  #toOutgoing(datagrams: ReadonlyArray<OutgoingDatagram | Datagram>): Array<Outgoing> | PollerError {
    if (!Array.isArray(datagrams)) return invalidArgument("invalid datagrams: expected an array")
    const outgoing: Array<Outgoing> = []
    for (const datagram of datagrams) {
      const isReceived = isOf(DatagramImpl, datagram)
      const { payload } = datagram
      const invalid = payloadError(payload)
      if (invalid !== undefined) return invalid
      const to = this.#bytesOf(isReceived ? datagram : datagram.address)
      if (isPollerError(to)) return to
      outgoing.push({ payload, length: payload.length, to })
    }
    return outgoing
  }

  /**
   * Returns the bytes of a destination, or its error. Most datagrams go where the last one went, or
   * where one came from.
   */
  #bytesOf(to: NetAddress.InetAddressInput | Datagram | undefined): Uint8Array | undefined | PollerError {
    if (to === undefined) return undefined
    if (to === this.#lastTo) return this.#lastBytes
    if (isOf(DatagramImpl, to)) {
      return this.#takes(to.sender) ? to.sender.bytes : this.#bytesOf(to.address)
    }
    const address = readAddress(this.#libc, to as NetAddress.InetAddressInput)
    if (isPollerError(address)) return address
    const encoded = this.encode("sendto", address)
    if (isPollerError(encoded)) return encoded
    // The same bytes, because datagrams to them are joined.
    const bytes = this.#lastBytes !== undefined && equals(this.#lastBytes, encoded) ? this.#lastBytes : encoded
    this.#lastBytes = bytes
    // Other forms may stand for something else by the next time.
    this.#lastTo = typeof to === "string" && !to.includes("%") ? to : address
    return bytes
  }

  /**
   * Whether the bytes of a datagram's sender are an address of this socket's. That of a datagram
   * which a socket of the other family has received has another length.
   */
  #takes(sender: Sender): boolean {
    return sender.bytes.length === this.#addressLength && (!sender.isIpv4Mapped || this.#reachesIpv4)
  }

  /** Replaces the name of an interface in a host by its index. */
  resolveZone(host: string): string | PollerError {
    return host.includes("%") ? resolveZone(this.#libc, host) : host
  }

  /** Returns the bytes of an address, or the error if this socket does not take its family. */
  encode(syscall: string, address: NetAddress.InetAddress): Uint8Array | PollerError {
    const usable = inFamily(address, this.#isIpv6)
    return usable === undefined || (this.#isIpv6 && isIpv4(usable) && !this.#reachesIpv4)
      ? wrongFamily(syscall, this.fd, address)
      : encodeInet(this.#libc.profile.socket, usable)
  }

  /** Whether this IPv6 socket can send to IPv4 addresses, too. It is looked up when it matters. */
  get #reachesIpv4(): boolean {
    if (this.#dualStack === undefined) {
      const { IPPROTO_IPV6, IPV6_V6ONLY } = this.#libc.profile.socket
      const isOnly = Socket.getOption(this.#libc, this.fd, IPPROTO_IPV6, IPV6_V6ONLY) !== 0
      this.#dualStack = !isOnly && (isIpv4(this.#bound) || NetAddress.isUnspecified(this.#bound.address))
    }
    return this.#dualStack
  }

  connect(address: NetAddress.InetAddressInput): Effect.Effect<void, PollerError> {
    const libc = this.#libc
    return this.#owned.use((fd) =>
      Effect.gen({ self: this }, function* () {
        const peer = yield* toAddress(libc, address)
        // The kernel accepts port 0, and drops every datagram that is sent there.
        if (peer.port === 0) yield* Effect.fail(invalidArgument("invalid port 0: expected the port of the peer"))
        const bytes = this.encode("connect", peer)
        if (isPollerError(bytes)) return yield* Effect.fail(bytes)
        const place = placeOf(fd, () => NetAddress.formatInet(peer))
        yield* systemCall(libc, "connect", place, () => libc.functions.connect(fd, bytes, bytes.length))
      })
    )
  }

  get disconnect(): Effect.Effect<void, PollerError> {
    const libc = this.#libc
    return this.#owned.use((fd) =>
      Effect.gen({ self: this }, function* () {
        const result = retryInterrupted(libc, () => libc.functions.connect(fd, noAddress(libc), noAddress(libc).length))
        // Some systems disconnect the socket, and return an error nevertheless.
        if (result < 0 && !(libc.profile.socket.hasLengthByte && disconnectErrors.has(-result))) {
          return yield* Effect.fail(fromErrno("connect", -result, { fd, address: this.addressText }))
        }
        // The kernel takes a port that it has chosen back with the connection. The host is the one it
        // has now: that of `fromFd` may have been the connection's.
        const local = yield* this.localAddress
        if (local.port !== this.#bound.port) yield* bindTo(libc, fd, local, this.#bound.port)
      })
    )
  }

  /** Asks the kernel, because a connected socket has a narrower address than the bound one. */
  get localAddress(): Effect.Effect<NetAddress.InetAddress, PollerError> {
    return this.#owned.use(() =>
      Effect.map(Socket.addressOf(this.#libc, this.#watchedFd, "getsockname"), (bytes) =>
        inet.decode(this.#libc, bytes)
      )
    )
  }

  setOptions(options: SetOptions): Effect.Effect<void, PollerError> {
    return this.#owned.use(() => {
      const read = readOptions("Udp.setOptions", options, udpOptions)
      if (isPollerError(read)) return Effect.fail(read)
      const channel = this.#channel
      const stops = read.gro !== undefined && !read.gro && channel.joins
      // Before the kernel joins any, and also if an option after this one is refused.
      if (read.gro) channel.joins = true
      const setting = setUdpOptions(
        this.#libc,
        this.#watchedFd,
        this.#isIpv6,
        stops ? { ...read, gro: undefined } : read
      )
      return stops
        ? Effect.andThen(
            setting,
            this.#owned.use(() => channel.stopJoining())
          )
        : setting
    })
  }

  joinMulticast(options: JoinMulticastOptions): Effect.Effect<void, PollerError, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(this.join(options), (leave) => leave))
  }

  /** Joins a group. Returns the effect that leaves it again. */
  join(options: JoinMulticastOptions): Effect.Effect<Effect.Effect<void>, PollerError> {
    const libc = this.#libc
    return this.#owned.use(() =>
      Effect.flatMap(Multicast.membership(libc.profile.socket, this.#isIpv6, options), ({ join, leave }) =>
        Effect.as(
          setOption(libc, this.#watchedFd, join),
          Effect.ignore(this.#owned.use(() => setOption(libc, this.#watchedFd, leave)))
        )
      )
    )
  }

  /**
   * The address that errors say: that of the peer. A datagram that is sent elsewhere says its own.
   */
  get addressText(): string | undefined {
    return this.#describe("getpeername")
  }

  toJSON(): unknown {
    return {
      _id: "effect-amy/UdpSocket",
      fd: this.fd,
      localAddress: this.#describe("getsockname"),
      remoteAddress: this.#describe("getpeername")
    }
  }

  toString(): string {
    if (this.fd === -1) return "UdpSocket(closed)"
    const remote = this.#describe("getpeername")
    const local = this.#describe("getsockname") ?? "?"
    return `UdpSocket(${remote === undefined ? local : `${local} <- ${remote}`})`
  }

  #describe(side: Socket.Side): string | undefined {
    return this.fd === -1 ? undefined : Socket.describe(this.#libc, this.fd, side, inet)
  }
}

export const isUdpSocket = (u: unknown): u is UdpSocket => isOf(UdpSocketImpl, u)

export const isDatagram = (u: unknown): u is Datagram => isOf(DatagramImpl, u)

/** Returns an address of no family. To connect to it disconnects a socket. */
const noAddress = (libc: Libc): Uint8Array => {
  const bytes = new Uint8Array(16)
  if (libc.profile.socket.hasLengthByte) bytes[0] = bytes.length
  return bytes
}

const equals = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

const disconnectErrors: ReadonlySet<number> = new Set([constants.errno.EAFNOSUPPORT, constants.errno.EINVAL])

const bindTo = (
  libc: Libc,
  fd: number,
  address: NetAddress.InetAddress,
  port = address.port
): Effect.Effect<number, PollerError> => {
  const bytes = encodeInet(libc.profile.socket, address)
  new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, port)
  return Socket.bind(
    libc,
    placeOf(fd, () => NetAddress.formatInet(inet.decode(libc, bytes))),
    bytes
  )
}

/** Opens a socket and binds it. The caller has to close it. */
export const open = (
  net: Network,
  address: NetAddress.InetAddress,
  options: BindOptions
): Effect.Effect<UdpSocketImpl, PollerError> => {
  const { libc } = net
  const { hasLengthByte, IPPROTO_IPV6, IPV6_V6ONLY, portSharing, SO_REUSEADDR, SO_REUSEPORT, SOCK_DGRAM, SOL_SOCKET } =
    libc.profile.socket
  const isIpv6 = address._tag === "InetAddressV6"
  return Opening.open(libc, domainOf(libc.profile.socket, address), SOCK_DGRAM, (fd) =>
    Effect.gen(function* () {
      const place = placeOf(fd, () => NetAddress.formatInet(address))
      // Sharing a port has two names. On the BSDs and macOS, SO_REUSEADDR only lets sockets share a
      // group.
      yield* enable(libc, place, SOL_SOCKET, hasLengthByte ? SO_REUSEPORT : SO_REUSEADDR, options.reuseAddress)
      yield* enable(libc, place, SOL_SOCKET, portSharing, options.reusePort)
      if (isIpv6) yield* enable(libc, place, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6Only ?? false)
      yield* setUdpOptions(libc, place, isIpv6, options)
      yield* bindTo(libc, fd, address)
      const bound = yield* Socket.addressOf(libc, place, "getsockname")
      const socket = new UdpSocketImpl(net, fd, inet.decode(libc, bound))
      socket.channel.joins = Boolean(options.gro)
      return socket
    })
  )
}

const bindOptions: Names<BindOptions> = {
  ...udpOptions,
  reuseAddress: "boolean",
  reusePort: "boolean",
  ipv6Only: "boolean"
}

export const bind = (
  input: NetAddress.InetAddressInput,
  given: BindOptions | undefined
): Effect.Effect<UdpSocket, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const options = readOptions("Udp.bind", given, bindOptions)
    if (isPollerError(options)) return yield* Effect.fail(options)
    const address = yield* toAddress(net.libc, input)
    return yield* scoped(open(net, address, options))
  })

export const fromFd = (fd: number): Effect.Effect<UdpSocket, PollerError, Registrar | Scope.Scope> =>
  Opening.adopt(fd, udp, (net, fd, { bound }) => {
    const socket = new UdpSocketImpl(net, fd, inet.decode(net.libc, bound))
    // Or its datagrams would arrive joined. Kernels that have the option do not all say so.
    const { manyDatagrams } = net.libc.profile.socket
    if (manyDatagrams !== undefined) {
      socket.channel.joins = Socket.getOption(net.libc, fd, manyDatagrams.IPPROTO_UDP, manyDatagrams.UDP_GRO) !== 0
    }
    return socket
  })
