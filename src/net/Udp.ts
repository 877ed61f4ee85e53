/**
 * UDP on the poller: datagrams with the address of their sender, over a plain non-blocking
 * descriptor.
 *
 * Reach for it for a protocol of datagrams, for multicast, and where you need the descriptor of the
 * socket. Programs that are written against `DatagramSocket` of `effect/socket` use
 * `PollerDatagramSocket`.
 *
 * An address is a `NetAddress` of `effect/net`, or its text: `"127.0.0.1:53"`, `"[::1]:53"`. Port 0
 * stands for any free port. The zone of an IPv6 address is the index or the name of an interface:
 * `"[fe80::1%eth0]:53"`. Names are not looked up: `PollerDatagramSocket` does that, or `lookup` of
 * `node:dns`.
 *
 * **Example** (A question, and its answer)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Poller, Udp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* Udp.bind("127.0.0.1:0")
 *   const answer = Stream.runForEach(server.stream, (question) => server.send(question.payload, question))
 *   yield* Effect.forkScoped(answer)
 *
 *   const client = yield* Udp.bind("127.0.0.1:0")
 *   const serverAddress = yield* server.localAddress
 *   yield* client.send(new TextEncoder().encode("hello"), serverAddress)
 *   const { address, payload } = yield* client.receive
 *   console.log(new TextDecoder().decode(payload), address.port === serverAddress.port)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello true
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/net/udp.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

declare const DatagramTypeId: "~effect-amy/Datagram"
declare const TypeId: "~effect-amy/UdpSocket"

/**
 * The options of a socket: what {@link UdpSocket.setOptions} takes. An option that is not given
 * keeps its value.
 *
 * @category options
 * @since 0.2.0
 */
export interface SetOptions {
  /**
   * Lets the socket send to a broadcast address (`SO_BROADCAST`). Without it, that fails with
   * `PermissionDenied`.
   */
  readonly broadcast?: boolean | undefined
  /**
   * Lets the kernel join datagrams of one size from one sender on their way through the network
   * stack (`UDP_GRO`, of Linux). They arrive as they were sent, one by one, and take less time. It
   * pays with many datagrams in a row, as QUIC sends them. Fails with `UnsupportedPlatform` on other
   * systems.
   *
   * To switch it off reads what has come already, for the calls that follow. The kernel goes on
   * joining datagrams that come too fast for that.
   */
  readonly gro?: boolean | undefined
  /** Routers that a datagram may pass, from 1 to 255 (`IP_TTL`, `IPV6_UNICAST_HOPS`). */
  readonly ttl?: number | undefined
  /**
   * Routers that a datagram to a group may pass, from 0 to 255: 0 stays on this machine, 1 on the
   * local network.
   */
  readonly multicastTtl?: number | undefined
  /** Whether this machine also receives the datagrams that it sends to a group. */
  readonly multicastLoopback?: boolean | undefined
  /** Where datagrams to a group leave: an address of the interface for IPv4, its index for IPv6. */
  readonly multicastInterface?: NetAddress.Ipv4AddressInput | number | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles the number, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles the number, and has a limit of its own. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * The options of {@link bind}, and of the socket.
 *
 * @category options
 * @since 0.1.0
 */
export interface BindOptions extends SetOptions {
  /**
   * Lets several sockets share a port if each of them has this option, as the members of a group
   * need it. It is `SO_REUSEADDR`, or `SO_REUSEPORT` on the systems that call it so.
   */
  readonly reuseAddress?: boolean | undefined
  /**
   * Lets several sockets share a port (`SO_REUSEPORT`). Linux and FreeBSD deal datagrams out to all
   * of them, by their sender. On macOS and OpenBSD, one of them gets all.
   */
  readonly reusePort?: boolean | undefined
  /** Whether a socket at an IPv6 address refuses IPv4 (`IPV6_V6ONLY`). Defaults to false. */
  readonly ipv6Only?: boolean | undefined
}

/**
 * The options of {@link UdpSocket.joinMulticast}: which group, and how.
 *
 * @category options
 * @since 0.2.0
 */
export interface JoinMulticastOptions {
  readonly group: NetAddress.IpAddressInput
  /** Where its datagrams arrive: an address of the interface for IPv4, its index for IPv6. */
  readonly interface?: NetAddress.Ipv4AddressInput | number | undefined
  /** Receives only the datagrams of this sender. */
  readonly source?: NetAddress.IpAddressInput | undefined
}

/**
 * A datagram that a socket has received. Pass it to {@link UdpSocket.send} to respond to its
 * sender.
 *
 * @category models
 * @since 0.1.0
 */
export interface Datagram extends Inspectable {
  readonly [DatagramTypeId]: typeof DatagramTypeId

  /**
   * All of its bytes. They are the receiver's alone, to change or to keep. A small payload shares
   * memory: to transfer it to another thread, transfer a copy.
   */
  readonly payload: Uint8Array

