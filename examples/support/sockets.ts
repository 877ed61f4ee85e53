/**
 * The few socket calls of the C library that this example needs, for Node has no sockets that are plain descriptors.
 *
 * Every socket is non-blocking, so that no thread ever waits in one of these calls: the poller does the waiting.
 */
import { Data, Effect, type Scope } from "effect"
import koffi from "koffi"
import { constants } from "node:os"
import { getSystemErrorName } from "node:util"

/** The kernel has refused a call on a socket. */
export class SocketError extends Data.TaggedError("SocketError")<{
  readonly syscall: string
  readonly errno: number
}> {
  /** The error's name, such as "ECONNRESET". */
  get code(): string {
    return getSystemErrorName(-this.errno)
  }
  override get message(): string {
    return `${this.syscall} failed: ${this.code}`
  }
}

const libc = koffi.load(null)
const functions = {
  socket: libc.func("int socket(int domain, int type, int protocol)") as (
    domain: number,
    type: number,
    protocol: number
  ) => number,
  setsockopt: libc.func("int setsockopt(int fd, int level, int name, void *value, unsigned int length)") as (
    fd: number,
    level: number,
    name: number,
    value: Int32Array,
    length: number
  ) => number,
  bind: libc.func("int bind(int fd, void *address, unsigned int length)") as (
    fd: number,
    address: Uint8Array,
    length: number
  ) => number,
  listen: libc.func("int listen(int fd, int backlog)") as (fd: number, backlog: number) => number,
  accept4: libc.func("int accept4(int fd, void *address, void *length, int flags)") as (
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
  close: libc.func("int close(int fd)") as (fd: number) => number
}

const AF_INET = 2
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0x800
const SOCK_CLOEXEC = 0x80000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const { EAGAIN } = constants.errno

/** What `read`, `write` and `accept` answer where a blocking socket would have waited. */
export const wouldBlock = -1

// `errno` belongs to the call made last on this thread, so it is looked at right here and nowhere later.
const check = (syscall: string, result: number): number => {
  if (result !== -1) return result
  const errno = koffi.errno()
  if (errno === EAGAIN) return wouldBlock
  throw new SocketError({ syscall, errno })
}

/** Reads what is there: how many bytes, 0 at the end of the stream, or `wouldBlock`. Throws `SocketError`. */
export const read = (fd: number, buffer: Uint8Array): number => check("read", functions.read(fd, buffer, buffer.length))

/** Writes what there is room for: how many bytes, or `wouldBlock`. Throws `SocketError`. */
export const write = (fd: number, bytes: Uint8Array): number => check("write", functions.write(fd, bytes, bytes.length))

/** The next connection that waits on a listening socket, or `wouldBlock`. Throws `SocketError`. */
export const accept = (fd: number): number =>
  check("accept4", functions.accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC))

export const close = (fd: number): void => void functions.close(fd)

/** Makes the calls above an effect. Whatever is not a `SocketError` is a mistake in this program, and a defect. */
export const attempt = <A>(call: () => A): Effect.Effect<A, SocketError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(call())
    } catch (thrown) {
      return thrown instanceof SocketError ? Effect.fail(thrown) : Effect.die(thrown)
    }
  })

/** A listening socket of this machine, and the port it got (0 asks for any that is free). Closed by its scope. */
export const listen = (
  port: number
): Effect.Effect<{ readonly fd: number; readonly port: number }, SocketError, Scope.Scope> =>
  Effect.gen(function* () {
    const fd = yield* Effect.acquireRelease(
      attempt(() => check("socket", functions.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))),
      (fd) => Effect.sync(() => close(fd))
    )
    return yield* attempt(() => {
      // A port that was in use a moment ago may be taken again at once.
      enable(fd, SOL_SOCKET, SO_REUSEADDR)
      // The sockets it accepts inherit this: an answer is not held back until it fills a packet.
      enable(fd, IPPROTO_TCP, TCP_NODELAY)
      const address = localhost(port)
      check("bind", functions.bind(fd, address, address.length))
      check("listen", functions.listen(fd, 4096))
      check("getsockname", functions.getsockname(fd, address, new Uint32Array([address.length])))
      return { fd, port: new DataView(address.buffer).getUint16(2) }
    })
  })

const enable = (fd: number, level: number, name: number): void =>
  void check("setsockopt", functions.setsockopt(fd, level, name, new Int32Array([1]), 4))

/** A `sockaddr_in`: the family in the machine's byte order, port and address in the network's, and padding. */
const localhost = (port: number): Uint8Array => {
  const address = new Uint8Array(16)
  new Uint16Array(address.buffer)[0] = AF_INET
  new DataView(address.buffer).setUint16(2, port)
  address.set([127, 0, 0, 1], 4)
  return address
}
