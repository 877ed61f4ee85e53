/**
 * A UDP socket of the poller as the backing socket that `DatagramSocket` of `effect/socket` asks
 * for.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as DatagramSocket from "effect/socket/DatagramSocket"
import { isNativeError, isUint8Array } from "node:util/types"
import type { CommonOptions, MakeOptions } from "../../net/PollerDatagramSocket.ts"
import { isPollerError, PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { BindOptions } from "../../net/Udp.ts"
import { holds, readArgument } from "../errors/arguments.ts"
import { ownCopyOf } from "../bytes/chunkPool.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { familyOfHost, type ResolveError, resolveHost } from "./resolveHost.ts"
import { payloadError } from "../net/datagramChannel.ts"
import { network } from "../net/network.ts"
import type { Outgoing } from "../net/sendMany.ts"
import { open as openUdp, type UdpSocketImpl } from "../net/udp.ts"

type SocketError = DatagramSocket.DatagramSocketError

const endpointOptions: Names<Endpoint> = { address: true, port: true }

/** An address of `effect/net` is kept as it is, because it may have a zone. */
const toEndpoint = (of: string, input: Endpoint | undefined): Endpoint | PollerError | undefined =>
  input === undefined || holds(() => NetAddress.isInetAddress(input))
    ? input
    : readOptions(`the option ${of}`, input, endpointOptions)

interface Endpoint {
  readonly address?: string | NetAddress.IpAddress | undefined
  readonly port?: number | undefined
}

type AllOptions = CommonOptions & { readonly connect?: Endpoint | undefined; readonly peer?: Endpoint | undefined }

const makeOptions: Names<AllOptions> = {
  bind: true,
  family: true,
  reuseAddress: "boolean",
  reusePort: "boolean",
  ipv6Only: "boolean",
  kernelReceiveBufferSize: true,
  kernelSendBufferSize: true,
  broadcast: "boolean",
  ttl: true,
  multicast: true,
  receiveBuffer: true,
  onError: true,
  connect: true,
  peer: true
}

/** Copies the options, and those within them. Returns the error if one of them cannot be read. */
const toOptions = (given: MakeOptions | undefined): MakeOptions | PollerError => {
  const read = readOptions<AllOptions>("PollerDatagramSocket", given, makeOptions)
  if (isPollerError(read)) return read
  const { bind, connect, multicast, peer, receiveBuffer } = read
  const parts = {
    bind: toEndpoint("bind", bind),
    connect: toEndpoint("connect", connect),
    peer: toEndpoint("peer", peer),
    multicast: multicast && readOptions("multicast", multicast, { interface: true, loopback: "boolean", ttl: true }),
    receiveBuffer: receiveBuffer && readOptions("receiveBuffer", receiveBuffer, { capacity: true, strategy: true })
  }
  return Object.values(parts).find(isPollerError) ?? ({ ...read, ...parts } as MakeOptions)
}

export const make = (given: MakeOptions | undefined): Effect.Effect<DatagramSocket.DatagramSocket, never, Registrar> =>
  Effect.suspend(() => {
    const options = toOptions(given)
    return isPollerError(options)
      ? DatagramSocket.makeFromBackingSocket(() => Effect.fail(openError(options)))
      : DatagramSocket.makeFromBackingSocket((events) => open(options, events), options)
  })

const open = (
  options: MakeOptions,
  events: DatagramSocket.BackingEvents
): Effect.Effect<DatagramSocket.BackingSocket, SocketError, Registrar> =>
  Effect.gen(function* () {
    const fixed = readArgument("the host", () => fixedFamily(options))
    if (isPollerError(fixed)) return yield* Effect.fail(openError(fixed))
    const remotes = yield* lookedUp(resolve(options.connect ?? options.peer, fixed))
    // connect(2) says at once if an address cannot be reached. Of a peer, only the network knows.
    const candidates = options.connect === undefined ? [remotes[0]] : remotes
    const failed: Array<SocketError> = []
    for (const remote of candidates) {
      const opened = yield* Effect.result(openAt(options, events, fixed, remote))
      if (Result.isSuccess(opened)) return opened.success
      failed.push(opened.failure)
      if (!isOfConnect(opened.failure.reason.cause)) break
    }
    return yield* Effect.fail(failed.length === 1 ? failed[0]! : ofEveryAddress(failed))
  })

