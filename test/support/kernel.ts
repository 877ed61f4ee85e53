/**
 * System calls for which Node has no function, for tests that need descriptors to poll. A call that
 * fails throws, so that it fails the test.
 *
 * All of it works on every system on which the library runs, unless its comment says that it needs
 * Linux.
 */
import { fstatSync, readdirSync, readFileSync, readlinkSync, unlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { threadId } from "node:worker_threads"
import koffi from "koffi"

const own = koffi.load(null)
const isLinux = process.platform === "linux"

/** Windows has none of these: to call one throws there, and to import this file does not. */
const libc = {
  func: (prototype: string): unknown => {
    if (process.platform !== "win32") return own.func(prototype)
    return () => {
      throw new Error(`Windows has no function "${prototype}"`)
    }
  }
}

/** Binds a function that only Linux has. On other systems, calling it throws. */
const ofLinux = (prototype: string): unknown =>
  isLinux
    ? libc.func(prototype)
    : () => {
        throw new Error(`this system has no function "${prototype}"`)
      }

const functions = {
  eventfd: ofLinux("int eventfd(unsigned int initval, int flags)") as (initval: number, flags: number) => number,
  pipe: libc.func("int pipe(void *fds)") as (fds: Int32Array) => number,
  pipe2: ofLinux("int pipe2(void *fds, int flags)") as (fds: Int32Array, flags: number) => number,
  socketpair: libc.func("int socketpair(int domain, int type, int protocol, void *fds)") as (
    domain: number,
    type: number,
    protocol: number,
    fds: Int32Array
  ) => number,
  shutdown: libc.func("int shutdown(int fd, int how)") as (fd: number, how: number) => number,
  send: libc.func("intptr_t send(int fd, void *buffer, size_t count, int flags)") as (
    fd: number,
    buffer: Uint8Array,
    count: number,
    flags: number
  ) => number,
  read: libc.func("intptr_t read(int fd, void *buffer, size_t count)") as (
    fd: number,
    buffer: Uint8Array,
    count: number
  ) => number,
  write: libc.func("intptr_t write(int fd, void *buffer, size_t count)") as (
    fd: number,
    buffer: Uint8Array,
    count: number
  ) => number,
  dup: libc.func("int dup(int fd)") as (fd: number) => number,
  dup2: libc.func("int dup2(int from, int to)") as (from: number, to: number) => number,
  close: libc.func("int close(int fd)") as (fd: number) => number,
  fcntl: libc.func("int fcntl(int fd, int command, ...)") as (
    fd: number,
    command: number,
    type: "int",
    argument: number
  ) => number
}

const NONBLOCK = isLinux ? 0x800 : 4
/** Of socket(2) and its like: other systems set both flags afterwards. */
const FLAGS = isLinux ? 0x80000 | NONBLOCK : 0
const CLOEXEC = isLinux ? 0x80000 : 0
const EAGAIN = isLinux ? 11 : 35
const ENOBUFS = isLinux ? 105 : 55

/** Sets with fcntl(2) the flags with which Linux opened the descriptor already. */
const flagged = (fd: number): number => {
  if (isLinux) return fd
  closeOnExec(fd)
  check("fcntl", functions.fcntl(fd, 4, "int", NONBLOCK))
  return fd
}

const closeOnExec = (fd: number): number => {
  if (!isLinux) check("fcntl", functions.fcntl(fd, 2, "int", 1))
  return fd
}

const check = (name: string, result: number): number => {
  if (result === -1) throw new Error(`${name}: errno ${koffi.errno()}`)
  return result
}

const pair = (name: string, make: (fds: Int32Array) => number): readonly [number, number] => {
  const fds = new Int32Array(2)
  check(name, make(fds))
  return [flagged(fds[0]!), flagged(fds[1]!)]
}

const scratch = new Uint8Array(65_536)
const one = new Uint8Array(new BigUint64Array([1n]).buffer)

/** Opens a non-blocking eventfd: needs Linux. */
export const eventfd = (): number => check("eventfd", functions.eventfd(0, FLAGS))

let sources = 0

/**
 * Opens a descriptor that is always writable, and that `signal` makes readable, as it does with an
 * eventfd: a Unix datagram socket that is connected to itself.
 */
export const source = (): number => {
  const fd = flagged(check("socket", net.socket(1, 2 | FLAGS, 0)))
  const name = `${process.pid}-${threadId}-${sources++}`
  // An abstract name costs a hundredth of a path.
  const path = isLinux ? `\0source-${name}` : join(tmpdir(), `${name}\0`)
  const address = unixAddress(new TextEncoder().encode(path))
  check("bind", net.bind(fd, address, address.length))
  check("connect", net.connect(fd, address, address.length))
  // The connection stays without the path.
  if (!isLinux) unlinkSync(path.slice(0, -1))
  return fd
}

/** Opens a non-blocking pipe. */
export const pipe = (): readonly [read: number, write: number] =>
  pair("pipe", (fds) => (isLinux ? functions.pipe2(fds, FLAGS) : functions.pipe(fds)))

/** Opens two connected Unix stream sockets, non-blocking. */
export const socketPair = (): readonly [number, number] =>
  pair("socketpair", (fds) => functions.socketpair(1, 1 | FLAGS, 0, fds))

/**
 * Opens, as `socketPair` does, two sockets that keep messages apart: SOCK_SEQPACKET. macOS has no
 * such sockets.
 */
export const messagePair = (): readonly [number, number] =>
  pair("socketpair", (fds) => functions.socketpair(1, 5 | FLAGS, 0, fds))

/** Opens, as `socketPair` does, two sockets of datagrams: SOCK_DGRAM. */
export const datagramPair = (): readonly [number, number] =>
  pair("socketpair", (fds) => functions.socketpair(1, 2 | FLAGS, 0, fds))

/** Makes a `source` or an eventfd readable. Each time is an edge. */
export const signal = (fd: number): void => {
  let result = functions.write(fd, one, 8)
  if (result === -1 && (koffi.errno() === EAGAIN || koffi.errno() === ENOBUFS)) {
    // The source is full of what was never read.
    drain(fd)
    result = functions.write(fd, one, 8)
  }
  check("write", result)
}

/** Writes `count` bytes. Returns the number that were taken, or -1 if the call would block. */
export const write = (fd: number, count = 1): number => wouldBlock("write", functions.write(fd, scratch, count))

/** Reads up to `count` bytes. Returns their number, 0 at the end, or -1 if the call would block. */
export const read = (fd: number, count = scratch.length): number =>
  wouldBlock("read", functions.read(fd, scratch, count))

/** Reads until the call would block or reaches the end. */
export const drain = (fd: number): void => {
  while (read(fd) > 0);
}

/** Writes until the call would block. Returns the number of bytes that were taken. */
export const fill = (fd: number): number => {
  let total = 0
  for (let taken = write(fd, scratch.length); taken > 0; taken = write(fd, scratch.length)) total += taken
  return total
}

const wouldBlock = (name: string, result: number): number =>
  result === -1 && koffi.errno() === EAGAIN ? -1 : check(name, result)

/** Sends one out-of-band byte, which is `EPOLLPRI` for a TCP peer. */
export const sendOutOfBand = (fd: number): void => void check("send", functions.send(fd, one, 1, 1))

export const shutdownWrite = (fd: number): void => void check("shutdown", functions.shutdown(fd, 1))
export const dup = (fd: number): number => check("dup", functions.dup(fd))
/** Makes the number `to` a duplicate of `from`. */
export const dup2 = (from: number, to: number): void => void check("dup2", functions.dup2(from, to))
export const close = (fd: number): void => void check("close", functions.close(fd))

export const isOpen = (fd: number): boolean => functions.fcntl(fd, 1, "int", 0) !== -1
export const isCloseOnExec = (fd: number): boolean => (check("fcntl", functions.fcntl(fd, 1, "int", 0)) & 1) !== 0
/** Returns the flags of the open file: fcntl(F_GETFL). */
export const statusFlags = (fd: number): number => check("fcntl", functions.fcntl(fd, 3, "int", 0))
export const isNonblocking = (fd: number): boolean => (statusFlags(fd) & NONBLOCK) !== 0

/** Returns the numbers in a directory, or `undefined` if there is no such directory. */
const numbersIn = (directory: string): ReadonlyArray<number> | undefined => {
  try {
    return readdirSync(directory).map(Number)
  } catch {
    return undefined
  }
}

/** Returns the name of the file of a descriptor, or what is known of it where there are no names. */
const nameOf = (fd: number): string => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    const stats = fstatSync(fd)
    const kind = stats.isSocket() ? "socket" : stats.isFIFO() ? "pipe" : stats.mode.toString(8)
    return `${kind}:[${stats.dev}:${stats.ino}]`
  }
}

