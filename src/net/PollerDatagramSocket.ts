/**
 * `DatagramSocket` of `effect/socket`, on the poller.
 *
 * Reach for it to run a program that is written against that service, in place of `NodeDatagramSocket` of
 * `@effect/platform-node`: it takes the same options and behaves the same. For a socket in its own right there is `Udp`.
 *
 * The socket is opened when a reader is acquired, and closed with that reader's scope; a program that only sends has to
 * acquire a reader too.
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
 * Where datagrams go to. A name is looked up each time that a reader is acquired.
 *
 * @category options
 * @since 0.1.0
 */
export interface Endpoint {
  readonly address: string | NetAddress.IpAddress
  readonly port: number
}

/**
 * Where the socket is bound: everywhere, and at any port that is free, unless given.
 *
 * @category options
 * @since 0.1.0
 */
export interface BindOptions {
  readonly address?: string | NetAddress.IpAddress | undefined
  readonly port?: number | undefined
}

/**
 * Where a socket is bound, and where it sends to.
 *
 * **Details**
 *
 * The family is the one that is given, or that of an address in `bind`, or that of `peer` or `connect`, or that of a name
 * in `bind`, or IPv4.
 *
 * @category options
 * @since 0.1.0
 */
export type Options = CommonOptions &
  (
    | {
        /** Where a datagram goes that has no address of its own. Others may be sent elsewhere, and come from anywhere. */
        readonly peer?: Endpoint | undefined
        readonly connect?: undefined
      }
    | {
        /** Where all go, and the only place that they come from: connect(2). */
        readonly connect: Endpoint
        readonly peer?: undefined
      }
  )

/**
 * What does not depend on whom it sends to. What is not given is the system's.
 *
 * @category options
 * @since 0.1.0
 */
export interface CommonOptions {
  readonly bind?: BindOptions | undefined
  readonly family?: "ipv4" | "ipv6" | undefined
  /** Lets sockets that all say so share a port, as the members of a group must. */
  readonly reuseAddress?: boolean | undefined
  /** Lets several sockets share a port, and the kernel deal out the datagrams (`SO_REUSEPORT`). */
  readonly reusePort?: boolean | undefined
  /** Whether a socket at an IPv6 address refuses IPv4. */
  readonly ipv6Only?: boolean | undefined
  /** Bytes (`SO_RCVBUF`). Linux doubles it, and has a limit of its own. */
  readonly kernelReceiveBufferSize?: number | undefined
  /** Bytes (`SO_SNDBUF`). Linux doubles it, and has a limit of its own. */
  readonly kernelSendBufferSize?: number | undefined
  /** Lets it send to a broadcast address. */
  readonly broadcast?: boolean | undefined
  /** Routers that a datagram may pass, from 1 to 255. */
  readonly ttl?: number | undefined
  /** Of datagrams that are sent to a group: where they leave, whether this machine gets them too, and how far they go. */
  readonly multicast?:
    | {
        readonly interface?: NetAddress.MulticastInterface | undefined
        readonly loopback?: boolean | undefined
        readonly ttl?: number | undefined
      }
    | undefined
  /** How many datagrams may wait to be pulled, and which of them give way to more. */
  readonly receiveBuffer?: DatagramSocket.ReceiveBufferOptions | undefined
  /** Told of errors that no write is left to fail with, such as the network's reports on a connected socket. */
  readonly onError?: ((error: DatagramSocket.DatagramSocketError) => void) | undefined
}

/**
 * A `DatagramSocket` that opens a socket on the poller for each reader.
 *
 * **Details**
 *
 * Making it opens nothing and cannot fail; acquiring a reader can. A capacity of the receive buffer that is no positive
 * whole number is a defect. Once the poller is closed, pulling and writing fail as on a closed socket.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<DatagramSocket.DatagramSocket, never, Registrar> =>
  DatagramSocket.makeFromBackingSocket((events) => internal.open(options, events), options)

/**
 * Provides what `make` makes.
 *
 * **Example**
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
export const layer = (options?: Options): Layer.Layer<DatagramSocket.DatagramSocket, never, Registrar> =>
  Layer.effect(DatagramSocket.DatagramSocket, make(options))