const openAt = (
  options: MakeOptions,
  events: DatagramSocket.BackingEvents,
  fixed: NetAddress.IpFamily | undefined,
  remoteAddress: NetAddress.InetAddress | undefined
): Effect.Effect<DatagramSocket.BackingSocket, SocketError, Registrar> =>
  Effect.gen(function* () {
    const known = fixed ?? familyOf(remoteAddress)
    const [bound] = yield* lookedUp(resolve(options.bind, known))
    const family = known ?? familyOf(bound) ?? "IPv4"
    const remote = options.connect ?? options.peer
    const peer =
      remoteAddress === undefined ? undefined : { host: NetAddress.formatHost(remoteAddress), port: remote!.port }
    return yield* Effect.gen(function* () {
      const net = yield* network
      const local = yield* withPort(bound ?? anywhere[family], options.bind?.port ?? 0)
      if (!NetAddress.isFamily(local, family)) {
        return yield* Effect.fail(
          invalidArgument(
            `an ${family} socket cannot be bound to ${NetAddress.formatHost(local)}: pass an ${family} address, or leave out family`
          )
        )
      }
      const socket = yield* openUdp(net, local, toBindOptions(options))
      return yield* Effect.gen(function* () {
        if (options.connect !== undefined) yield* socket.connect(yield* withPort(remoteAddress!, options.connect.port))
        return new BackingSocketImpl(socket, yield* socket.localAddress, events, peer, options.connect !== undefined)
      }).pipe(Effect.onError(() => Effect.sync(() => void socket.owned.closeUnsafe())))
    }).pipe(Effect.mapError((error) => openError(error)))
  })

const lookedUp = <A>(looking: Effect.Effect<A, ResolveError>): Effect.Effect<A, SocketError> =>
  Effect.mapError(looking, (cause) => openError(cause, "AddressNotAvailable"))

const families = new Map([
  ["ipv4", "IPv4"],
  ["ipv6", "IPv6"]
] as const)

/** Returns the family that the options decide on before anything is looked up. */
const fixedFamily = ({ bind, family }: MakeOptions): NetAddress.IpFamily | undefined =>
  (family === undefined ? undefined : families.get(family)) ??
  (bind?.address === undefined ? undefined : familyOfHost(bind.address))

const anywhere = {
  IPv4: NetAddress.inetAddressUnsafe(NetAddress.ipv4Unspecified, 0),
  IPv6: NetAddress.inetAddressUnsafe(NetAddress.ipv6Unspecified, 0)
}

const familyOf = (address: NetAddress.InetAddress | undefined): NetAddress.IpFamily | undefined =>
  address && (NetAddress.isInetAddressV4(address) ? "IPv4" : "IPv6")

/** Resolves an endpoint without its port. IPv4 comes first unless the family is known. */
const resolve = (
  endpoint: { readonly address?: string | NetAddress.IpAddress | undefined } | undefined,
  family: NetAddress.IpFamily | undefined
): Effect.Effect<ReadonlyArray<NetAddress.InetAddress>, ResolveError> => {
  if (endpoint?.address === undefined) return Effect.succeed([])
  // An `InetAddress` may have a zone, which its IP address alone does not have.
  if (NetAddress.isInetAddress(endpoint)) return Effect.succeed([endpoint])
  return Effect.map(resolveHost(endpoint.address, 0, family), (found) => [
    ...found.filter(NetAddress.isInetAddressV4),
    ...found.filter(NetAddress.isInetAddressV6)
  ])
}

const isOfConnect = (cause: unknown): boolean => {
  const reason = reasonOf(cause)
  return reason !== undefined && "syscall" in reason && reason.syscall === "connect"
}

const withPort = (
  address: NetAddress.InetAddress,
  port: number
): Effect.Effect<NetAddress.InetAddress, NetAddress.NetAddressError | PollerError> =>
  Effect.suspend((): Effect.Effect<NetAddress.InetAddress, NetAddress.NetAddressError | PollerError> => {
    const result = readArgument("the port", () =>
      NetAddress.inetAddressFromHostString(NetAddress.formatHost(address), port)
    )
    return isPollerError(result) ? Effect.fail(result) : Effect.fromResult(result)
  })

