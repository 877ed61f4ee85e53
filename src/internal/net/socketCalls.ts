/**
 * The calls of the C library on sockets. Every socket that is opened here is non-blocking and
 * close-on-exec from its first moment, or as soon as the system allows.
 */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, invalidArgument, type Where } from "../errors/pollerErrors.ts"
import { descriptorError } from "../errors/arguments.ts"
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
export const open = (libc: Libc, domain: number, type: number): Effect.Effect<number, PollerError> =>
  Effect.map(
    systemCall(libc, "socket", undefined, () => libc.functions.socket(domain, type | creationFlags(libc), 0)),
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

/**
 * Accepts a connection: accept4(2), or accept(2) and fcntl(2). Returns its descriptor, or the
 * negative errno.
 */
export const accept = (libc: Libc, fd: number): number => {
  if (libc.profile.socket.hasAccept4) {
    return retryInterrupted(libc, () => libc.functions.accept4(fd, null, null, creationFlags(libc)))
  }
  const accepted = retryInterrupted(libc, () => libc.functions.accept(fd, null, null))
  if (accepted >= 0) setFlags(libc, [accepted])
  return accepted
}

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

/** Returns the bytes of an address of a socket: getsockname(2) or getpeername(2). */
export const addressOf = (libc: Libc, fd: number, side: Side): Effect.Effect<Uint8Array, PollerError> =>
  Effect.suspend(() => {
    const address = readAddress(libc, fd, side)
    return typeof address === "number" ? Effect.fail(fromErrno(side, -address, { fd })) : Effect.succeed(address)
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
  fd: number,
  level: number,
  name: number,
  value: number | Uint8Array
): Effect.Effect<void, PollerError> =>
  Effect.suspend(() => {
    const bytes = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value
    return Effect.asVoid(
      systemCall(libc, "setsockopt", { fd }, () => libc.functions.setsockopt(fd, level, name, bytes, bytes.length))
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

/**
 * Returns the address of an open socket. Fails with `InvalidArgument` if the descriptor is of
 * another kind.
 */
export const check = <Address>(
  libc: Libc,
  fd: number,
  type: number,
  { includes }: Family<Address>,
  what: string
): Effect.Effect<Uint8Array, PollerError> =>
  Effect.suspend(() => {
    const invalid = descriptorError(fd, "an integer")
    if (invalid !== undefined) return Effect.fail(invalid)
    const { SOL_SOCKET, SO_TYPE } = libc.profile.socket
    const found = getOption(libc, fd, SOL_SOCKET, SO_TYPE)
    if (found < 0) return Effect.fail(fromErrno("getsockopt", -found, { fd }))
    const wrong = Effect.fail(invalidArgument(`this descriptor is another kind of socket: expected a ${what}`, fd))
    if (found !== type) return wrong
    return Effect.flatMap(addressOf(libc, fd, "getsockname"), (address) =>
      includes(libc, address) ? Effect.succeed(address) : wrong
    )
  })