/** Numbers of descriptors below this are looked at, where no directory lists them. */
const ceiling = 16_384

/** Returns the open descriptors of this process, each with the name of its file. */
export const openDescriptors = (): ReadonlyMap<number, string> => {
  // The /dev/fd of FreeBSD may list the standard streams only.
  const listed = isLinux ? numbersIn("/proc/self/fd") : undefined
  const found = new Map<number, string>()
  for (const fd of listed ?? Array.from({ length: ceiling }, (_, fd) => fd)) {
    // What is listed but not open is the descriptor by which the directory was read.
    if (isOpen(fd)) found.set(fd, nameOf(fd))
  }
  return found
}

/** PF_EXITING of the kernel: it ends the thread. pthread_join(3) returns before the thread leaves the list. */
const EXITING = 4

const runs = (thread: number): boolean => {
  try {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8")
    // The name in parentheses may contain spaces; six fields lie between it and the flags.
    const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6])
    return (flags & EXITING) === 0
  } catch {
    // It has ended since the list was read.
    return false
  }
}

/** Returns the number of this process's threads that the kernel does not end already, or 0 where there is no /proc. */
export const threadCount = (): number => numbersIn("/proc/self/task")?.filter(runs).length ?? 0

const net = {
  socket: libc.func("int socket(int domain, int type, int protocol)") as (
    domain: number,
    type: number,
    protocol: number
  ) => number,
  bind: libc.func("int bind(int fd, void *address, unsigned int length)") as AddressCall,
  connect: libc.func("int connect(int fd, void *address, unsigned int length)") as AddressCall,
  listen: libc.func("int listen(int fd, int backlog)") as (fd: number, backlog: number) => number,
  accept: libc.func("int accept(int fd, void *address, void *length)") as (
    fd: number,
    address: null,
    length: null
  ) => number,
  accept4: ofLinux("int accept4(int fd, void *address, void *length, int flags)") as (
    fd: number,
    address: null,
    length: null,
    flags: number
  ) => number,
  getsockname: libc.func("int getsockname(int fd, void *address, void *length)") as (
    fd: number,
    address: Uint8Array,
    length: Uint32Array
  ) => number,
  setsockopt: libc.func("int setsockopt(int fd, int level, int name, void *value, unsigned int length)") as (
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: number
  ) => number
}

