/** Multicast: the groups of a socket, and the interfaces for them, in the form of the kernel. */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import { isUint8Array } from "node:util/types"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { JoinMulticastOptions } from "../../net/Udp.ts"
import { readArgument } from "../errors/arguments.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import type { SocketProfile } from "../libc/profiles/socketProfile.ts"
import { encodeInet, ipv6Bytes } from "./sockaddr.ts"

/** The arguments of setsockopt(2). */
export interface Option {
  readonly level: number
  readonly name: number
  readonly value: number | Uint8Array
}

/** The options that join a group, and leave it again. */
export interface Membership {
  readonly join: Option
  readonly leave: Option
}

const word = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer)

const isIndex = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff

const ip = (input: NetAddress.IpAddressInput): NetAddress.IpAddress | undefined => {
  const result = NetAddress.ipFromInput(input)
  return Result.isSuccess(result) ? result.success : undefined
}

/** Returns the address of an IPv4 interface. It defaults to any. */
const interface4 = (input: JoinMulticastOptions["interface"]): Uint8Array | PollerError => {
  if (input === undefined) return new Uint8Array(4)
  const address = typeof input === "number" ? undefined : ip(input)
  return address?._tag === "Ipv4Address"
    ? Uint8Array.from(NetAddress.ipv4ToOctets(address))
    : invalidArgument("invalid interface for multicast over IPv4: expected one of its IPv4 addresses")
}

/** Returns the index of an IPv6 interface. It defaults to the system's choice. */
const interface6 = (input: JoinMulticastOptions["interface"]): number | PollerError =>
  isIndex(input ?? 0)
    ? ((input ?? 0) as number)
    : invalidArgument("invalid interface for multicast over IPv6: expected its index")

/** Returns the option that says where datagrams to groups leave. */
export const outgoing = (
  profile: SocketProfile,
  isIpv6: boolean,
  input: NonNullable<JoinMulticastOptions["interface"]>
): Option | PollerError => {
  if (isIpv6) {
    const index = interface6(input)
    return typeof index === "number"
      ? { level: profile.IPPROTO_IPV6, name: profile.IPV6_MULTICAST_IF, value: index }
      : index
  }
  const address = interface4(input)
  return isUint8Array(address) ? { level: profile.IPPROTO_IP, name: profile.IP_MULTICAST_IF, value: address } : address
}

export const membership = (
  profile: SocketProfile,
  isIpv6: boolean,
  given: JoinMulticastOptions | undefined
): Effect.Effect<Membership, PollerError> =>
  Effect.suspend(() => {
    const options = readOptions("Udp.joinMulticast", given, joinOptions)
    if (isPollerError(options)) return Effect.fail(options)
    const made = readArgument("an address of a multicast group", () => toMembership(profile, isIpv6, options))
    return isPollerError(made) ? Effect.fail(made) : Effect.succeed(made)
  })

const joinOptions: Names<JoinMulticastOptions> = { group: true, interface: true, source: true }

const toMembership = (
  profile: SocketProfile,
  isIpv6: boolean,
  options: JoinMulticastOptions
): Membership | PollerError => {
  const group = options.group === undefined ? undefined : ip(options.group)
  if (group === undefined || !NetAddress.isMulticast(group)) {
    return invalidArgument("invalid multicast group: expected an address such as 239.0.0.1 or ff02::1")
  }
  if (group._tag === "Ipv6Address" && !isIpv6) {
    return invalidArgument("an IPv4 socket cannot join an IPv6 group: bind one at an IPv6 address")
  }
  const source = options.source === undefined ? undefined : ip(options.source)
  if (options.source !== undefined && source?._tag !== group._tag) {
    return invalidArgument("invalid source of a multicast group: expected an address of the same family")
  }
  return group._tag === "Ipv4Address"
    ? membership4(profile, group, options.interface, source as NetAddress.Ipv4Address | undefined)
    : membership6(profile, group, options.interface, source as NetAddress.Ipv6Address | undefined)
}

const ofLevel = (level: number, join: number | undefined, leave: number | undefined, value: Uint8Array) =>
  join === undefined || leave === undefined
    ? unsupported("this system cannot join a group for one source only: leave the source out")
    : { join: { level, name: join, value }, leave: { level, name: leave, value } }

/** `struct ip_mreq`, or `struct ip_mreq_source`. */
const membership4 = (
  profile: SocketProfile,
  group: NetAddress.Ipv4Address,
  ingress: JoinMulticastOptions["interface"],
  source: NetAddress.Ipv4Address | undefined
): Membership | PollerError => {
  const local = interface4(ingress)
  if (!isUint8Array(local)) return local
  const groupBytes = Uint8Array.from(NetAddress.ipv4ToOctets(group))
  if (source === undefined) {
    const value = Uint8Array.from([...groupBytes, ...local])
    return ofLevel(profile.IPPROTO_IP, profile.IP_ADD_MEMBERSHIP, profile.IP_DROP_MEMBERSHIP, value)
  }
  const parts = { group: groupBytes, interface: local, source: NetAddress.ipv4ToOctets(source) }
  const value = Uint8Array.from(profile.sourceMembership.flatMap((part) => [...parts[part]]))
  return ofLevel(profile.IPPROTO_IP, profile.IP_ADD_SOURCE_MEMBERSHIP, profile.IP_DROP_SOURCE_MEMBERSHIP, value)
}

/** `struct ipv6_mreq`, or `struct group_source_req`. */
const membership6 = (
  profile: SocketProfile,
  group: NetAddress.Ipv6Address,
  ingress: JoinMulticastOptions["interface"],
  source: NetAddress.Ipv6Address | undefined
): Membership | PollerError => {
  const index = interface6(ingress)
  if (typeof index !== "number") return index
  if (source === undefined) {
    const value = Uint8Array.from([...ipv6Bytes(group), ...word(index)])
    return ofLevel(profile.IPPROTO_IPV6, profile.IPV6_JOIN_GROUP, profile.IPV6_LEAVE_GROUP, value)
  }
  const layout = profile.groupSourceRequest
  const value = new Uint8Array(layout.size)
  value.set(word(index))
  value.set(encodeInet(profile, NetAddress.inetAddressUnsafe(group, 0)), layout.group)
  value.set(encodeInet(profile, NetAddress.inetAddressUnsafe(source, 0)), layout.source)
  return ofLevel(profile.IPPROTO_IPV6, profile.MCAST_JOIN_SOURCE_GROUP, profile.MCAST_LEAVE_SOURCE_GROUP, value)
}
