/** Sets the options of sockets: setsockopt(2). All of them are checked before the first is set. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constants } from "node:os"
import type * as Tcp from "../../net/Tcp.ts"
import type * as Udp from "../../net/Udp.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument, textOf } from "../errors/arguments.ts"
import type { Names } from "../errors/options.ts"
import { invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import type { SocketProfile } from "../libc/profiles/socketProfile.ts"
import * as Multicast from "./multicast.ts"
import * as Socket from "./socketCalls.ts"

/** The largest C `int`. */
export const largestInt = 0x7fff_ffff

/** Sets an option that is on or off. Leaves it alone if `on` is undefined. */
export const enable = (
  libc: Libc,
  place: Socket.Place,
  level: number,
  name: number | undefined,
  on: boolean | undefined
): Effect.Effect<void, PollerError> => {
  if (on === undefined) return Effect.void
  if (name !== undefined) return Socket.setOption(libc, place, level, name, on ? 1 : 0)
  return on
    ? Effect.fail(unsupported("this system does not share a port among sockets: leave out reusePort"))
    : Effect.void
}

export const bufferSizes: Names<BufferSizes> = { sendBufferSize: true, receiveBufferSize: true }

export const tcpOptions: Names<Tcp.SetOptions> = { ...bufferSizes, noDelay: "boolean", keepAlive: true }

export const udpOptions: Names<Udp.SetOptions> = {
  ...bufferSizes,
  broadcast: "boolean",
  gro: "boolean",
  ttl: true,
  multicastTtl: true,
  multicastLoopback: "boolean",
  multicastInterface: true
}

export interface BufferSizes {
  readonly sendBufferSize?: number | undefined
  readonly receiveBufferSize?: number | undefined
}

export const checkBufferSizes = ({
  receiveBufferSize,
  sendBufferSize
}: BufferSizes): Effect.Effect<void, PollerError> => {
  for (const size of [sendBufferSize, receiveBufferSize]) {
    if (size !== undefined && !(Number.isInteger(size) && size > 0 && size <= largestInt)) {
      return Effect.fail(
        invalidArgument(`invalid buffer size ${textOf(size)}: expected an integer from 1 to ${largestInt}`)
      )
    }
  }
  return Effect.void
}

export const setBufferSizes = (
  libc: Libc,
  place: Socket.Place,
  options: BufferSizes
): Effect.Effect<void, PollerError> =>
  Effect.gen(function* () {
    const { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } = libc.profile.socket
    const { receiveBufferSize, sendBufferSize } = options
    if (sendBufferSize !== undefined) yield* Socket.setOption(libc, place, SOL_SOCKET, SO_SNDBUF, sendBufferSize)
    if (receiveBufferSize !== undefined) yield* Socket.setOption(libc, place, SOL_SOCKET, SO_RCVBUF, receiveBufferSize)
  })

export const setTcpOptions = (
  libc: Libc,
  place: Socket.Place,
  options: Tcp.SetOptions
): Effect.Effect<void, PollerError> =>
  Effect.gen(function* () {
    const { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } = libc.profile.socket
    const keepAlive = yield* toKeepAlive(libc, options.keepAlive)
    yield* checkBufferSizes(options)
    yield* enable(libc, place, IPPROTO_TCP, TCP_NODELAY, options.noDelay)
    if (options.keepAlive !== undefined) {
      yield* enable(libc, place, SOL_SOCKET, SO_KEEPALIVE, options.keepAlive !== false)
    }
    for (const [name, value] of keepAlive) yield* Socket.setOption(libc, place, IPPROTO_TCP, name, value)
    yield* setBufferSizes(libc, place, options)
  })

/**
 * Returns the options that say when probes are sent: the name of each, and its value in seconds or
 * probes.
 */
const toKeepAlive = (
  libc: Libc,
  keepAlive: boolean | Tcp.KeepAlive | undefined
): Effect.Effect<ReadonlyArray<readonly [name: number, value: number]>, PollerError> => {
  if (keepAlive === undefined || typeof keepAlive === "boolean") return Effect.succeed([])
  if (keepAlive === null || typeof keepAlive !== "object") {
    return Effect.fail(
      invalidArgument(`invalid keepAlive ${textOf(keepAlive)}: expected true, false, or when probes are sent`)
    )
  }
  const { TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL } = libc.profile.socket
  const wanted = readArgument(
    "an option of keep-alive",
    () =>
      [
        ["idle", TCP_KEEPIDLE, seconds(keepAlive.idle)],
        ["interval", TCP_KEEPINTVL, seconds(keepAlive.interval)],
        ["count", TCP_KEEPCNT, keepAlive.count]
      ] as const
  )
  if (isPollerError(wanted)) return Effect.fail(wanted)
  const options: Array<readonly [number, number]> = []
  for (const [what, name, value] of wanted) {
    if (value === undefined) continue
    if (name === undefined)
      return Effect.fail(unsupported(`this system cannot set the ${what} of keep-alive for one socket (leave it out)`))
    if (!(Number.isInteger(value) && value > 0 && value < 0x8000)) {
      return Effect.fail(
        invalidArgument(`invalid ${what} of keep-alive: expected 1 to 32767 ${what === "count" ? "probes" : "seconds"}`)
      )
    }
    options.push([name, value])
  }
  return Effect.succeed(options)
}

