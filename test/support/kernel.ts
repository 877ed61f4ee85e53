/**
 * System calls for which Node has no function, for tests that need descriptors to poll. A call that
 * fails throws, so that it fails the test.
 *
 * All of it works on every system on which the library runs, unless its comment says what it needs.
 */
import type { Calls, Pair } from "./kernel/calls.ts"

// Each of the two loads libraries that only its system has.
const calls: Calls =
  process.platform === "win32"
    ? (await import("./kernel/winsock.ts")).winsock
    : (await import("./kernel/posix.ts")).posix

const scratch = new Uint8Array(65_536)
const one = new Uint8Array(new BigUint64Array([1n]).buffer)

/** Opens a non-blocking eventfd: needs Linux. */
export const eventfd = (): number => calls.eventfd()

/**
 * Opens a descriptor that is always writable, and that `signal` makes readable, as it does with an
 * eventfd: a datagram socket that is connected to itself.
 */
export const source = (): number => calls.source()

/** Opens a non-blocking pipe. On Windows, which cannot poll one, it is a connection. */
export const pipe = (): readonly [read: number, write: number] => calls.pipe()

/** Opens a blocking pipe: Windows has none. */
export const blockingPipe = (): readonly [read: number, write: number] => calls.blockingPipe()

/** Opens two connected stream sockets, non-blocking: Unix sockets, or TCP sockets on Windows. */
export const socketPair = (): Pair => calls.socketPair()

/**
 * Opens, as `socketPair` does, two sockets that keep messages apart: SOCK_SEQPACKET. macOS and
 * Windows have no such sockets.
 */
export const messagePair = (): Pair => calls.messagePair()

/** Opens, as `socketPair` does, two sockets of datagrams: SOCK_DGRAM. */
export const datagramPair = (): Pair => calls.datagramPair()

/** Opens two connected TCP sockets, non-blocking. */
export const tcpPair = (): Pair => calls.tcpPair()

/** Opens a non-blocking stream socket of a domain, and neither binds nor connects it. */
export const unconnected = (domain: number): number => calls.unconnected(domain)

/** Opens a non-blocking TCP socket that listens on a free port of 127.0.0.1. */
export const listen = (): { readonly fd: number; readonly port: number } => calls.listen()

/** Opens a non-blocking TCP socket that is connecting to a port without a listener. */
export const connectInVain = (): number => calls.connectInVain()

/** Accepts the next connection as non-blocking. Returns -1 if the call would block. */
export const accept = (listener: number): number => calls.accept(listener)

/** Listens at the name of a Unix socket. On Linux it is abstract if it begins with a zero byte. */
export const listenUnix = (name: Uint8Array): number => calls.listenUnix(name)

/** Connects to the name of a Unix socket. */
export const connectUnix = (name: Uint8Array): number => calls.connectUnix(name)

/**
 * Called for a descriptor that a call below has found not ready, where the kernel reports it again
 * only after that: on Windows. `layers.ts` adds what tells the selectors of its pollers.
 */
export const observers = new Set<(fd: number, event: "Read" | "Write") => void>()

/** Returns the result of a call, and notes that it would have blocked. */
const noting = (fd: number, event: "Read" | "Write", result: number): number => {
  if (result === -1) for (const observer of observers) observer(fd, event)
  return result
}

/** Makes a `source` or an eventfd readable. Each time is an edge. */
export const signal = (fd: number): void => {
  if (observers.size > 0) drain(fd)
  if (calls.write(fd, one, 8) !== -1) return
  // The source is full of what was never read.
  drain(fd)
  if (calls.write(fd, one, 8) === -1) throw new Error(`there is no room in ${fd}`)
}

/** Writes `count` bytes. Returns the number that were taken, or -1 if the call would block. */
export const write = (fd: number, count = 1): number => noting(fd, "Write", calls.write(fd, scratch, count))

/** Reads up to `count` bytes. Returns their number, 0 at the end, or -1 if the call would block. */
export const read = (fd: number, count = scratch.length): number => noting(fd, "Read", calls.read(fd, scratch, count))