const toBindOptions = (options: MakeOptions): BindOptions =>
  given({
    reuseAddress: options.reuseAddress,
    reusePort: options.reusePort,
    ipv6Only: options.ipv6Only,
    receiveBufferSize: options.kernelReceiveBufferSize,
    sendBufferSize: options.kernelSendBufferSize,
    broadcast: options.broadcast,
    ttl: options.ttl,
    multicastInterface: options.multicast?.interface,
    multicastLoopback: options.multicast?.loopback,
    multicastTtl: options.multicast?.ttl
  })

/** Drops the options that are undefined. */
const given = <T extends object>(all: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof T]?: Exclude<T[K], undefined>
  }

/** One `send` or `sendMany`. */
interface Write {
  readonly outgoing: Array<Outgoing>
  /** Where each of them stands among those that were passed. */
  readonly indexes: Array<number>
  /** The first that cannot be sent, and its index. */
  failure: readonly [SocketError, number] | undefined
  readonly done: (error?: SocketError, index?: number) => void
}

/** Calls writes back that were made together. */
const callBack = (writes: ReadonlyArray<Write>, exit: Exit.Exit<unknown, unknown>): void => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const unsent = isPollerError(error) ? error.unsent : undefined
  let first = 0
  for (const write of writes) {
    const end = first + write.outgoing.length
    const refused = unsent?.find(({ index }) => index >= first && index < end)
    const cause = unsent === undefined ? error : refused && new PollerError({ reason: refused.reason })
    if (cause !== undefined && write.outgoing.length > 0) {
      const index = write.indexes[(refused?.index ?? first) - first]!
      if (write.failure === undefined || index < write.failure[1]) write.failure = [writeError(cause), index]
    }
    first = end
  }
  // Afterwards, because the fibers that this resumes may write at once.
  for (const { done, failure } of writes) {
    if (failure === undefined) done()
    else done(...failure)
  }
}

/** Destinations of a socket that are remembered. */
const mostKnown = 256

class BackingSocketImpl implements DatagramSocket.BackingSocket {
  readonly address: DatagramSocket.BackingAddress
  readonly connected: boolean
  readonly peer: DatagramSocket.BackingAddress | undefined
  readonly #socket: UdpSocketImpl
  readonly #events: DatagramSocket.BackingEvents
  #closing = false
  /** Whether datagrams are being delivered: the writes that they lead to are made together. */
  #isDelivering = false
  #gathered: Array<Write> = []
  /** Destinations by their port, as most datagrams go where others went. */
  readonly #known = new Map<number, { readonly host: string; readonly bytes: Uint8Array }>()

  constructor(
    socket: UdpSocketImpl,
    address: NetAddress.InetAddress,
    events: DatagramSocket.BackingEvents,
    peer: DatagramSocket.BackingAddress | undefined,
    connected: boolean
  ) {
    this.#socket = socket
    this.#events = events
    this.address = { host: NetAddress.formatHost(address), port: address.port }
    this.peer = peer
    this.connected = connected
    Effect.runFork(Effect.forever(this.#receive)).addObserver((exit) => {
      if (Exit.isFailure(exit)) this.#ended(Cause.squash(exit.cause))
    })
  }

  /**
   * Receives one batch. Other fibers, such as those that pull, have their turn before the next
   * batch.
   */
  get #receive(): Effect.Effect<void, PollerError> {
    return Effect.matchEffect(this.#socket.channel.receiveMany, {
      onSuccess: (datagrams) =>
        Effect.sync(() => {
          // A fiber that pulls gets the first datagram at once. If its response is made with those of the
          // others, it also gets the others at once.
          this.#isDelivering = datagrams.length > 1
          try {
            for (const { payload, sender } of datagrams) {
              // The consumer of the datagram before may have closed the socket.
              if (this.#closing) return
              this.#events.onPacket(payload, sender.host, sender.port)
            }
          } finally {
            this.#flush()
          }
        }),
      onFailure: (error) => {
        if (isFinal(error)) return Effect.fail(error)
        return Effect.sync(() => this.#events.onError(readError(error)))
      }
    })
  }

