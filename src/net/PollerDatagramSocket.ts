/**
 * UDP sockets of the poller as `DatagramSocket` of `effect/socket`.
 *
 * Reach for it to run a program that is written against that service. It takes the options of
 * `NodeDatagramSocket` of `@effect/platform-node`, and behaves as that does. A socket in its own
 * right is in `Udp`.
 *
 * Acquiring a reader opens the socket, and the reader's scope closes it. A program that only sends
 * has to acquire a reader, too.
 *
 * **Example** (A question, and its answer)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Poller, PollerDatagramSocket } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* PollerDatagramSocket.make({ bind: { address: "127.0.0.1" } })
 *   const questions = yield* server.reader
 *   const client = yield* PollerDatagramSocket.make({ peer: questions.address })
 *   const answers = yield* client.reader
 *
 *   yield* (yield* client.writer).write({ payload: "hello" })
 *   const [question] = yield* questions.pull
 *   yield* (yield* server.writer).write(question)
 *   const [answer] = yield* answers.pull
 *   console.log(new TextDecoder().decode(answer.payload))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => hello
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as NetAddress from "effect/net/NetAddress"
import * as DatagramSocket from "effect/socket/DatagramSocket"
import * as internal from "../internal/effectSocket/datagramSocket.ts"
import type { Registrar } from "../Registrar.ts"

/**
 * Where datagrams go. A name is looked up each time a reader is acquired: by the `AddressResolver` of
 * `effect/net` in the context, or else by the system. The first IPv4 address is used, or the first
 * address of all. `connect` goes on to the next one if connect(2) fails.
 *
 * @category options
 * @since 0.1.0
 */
export interface Endpoint {
  readonly address: string | NetAddress.IpAddress
  readonly port: number
}

/**
 * Where the socket is bound. It defaults to every address of this machine, and any free port.
 *
 * @category options
 * @since 0.1.0
 */
export interface BindOptions {
  readonly address?: string | NetAddress.IpAddress | undefined
  readonly port?: number | undefined
}

/**
 * The options of {@link make} and {@link layer}: where the socket is bound, and where it sends.
 *
 * **Details**
 *
 * The first of these decides on the family: `family`, an address in `bind`, `peer` or `connect`, a
 * name in `bind`. Otherwise it is IPv4.
 *
 * @category options
 * @since 0.2.0
 */
export type MakeOptions = CommonOptions &
  (
    | {
        /**
         * The destination of datagrams without an address of their own. Other datagrams may go
         * elsewhere, and datagrams may come from anywhere.
         */
        readonly peer?: Endpoint | undefined
        readonly connect?: undefined
      }
    | {
        /** The destination of all datagrams, and the only place that they come from: connect(2). */
        readonly connect: Endpoint
        readonly peer?: undefined
      }
  )

/**
 * The options that do not depend on the destination. An option that is not given keeps the system's
 * value.
 *
 * @category options
 * @since 0.1.0
 */
export interface CommonOptions {
  readonly bind?: BindOptions | undefined
  readonly family?: "ipv4" | "ipv6" | undefined
  /**
   * Lets several sockets share a port if each has this option, as the members of a group need it.
   */
  readonly reuseAddress?: boolean | undefined
  /**
   * Lets several sockets share a port (`SO_REUSEPORT`). Linux and FreeBSD deal datagrams out to all
   * of them, by their sender. On macOS and OpenBSD, one of them gets all.
   */
  readonly reusePort?: boolean | undefined
  /** Whether a socket at an IPv6 address refuses IPv4. */
  readonly ipv6Only?: boolean | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles the number, and has a limit of its own. */
  readonly kernelReceiveBufferSize?: number | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles the number, and has a limit of its own. */
  readonly kernelSendBufferSize?: number | undefined
  /** Lets the socket send to a broadcast address. */
  readonly broadcast?: boolean | undefined
  /** Routers that a datagram may pass, from 1 to 255. */
  readonly ttl?: number | undefined
  /**
   * Of datagrams to a group: the interface where they leave, whether this machine receives them
   * too, and how many routers they may pass.
   */
  readonly multicast?:
    | {
        readonly interface?: NetAddress.MulticastInterface | undefined
        readonly loopback?: boolean | undefined
        readonly ttl?: number | undefined
      }
    | undefined
  /** How many datagrams may wait to be pulled, and which of them give way to more. */
  readonly receiveBuffer?: DatagramSocket.ReceiveBufferOptions | undefined
  /**
   * Called with an error that no write is left to fail with, such as a report of the network on a
   * connected socket.
   */
  readonly onError?: ((error: DatagramSocket.DatagramSocketError) => void) | undefined
}

/**
 * Makes a `DatagramSocket` that opens a socket on the poller for each reader.
 *
 * **Details**
 *
 * Making it opens nothing and cannot fail. Acquiring a reader:
 *
 * - Fails with `DatagramSocketOpenError`. Its `cause` is the `PollerError`, or the error of the
 *   lookup. If `connect` has tried several addresses, it is an `AggregateError` of theirs.
 *
 * Once the poller is closed, pulling and writing fail as on a closed socket.
 *
 * **Gotchas**
 *
 * An invalid capacity of the receive buffer is a defect: it has to be an integer of at least 1.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: MakeOptions): Effect.Effect<DatagramSocket.DatagramSocket, never, Registrar> =>
  internal.make(options)

/**
 * Provides the socket that {@link make} makes.
 *
 * **Example** (A bound socket)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { DatagramSocket } from "effect/socket"
 * import { Poller, PollerDatagramSocket } from "effect-amy"
 *
 * const program = Effect.gen(function* () {
 *   const socket = yield* DatagramSocket.DatagramSocket
 *   const { address } = yield* socket.reader
 *   console.log(address.port > 0)
 * })
 *
 * const layer = PollerDatagramSocket.layer({ bind: { address: "127.0.0.1" } }).pipe(Layer.provide(Poller.layerEventLoop()))
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer))) // => true
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: MakeOptions): Layer.Layer<DatagramSocket.DatagramSocket, never, Registrar> =>
  Layer.effect(DatagramSocket.DatagramSocket, make(options))
