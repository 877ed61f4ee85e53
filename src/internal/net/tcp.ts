/** TCP over the sockets of the C library. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { Registrar } from "../../Registrar.ts"
import type { ConnectOptions, KeepAlive, ListenOptions, TcpListener, TcpOptions, TcpStream } from "../../net/Tcp.ts"
import { toMillis } from "../errors/timeout.ts"
import { fromErrno, invalidArgument, timedOut, unsupported } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import type { SocketProfile } from "../libc/profiles/socketProfile.ts"
import type { Attachment } from "../delivery/attachment.ts"
import { attachmentOf } from "../delivery/registrar.ts"
import { attempt } from "../descriptor/systemCall.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { Listener } from "./listener.ts"
import * as Sockaddr from "./sockaddr.ts"
import * as Socket from "./socketCalls.ts"
import { type Family, StreamSocket, whenConnected } from "./streamSocket.ts"

/** What sockets need beyond the poller: the calls of a kernel. */
export interface Network {
  readonly attachment: Attachment
  readonly libc: Libc
}

export const network: Effect.Effect<Network, PollerError, Registrar> = Effect.gen(function* () {
  const attachment = yield* attachmentOf(yield* Registrar)
  const { libc } = attachment
  if (libc === undefined) {
    return yield* Effect.fail(invalidArgument("TestPoller has no sockets: provide another layer of Poller"))
  }
  return { attachment, libc }
})

const unspecified = NetAddress.inetAddressUnsafe(NetAddress.ipv4Unspecified, 0)

export const inet: Family<NetAddress.InetAddress> = {
  what: "TCP socket",
  isStream: true,
  includes: (libc, address) => Sockaddr.decodeInet(libc.profile.socket, address) !== undefined,
  decode: (libc, address) => Sockaddr.decodeInet(libc.profile.socket, address) ?? unspecified
}

export const toAddress = (input: NetAddress.InetAddressInput): Effect.Effect<NetAddress.InetAddress, PollerError> =>
  Effect.suspend(() => {
    const result = NetAddress.inetAddressFromInput(input)
    return Result.isSuccess(result)
      ? Effect.succeed(result.success)
      : Effect.fail(
          invalidArgument(
            `${typeof input === "string" ? `"${input}"` : "this"} is no address (${result.failure.message}): give an IP address and a port from 0 to 65535, such as "127.0.0.1:80" or "[::1]:80"`
          )
        )
  })

export const domainOf = (profile: SocketProfile, address: NetAddress.InetAddress): number =>
  address._tag === "InetAddressV4" ? profile.AF_INET : profile.AF_INET6

class TcpStreamImpl extends StreamSocket<NetAddress.InetAddress> implements TcpStream {
  constructor({ attachment, libc }: Network, fd: number) {
    super(attachment, libc, fd, inet)
  }

  setOptions(options: TcpOptions): Effect.Effect<void, PollerError> {
    return this.use((fd) => setOptions(this.libc, fd, options ?? {}))
  }
}

class TcpListenerImpl extends Listener<TcpStreamImpl> implements TcpListener {
  readonly address: NetAddress.InetAddress

  constructor(network: Network, fd: number, address: NetAddress.InetAddress) {
    super(network.attachment, network.libc, fd, (accepted) => new TcpStreamImpl(network, accepted))
    this.address = address
  }
}

/** Largest number of bytes that the kernel can be asked for. */
const mostBytes = 0x7fff_ffff

export const setOptions = (libc: Libc, fd: number, options: TcpOptions): Effect.Effect<void, PollerError> =>
  Effect.gen(function* () {
    const { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } = libc.profile.socket
    const keepAlive = yield* toKeepAlive(libc, options.keepAlive)
    yield* checkBufferSizes(options)
    if (options.noDelay !== undefined) {
      yield* Socket.setOption(libc, fd, IPPROTO_TCP, TCP_NODELAY, options.noDelay ? 1 : 0)
    }
    if (options.keepAlive !== undefined) {
      yield* Socket.setOption(libc, fd, SOL_SOCKET, SO_KEEPALIVE, options.keepAlive === false ? 0 : 1)
    }
    for (const [name, value] of keepAlive) yield* Socket.setOption(libc, fd, IPPROTO_TCP, name, value)
    yield* setBufferSizes(libc, fd, options)
  })