/** Reads into a buffer, as `read` does. */
export const readInto = (fd: number, buffer: Uint8Array): number =>
  noting(fd, "Read", calls.read(fd, buffer, buffer.length))

/** Reads until the call would block or reaches the end. */
export const drain = (fd: number): void => {
  while (read(fd) > 0);
}

/** Writes until the call would block. Returns the number of bytes that were taken. */
export const fill = (fd: number): number => {
  let total = 0
  let taken = calls.write(fd, scratch, scratch.length)
  while (taken > 0) {
    total += taken
    taken = calls.write(fd, scratch, scratch.length)
    if (taken > 0) continue
    // There may be a little room after that moment, though too little to be reported.
    hasRoomSoon(fd)
    taken = calls.write(fd, scratch, scratch.length)
  }
  // Not before: what is asked for then would report the room that there was in between.
  noting(fd, "Write", taken)
  return total
}

/** Reads what there is as text. Returns "" at the end, or if the call would block. */
export const readText = (fd: number): string => {
  const length = read(fd)
  return new TextDecoder().decode(scratch.subarray(0, Math.max(0, length)))
}

/** Writes bytes. Returns the number that were taken, or -1 if the call would block. */
export const writeBytes = (fd: number, bytes: Uint8Array): number =>
  noting(fd, "Write", calls.write(fd, bytes, bytes.length))

/** Writes a text. Returns the number of bytes that were taken, or -1 if the call would block. */
export const writeText = (fd: number, text: string): number => writeBytes(fd, new TextEncoder().encode(text))

/** Returns whether there is room within a moment, after a write that would block: never on Linux. */
export const hasRoomSoon = (fd: number): boolean => calls.hasRoomSoon(fd)

/** Returns an option of a socket that has several words, or one. */
export const option = (fd: number, level: number, name: number, count = 1): Int32Array =>
  calls.option(fd, level, name, count)

/** Makes a descriptor block. */
export const setBlocking = (fd: number): void => calls.setBlocking(fd)

/** Returns how many bytes there are to read. FIONREAD does not take anything. */
export const pending = (fd: number): number => calls.pending(fd)

/**
 * Waits, without a turn of the event loop, until there are `count` bytes to read, or for a second. A
 * busy kernel delivers bytes a moment after the call that sends them.
 */
export const untilPending = (fd: number, count: number): void => {
  for (const end = performance.now() + 1000; pending(fd) < count && performance.now() < end;);
}

/** Sends one out-of-band byte, which is `EPOLLPRI` for a TCP peer. */
export const sendOutOfBand = (fd: number): void => calls.sendOutOfBand(fd)

export const shutdownWrite = (fd: number): void => calls.shutdownWrite(fd)

/** Makes a Unix socket receive the credentials of senders, SO_PASSCRED: needs Linux. */
export const passCredentials = (fd: number): void => calls.passCredentials(fd)

/** Duplicates a descriptor: not on Windows. */
export const dup = (fd: number): number => calls.dup(fd)
/** Makes the number `to` a duplicate of `from`: not on Windows. */
export const dup2 = (from: number, to: number): void => calls.dup2(from, to)
export const close = (fd: number): void => calls.close(fd)

/** Closes a TCP socket so that its peer sees a reset instead of an end. */
export const closeWithReset = (fd: number): void => {
  calls.lingerNot(fd)
  close(fd)
}

export const isOpen = (fd: number): boolean => calls.isOpen(fd)
export const isCloseOnExec = (fd: number): boolean => calls.isCloseOnExec(fd)
/** Returns the flags of the open file, fcntl(F_GETFL): not on Windows. */
export const statusFlags = (fd: number): number => calls.statusFlags(fd)
/** Whether a descriptor does not block, which cannot be asked on Windows. */
export const isNonblocking = (fd: number): boolean => calls.isNonblocking(fd)

/**
 * Returns the open descriptors of this process, each with the name of its file. On Windows these
 * are the handles of sockets, other files and completion ports, each with its kind.
 */
export const openDescriptors = (): ReadonlyMap<number, string> => calls.openDescriptors()

/** Returns the number of this process's threads that the kernel does not end already, or 0 where there is no /proc. */
export const threadCount = (): number => calls.threadCount()