  #ended(error: unknown): void {
    if (this.#closing) return
    if (isPollerError(error) && error.reason._tag === "Closed") this.#events.onClose()
    else this.#events.onReadError(readError(error))
  }

  send(
    payload: Uint8Array,
    destination: DatagramSocket.BackingAddress | undefined,
    done: (error?: SocketError) => void
  ): void {
    if (this.#isDelivering) {
      const write: Write = { outgoing: [], indexes: [], failure: undefined, done }
      this.#putInto(write, 0, payload, destination)
      return void this.#gathered.push(write)
    }
    const sending = this.#send(payload, destination)
    if (Exit.isExit(sending)) return finish(sending, done)
    // It has to wait for room. The fiber that writes may be interrupted meanwhile, and its buffer be
    // used for something else.
    const later = this.#send(ownCopyOf(payload, 0, payload.length), destination)
    Effect.runFork(later).addObserver((exit) => finish(exit, done))
  }

  sendMany(
    payloads: ReadonlyArray<Uint8Array>,
    destinations: ReadonlyArray<DatagramSocket.BackingAddress | undefined>,
    done: (error?: SocketError, index?: number) => void
  ): void {
    const write: Write = { outgoing: [], indexes: [], failure: undefined, done }
    payloads.forEach((payload, index) => this.#putInto(write, index, payload, destinations[index]))
    this.#submitOrGather(write)
  }

  /** Adds a datagram to a write. One that cannot be sent does not keep the others from being sent. */
  #putInto(
    write: Write,
    index: number,
    payload: Uint8Array,
    destination: DatagramSocket.BackingAddress | undefined
  ): void {
    const to = this.#bytesOf(destination)
    const invalid = payloadError(payload) ?? (isBytes(to) ? undefined : to)
    if (invalid !== undefined) {
      write.failure ??= [writeError(invalid), index]
      return
    }
    // A gathered write is made when its fiber has waited, and then its buffer may have other bytes.
    const bytes = this.#isDelivering ? ownCopyOf(payload, 0, payload.length) : payload
    write.outgoing.push({ payload: bytes, length: bytes.length, to: to as Uint8Array | undefined })
    write.indexes.push(index)
  }

  #submitOrGather(write: Write): void {
    if (this.#isDelivering) this.#gathered.push(write)
    else this.#submit([write])
  }

  /** Makes the writes that were gathered. */
  #flush(): void {
    this.#isDelivering = false
    const gathered = this.#gathered
    if (gathered.length === 0) return
    this.#gathered = []
    this.#submit(gathered)
  }

  /** Makes writes together, and then calls each back. */
  #submit(writes: ReadonlyArray<Write>): void {
    const [only] = writes
    const outgoing = writes.length === 1 ? only!.outgoing : writes.flatMap((write) => write.outgoing)
    const end = (exit: Exit.Exit<unknown, unknown>) => callBack(writes, exit)
    if (outgoing.length === 0) return end(Exit.void)
    const sending = this.#socket.channel.sendManyUnsafe(outgoing)
    if (Exit.isExit(sending)) return end(sending)
    // As in `send`. Those that were sent are not looked at any more.
    outgoing.forEach((each, i) => {
      outgoing[i] = { ...each, payload: ownCopyOf(each.payload, 0, each.length) }
    })
    Effect.runFork(sending).addObserver(end)
  }

  #send(payload: Uint8Array, destination: DatagramSocket.BackingAddress | undefined): Effect.Effect<number, unknown> {
    const to = this.#bytesOf(destination)
    return isBytes(to) ? this.#socket.channel.sendUnsafe(payload, to) : Effect.fail(to)
  }

  /** Returns the bytes of a destination, or its error. */
  #bytesOf(
    destination: DatagramSocket.BackingAddress | undefined
  ): Uint8Array | undefined | PollerError | NetAddress.NetAddressError {
    if (destination === undefined) return undefined
    const { host, port } = destination
    const known = this.#known.get(port)
    if (known !== undefined && known.host === host) return known.bytes
    const resolved = this.#socket.resolveZone(host)
    if (isPollerError(resolved)) return resolved
    const result = NetAddress.inetAddressFromHostString(resolved, port)
    if (Result.isFailure(result)) return result.failure
    const bytes = this.#socket.encode("sendto", result.success)
    if (isPollerError(bytes)) return bytes
    // An interface may have another index by the next time.
    if (resolved !== host) return bytes
    if (this.#known.size === mostKnown) this.#known.clear()
    this.#known.set(port, { host, bytes })
    return bytes
  }

  joinMulticast(options: {
    readonly group: NetAddress.IpAddress
    readonly interface?: NetAddress.MulticastInterface | undefined
    readonly source?: NetAddress.IpAddress | undefined
  }): Effect.Effect<() => Effect.Effect<void>, SocketError> {
    const { group, interface: ingress, source } = options
    const joining = this.#socket.join({ group, ...given({ interface: ingress, source }) })
    return Effect.mapBoth(joining, { onSuccess: (leave) => () => leave, onFailure: (error) => openError(error) })
  }

  close(): void {
    this.#closing = true
    this.#flush()
    this.#socket.owned.closeUnsafe()
  }
}

