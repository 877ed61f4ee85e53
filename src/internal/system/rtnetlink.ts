/** Links and addresses, decoded from the messages of rtnetlink(7). */
import * as NetAddress from "effect/net/NetAddress"
import type { Address, AddressScope, Link, Message, OperState } from "../../system/Netlink.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import { readStruct, viewOf } from "./layout.ts"
import { ifaddrmsg, ifaddrmsgSize, ifinfomsg, ifinfomsgSize } from "./netlinkLayouts.ts"
import { decodeAttributes, readText, readU32 } from "./netlinkMessage.ts"

/** By the value of `IFLA_OPERSTATE`. */
const operStates: ReadonlyArray<OperState> = [
  "unknown",
  "notpresent",
  "down",
  "lowerlayerdown",
  "testing",
  "dormant",
  "up"
]

const scopes = new Map<number, AddressScope>([
  [0, "universe"],
  [200, "site"],
  [253, "link"],
  [254, "host"],
  [255, "nowhere"]
])

/** The payloads of the attributes from a byte on, by type. */
const byType = (payload: Uint8Array, offset: number): ReadonlyMap<number, Uint8Array> =>
  new Map(decodeAttributes(payload, offset).map(({ payload, type }) => [type, payload]))

const ifPresent = <A>(payload: Uint8Array | undefined, read: (payload: Uint8Array) => A): A | undefined =>
  payload === undefined ? undefined : read(payload)

/** Formats a link-layer address: `02:00:5e:10:00:01`. Some kinds of links have none. */
const formatHardware = (payload: Uint8Array): string | undefined =>
  payload.length === 0 ? undefined : Array.from(payload, (byte) => byte.toString(16).padStart(2, "0")).join(":")

/**
 * Returns the link of a message, or `undefined` if it is about something else: a port of a bridge,
 * or an event of a wireless driver.
 */
export const toLink = ({ payload }: Message): Link | undefined => {
  if (payload.length < ifinfomsgSize) return undefined
  const { ifi_family, ifi_flags, ifi_index, ifi_type } = readStruct(ifinfomsg, viewOf(payload), 0)
  const attributes = byType(payload, ifinfomsgSize)
  const name = ifPresent(attributes.get(netlink.IFLA_IFNAME), readText)
  if (ifi_family !== netlink.AF_UNSPEC || name === undefined) return undefined
  const information = ifPresent(attributes.get(netlink.IFLA_LINKINFO), (payload) => byType(payload, 0))
  return {
    index: ifi_index,
    name,
    type: ifi_type,
    kind: ifPresent(information?.get(netlink.IFLA_INFO_KIND), readText),
    flags: ifi_flags,
    up: (ifi_flags & netlink.IFF_UP) !== 0,
    running: (ifi_flags & netlink.IFF_RUNNING) !== 0,
    operstate: operStates[attributes.get(netlink.IFLA_OPERSTATE)?.[0] ?? 0] ?? "unknown",
    mtu: ifPresent(attributes.get(netlink.IFLA_MTU), readU32) ?? 0,
    address: ifPresent(attributes.get(netlink.IFLA_ADDRESS), formatHardware),
    broadcast: ifPresent(attributes.get(netlink.IFLA_BROADCAST), formatHardware),
    link: ifPresent(attributes.get(netlink.IFLA_LINK), readU32),
    master: ifPresent(attributes.get(netlink.IFLA_MASTER), readU32),
    qdisc: ifPresent(attributes.get(netlink.IFLA_QDISC), readText)
  }
}

const toIp = (family: number, payload: Uint8Array | undefined): NetAddress.IpAddress | undefined => {
  if (family === netlink.AF_INET && payload?.length === 4) return NetAddress.ipv4FromBytesUnsafe(payload)
  return family === netlink.AF_INET6 && payload?.length === 16 ? NetAddress.ipv6FromBytesUnsafe(payload) : undefined
}

/** Returns the address of a message, or `undefined` if it is neither IPv4 nor IPv6. */
export const toAddress = ({ payload }: Message): Address | undefined => {
  if (payload.length < ifaddrmsgSize) return undefined
  const { ifa_family, ifa_flags, ifa_index, ifa_prefixlen, ifa_scope } = readStruct(ifaddrmsg, viewOf(payload), 0)
  const attributes = byType(payload, ifaddrmsgSize)
  // Between two points, IFA_ADDRESS is the far one. Without IFA_LOCAL, it is the only one.
  const far = toIp(ifa_family, attributes.get(netlink.IFA_ADDRESS))
  const address = toIp(ifa_family, attributes.get(netlink.IFA_LOCAL)) ?? far
  if (address === undefined) return undefined
  return {
    index: ifa_index,
    address,
    prefixLength: ifa_prefixlen,
    scope: scopes.get(ifa_scope) ?? ifa_scope,
    // They have outgrown their byte.
    flags: ifPresent(attributes.get(netlink.IFA_FLAGS), readU32) ?? ifa_flags,
    peer: far === undefined || NetAddress.formatIp(far) === NetAddress.formatIp(address) ? undefined : far,
    broadcast: toIp(ifa_family, attributes.get(netlink.IFA_BROADCAST)),
    label: ifPresent(attributes.get(netlink.IFA_LABEL), readText)
  }
}

/** What the kernel tells the addresses of all links apart by. */
export const keyOf = ({ address, index, peer, prefixLength }: Address): string =>
  `${index} ${NetAddress.formatIp(address)}/${prefixLength} ${peer === undefined ? "" : NetAddress.formatIp(peer)}`