  /** The address of the sender. It is decoded when it is first read. */
  readonly address: NetAddress.InetAddress
}

/**
 * A datagram to send: what {@link UdpSocket.sendMany} takes.
 *
 * @category models
 * @since 0.2.0
 */
export interface OutgoingDatagram {
  /** All of its bytes. It may be empty. */
  readonly payload: Uint8Array
  /** Where it goes. To respond to a datagram, pass that. A connected socket needs none. */
  readonly address?: NetAddress.InetAddressInput | Datagram | undefined
}

/**
 * A socket for datagrams.
 *
 * **Details**
 *
 * Sending and receiving (`send`, `trySend`, `receive`, `tryReceive`, `receiveMany` and `stream`):
 *
 * - Fails with `Closed` once the socket or the poller is closed, also while it waits.
 * - Fails with `ConnectionRefused` if the peer of a connected socket does not listen.
 * - Fails with `Unreachable` if no route leads to the peer.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel has no memory, or cannot watch one more descriptor.
 * - Fails with `AlreadyRegistered` if you have registered the descriptor yourself.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has received nothing, so `receive` may be given a
 * timeout.
 *
 * On a connected socket, the network reports an error such as `ConnectionRefused` to the next fiber
 * that sends or receives. The socket remains usable; a failed `send` sent nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface UdpSocket extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The descriptor's number, or -1 once the socket is closed. */
  readonly fd: number

  /**
   * The address that the socket is bound to, with the port that the kernel chose: getsockname(2). A
   * connected socket has a narrower one. Fails with `Closed`.
   */
  readonly localAddress: Effect.Effect<NetAddress.InetAddress, PollerError>

  /**
   * Sends one datagram, and waits for room: sendto(2), or send(2) to the peer of a connected
   * socket. Returns the number of bytes. A datagram may be empty. To respond to a datagram, pass it
   * as `to`.
   *
   * - Fails with `MessageTooLarge` if it is too long (more than 65,507 bytes over IPv4).
   * - Fails with `NotConnected` if `to` is not given and the socket is not connected.
   * - Fails with `InvalidArgument` if the address is invalid, or of the wrong family.
   * - Fails with `InvalidArgument` if the payload is not a `Uint8Array`.
   * - Fails with `PermissionDenied` if the address is a broadcast address, without the option.
   */
  readonly send: (
    payload: Uint8Array,
    to?: NetAddress.InetAddressInput | Datagram
  ) => Effect.Effect<number, PollerError>

  /**
   * Sends one datagram without waiting. Returns none if no room has been reported, or if another
   * fiber waits for room.
   *
   * - Fails with `MessageTooLarge` if it is too long (more than 65,507 bytes over IPv4).
   * - Fails with `NotConnected` if `to` is not given and the socket is not connected.
   * - Fails with `InvalidArgument` if the address is invalid, or of the wrong family.
   * - Fails with `InvalidArgument` if the payload is not a `Uint8Array`.
   * - Fails with `PermissionDenied` if the address is a broadcast address, without the option.
   *
   * @since 0.2.0
   */
  readonly trySend: (
    payload: Uint8Array,
    to?: NetAddress.InetAddressInput | Datagram
  ) => Effect.Effect<Option.Option<number>, PollerError>

  /**
   * Sends datagrams in their order, each once, and waits for room: sendmmsg(2), or a call for each
   * where the system has none. To send back a received datagram, pass it as it is.
   *
   * One that cannot be sent does not keep the others from being sent. The effect then fails with the
   * first reason, after all were tried, and `unsent` of the error lists every datagram that was not
   * sent, with its reason.
   *
   * - Fails with `MessageTooLarge` if a datagram is too long (more than 65,507 bytes over IPv4).
   * - Fails with `NotConnected` if `address` is not given and the socket is not connected.
   * - Fails with `InvalidArgument` if a payload is not a `Uint8Array`, or if an address is invalid or
   *   of the wrong family. Then none of them was sent, and `unsent` is not there.
   * - Fails with `InvalidArgument`, and sends the others, if Linux refuses the port 0, or if a payload
   *   was transferred to another thread while it waited.
   * - Fails with `PermissionDenied` if an address is a broadcast address, without the option.
   *
   * @since 0.2.0
   */
  readonly sendMany: (datagrams: ReadonlyArray<OutgoingDatagram | Datagram>) => Effect.Effect<void, PollerError>

  /** Waits for the next datagram: recvfrom(2), or one that a stream has left. */
  readonly receive: Effect.Effect<Datagram, PollerError>

  /**
   * Receives a datagram without waiting. Returns none if no datagram has been reported, or if
   * another fiber waits for one.
   *
   * @since 0.2.0
   */
  readonly tryReceive: Effect.Effect<Option.Option<Datagram>, PollerError>

  /**
   * Receives all datagrams that have arrived, up to 64, by one call where the system has it:
   * recvmmsg(2). Waits for the first.
   */
  readonly receiveMany: Effect.Effect<readonly [Datagram, ...Array<Datagram>], PollerError>

