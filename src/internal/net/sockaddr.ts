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

/**
 * The address of a Unix socket: a path, an abstract name, or none. `bytes` are those of an address
 * that its text does not stand for exactly: not UTF-8, or a path that fills the whole address.
 */
export type UnixName =
  | { readonly _tag: "Path"; readonly path: string; readonly bytes?: Uint8Array | undefined }
  | { readonly _tag: "Abstract"; readonly name: string; readonly bytes?: Uint8Array | undefined }
  | { readonly _tag: "Unnamed" }

/** Returns a `struct sockaddr_un`, or a text that says why the name is invalid. */
export const encodeUnix = (profile: SocketProfile, name: UnixName): Uint8Array | string => {
  if (name._tag === "Unnamed") return new Uint8Array(begin(profile, profile.AF_UNIX, pathOffset).buffer)
  const isPath = name._tag === "Path"
  const content = name.bytes ?? encoder.encode(isPath ? name.path : name.name)
  // A path ends with a zero byte, and an abstract name begins with one. The kernel also takes a path
  // that fills the whole address.
  const fills = isPath && name.bytes?.length === profile.pathCapacity
  const length = content.length + (fills ? 0 : 1)
  if (length > profile.pathCapacity) {
    return `it has ${content.length} bytes, and a socket address holds at most ${profile.pathCapacity - 1}`
  }
  const bytes = new Uint8Array(begin(profile, profile.AF_UNIX, pathOffset + length).buffer)
  bytes.set(content, isPath ? pathOffset : pathOffset + 1)
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
    if (!profile.hasAbstractNames) return { _tag: "Unnamed" }
    const { exact, text } = decodeText(profile, content.subarray(1))
    return exact === undefined ? { _tag: "Abstract", name: text } : { _tag: "Abstract", name: text, bytes: exact }
  }
  const end = content.indexOf(0)
  const { exact, text } = decodeText(profile, end === -1 ? content : content.subarray(0, end))
  return exact === undefined ? { _tag: "Path", path: text } : { _tag: "Path", path: text, bytes: exact }
}

/** Returns bytes as text, and a copy of them if the text does not lead back to the same address. */
const decodeText = (
  profile: SocketProfile,
  bytes: Uint8Array
): { readonly text: string; readonly exact: Uint8Array | undefined } => {
  const text = decoder.decode(bytes)
  const isExact = bytes.length < profile.pathCapacity && Buffer.compare(encoder.encode(text), bytes) === 0
  return { text, exact: isExact ? undefined : bytes.slice() }
}
