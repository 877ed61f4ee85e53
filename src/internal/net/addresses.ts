/** Converts the addresses that callers pass, and those that the kernel returns. */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { constants } from "node:os"
import type { UnixAddress, UnixAddressInput } from "../../net/Unix.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument } from "../errors/arguments.ts"
import { type Names, readOptions } from "../errors/options.ts"
import { fromErrno, invalidArgument, unsupported, type Where } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import type { SocketProfile } from "../libc/profiles/socketProfile.ts"
import * as Sockaddr from "./sockaddr.ts"
import { resolveZone } from "./zone.ts"

/** The addresses of one kind of socket. */
export interface Family<Address> {
  /** Whether a stream carries bytes alone. A Unix stream also carries descriptors. */
  readonly isStream: boolean
  readonly includes: (libc: Libc, address: Uint8Array) => boolean
  readonly decode: (libc: Libc, address: Uint8Array) => Address
  /** Returns an address as errors and printed forms name it. */
  readonly format: (address: Address) => string
}

const unspecified = NetAddress.inetAddressUnsafe(NetAddress.ipv4Unspecified, 0)

export const inet: Family<NetAddress.InetAddress> = {
  isStream: true,
  includes: (libc, address) => Sockaddr.decodeInet(libc.profile.socket, address) !== undefined,
  decode: (libc, address) => Sockaddr.decodeInet(libc.profile.socket, address) ?? unspecified,
  format: NetAddress.formatInet
}

/** Returns the place that errors name. The address is formatted only when there is an error. */
export const placeOf = (fd: number, address: () => string): Where & { readonly fd: number } => ({
  fd,
  get address() {
    return address()
  }
})

/** Converts the address that a caller passes. An IPv6 address may have the name of an interface. */
export const toAddress = (
  libc: Libc,
  input: NetAddress.InetAddressInput
): Effect.Effect<NetAddress.InetAddress, PollerError> =>
  Effect.suspend(() => {
    const address = readAddress(libc, input)
    return isPollerError(address) ? Effect.fail(address) : Effect.succeed(address)
  })

/** As `toAddress`, at once: returns the error of an invalid address. */
export const readAddress = (libc: Libc, input: NetAddress.InetAddressInput): NetAddress.InetAddress | PollerError => {
  const result = readArgument("the address", () => {
    const resolved = withZone(libc, input)
    return isPollerError(resolved) ? resolved : NetAddress.inetAddressFromInput(resolved)
  })
  if (isPollerError(result)) return result
  return Result.isSuccess(result)
    ? result.success
    : invalidArgument(
        `invalid address${typeof input === "string" ? ` "${input}"` : ""} (${result.failure.message}): expected an IP address and a port from 0 to 65535, such as "127.0.0.1:80" or "[::1]:80" (PollerSocket takes host names)`
      )
}

const withZone = (libc: Libc, input: NetAddress.InetAddressInput): NetAddress.InetAddressInput | PollerError => {
  if (typeof input === "string") return input.includes("%") ? resolveZone(libc, input) : input
  const { address, port } = (input ?? {}) as { readonly address?: unknown; readonly port?: number }
  if (typeof address !== "string" || !address.includes("%")) return input
  const resolved = resolveZone(libc, address)
  if (typeof resolved !== "string") return resolved
  const [ip, scopeId] = resolved.split("%")
  return { address: ip!, port: port!, scopeId: Number(scopeId) }
}

/**
 * Returns an address in the form of a socket's family, or undefined if it has none there. An IPv6
 * socket has IPv4 addresses in a form of its own, and some systems accept no other form.
 */
export const inFamily = (address: NetAddress.InetAddress, isIpv6: boolean): NetAddress.InetAddress | undefined => {
  if (address._tag === "InetAddressV4") {
    return isIpv6 ? NetAddress.inetAddressUnsafe(NetAddress.toIpv4Mapped(address.address), address.port) : address
  }
  if (isIpv6) return address
  const mapped = Option.getOrUndefined(NetAddress.fromIpv4Mapped(address.address))
  return mapped && NetAddress.inetAddressUnsafe(mapped, address.port)
}

/** Whether an address stands for an IPv4 address, in either form. */
export const isIpv4 = (address: NetAddress.InetAddress): boolean =>
  address._tag === "InetAddressV4" || NetAddress.isIpv4Mapped(address.address)

/** Returns the error of an address whose family a socket does not take. */
export const wrongFamily = (syscall: string, fd: number, address: NetAddress.InetAddress): PollerError =>
  fromErrno(syscall, constants.errno.EAFNOSUPPORT, { fd, address: NetAddress.formatInet(address) })

