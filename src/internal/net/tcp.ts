/** TCP over the sockets of the C library. */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { ConnectOptions, ListenOptions, SetOptions, TcpListener, TcpStream } from "../../net/Tcp.ts"
import { scoped } from "../descriptor/ownedFd.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods } from "../objects/publicObject.ts"
import { domainOf, inet, inFamily, isIpv4, placeOf, toAddress, wrongFamily } from "./addresses.ts"
import { connected } from "./connecting.ts"
import { tcp } from "./foreignSocket.ts"
import { Listener, toBacklog } from "./listener.ts"
import { type Network, network } from "./network.ts"
import { adopt, open } from "./opening.ts"
import * as Sockaddr from "./sockaddr.ts"
import * as Socket from "./socketCalls.ts"
import { enable, setTcpOptions, tcpOptions } from "./socketOptions.ts"
import { StreamSocket } from "./streamSocket.ts"

export const StreamTypeId = "~effect-amy/TcpStream"

class TcpStreamImpl extends StreamSocket<NetAddress.InetAddress> implements TcpStream {
  static {
    detachMethods(this)
  }

  constructor(net: Network, fd: number, peer: NetAddress.InetAddress | Socket.PackedAddress) {
    super(net, fd, inet, peer)
  }

  get [StreamTypeId](): typeof StreamTypeId {
    return StreamTypeId
  }

  get family(): typeof inet {
    return inet
  }

  get kind(): string {
    return "TcpStream"
  }

  setOptions(options: SetOptions): Effect.Effect<void, PollerError> {
    return this.owned.use(() => {
      const read = readOptions("Tcp.setOptions", options, tcpOptions)
      return isPollerError(read) ? Effect.fail(read) : setTcpOptions(this.libc, this.watchedFd, read)
    })
  }
}

export const isTcpStream = (u: unknown): u is TcpStream => isOf(TcpStreamImpl, u)

export const ListenerTypeId = "~effect-amy/TcpListener"

class TcpListenerImpl extends Listener<TcpStreamImpl, NetAddress.InetAddress> implements TcpListener {
  constructor(net: Network, fd: number, address: NetAddress.InetAddress) {
    super(net, fd, { family: inet, address, wrap: (accepted, peer) => new TcpStreamImpl(net, accepted, peer) })
  }

  get [ListenerTypeId](): typeof ListenerTypeId {
    return ListenerTypeId
  }

  get kind(): string {
    return "TcpListener"
  }
}

export const isTcpListener = (u: unknown): u is TcpListener => isOf(TcpListenerImpl, u)

const listenOptions: Names<ListenOptions> = {
  ...tcpOptions,
  backlog: true,
  reuseAddress: "boolean",
  reusePort: "boolean",
  ipv6Only: "boolean"
}

export const listen = (
  input: NetAddress.InetAddressInput,
  given: ListenOptions | undefined
): Effect.Effect<TcpListener, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const { profile } = libc
    const { IPPROTO_IPV6, IPV6_V6ONLY, portSharing, SOCK_STREAM, SOL_SOCKET, streamReuse } = profile.socket
    const options = readOptions("Tcp.listen", given, listenOptions)
    if (isPollerError(options)) return yield* Effect.fail(options)
    const address = yield* toAddress(libc, input)
    const backlog = yield* toBacklog(options.backlog)
    const bytes = Sockaddr.encodeInet(profile.socket, address)
    const opening = open(libc, domainOf(profile.socket, address), SOCK_STREAM, (fd) =>
      Effect.gen(function* () {
        const place = placeOf(fd, () => NetAddress.formatInet(address))
        // A port that was in use a moment ago may be taken again at once.
        yield* enable(libc, place, SOL_SOCKET, streamReuse, options.reuseAddress ?? true)
        yield* enable(libc, place, SOL_SOCKET, portSharing, options.reusePort)
        if (address._tag === "InetAddressV6")
          yield* enable(libc, place, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6Only ?? false)
        // The connections that it accepts inherit these.
        yield* setTcpOptions(libc, place, { ...options, noDelay: options.noDelay ?? true })
        yield* Socket.bind(libc, place, bytes)
        yield* Socket.listen(libc, place, backlog)
        const bound = yield* Socket.addressOf(libc, place, "getsockname")
        return new TcpListenerImpl(net, fd, inet.decode(libc, bound))
      })
    )
    return yield* scoped(opening)
  })

const connectOptions: Names<ConnectOptions> = { ...tcpOptions, localAddress: true, timeout: true }

export const connect = (
  input: NetAddress.InetAddressInput,
  given: ConnectOptions | undefined
): Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> =>
  Effect.gen(function* () {
    const net = yield* network
    const { libc } = net
    const { profile } = libc
    const { SOCK_STREAM, SOL_SOCKET, streamReuse } = profile.socket
    const options = readOptions("Tcp.connect", given, connectOptions)
    if (isPollerError(options)) return yield* Effect.fail(options)
    const address = yield* toAddress(libc, input)
    const local = options.localAddress === undefined ? undefined : yield* toAddress(libc, options.localAddress)
    const bytes = Sockaddr.encodeInet(profile.socket, address)
    const opening = open(libc, domainOf(profile.socket, address), SOCK_STREAM, (fd) =>
      Effect.gen(function* () {
        const socket = new TcpStreamImpl(net, fd, address)
        yield* setTcpOptions(libc, socket.watchedFd, { ...options, noDelay: options.noDelay ?? true })
        if (local !== undefined) {
          const isIpv6 = address._tag === "InetAddressV6"
          const usable = inFamily(local, isIpv6)
          const isAny = NetAddress.isUnspecified(local.address) && isIpv6
          if (usable === undefined || (!isAny && isIpv4(local) !== isIpv4(address))) {
            return yield* Effect.fail(wrongFamily("bind", fd, local))
          }
          const localBytes = Sockaddr.encodeInet(profile.socket, usable)
          const place = placeOf(fd, () => NetAddress.formatInet(local))
          yield* enable(libc, place, SOL_SOCKET, streamReuse, true)
          yield* Socket.bind(libc, place, localBytes)
        }
        return socket
      })
    )
    return yield* connected(libc, opening, bytes, options.timeout)
  })

export const fromFd = (fd: number): Effect.Effect<TcpStream, PollerError, Registrar | Scope.Scope> =>
  adopt(fd, tcp, (net, fd, found) => new TcpStreamImpl(net, fd, found.peer).brokenBy(found.brokenBy))