  /**
   * The datagrams as they arrive, one a pull. It reads up to 64 by one call. What it has read and
   * not emitted is there for the next fiber that receives, in whatever way.
   *
   * It does not end. The network reports errors such as `ConnectionRefused` only to a connected
   * socket, and the stream fails with them. Run it again: nothing was lost.
   */
  readonly stream: Stream.Stream<Datagram, PollerError>

  /**
   * Connects the socket: it then sends to this address by default, and receives only from it:
   * connect(2).
   *
   * - Fails with `InvalidArgument` if the address is invalid, of the wrong family, or has port 0.
   * - Fails with `Unreachable` if no route leads there.
   * - Fails with `Closed` if the socket is closed.
   */
  readonly connect: (address: NetAddress.InetAddressInput) => Effect.Effect<void, PollerError>

  /**
   * Takes {@link UdpSocket.connect} back. Fails with `Closed`.
   *
   * Linux keeps an IPv6 socket that is bound to `[::]` from receiving anything but IPv4 datagrams and
   * those of its former peer's address. Open another socket in its place.
   */
  readonly disconnect: Effect.Effect<void, PollerError>

  /**
   * Joins a group until the scope closes.
   *
   * - Fails with `InvalidArgument` if an option is invalid, or of the wrong family.
   * - Fails with `AddressInUse` if the socket is a member of the group already.
   * - Fails with `UnsupportedPlatform` if the system has no groups of one source.
   * - Fails with `Closed` if the socket is closed.
   */
  readonly joinMulticast: (options: JoinMulticastOptions) => Effect.Effect<void, PollerError, Scope.Scope>

  /**
   * Changes the options that are given: setsockopt(2).
   *
   * - Fails with `InvalidArgument` if an option is invalid. Then none of them has changed.
   * - Fails with `Closed` if the socket is closed.
   */
  readonly setOptions: (options: SetOptions) => Effect.Effect<void, PollerError>

  /**
   * Closes the socket before its scope does: close(2). Fails with `Closed` if it is closed already.
   */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread. That thread makes
   * a socket of it with {@link fromFd}. What a stream has read and not emitted stays behind, and so
   * does the rest of what the kernel has joined (`gro`). To keep that, run `tryReceive` until it
   * returns none. Fails with `Closed`.
   */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * Returns whether a value is a {@link UdpSocket}. An object that only has the same properties is
 * not.
 *
 * @category guards
 * @since 0.2.0
 */
export const isUdpSocket: (u: unknown) => u is UdpSocket = internal.isUdpSocket

/**
 * Returns whether a value is a {@link Datagram} that a {@link UdpSocket} has received.
 *
 * @category guards
 * @since 0.2.0
 */
export const isDatagram: (u: unknown) => u is Datagram = internal.isDatagram

/**
 * Opens a socket at an address until the scope closes: socket(2), bind(2).
 *
 * **Details**
 *
 * - Fails with `AddressInUse` if another socket has the port.
 * - Fails with `AddressNotAvailable` if this machine does not have the address.
 * - Fails with `PermissionDenied` if the port is below 1024 and this process may not use it.
 * - Fails with `LimitReached` if no descriptor is left.
 * - Fails with `InvalidArgument` if the address or an option is invalid.
 *
 * Nothing is left open then.
 *
 * **Example** (No process listens there)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Udp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const gone = yield* Effect.scoped(Effect.flatMap(Udp.bind("127.0.0.1:0"), ({ localAddress }) => localAddress))
 *   const socket = yield* Udp.bind("127.0.0.1:0")
 *   yield* socket.connect(gone)
 *   yield* socket.send(new TextEncoder().encode("anyone?"))
 *   const error = yield* Effect.flip(socket.receive)
 *   console.log(error.reason._tag)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => ConnectionRefused
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const bind: (
  address: NetAddress.InetAddressInput,
  options?: BindOptions
) => Effect.Effect<UdpSocket, PollerError, Registrar | Scope.Scope> = (address, options) =>
  internal.bind(address, options)

/**
 * Takes over a UDP socket that another part of the program has opened, and gives away. The socket
 * is closed with the scope.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the descriptor is not a UDP socket.
 * - Fails with `BadDescriptor` if the descriptor is not open.
 *
 * The descriptor stays its owner's then. The blocking mode of the socket stays as it is: no call
 * waits in the kernel in either mode.
 *
 * **Gotchas**
 *
 * Pass the number that `take` returned. A descriptor that still has another owner would be closed
 * twice.
 *
 * **Example** (A second owner)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Udp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const socket = yield* Udp.bind("127.0.0.1:0")
 *   const { port } = yield* socket.localAddress
 *   const number = yield* socket.take
 *   const second = yield* Udp.fromFd(number)
 *   console.log(socket.fd, second.fd === number, (yield* second.localAddress).port === port)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => -1 true true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFd: (fd: number) => Effect.Effect<UdpSocket, PollerError, Registrar | Scope.Scope> = internal.fromFd
