/** The calls of Linux, macOS and the BSDs. */
import { unlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { threadId } from "node:worker_threads"
import koffi from "koffi"
import type { Calls, Pair } from "./calls.ts"
import { listDescriptors, threadCount } from "./proc.ts"

const libc = koffi.load(null)
const isLinux = process.platform === "linux"

/** Binds a function that only Linux has. On other systems, calling it throws. */
const ofLinux = (prototype: string): unknown =>
  isLinux
    ? libc.func(prototype)
    : () => {
        throw new Error(`this system has no function "${prototype}"`)
      }

type AddressCall = (fd: number, address: Uint8Array, length: number) => number

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
  ) => number,
  ioctl: libc.func("int ioctl(int fd, unsigned long request, ...)") as (
    fd: number,
    request: number,
    type: "void *",
    result: Int32Array
  ) => number,
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
  getsockopt: libc.func("int getsockopt(int fd, int level, int name, void *value, void *length)") as (
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: Uint32Array
  ) => number,
  poll: libc.func("int poll(void *entries, unsigned long count, int timeout)") as (
    entries: Int32Array,
    count: number,
    timeout: number
  ) => number,
  setsockopt: libc.func("int setsockopt(int fd, int level, int name, void *value, unsigned int length)") as (
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: number
  ) => number
}

const NONBLOCK = isLinux ? 0x800 : 4
/** Of socket(2) and its like: other systems set both flags afterwards. */
const FLAGS = isLinux ? 0x80000 | NONBLOCK : 0
const CLOEXEC = isLinux ? 0x80000 : 0
const EAGAIN = isLinux ? 11 : 35
const ENOBUFS = isLinux ? 105 : 55
const POLLOUT = 4
const FIONREAD = isLinux ? 0x541b : 0x4004_667f

const stream = 1 | CLOEXEC

const check = (name: string, result: number): number => {
  if (result === -1) throw new Error(`${name}: errno ${koffi.errno()}`)
  return result
}

const wouldBlock = (name: string, result: number): number =>
  result === -1 && (koffi.errno() === EAGAIN || koffi.errno() === ENOBUFS) ? -1 : check(name, result)

const closeOnExec = (fd: number): number => {
  if (!isLinux) check("fcntl", functions.fcntl(fd, 2, "int", 1))
  return fd
}

/** Sets with fcntl(2) the flags with which Linux opened the descriptor already. */
const flagged = (fd: number): number => {
  if (isLinux) return fd
  closeOnExec(fd)
  check("fcntl", functions.fcntl(fd, 4, "int", NONBLOCK))
  return fd
}

/** Returns the flags of the open file: fcntl(F_GETFL). */
const statusFlags = (fd: number): number => check("fcntl", functions.fcntl(fd, 3, "int", 0))

const unblock = (fd: number): void => void check("fcntl", functions.fcntl(fd, 4, "int", statusFlags(fd) | NONBLOCK))

const pair = (name: string, make: (fds: Int32Array) => number): Pair => {
  const fds = new Int32Array(2)
  check(name, make(fds))
  return [flagged(fds[0]!), flagged(fds[1]!)]
}

const unixPair = (type: number): Pair => pair("socketpair", (fds) => functions.socketpair(1, type | FLAGS, 0, fds))

const socket = (domain: number, type: number): number => check("socket", functions.socket(domain, type, 0))

const close = (fd: number): void => void check("close", functions.close(fd))

/** Opens a listening TCP socket on a free port of 127.0.0.1, and returns its address, too. */
const listenTcp = (): readonly [fd: number, address: Uint8Array] => {
  const fd = socket(2, stream)
  const address = new Uint8Array(16)
  // Systems other than Linux have a byte for the length before the family.
  address.set(isLinux ? [2, 0] : [16, 2])
  address.set([127, 0, 0, 1], 4)
  check("bind", functions.bind(fd, address, 16))
  check("listen", functions.listen(fd, 1))
  check("getsockname", functions.getsockname(fd, address, new Uint32Array([16])))
  return [fd, address]
}

const acceptNow = (listener: number): number => {
  if (isLinux) return functions.accept4(listener, null, null, FLAGS)
  const fd = functions.accept(listener, null, null)
  return fd === -1 ? fd : flagged(fd)
}

/** Returns a `struct sockaddr_un`: its length, on systems other than Linux, its family, a name. */
const unixAddress = (name: Uint8Array): Uint8Array => {
  const address = new Uint8Array(2 + name.length)
  address.set(isLinux ? [1, 0] : [address.length, 1])
  address.set(name, 2)
  return address
}

