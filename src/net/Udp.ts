/**
 * UDP on the poller: datagrams, each with the address that it came from, over a plain non-blocking descriptor.
 *
 * Reach for it for a protocol of datagrams, for multicast, and where the socket's descriptor itself is needed. For programs
 * that are written against `DatagramSocket` of `effect/socket` there is `PollerDatagramSocket`.
 *
 * Addresses are those of `effect/net`'s `NetAddress`, or their text: `"127.0.0.1:53"`, `"[::1]:53"`. Port 0 is any that is
 * free. Names are not looked up: for those there is `PollerDatagramSocket`, or `lookup` of `node:dns`.
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
 *   yield* client.send(new TextEncoder().encode("hello"), server.address)
 *   const { address, payload } = yield* client.receive
 *   console.log(new TextDecoder().decode(payload), address.port === server.address.port)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello true
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as internal from "../internal/net/udp.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

/**
 * What is not given is the system's.
 *
 * @category options
 * @since 0.1.0
 */
export interface UdpOptions {
  /** Lets it send to a broadcast address (`SO_BROADCAST`); otherwise that fails with `PermissionDenied`. */
  readonly broadcast?: boolean | undefined
  /** Routers that a datagram may pass, from 1 to 255 (`IP_TTL`, `IPV6_UNICAST_HOPS`). */
  readonly ttl?: number | undefined
  /** The same for datagrams to a group, from 0 to 255: 0 stays on this machine, 1 on the local network. */
  readonly multicastTtl?: number | undefined
  /** Whether this machine gets the datagrams to a group that it sends itself. */
  readonly multicastLoopback?: boolean | undefined
  /** Where datagrams to a group leave: an address of the interface for IPv4, its index for IPv6. */
  readonly multicastInterface?: NetAddress.Ipv4AddressInput | number | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles it, and has a limit of its own. */
  readonly sendBufferSize?: number | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles it, and has a limit of its own. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * How a socket is bound, and its options.
 *
 * @category options
 * @since 0.1.0
 */
export interface BindOptions extends UdpOptions {
  /**
   * Lets sockets that all say so share a port, as the members of a group must. It is `SO_REUSEADDR`, or `SO_REUSEPORT`
   * where that is what it is called.
   */
  readonly reuseAddress?: boolean | undefined
  /** Lets several sockets share a port, and the kernel deal out the datagrams (`SO_REUSEPORT`). */
  readonly reusePort?: boolean | undefined
  /** Whether a socket at an IPv6 address refuses IPv4 (`IPV6_V6ONLY`). False unless given. */
  readonly ipv6Only?: boolean | undefined
}

/**
 * What group to join, and how.
 *
 * @category options
 * @since 0.1.0
 */
export interface MulticastOptions {
  readonly group: NetAddress.IpAddressInput
  /** Where its datagrams come in: an address of the interface for IPv4, its index for IPv6. */
  readonly interface?: NetAddress.Ipv4AddressInput | number | undefined
  /** Whose datagrams alone are wanted. */
  readonly source?: NetAddress.IpAddressInput | undefined
}

/**
 * What came, and from where.
 *
 * @category models
 * @since 0.1.0
 */
export interface Datagram {
  /** All of it, and nobody else's to change. A small one shares memory: to transfer it to another thread, transfer a copy. */
  readonly payload: Uint8Array
  /** The sender, decoded when it is first asked for. */
  readonly address: NetAddress.InetAddress
}

/**
 * A socket for datagrams.
 *
 * **Details**
 *
 * Everything fails with `Closed` once it is closed, also for whoever waits by then.
 *
 * Once the poller has ended, waiting fails with `Closed` or `WorkerFailed`. Whoever is the first to wait may find that the
 * descriptor cannot be watched: `LimitReached`, or `AlreadyRegistered` if you have registered it yourself.
 *
 * **Gotchas**
 *
 * A fiber that is interrupted while it waits has received nothing, so `receive` may be given a timeout.
 *
 * On a connected socket the network's reports, such as `ConnectionRefused` and `Unreachable`, are told to whoever sends
 * or receives next. The socket is as good as before. A datagram whose sending has failed with one was not sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface UdpSocket {
  /** Its number, or -1 once it is closed. */
  readonly fd: number
  /** Where it is bound, with the port that it got. */
  readonly address: NetAddress.InetAddress