const stream = 1 | CLOEXEC

type AddressCall = (fd: number, address: Uint8Array, length: number) => number

/** Opens a listening TCP socket on a free port of 127.0.0.1, and returns its address, too. */
const listenTcp = (): readonly [fd: number, address: Uint8Array] => {
  const fd = check("socket", net.socket(2, stream, 0))
  const address = new Uint8Array(16)
  // Systems other than Linux have a byte for the length before the family.
  address.set(isLinux ? [2, 0] : [16, 2])
  address.set([127, 0, 0, 1], 4)
  check("bind", net.bind(fd, address, 16))
  check("listen", net.listen(fd, 1))
  check("getsockname", net.getsockname(fd, address, new Uint32Array([16])))
  return [fd, address]
}

const acceptNow = (listener: number): number => {
  if (isLinux) return net.accept4(listener, null, null, FLAGS)
  const fd = net.accept(listener, null, null)
  return fd === -1 ? fd : flagged(fd)
}

/** Opens two connected TCP sockets, non-blocking. */
export const tcpPair = (): readonly [number, number] => {
  const [listener, address] = listenTcp()
  const client = check("socket", net.socket(2, stream, 0))
  check("connect", net.connect(client, address, 16))
  const server = check("accept", acceptNow(listener))
  close(listener)
  const flags = check("fcntl", functions.fcntl(client, 3, "int", 0))
  check("fcntl", functions.fcntl(client, 4, "int", flags | NONBLOCK))
  return [client, server]
}

