/** Checks a socket that another part of the program has opened, before it is taken over. */
import * as Effect from "effect/Effect"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { descriptorError } from "../errors/arguments.ts"
import { fromErrno, invalidArgument } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { inet, unix } from "./addresses.ts"
import * as Socket from "./socketCalls.ts"

const { errno } = constants

/** What a function takes over, as errors name it. */
export interface Kind {
  readonly type: "SOCK_STREAM" | "SOCK_DGRAM"
  readonly family: { readonly includes: (libc: Libc, address: Uint8Array) => boolean }
  readonly name: string
  /** The function that takes it over. */
  readonly taker: string
  /** The function that opens a listener of this kind. */
  readonly listen?: string
}

export const tcp: Kind = {
  type: "SOCK_STREAM",
  family: inet,
  name: "TCP socket",
  taker: "Tcp.fromFd",
  listen: "Tcp.listen"
}
export const unixStream: Kind = {
  type: "SOCK_STREAM",
  family: unix,
  name: "Unix stream socket",
  taker: "Unix.fromFd",
  listen: "Unix.listen"
}
export const udp: Kind = { type: "SOCK_DGRAM", family: inet, name: "UDP socket", taker: "Udp.fromFd" }

/** What was found out about a socket. */
export interface Found {
  readonly bound: Uint8Array
  /** The address of the peer, or an empty string. */
  readonly peer: Socket.PackedAddress
  /** The error that has broken the connection, or 0. The kernel reports it once. */
  readonly brokenBy: number
}

/**
 * Fails with `InvalidArgument` if the descriptor is of another kind, listens, or is not connected.
 * Changes nothing.
 */
export const check = (libc: Libc, fd: number, kind: Kind): Effect.Effect<Found, PollerError> =>
  Effect.suspend(() => {
    const invalid = descriptorError(fd, "an integer")
    if (invalid !== undefined) return Effect.fail(invalid)
    const { SO_ACCEPTCONN, SO_TYPE, SOL_SOCKET } = libc.profile.socket
    const type = Socket.getOption(libc, fd, SOL_SOCKET, SO_TYPE)
    if (type < 0) return Effect.fail(fromErrno("getsockopt", -type, { fd }))
    return Effect.flatMap(Socket.addressOf(libc, { fd }, "getsockname"), (bound) => {
      const is = ({ family, type: wanted }: Kind) =>
        type === libc.profile.socket[wanted] && family.includes(libc, bound)
      if (!is(kind)) {
        const other = [tcp, unixStream, udp].find(is)
        const advice = other === undefined ? "watch another one with AsyncFd" : `pass a ${other.name} to ${other.taker}`
        return refuse(`this descriptor is another kind of socket: expected a ${kind.name} (${advice})`, fd)
      }
      if (kind.type === "SOCK_DGRAM") {
        return isUdp(libc, fd)
          ? Effect.succeed({ bound, peer: "", brokenBy: 0 })
          : refuse("this socket has datagrams of another protocol: expected a UDP socket (watch it with AsyncFd)", fd)
      }
      if (Socket.getOption(libc, fd, SOL_SOCKET, SO_ACCEPTCONN) > 0) {
        return refuse(
          `this socket listens: expected a connection (open a listener with ${kind.listen}, or wait for this one with AsyncFd, accept, and pass what was accepted)`,
          fd
        )
      }
      const peer = Socket.packedAddressOf(libc, fd, "getpeername")
      if (peer !== undefined) return Effect.succeed({ bound, peer, brokenBy: 0 })
      const result = peek(libc, fd)
      if (result === -errno.ENOTCONN || result === -errno.EINVAL) {
        return refuse("this socket is not connected: expected a connection (connect it first)", fd)
      }
      // It is being connected, or its peer has reset it.
      const brokenBy = result < 0 && result !== -libc.profile.errno.EAGAIN ? -result : 0
      return Effect.succeed({ bound, peer: "", brokenBy })
    })
  })

const IPPROTO_UDP = 17

/** Whether a socket of datagrams is one of UDP. Linux has others, such as those of ICMP. */
const isUdp = (libc: Libc, fd: number): boolean => {
  const { SO_PROTOCOL, SOL_SOCKET } = libc.profile.socket
  return SO_PROTOCOL === undefined || Socket.getOption(libc, fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_UDP
}

const refuse = (description: string, fd: number) => Effect.fail(invalidArgument(description, fd))

const scratch = new Uint8Array(1)

/** Looks at the next byte. Returns the number of bytes, or the negative errno. */
const peek = (libc: Libc, fd: number): number => {
  const { MSG_DONTWAIT, MSG_PEEK } = libc.profile.socket
  return retryInterrupted(libc, () => libc.functions.recv(fd, scratch, 1, MSG_DONTWAIT | MSG_PEEK))
}