/** Opens a Unix stream socket, and calls bind(2) or connect(2) with a name that is any bytes. */
const unixSocket = (call: "bind" | "connect", name: Uint8Array): number => {
  const fd = closeOnExec(socket(1, stream))
  const address = unixAddress(name)
  check(call, functions[call](fd, address, address.length))
  return fd
}

const unconnected = (domain: number): number => flagged(socket(domain, 1 | FLAGS))

const isOpen = (fd: number): boolean => functions.fcntl(fd, 1, "int", 0) !== -1

let sources = 0

export const posix: Calls = {
  eventfd: () => check("eventfd", functions.eventfd(0, FLAGS)),
  // A Unix datagram socket that is connected to itself.
  source: () => {
    const fd = flagged(socket(1, 2 | FLAGS))
    const name = `${process.pid}-${threadId}-${sources++}`
    // An abstract name costs a hundredth of a path.
    const path = isLinux ? `\0source-${name}` : join(tmpdir(), `${name}\0`)
    const address = unixAddress(new TextEncoder().encode(path))
    check("bind", functions.bind(fd, address, address.length))
    check("connect", functions.connect(fd, address, address.length))
    // The connection stays without the path.
    if (!isLinux) unlinkSync(path.slice(0, -1))
    return fd
  },
  pipe: () => pair("pipe", (fds) => (isLinux ? functions.pipe2(fds, FLAGS) : functions.pipe(fds))),
  blockingPipe: () => {
    const fds = new Int32Array(2)
    check("pipe", isLinux ? functions.pipe2(fds, CLOEXEC) : functions.pipe(fds))
    return [closeOnExec(fds[0]!), closeOnExec(fds[1]!)]
  },
  socketPair: () => unixPair(1),
  messagePair: () => unixPair(5),
  datagramPair: () => unixPair(2),
  tcpPair: () => {
    const [listener, address] = listenTcp()
    const client = socket(2, stream)
    check("connect", functions.connect(client, address, 16))
    const server = check("accept", acceptNow(listener))
    close(listener)
    unblock(client)
    return [client, server]
  },
  unconnected,
  listen: () => {
    const [fd, address] = listenTcp()
    unblock(fd)
    return { fd, port: address[2]! * 256 + address[3]! }
  },
  connectInVain: () => {
    const [listener, address] = listenTcp()
    close(listener)
    const fd = unconnected(2)
    functions.connect(fd, address, 16)
    return fd
  },
  accept: (listener) => wouldBlock("accept", acceptNow(listener)),
  listenUnix: (name) => {
    const fd = unixSocket("bind", name)
    check("listen", functions.listen(fd, 8))
    return fd
  },
  connectUnix: (name) => unixSocket("connect", name),
  write: (fd, bytes, count) => wouldBlock("write", functions.write(fd, bytes, count)),
  read: (fd, bytes, count) => wouldBlock("read", functions.read(fd, bytes, count)),
  // Linux has taken everything by the time that a write would block.
  hasRoomSoon: (fd) => !isLinux && check("poll", functions.poll(new Int32Array([fd, POLLOUT]), 1, 300)) > 0,
  pending: (fd) => {
    const count = new Int32Array(1)
    check("ioctl", functions.ioctl(fd, FIONREAD, "void *", count))
    return count[0]!
  },
  option: (fd, level, name, count) => {
    const value = new Int32Array(count)
    check("getsockopt", functions.getsockopt(fd, level, name, value, new Uint32Array([value.byteLength])))
    return value
  },
  setBlocking: (fd) => void check("fcntl", functions.fcntl(fd, 4, "int", statusFlags(fd) & ~NONBLOCK)),
  sendOutOfBand: (fd) => void check("send", functions.send(fd, new Uint8Array(1), 1, 1)),
  shutdownWrite: (fd) => void check("shutdown", functions.shutdown(fd, 1)),
  // SO_PASSCRED
  passCredentials: (fd) => void check("setsockopt", functions.setsockopt(fd, 1, 16, new Int32Array([1]), 4)),
  lingerNot: (fd) => {
    const [level, name] = isLinux ? [1, 13] : [0xffff, 0x80]
    check("setsockopt", functions.setsockopt(fd, level, name, new Int32Array([1, 0]), 8))
  },
  dup: (fd) => check("dup", functions.dup(fd)),
  dup2: (from, to) => void check("dup2", functions.dup2(from, to)),
  close,
  isOpen,
  isCloseOnExec: (fd) => (check("fcntl", functions.fcntl(fd, 1, "int", 0)) & 1) !== 0,
  statusFlags,
  isNonblocking: (fd) => (statusFlags(fd) & NONBLOCK) !== 0,
  openDescriptors: () => listDescriptors(isOpen),
  threadCount
}
