/**
 * The calls of the C library on sockets. Every socket that is opened here is non-blocking and
 * close-on-exec from its first moment, or as soon as the system allows.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, type Where } from "../errors/pollerErrors.ts"
import { setFlags } from "../kernel/descriptorFlags.ts"
import type { Libc } from "../libc/koffi.ts"
import { systemCall } from "../descriptor/systemCall.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Family } from "./addresses.ts"
import { capacity } from "./sockaddr.ts"

/** Returns the flags that open a socket so, or 0 if the system has none. */
const creationFlags = ({ profile: { socket } }: Libc): number =>
  socket.SOCK_NONBLOCK === undefined || socket.SOCK_CLOEXEC === undefined
    ? 0
    : socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

/** Opens a socket: socket(2). */
export const open = (libc: Libc, domain: number, type: number, protocol = 0): Effect.Effect<number, PollerError> =>
  Effect.map(
    systemCall(libc, "socket", undefined, () => libc.functions.socket(domain, type | creationFlags(libc), protocol)),
    (fd) => {
      if (creationFlags(libc) === 0) setFlags(libc, [fd])
      return fd
    }
  )

/** Closes a descriptor if the effect fails or is interrupted. */
export const closeOnFailure = <A, E, R>(libc: Libc, fd: number, use: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onError(use, () => Effect.sync(() => void libc.functions.close(fd)))

/** Opens a pair of sockets: socketpair(2). */
export const openPair = (
  libc: Libc,
  domain: number,
  type: number
): Effect.Effect<readonly [number, number], PollerError> => {
  const fds = new Int32Array(2)
  return Effect.map(
    systemCall(libc, "socketpair", undefined, () =>
      libc.functions.socketpair(domain, type | creationFlags(libc), 0, fds)
    ),
    () => {
      if (creationFlags(libc) === 0) setFlags(libc, fds)
      return [fds[0]!, fds[1]!] as const
    }
  )
}

// All accepting on this thread shares these.
const from = Buffer.alloc(capacity)
const fromLength = new Uint32Array(1)

/**
 * Accepts a connection: accept4(2), or accept(2) and fcntl(2). Returns its descriptor, or the
 * negative errno. `acceptedPeer` then returns the address of the peer.
 */
export const accept = (libc: Libc, fd: number): number => {
  if (libc.profile.socket.hasAccept4) {
    return retryInterrupted(libc, () => {
      fromLength[0] = capacity
      return libc.functions.accept4(fd, from, fromLength, creationFlags(libc))
    })
  }
  const accepted = retryInterrupted(libc, () => {
    fromLength[0] = capacity
    return libc.functions.accept(fd, from, fromLength)
  })
  if (accepted >= 0) setFlags(libc, [accepted])
  return accepted
}

/**
 * The bytes of an address as a string. It is kept as long as its connection, and takes a quarter of
 * the memory of an array.
 */
export type PackedAddress = string

const pack = (bytes: Uint8Array, length: number): PackedAddress =>
  Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(length, bytes.length)).toString("latin1")

export const unpack = (address: PackedAddress): Uint8Array => Buffer.from(address, "latin1")

/** Returns the address of the peer of the connection that was accepted last, or an empty string. */
export const acceptedPeer = (): PackedAddress => from.toString("latin1", 0, Math.min(fromLength[0]!, capacity))

/** The descriptor of a call, and the address that its errors name. */
export type Place = Where & { readonly fd: number }

/** Binds a socket to an address: bind(2). */
export const bind = (libc: Libc, place: Place, address: Uint8Array): Effect.Effect<number, PollerError> =>
  systemCall(libc, "bind", place, () => libc.functions.bind(place.fd, address, address.length))

/** Makes a socket listen: listen(2). */
export const listen = (libc: Libc, place: Place, backlog: number): Effect.Effect<number, PollerError> =>
  systemCall(libc, "listen", place, () => libc.functions.listen(place.fd, backlog))

export type Side = "getsockname" | "getpeername"

/** Returns the bytes of an address, or the negative errno. */
const readAddress = (libc: Libc, fd: number, side: Side): Uint8Array | number => {
  const bytes = new Uint8Array(capacity)
  const length = new Uint32Array([capacity])
  const result = retryInterrupted(libc, () => libc.functions[side](fd, bytes, length))
  return result < 0 ? result : bytes.subarray(0, Math.min(length[0]!, capacity))
}

/** Returns an address of a socket, or undefined if it has none. */
export const packedAddressOf = (libc: Libc, fd: number, side: Side): PackedAddress | undefined => {
  const address = readAddress(libc, fd, side)
  return typeof address === "number" ? undefined : pack(address, address.length)
}

/** Returns the bytes of an address of a socket: getsockname(2) or getpeername(2). */
export const addressOf = (libc: Libc, place: Place, side: Side): Effect.Effect<Uint8Array, PollerError> =>
  Effect.suspend(() => {
    const address = readAddress(libc, place.fd, side)
    return typeof address === "number" ? Effect.fail(fromErrno(side, -address, place)) : Effect.succeed(address)
  })

/** Returns an address of a socket as text, or undefined if the kernel does not know it any more. */
export const describe = <Address>(
  libc: Libc,
  fd: number,
  side: Side,
  { decode, format }: Family<Address>
): string | undefined => {
  const address = readAddress(libc, fd, side)
  return typeof address === "number" ? undefined : format(decode(libc, address))
}

export const setOption = (
  libc: Libc,
  place: Place,
  level: number,
  name: number,
  value: number | Uint8Array
): Effect.Effect<void, PollerError> =>
  Effect.suspend(() => {
    const bytes = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value
    return Effect.asVoid(
      systemCall(libc, "setsockopt", place, () => libc.functions.setsockopt(place.fd, level, name, bytes, bytes.length))
    )
  })

/** Returns an option that is an `int`, or the negative errno: getsockopt(2). */
export const getOption = (libc: Libc, fd: number, level: number, name: number): number => {
  const value = new Int32Array(1)
  const result = retryInterrupted(libc, () =>
    libc.functions.getsockopt(fd, level, name, new Uint8Array(value.buffer), new Uint32Array([4]))
  )
  return result < 0 ? result : value[0]!
}

/** Returns the pending error of a socket, and clears it. */
export const takeError = (libc: Libc, syscall: string, place: Place): PollerError | undefined => {
  const { SOL_SOCKET, SO_ERROR } = libc.profile.socket
  const errno = getOption(libc, place.fd, SOL_SOCKET, SO_ERROR)
  return errno === 0 ? undefined : fromErrno(syscall, Math.abs(errno), place)
}