/** Opens a non-blocking TCP socket that is connecting to a port without a listener. */
export const connectInVain = (): number => {
  const [listener, address] = listenTcp()
  close(listener)
  const fd = unconnected(2)
  net.connect(fd, address, 16)
  return fd
}

/** Opens a non-blocking stream socket of a domain, and neither binds nor connects it. */
export const unconnected = (domain: number): number => flagged(check("socket", net.socket(domain, 1 | FLAGS, 0)))

/** Makes a Unix socket receive the credentials of senders, SO_PASSCRED: needs Linux. */
export const passCredentials = (fd: number): void =>
  void check("setsockopt", net.setsockopt(fd, 1, 16, new Int32Array([1]), 4))

/** Closes a TCP socket so that its peer sees a reset instead of an end. */
export const closeWithReset = (fd: number): void => {
  // SO_LINGER with zero seconds.
  const [level, name] = isLinux ? [1, 13] : [0xffff, 0x80]
  check("setsockopt", net.setsockopt(fd, level, name, new Int32Array([1, 0]), 8))
  close(fd)
}

/** Opens a blocking pipe. */
export const blockingPipe = (): readonly [read: number, write: number] => {
  const fds = new Int32Array(2)
  check("pipe", isLinux ? functions.pipe2(fds, CLOEXEC) : functions.pipe(fds))
  return [closeOnExec(fds[0]!), closeOnExec(fds[1]!)]
}

/** Opens a non-blocking TCP socket that listens on a free port of 127.0.0.1. */
export const listen = (): { readonly fd: number; readonly port: number } => {
  const [fd, address] = listenTcp()
  const flags = check("fcntl", functions.fcntl(fd, 3, "int", 0))
  check("fcntl", functions.fcntl(fd, 4, "int", flags | NONBLOCK))
  check("getsockname", net.getsockname(fd, address, new Uint32Array([16])))
  return { fd, port: address[2]! * 256 + address[3]! }
}

/** Accepts the next connection as non-blocking. Returns -1 if the call would block. */
export const accept = (listener: number): number => wouldBlock("accept", acceptNow(listener))

/** Reads what there is as text. Returns "" at the end, or if the call would block. */
export const readText = (fd: number): string => {
  const length = read(fd)
  return new TextDecoder().decode(scratch.subarray(0, Math.max(0, length)))
}

/** Writes a text. Returns the number of bytes that were taken, or -1 if the call would block. */
export const writeText = (fd: number, text: string): number => {
  const bytes = new TextEncoder().encode(text)
  return wouldBlock("write", functions.write(fd, bytes, bytes.length))
}

/** Opens a Unix stream socket, and calls bind(2) or connect(2) with a name that is any bytes. */
const unixSocket = (call: "bind" | "connect", name: Uint8Array): number => {
  const fd = closeOnExec(check("socket", net.socket(1, stream, 0)))
  const address = unixAddress(name)
  check(call, net[call](fd, address, address.length))
  return fd
}

/** Returns a `struct sockaddr_un`: its length, on systems other than Linux, its family, a name. */
const unixAddress = (name: Uint8Array): Uint8Array => {
  const address = new Uint8Array(2 + name.length)
  address.set(isLinux ? [1, 0] : [address.length, 1])
  address.set(name, 2)
  return address
}

/** Listens at the name of a Unix socket. On Linux it is abstract if it begins with a zero byte. */
export const listenUnix = (name: Uint8Array): number => {
  const fd = unixSocket("bind", name)
  check("listen", net.listen(fd, 8))
  return fd
}

/** Connects to the name of a Unix socket. */
export const connectUnix = (name: Uint8Array): number => unixSocket("connect", name)