export interface BufferSizes {
  readonly sendBufferSize?: number | undefined
  readonly receiveBufferSize?: number | undefined
}

export const checkBufferSizes = ({
  receiveBufferSize,
  sendBufferSize
}: BufferSizes): Effect.Effect<void, PollerError> => {
  for (const size of [sendBufferSize, receiveBufferSize]) {
    if (size !== undefined && !(Number.isInteger(size) && size > 0 && size <= mostBytes)) {
      return Effect.fail(
        invalidArgument(`a buffer of ${String(size)} bytes: give a whole number from 1 to ${mostBytes}`)
      )
    }
  }
  return Effect.void
}

export const setBufferSizes = (libc: Libc, fd: number, options: BufferSizes): Effect.Effect<void, PollerError> =>
  Effect.gen(function* () {
    const { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } = libc.profile.socket
    const { receiveBufferSize, sendBufferSize } = options
    if (sendBufferSize !== undefined) yield* Socket.setOption(libc, fd, SOL_SOCKET, SO_SNDBUF, sendBufferSize)
    if (receiveBufferSize !== undefined) yield* Socket.setOption(libc, fd, SOL_SOCKET, SO_RCVBUF, receiveBufferSize)
  })

/** The options that say when probes are sent, as seconds and as their number. */
const toKeepAlive = (
  libc: Libc,
  keepAlive: boolean | KeepAlive | undefined
): Effect.Effect<ReadonlyArray<readonly [name: number, value: number]>, PollerError> => {
  if (typeof keepAlive !== "object") return Effect.succeed([])
  const { TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL } = libc.profile.socket
  const wanted = [
    ["idle", TCP_KEEPIDLE, seconds(keepAlive.idle)],
    ["interval", TCP_KEEPINTVL, seconds(keepAlive.interval)],
    ["count", TCP_KEEPCNT, keepAlive.count]
  ] as const
  const options: Array<readonly [number, number]> = []
  for (const [what, name, value] of wanted) {
    if (value === undefined) continue
    if (name === undefined) return Effect.fail(unsupported(`this system has no ${what} of keep-alive for one socket`))
    if (!(Number.isInteger(value) && value > 0 && value < 0x8000)) {
      return Effect.fail(invalidArgument(`the ${what} of keep-alive is from 1 to 32767 (seconds, or probes)`))
    }
    options.push([name, value])
  }
  return Effect.succeed(options)
}

const seconds = (duration: Duration.Input | undefined): number | undefined => {
  if (duration === undefined) return undefined
  try {
    return Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(duration)))
  } catch {
    return NaN
  }
}

/** Opens a socket for an address, and closes it again if it cannot be made what it is meant to be. */
export const openFor = <A>(
  { libc }: Network,
  domain: number,
  type: number,
  use: (fd: number) => Effect.Effect<A, PollerError>
): Effect.Effect<A, PollerError> =>
  Effect.flatMap(Socket.open(libc, domain, type), (fd) => Socket.closeOnFailure(libc, fd, use(fd)))

export const enable = (libc: Libc, fd: number, level: number, name: number, on: boolean | undefined) =>
  on === undefined ? Effect.void : Socket.setOption(libc, fd, level, name, on ? 1 : 0)

const defaultBacklog = 511

export const toBacklog = (backlog = defaultBacklog): Effect.Effect<number, PollerError> =>
  Number.isInteger(backlog) && backlog >= 0 && backlog <= mostBytes
    ? Effect.succeed(backlog)
    : Effect.fail(invalidArgument(`the backlog ${String(backlog)} is not a whole number from 0 on`))