/** Returns `AF_INET` or `AF_INET6`. */
export const domainOf = (profile: SocketProfile, address: NetAddress.InetAddress): number =>
  address._tag === "InetAddressV4" ? profile.AF_INET : profile.AF_INET6

/**
 * The bytes of reported addresses whose text does not stand for them exactly. With them, an address
 * that was reported can be passed on whatever it is made of.
 */
const exactBytes = new WeakMap<object, Uint8Array>()

export const toUnixAddress = (name: Sockaddr.UnixName): UnixAddress => {
  if (name._tag === "Unnamed") return { _tag: "UnixUnnamedAddress" }
  const address: UnixAddress =
    name._tag === "Path" ? NetAddress.unixPathAddress(name.path) : { _tag: "UnixAbstractAddress", name: name.name }
  if (name.bytes !== undefined) exactBytes.set(address, name.bytes)
  return address
}

/**
 * Returns a Unix address as `effect/net` has it, and as Node's servers report it: the path of an
 * abstract name begins with a zero byte.
 */
export const toPathAddress = (address: UnixAddress): NetAddress.UnixPathAddress => {
  if (address._tag === "UnixPathAddress") return address
  const path = NetAddress.unixPathAddress(address._tag === "UnixAbstractAddress" ? `\0${address.name}` : "")
  const bytes = exactBytes.get(address)
  if (bytes !== undefined) exactBytes.set(path, bytes)
  return path
}

/** The text for a Unix socket that has no address. */
export const unnamed = "unnamed"

export const unix: Family<UnixAddress> = {
  isStream: false,
  includes: (libc, address) => Sockaddr.decodeUnix(libc.profile.socket, address) !== undefined,
  decode: (libc, address) => toUnixAddress(Sockaddr.decodeUnix(libc.profile.socket, address) ?? { _tag: "Unnamed" }),
  format: (address) => {
    switch (address._tag) {
      case "UnixPathAddress":
        return address.path
      case "UnixAbstractAddress":
        return `@${address.name.replaceAll("\0", "@")}`
      case "UnixUnnamedAddress":
        return unnamed
    }
  }
}

type UnixParts = { readonly [key in "_tag" | "abstract" | "name" | "path"]?: unknown }

const unixParts: Names<UnixParts> = { _tag: true, abstract: true, name: true, path: true }

/**
 * Converts the Unix address that a caller passes. A path that begins with a zero byte is an abstract
 * name, as it is for Node.
 */
export const toUnixName = (libc: Libc, input: UnixAddressInput): Effect.Effect<Sockaddr.UnixName, PollerError> => {
  const parts = readOptions<UnixParts>("the address", typeof input === "string" ? { path: input } : input, unixParts)
  if (isPollerError(parts)) return Effect.fail(parts)
  const { _tag, abstract, name, path } = parts
  const bytes = typeof input === "object" && input !== null ? exactBytes.get(input) : undefined
  if (typeof path === "string") {
    if (path.startsWith("\0")) return toAbstractName(libc, path.slice(1), bytes)
    return path === "" || path.includes("\0")
      ? Effect.fail(
          invalidArgument(
            "invalid path: it is empty, or contains a zero byte (for an abstract name, pass { abstract }, or a path that begins with the zero byte)"
          )
        )
      : Effect.succeed({ _tag: "Path", path, bytes })
  }
  if (_tag === "UnixAbstractAddress" && typeof name === "string") return toAbstractName(libc, name, bytes)
  if (_tag === "UnixUnnamedAddress") {
    return Effect.fail(
      invalidArgument("invalid address: this socket has none that another could use (pass a path, or { abstract })")
    )
  }
  return path === undefined && typeof abstract === "string" && abstract !== ""
    ? toAbstractName(libc, abstract, undefined)
    : Effect.fail(
        invalidArgument("invalid address: expected a path, { abstract } with a name, or an address of a Unix socket")
      )
}

const toAbstractName = (
  libc: Libc,
  name: string,
  bytes: Uint8Array | undefined
): Effect.Effect<Sockaddr.UnixName, PollerError> =>
  libc.profile.socket.hasAbstractNames
    ? Effect.succeed({ _tag: "Abstract", name, bytes })
    : Effect.fail(unsupported("only Linux has abstract Unix addresses: pass a path"))

/** Encodes a Unix address. Fails with `InvalidArgument` if it is too long for a socket. */
export const encodeUnixName = (libc: Libc, name: Sockaddr.UnixName): Effect.Effect<Uint8Array, PollerError> => {
  const bytes = Sockaddr.encodeUnix(libc.profile.socket, name)
  return typeof bytes === "string"
    ? Effect.fail(invalidArgument(`invalid ${name._tag === "Abstract" ? "abstract name" : "path"}: ${bytes}`))
    : Effect.succeed(bytes)
}
