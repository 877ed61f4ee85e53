/**
 * The calls of Windows, on sockets: it can poll nothing else. A connection is one of TCP over the
 * loopback interface, for Windows makes no pairs of Unix sockets.
 *
 * What is written to a peer arrives in the background. So each call that the peer notices waits
 * until it has arrived, if the peer is a socket of this file.
 */
import type { Calls, Pair } from "./calls.ts"
import { bindWinsock } from "./winsockFunctions.ts"
import { isInherited, listHandles } from "./handles.ts"

const functions = bindWinsock()

const INET = 2
const UNIX = 1
const STREAM = 1
const DATAGRAM = 2
const SOL_SOCKET = 0xffff
const OVERLAPPED = 1
const NO_INHERIT = 0x80
const FIONBIO = 0x8004_667e | 0
const FIONREAD = 0x4004_667f
const WSAEWOULDBLOCK = 10035
const WSAEMSGSIZE = 10040
const POLLRDNORM = 0x100
const POLLWRNORM = 0x10

/** The sizes of both buffers of a connection. Those that Windows chooses grow while a test fills them. */
const buffer = new Int32Array([65_536])

/** The other end of each connection. */
const peers = new Map<number, number>()

const missing = (what: string) => (): never => {
  throw new Error(`Windows has no ${what}`)
}

const check = (name: string, result: number): number => {
  if (result === -1) throw new Error(`${name}: ${functions.WSAGetLastError()}`)
  return result
}

const wouldBlock = (name: string, result: number): number =>
  result === -1 && functions.WSAGetLastError() === WSAEWOULDBLOCK ? -1 : check(name, result)

const setOption = (fd: number, level: number, name: number, value: Int32Array | Uint16Array): void =>
  void check("setsockopt", functions.setsockopt(fd, level, name, value, value.byteLength))

/** Makes a socket close-on-exec, and if it shall be, non-blocking. */
const flagged = (fd: number, isNonblocking = true): number => {
  functions.SetHandleInformation(fd, 1, 0)
  if (isNonblocking) check("ioctlsocket", functions.ioctlsocket(fd, FIONBIO, new Int32Array([1])))
  return fd
}

const socket = (domain: number, type: number, isNonblocking = true): number =>
  flagged(check("WSASocketW", functions.WSASocketW(domain, type, 0, null, 0, OVERLAPPED | NO_INHERIT)), isNonblocking)

/** Binds a socket to a free port of 127.0.0.1, and returns the address. */
const bindAny = (fd: number): Uint8Array => {
  const address = new Uint8Array(16)
  address.set([INET, 0])
  address.set([127, 0, 0, 1], 4)
  check("bind", functions.bind(fd, address, 16))
  check("getsockname", functions.getsockname(fd, address, new Int32Array([16])))
  return address
}

const portOf = (address: Uint8Array): number => address[2]! * 256 + address[3]!

/** Waits until a socket is ready for any of `events`, for `millis` at most. */
const awaitReady = (fd: number, events: number, millis: number): boolean => {
  const entry = new DataView(new ArrayBuffer(16))
  entry.setBigInt64(0, BigInt(fd), true)
  entry.setInt16(8, events, true)
  return functions.WSAPoll(new Uint8Array(entry.buffer), 1, millis) > 0
}

/** Waits until the peer of a socket has something to read: bytes, or the end. */
const arrive = (fd: number): void => {
  const peer = peers.get(fd)
  if (peer !== undefined && isOpen(peer)) awaitReady(peer, POLLRDNORM, 1000)
}

const sized = (fd: number): number => {
  for (const name of [0x1001, 0x1002]) setOption(fd, SOL_SOCKET, name, buffer)
  return fd
}

const unsplit = (fd: number): number => {
  // TCP_NODELAY
  setOption(fd, 6, 1, new Int32Array([1]))
  return fd
}

const joined = (one: number, other: number): Pair => {
  peers.set(one, other)
  peers.set(other, one)
  return [one, other]
}

const listenTcp = (isNonblocking: boolean): readonly [fd: number, address: Uint8Array] => {
  const fd = sized(socket(INET, STREAM, isNonblocking))
  const address = bindAny(fd)
  check("listen", functions.listen(fd, 1))
  return [fd, address]
}

const tcpPair = (): Pair => {
  const [listener, address] = listenTcp(false)
  const client = sized(socket(INET, STREAM, false))
  check("connect", functions.connect(client, address, 16))
  const server = flagged(check("accept", functions.accept(listener, null, null)))
  check("closesocket", functions.closesocket(listener))
  return joined(unsplit(flagged(client)), unsplit(server))
}