export const listen = (
  input: NetAddress.InetAddressInput,
  options: ListenOptions
): Effect.Effect<TcpListener, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const { functions, profile } = libc
    const { IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET } = profile.socket
    const address = yield* toAddress(input)
    const backlog = yield* toBacklog(options.backlog)
    const bytes = Sockaddr.encodeInet(profile.socket, address)
    const open = openFor(net, domainOf(profile.socket, address), SOCK_STREAM, (fd) =>
      Effect.gen(function* () {
        // A port that was in use a moment ago may be taken again at once.
        yield* enable(libc, fd, SOL_SOCKET, SO_REUSEADDR, options.reuseAddress ?? true)
        yield* enable(libc, fd, SOL_SOCKET, SO_REUSEPORT, options.reusePort)
        if (address._tag === "InetAddressV6")
          yield* enable(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6Only ?? false)
        // The connections that it accepts inherit these.
        yield* setOptions(libc, fd, { ...options, noDelay: options.noDelay ?? true })
        yield* attempt(libc, "bind", { fd }, () => functions.bind(fd, bytes, bytes.length))
        yield* attempt(libc, "listen", { fd }, () => functions.listen(fd, backlog))
        const bound = yield* Socket.addressOf(libc, fd, "getsockname")
        return new TcpListenerImpl(net, fd, inet.decode(libc, bound))
      })
    )
    return yield* Effect.acquireRelease(open, ({ owned }) => Effect.sync(() => void owned.closeUnsafe()))
  })

export const connect = (
  input: NetAddress.InetAddressInput,
  options: ConnectOptions
): Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const { functions, profile } = libc
    const { SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET } = profile.socket
    const address = yield* toAddress(input)
    const local = options.localAddress === undefined ? undefined : yield* toAddress(options.localAddress)
    const bytes = Sockaddr.encodeInet(profile.socket, address)
    const open = openFor(net, domainOf(profile.socket, address), SOCK_STREAM, (fd) =>
      Effect.gen(function* () {
        yield* setOptions(libc, fd, { ...options, noDelay: options.noDelay ?? true })
        if (local !== undefined) {
          const localBytes = Sockaddr.encodeInet(profile.socket, local)
          yield* enable(libc, fd, SOL_SOCKET, SO_REUSEADDR, true)
          yield* attempt(libc, "bind", { fd }, () => functions.bind(fd, localBytes, localBytes.length))
        }
        return new TcpStreamImpl(net, fd)
      })
    )
    return yield* connected(net, open, bytes, options.timeout)
  })

/** Connects in so much time; with a time that is none, not at all. */
export const within = <A, R>(
  connecting: Effect.Effect<A, PollerError, R>,
  timeout: Duration.Input | undefined
): Effect.Effect<A, PollerError, R> => {
  if (timeout === undefined) return connecting
  const duration = toMillis(timeout)
  return duration === undefined
    ? Effect.fail(
        invalidArgument(`the timeout ${String(timeout)} is negative or no duration: give one such as "5 seconds"`)
      )
    : Effect.timeoutOrElse(connecting, { duration, orElse: () => Effect.fail(timedOut("connect")) })
}

/** Connects what `open` opens. It is closed with the scope, or at once if it cannot be connected. */
export const connected = <A, S extends StreamSocket<A>>(
  { libc }: Network,
  open: Effect.Effect<S, PollerError>,
  address: Uint8Array,
  timeout?: Duration.Input
): Effect.Effect<S, PollerError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(open, (socket) => {
      const fd = socket.watchedFd.fd
      const begin = Effect.suspend(() => {
        const result = retryInterrupted(libc, () => libc.functions.connect(fd, address, address.length))
        // What a signal has interrupted goes on, and is under way already when it is asked for again.
        if (result === -constants.errno.EINPROGRESS || result === -constants.errno.EALREADY) {
          return whenConnected(libc, socket.watchedFd)
        }
        if (result >= 0 || result === -constants.errno.EISCONN) return Effect.void
        return Effect.fail(fromErrno("connect", -result, { fd }))
      })
      const close = Effect.sync(() => void socket.owned.closeUnsafe())
      return restore(within(begin, timeout)).pipe(
        Effect.onError(() => close),
        Effect.andThen(Effect.addFinalizer(() => close)),
        Effect.as(socket)
      )
    })
  )

export const fromFd = (fd: number): Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const adopt = Effect.map(
      Socket.check(libc, fd, libc.profile.socket.SOCK_STREAM, (address) => inet.includes(libc, address), inet.what),
      () => new TcpStreamImpl(net, fd)
    )
    return yield* Effect.acquireRelease(adopt, ({ owned }) => Effect.sync(() => void owned.closeUnsafe()))
  })
