/**
 * `struct sockaddr` as bytes, for every profile: with and without the byte that holds its length.
 */
import * as NetAddress from "effect/net/NetAddress"
import type { SocketProfile } from "../libc/profiles/socketProfile.ts"

/** Bytes that hold any address: `struct sockaddr_storage`. */
export const capacity = 128

const inetSize = 16
const inet6Size = 28
/** The offset of the path in a `struct sockaddr_un`. */
const pathOffset = 2

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const begin = (profile: SocketProfile, family: number, size: number): DataView<ArrayBuffer> => {
  const view = new DataView(new ArrayBuffer(size))
  if (profile.hasLengthByte) {
    view.setUint8(0, size)
    view.setUint8(1, family)
  } else {
    // Every machine that Node runs on is little-endian.
    view.setUint16(0, family, true)
  }
  return view
}

export const familyOf = (profile: SocketProfile, bytes: Uint8Array): number =>
  profile.hasLengthByte ? bytes[1]! : bytes[0]! | (bytes[1]! << 8)

/** Returns a `struct sockaddr_in` or `sockaddr_in6`. */
export const encodeInet = (profile: SocketProfile, address: NetAddress.InetAddress): Uint8Array => {
  if (address._tag === "InetAddressV4") {
    const view = begin(profile, profile.AF_INET, inetSize)
    const bytes = new Uint8Array(view.buffer)
    view.setUint16(2, address.port)
    bytes.set(NetAddress.ipv4ToOctets(address.address), 4)
    return bytes
  }
  const view = begin(profile, profile.AF_INET6, inet6Size)
  const bytes = new Uint8Array(view.buffer)
  view.setUint16(2, address.port)
  bytes.set(ipv6Bytes(address.address), 8)
  view.setUint32(24, address.scopeId, true)
  return bytes
}

/** Returns the sixteen bytes in network order. */
export const ipv6Bytes = (address: NetAddress.Ipv6Address): Uint8Array => {
  const bytes = new Uint8Array(16)
  NetAddress.ipv6ToSegments(address).forEach((segment, i) => {
    bytes[2 * i] = segment >>> 8
    bytes[2 * i + 1] = segment & 0xff
  })
  return bytes
}

/** Decodes an internet address. Returns `undefined` for an address of another family. */
export const decodeInet = (profile: SocketProfile, bytes: Uint8Array): NetAddress.InetAddress | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (familyOf(profile, bytes)) {
    case profile.AF_INET:
      return NetAddress.inetAddressUnsafe(NetAddress.ipv4FromBytesUnsafe(bytes.subarray(4, 8)), view.getUint16(2))
    case profile.AF_INET6: {
      const address = NetAddress.ipv6FromBytesUnsafe(bytes.subarray(8, 24))
      const scopeId = view.getUint32(24, true)
      return NetAddress.inetAddressFromInputUnsafe({ address, port: view.getUint16(2), scopeId })
    }
    default:
      return undefined
  }
}

/** The address of a Unix socket: a path, an abstract name, or none. */
export type UnixName =
  | { readonly _tag: "Path"; readonly path: string }
  | { readonly _tag: "Abstract"; readonly name: string }
  | { readonly _tag: "Unnamed" }

/** Returns a `struct sockaddr_un`, or a text that says why the name is invalid. */
export const encodeUnix = (profile: SocketProfile, name: UnixName): Uint8Array | string => {
  const text = name._tag === "Path" ? name.path : name._tag === "Abstract" ? name.name : ""
  const content = encoder.encode(text)
  // A path ends with a zero byte, and an abstract name begins with one.
  const length = name._tag === "Unnamed" ? 0 : content.length + 1
  if (length > profile.pathCapacity) {
    return `it has ${content.length} bytes, and a socket address holds at most ${profile.pathCapacity - 1}`
  }
  const bytes = new Uint8Array(begin(profile, profile.AF_UNIX, pathOffset + length).buffer)
  bytes.set(content, name._tag === "Abstract" ? pathOffset + 1 : pathOffset)
  return bytes
}

/**
 * Decodes the bytes that the kernel returned. Returns `undefined` for an address of another family.
 */
export const decodeUnix = (profile: SocketProfile, bytes: Uint8Array): UnixName | undefined => {
  if (bytes.length >= pathOffset && familyOf(profile, bytes) !== profile.AF_UNIX) return undefined
  const content = bytes.subarray(pathOffset)
  if (content.length === 0) return { _tag: "Unnamed" }
  if (content[0] === 0) {
    if (!profile.hasAbstractNames || content.length === 1) return { _tag: "Unnamed" }
    return { _tag: "Abstract", name: decoder.decode(content.subarray(1)) }
  }
  const end = content.indexOf(0)
  return { _tag: "Path", path: decoder.decode(end === -1 ? content : content.subarray(0, end)) }
}