const seconds = (duration: Duration.Input | undefined): number | undefined => {
  if (duration === undefined) return undefined
  try {
    return Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(duration)))
  } catch {
    return NaN
  }
}

export const setOption = (
  libc: Libc,
  place: Socket.Place,
  { level, name, value }: Multicast.Option
): Effect.Effect<void, PollerError> => Socket.setOption(libc, place, level, name, value)

export const setUdpOptions = (
  libc: Libc,
  place: Socket.Place,
  isIpv6: boolean,
  options: Udp.SetOptions
): Effect.Effect<void, PollerError> =>
  Effect.gen(function* () {
    const given = readArgument("an option of Udp", () => toUdpOptions(libc.profile.socket, isIpv6, options))
    if (isPollerError(given)) return yield* Effect.fail(given)
    yield* checkBufferSizes(options)
    yield* setGro(libc, place, options.gro)
    for (const option of given) yield* setOption(libc, place, option)
    yield* setBufferSizes(libc, place, options)
  })

const setGro = (libc: Libc, place: Socket.Place, gro: boolean | undefined): Effect.Effect<void, PollerError> => {
  const { manyDatagrams } = libc.profile.socket
  if (gro === undefined || (manyDatagrams === undefined && !gro)) return Effect.void
  const lacking = unsupported("this system does not join the datagrams that it receives (leave gro out)")
  if (manyDatagrams === undefined) return Effect.fail(lacking)
  return Effect.mapError(enable(libc, place, manyDatagrams.IPPROTO_UDP, manyDatagrams.UDP_GRO, gro), (error) =>
    "errno" in error.reason && error.reason.errno === constants.errno.ENOPROTOOPT ? lacking : error
  )
}

const hopsError = (what: string, value: number, least: number): PollerError | undefined =>
  Number.isInteger(value) && value >= least && value <= 255
    ? undefined
    : invalidArgument(`invalid ${what} ${textOf(value)}: expected an integer from ${least} to 255`)

const toUdpOptions = (
  profile: SocketProfile,
  isIpv6: boolean,
  { broadcast, multicastInterface, multicastLoopback, multicastTtl, ttl }: Udp.SetOptions
): ReadonlyArray<Multicast.Option> | PollerError => {
  const level = isIpv6 ? profile.IPPROTO_IPV6 : profile.IPPROTO_IP
  const multicastValue = (value: number) =>
    !isIpv6 && profile.multicastValueBytes === 1 ? Uint8Array.of(value) : value
  const options: Array<Multicast.Option> = []
  if (broadcast !== undefined) {
    options.push({ level: profile.SOL_SOCKET, name: profile.SO_BROADCAST, value: broadcast ? 1 : 0 })
  }
  if (ttl !== undefined) {
    const wrong = hopsError("ttl", ttl, 1)
    if (wrong !== undefined) return wrong
    options.push({ level, name: isIpv6 ? profile.IPV6_UNICAST_HOPS : profile.IP_TTL, value: ttl })
  }
  if (multicastTtl !== undefined) {
    const wrong = hopsError("multicastTtl", multicastTtl, 0)
    if (wrong !== undefined) return wrong
    const name = isIpv6 ? profile.IPV6_MULTICAST_HOPS : profile.IP_MULTICAST_TTL
    options.push({ level, name, value: multicastValue(multicastTtl) })
  }
  if (multicastLoopback !== undefined) {
    const name = isIpv6 ? profile.IPV6_MULTICAST_LOOP : profile.IP_MULTICAST_LOOP
    options.push({ level, name, value: multicastValue(multicastLoopback ? 1 : 0) })
  }
  if (multicastInterface !== undefined) {
    const option = Multicast.outgoing(profile, isIpv6, multicastInterface)
    if (isPollerError(option)) return option
    options.push(option)
  }
  return options
}