const connectDatagrams = (fd: number, address: Uint8Array): void =>
  void check("connect", functions.connect(fd, address, 16))

const unixAddress = (name: Uint8Array): Uint8Array => {
  const address = new Uint8Array(110)
  address.set([UNIX, 0])
  address.set(name, 2)
  return address
}

/** SO_TYPE, which each socket has. */
const isOpen = (fd: number): boolean =>
  functions.getsockopt(fd, SOL_SOCKET, 0x1008, new Int32Array(1), new Int32Array([4])) === 0

/** Calls something that the peer notices. */
const noticed = (fd: number, result: number): number => {
  if (result > 0) arrive(fd)
  return result
}

export const winsock: Calls = {
  eventfd: missing("eventfd"),
  // A UDP socket that is connected to itself.
  source: () => {
    const fd = socket(INET, DATAGRAM)
    connectDatagrams(fd, bindAny(fd))
    return joined(fd, fd)[0]
  },
  // It has none that can be polled: two ends of a connection, of which the second one writes.
  pipe: tcpPair,
  blockingPipe: missing("descriptor whose blocking mode can be asked"),
  socketPair: tcpPair,
  messagePair: missing("SOCK_SEQPACKET"),
  datagramPair: () => {
    const [one, other] = [socket(INET, DATAGRAM), socket(INET, DATAGRAM)]
    const [from, to] = [bindAny(one), bindAny(other)]
    connectDatagrams(one, to)
    connectDatagrams(other, from)
    return joined(one, other)
  },
  tcpPair,
  unconnected: (domain) => socket(domain, STREAM),
  listen: () => {
    const [fd, address] = listenTcp(true)
    return { fd, port: portOf(address) }
  },
  connectInVain: () => {
    const [listener, address] = listenTcp(false)
    check("closesocket", functions.closesocket(listener))
    const fd = socket(INET, STREAM)
    functions.connect(fd, address, 16)
    return fd
  },
  accept: (listener) => {
    const fd = wouldBlock("accept", functions.accept(listener, null, null))
    return fd === -1 ? fd : flagged(fd)
  },
  listenUnix: (name) => {
    const fd = socket(UNIX, STREAM, false)
    check("bind", functions.bind(fd, unixAddress(name), 110))
    check("listen", functions.listen(fd, 8))
    return fd
  },
  connectUnix: (name) => {
    const fd = socket(UNIX, STREAM, false)
    check("connect", functions.connect(fd, unixAddress(name), 110))
    return fd
  },
  write: (fd, bytes, count) => noticed(fd, wouldBlock("send", functions.send(fd, bytes, count, 0))),
  read: (fd, bytes, count) => {
    const result = functions.recv(fd, bytes, count, 0)
    // Of a datagram, what fits in was read.
    return result === -1 && functions.WSAGetLastError() === WSAEMSGSIZE ? count : wouldBlock("recv", result)
  },
  // The peer may still have a little room, into which the kernel sends a part after 200 ms.
  hasRoomSoon: (fd) => awaitReady(fd, POLLWRNORM, 300),
  pending: (fd) => {
    const count = new Int32Array(1)
    check("ioctlsocket", functions.ioctlsocket(fd, FIONREAD, count))
    return count[0]!
  },
  option: (fd, level, name, count) => {
    const value = new Int32Array(count)
    check("getsockopt", functions.getsockopt(fd, level, name, value, new Int32Array([value.byteLength])))
    return value
  },
  setBlocking: (fd) => void check("ioctlsocket", functions.ioctlsocket(fd, FIONBIO, new Int32Array(1))),
  sendOutOfBand: (fd) => void check("send", functions.send(fd, new Uint8Array(1), 1, 1)),
  shutdownWrite: (fd) => {
    check("shutdown", functions.shutdown(fd, 1))
    arrive(fd)
  },
  passCredentials: missing("SO_PASSCRED"),
  lingerNot: (fd) => setOption(fd, SOL_SOCKET, 0x80, new Uint16Array([1, 0])),
  dup: missing("dup"),
  dup2: missing("dup2"),
  close: (fd) => {
    check("closesocket", functions.closesocket(fd))
    arrive(fd)
    peers.delete(fd)
  },
  isOpen,
  isCloseOnExec: (fd) => !isInherited(fd),
  statusFlags: missing("fcntl"),
  isNonblocking: missing("way to ask for the blocking mode"),
  openDescriptors: () => listHandles(isOpen),
  threadCount: () => 0
}
