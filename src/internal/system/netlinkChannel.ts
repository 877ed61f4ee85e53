/** One socket of netlink(7): datagrams to the kernel, and from it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import type { PollerError } from "../../PollerError.ts"
import { OwnedFd, scoped } from "../descriptor/ownedFd.ts"
import { WatchedFd } from "../descriptor/watchedFd.ts"
import { fromErrno, invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import type { Network } from "../net/network.ts"
import * as Socket from "../net/socketCalls.ts"
import { checkBufferSizes, setBufferSizes } from "../net/socketOptions.ts"
import { readStruct, viewOf, writeStruct } from "./layout.ts"
import { sockaddrNl, sockaddrNlSize } from "./netlinkLayouts.ts"

// All receiving on this thread shares these. A dump comes in parts of at most 32 KiB.
let scratch = Buffer.alloc(64 * 1024)
const from = new Uint8Array(sockaddrNlSize)
const fromLength = new Uint32Array(1)

/** Addresses are to the kernel: its port is 0. */
const kernel = new Uint8Array(sockaddrNlSize)
writeStruct(sockaddrNl, viewOf(kernel), 0, { nl_family: netlink.AF_NETLINK })

const isFromKernel = (): boolean => readStruct(sockaddrNl, viewOf(from), 0).nl_pid === 0

export interface ChannelOptions {
  readonly protocol: number
  /** The numbers of multicast groups. */
  readonly groups: ReadonlyArray<number>
  readonly receiveBufferSize: number
}

export class NetlinkChannel {
  readonly libc: Libc
  readonly owned: OwnedFd
  readonly watchedFd: WatchedFd
  /** The port of the socket: the kernel addresses its replies to it. */
  readonly pid: number

  constructor({ attachment, libc }: Network, fd: number, pid: number) {
    this.libc = libc
    this.pid = pid
    this.watchedFd = new WatchedFd(attachment, fd)
    this.owned = new OwnedFd(libc, fd, "the netlink socket", this.watchedFd)
  }

  /**
   * Receives a datagram of the kernel. It is valid until the next call. Returns an empty one for a
   * datagram of another program, "Overrun" if the kernel had to drop datagrams, and `undefined` if
   * there is none.
   */
  receive(): Uint8Array | "Overrun" | PollerError | undefined {
    // A look first: a datagram that does not fit would lose its rest.
    for (;;) {
      const length = this.#receive(this.libc.profile.socket.MSG_PEEK)
      if (length < 0) return this.#failure(length)
      if (length <= scratch.length) break
      scratch = Buffer.alloc(length)
    }
    const length = this.#receive(0)
    if (length < 0) return this.#failure(length)
    return isFromKernel() ? scratch.subarray(0, length) : scratch.subarray(0, 0)
  }

  /** Returns the length of a datagram, also if that is more than there was room for. */
  #receive(flags: number): number {
    const { functions, profile } = this.libc
    const { fd } = this.watchedFd
    return retryInterrupted(this.libc, () => {
      fromLength[0] = sockaddrNlSize
      const all = profile.socket.MSG_DONTWAIT | netlink.MSG_TRUNC | flags
      return functions.recvfrom(fd, scratch, scratch.length, all, from, fromLength)
    })
  }

  #failure(result: number): "Overrun" | PollerError | undefined {
    if (result === -this.libc.profile.errno.EAGAIN) return undefined
    return result === -constants.errno.ENOBUFS ? "Overrun" : fromErrno("recvfrom", -result, this.watchedFd)
  }

  /**
   * Sends a datagram to the kernel, which handles it during the call. Returns the error if it could
   * not be sent.
   */
  send(bytes: Uint8Array): PollerError | undefined {
    const closed = this.fd === -1 ? this.owned.closed : this.watchedFd.ended
    if (closed !== undefined) return closed
    const { functions, profile } = this.libc
    const result = retryInterrupted(this.libc, () =>
      functions.sendto(this.fd, bytes, bytes.length, profile.socket.MSG_DONTWAIT, kernel, kernel.length)
    )
    return result < 0 ? fromErrno("sendto", -result, this.watchedFd) : undefined
  }

  get fd(): number {
    return this.owned.fd
  }
}

const isNumber = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most

const check = ({ groups, protocol, receiveBufferSize }: ChannelOptions): Effect.Effect<void, PollerError> => {
  if (!isNumber(protocol, 0, 0x7fff_ffff)) {
    return Effect.fail(invalidArgument(`invalid protocol ${String(protocol)}: expected one of netlink(7), from 0`))
  }
  if (!Array.isArray(groups)) return Effect.fail(invalidArgument("invalid groups: expected an array of numbers"))
  const wrong = groups.find((group) => !isNumber(group, 1, 0x7fff_ffff))
  return wrong === undefined && !groups.includes(undefined as never)
    ? checkBufferSizes({ receiveBufferSize })
    : Effect.fail(invalidArgument(`invalid group ${String(wrong)}: expected its number, from 1`))
}

/** Fails on a system without netlink. */
export const supported = (libc: Libc): Effect.Effect<void, PollerError> =>
  libc.profile.platform === "linux"
    ? Effect.void
    : Effect.fail(
        unsupported(
          "this system has no netlink (Linux has): read a routing socket, route(4), through AsyncFd, or ask os.networkInterfaces for what is there"
        )
      )

/** Opens a socket, binds it to a port that the kernel chooses, and joins its groups. */
export const openChannel = (
  net: Network,
  options: ChannelOptions
): Effect.Effect<NetlinkChannel, PollerError, Scope.Scope> => scoped(opening(net, options))

const opening = (net: Network, options: ChannelOptions): Effect.Effect<NetlinkChannel, PollerError> =>
  Effect.gen(function* () {
    const { libc } = net
    const { groups, protocol, receiveBufferSize } = options
    yield* supported(libc)
    yield* check(options)
    const fd = yield* Socket.open(libc, netlink.AF_NETLINK, netlink.SOCK_RAW, protocol)
    const place = { fd }
    const setUp = Effect.gen(function* () {
      yield* setBufferSizes(libc, place, { receiveBufferSize })
      yield* Socket.bind(libc, place, kernel)
      for (const group of groups) {
        yield* Socket.setOption(libc, place, netlink.SOL_NETLINK, netlink.NETLINK_ADD_MEMBERSHIP, group)
      }
      const address = yield* Socket.addressOf(libc, place, "getsockname")
      return new NetlinkChannel(net, fd, readStruct(sockaddrNl, viewOf(address), 0).nl_pid)
    })
    return yield* Socket.closeOnFailure(libc, fd, setUp)
  })