const finish = (exit: Exit.Exit<unknown, unknown>, done: (error?: SocketError) => void): void =>
  Exit.isSuccess(exit) ? done() : done(writeError(Cause.squash(exit.cause)))

const reasonOf = (error: unknown): PollerError["reason"] | undefined =>
  isPollerError(error) ? error.reason : undefined

const receiving: ReadonlySet<string> = new Set(["recvfrom", "recvmmsg"])

const isBytes = (to: unknown): to is Uint8Array | undefined => to === undefined || isUint8Array(to)

/**
 * Whether an error ends the socket: it would be met again at once. Any other error concerns one
 * datagram, or one moment.
 */
const isFinal = ({ reason }: PollerError): boolean =>
  !("syscall" in reason) ||
  !receiving.has(reason.syscall ?? "") ||
  reason._tag === "BadDescriptor" ||
  reason._tag === "InvalidArgument" ||
  reason._tag === "SystemError"

const openError = (
  cause: unknown,
  kind: DatagramSocket.DatagramSocketOpenError["kind"] = openKind(cause)
): SocketError =>
  new DatagramSocket.DatagramSocketError({ reason: new DatagramSocket.DatagramSocketOpenError({ kind, cause }) })

/** Joins the errors of several addresses. */
const ofEveryAddress = (errors: ReadonlyArray<SocketError>): SocketError => {
  const causes = errors.map(({ reason }) => reason.cause)
  const texts = causes.map((cause) => (isNativeError(cause) ? cause.message : String(cause)))
  return openError(
    new AggregateError(causes, `none of the addresses could be connected to (${texts.join("; ")})`),
    openKind(causes[0])
  )
}

const openKind = (cause: unknown): DatagramSocket.DatagramSocketOpenError["kind"] => {
  const tag = reasonOf(cause)?._tag
  switch (tag) {
    case "AddressInUse":
    case "AddressNotAvailable":
    case "PermissionDenied":
      return tag
    default:
      return "Unknown"
  }
}

const ioKind = (cause: unknown): DatagramSocket.IoErrorKind => {
  const reason = reasonOf(cause)
  switch (reason?._tag) {
    case "ConnectionRefused":
    case "MessageTooLarge":
    case "PermissionDenied":
    case "Unreachable":
      return reason._tag
    default:
      return "Unknown"
  }
}

const readError = (cause: unknown): SocketError =>
  new DatagramSocket.DatagramSocketError({
    reason: new DatagramSocket.DatagramSocketReadError({ kind: ioKind(cause), cause })
  })

const writeError = (cause: unknown): SocketError =>
  new DatagramSocket.DatagramSocketError({
    reason:
      reasonOf(cause)?._tag === "Closed"
        ? new DatagramSocket.DatagramSocketClosedError()
        : new DatagramSocket.DatagramSocketWriteError({ kind: ioKind(cause), cause })
  })