  /**
   * Sends one datagram, waiting for room: sendto(2), or send(2) to where the socket is connected. Answers how many bytes;
   * none is a datagram too. To answer one that came, give that itself.
   *
   * Fails with `InvalidArgument` if it is too long (more than 65,507 bytes over IPv4), if the address is none or of the
   * wrong family, or if there is none and the socket is not connected; with `PermissionDenied`, `Unreachable`,
   * `ConnectionRefused`, `LimitReached`.
   */
  readonly send: (
    payload: Uint8Array,
    to?: NetAddress.InetAddressInput | Datagram
  ) => Effect.Effect<number, PollerError>

  /** Waits for the next datagram: recvfrom(2). */
  readonly receive: Effect.Effect<Datagram, PollerError>

  /** All that have come, up to 64, waiting for the first. */
  readonly receiveMany: Effect.Effect<readonly [Datagram, ...Array<Datagram>], PollerError>

  /** The datagrams as they come, those of one `receiveMany` in a chunk. It does not end. */
  readonly stream: Stream.Stream<Datagram, PollerError>

  /**
   * From here on it sends to this address unless told otherwise, and receives from nowhere else: connect(2).
   *
   * Fails with `InvalidArgument` if the address is none, of the wrong family, or has port 0; with `Unreachable`.
   */
  readonly connect: (address: NetAddress.InetAddressInput) => Effect.Effect<void, PollerError>

  /** Takes `connect` back. */
  readonly disconnect: Effect.Effect<void, PollerError>

  /**
   * Joins a group until the scope closes.
   *
   * Fails with `InvalidArgument` if the group is none, with `AddressInUse` if the socket is a member of it already.
   */
  readonly joinMulticast: (options: MulticastOptions) => Effect.Effect<void, PollerError, Scope.Scope>

  /** Changes what is given: setsockopt(2). */
  readonly setOptions: (options: UdpOptions) => Effect.Effect<void, PollerError>

  /** close(2), before the scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>

  /**
   * Gives the descriptor away without closing it, for instance to another thread, which makes a socket of it with
   * `fromFd`. Fails with `Closed`.
   */
  readonly take: Effect.Effect<number, PollerError>
}

/**
 * Opens a socket at an address until the scope closes: socket(2), bind(2).
 *
 * **Details**
 *
 * Fails with `AddressInUse`, `AddressNotAvailable`, `PermissionDenied` (a port below 1024), `LimitReached`, or with
 * `InvalidArgument` if the address or an option is none. Then nothing is left open.
 *
 * **Example** (Nobody is there)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Udp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const gone = yield* Effect.scoped(Effect.map(Udp.bind("127.0.0.1:0"), ({ address }) => address))
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
  internal.bind(address, options ?? {})

/**
 * Takes over a UDP socket that somebody else has opened and gives away. It is closed with the scope.
 *
 * **Details**
 *
 * Give it what `take` answers: the number of a socket that still has its owner would be closed twice.
 *
 * Its blocking mode is left as it is: none of the calls waits in the kernel, whatever that is. Fails with
 * `InvalidArgument` if the descriptor is no UDP socket, with `BadDescriptor` if it is not open; then it is still its
 * owner's.
 *
 * **Example** (Given to a second owner)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, Udp } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const socket = yield* Udp.bind("127.0.0.1:0")
 *   const number = yield* socket.take
 *   const second = yield* Udp.fromFd(number)
 *   console.log(socket.fd, second.fd === number, second.address.port === socket.address.port)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => -1 true true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFd: (fd: number) => Effect.Effect<UdpSocket, PollerError, Registrar | Scope.Scope> = internal.fromFd
