/**
 * Resolves hosts to addresses: names by the system's resolver, literal addresses without a lookup.
 *
 * `AddressResolver` of `effect/net` does the work: the one in the context, if there is one. Otherwise
 * it is made here, because its layer for Node is in `@effect/platform-node`, which this library does
 * not depend on.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as AddressResolver from "effect/net/AddressResolver"
import * as Dns from "effect/net/Dns"
import * as Host from "effect/net/Host"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { lookup } from "node:dns/promises"
import { networkInterfaces } from "node:os"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import { readArgument } from "../errors/arguments.ts"
import { libc } from "../libc/koffi.ts"
import { interfaceIndex } from "../net/zone.ts"

export type ResolveError = Dns.DnsError | NetAddress.NetAddressError | PollerError

const versions = { IPv4: 4, IPv6: 6 } as const

/**
 * Asks the system, and keeps the order that Node is set to prefer. Looked-up addresses have no
 * zone.
 */
const dns = Dns.make({
  lookup: (host, family) =>
    Effect.map(
      Effect.tryPromise({
        try: () => lookup(host, { all: true, family: family === undefined ? 0 : versions[family] }),
        catch: (cause) => new Dns.DnsError({ reason: reasonOf(cause), method: "lookup", hostname: host, cause })
      }),
      (found) =>
        found.flatMap(({ address }) => {
          const ip = NetAddress.ipFromString(address.replace(/%.*/, ""))
          return Result.isSuccess(ip) ? [ip.success] : []
        })
    )
})

const reasonOf = (cause: unknown): Dns.DnsErrorReason => {
  switch ((cause as NodeJS.ErrnoException).code) {
    case "ENOTFOUND":
      return "NotFound"
    case "EAI_AGAIN":
      return "Temporary"
    default:
      return "Unknown"
  }
}

/**
 * Returns the number of an interface. It is 0 for the loopback interface, whose addresses need no
 * zone.
 */
const scopeId: AddressResolver.ScopeIdLookup = (name) =>
  Effect.try({
    try: () => {
      const index = interfaceIndex(libc(), name)
      const addresses = networkInterfaces()[name]
      // Node lists no interface that is down, or has no address.
      return addresses === undefined
        ? index === 0
          ? Option.none()
          : Option.some(index)
        : Option.orElseSome(NetAddress.scopeIdFromInterface(addresses), () => (addresses[0]?.internal ? 0 : index))
    },
    catch: (cause) =>
      new NetAddress.NetAddressError({ input: name, message: "cannot list the network interfaces", cause })
  })

const resolver = AddressResolver.make(dns, { scopeId })

/** Returns the addresses of a host. A name is looked up each time, in both families by default. */
export const resolveHost = (
  host: Host.HostInput,
  port: number,
  family?: NetAddress.IpFamily
): Effect.Effect<NonEmptyReadonlyArray<NetAddress.InetAddress>, ResolveError> =>
  Effect.suspend((): Effect.Effect<NonEmptyReadonlyArray<NetAddress.InetAddress>, ResolveError> => {
    // The family limits lookups alone. A literal of another family fails later, at its socket.
    const literal = readArgument("the host", () => familyOfHost(host))
    if (isPollerError(literal)) return Effect.fail(literal)
    if (literal !== undefined) return resolver.resolve({ host, port })
    return Effect.flatMap(Effect.serviceOption(AddressResolver.AddressResolver), (given) =>
      Option.getOrElse(given, () => resolver).resolve({ host, port }, { family })
    )
  })

/** Returns the family of a literal address, or undefined for a name. */
export const familyOfHost = (host: Host.HostInput): NetAddress.IpFamily | undefined => {
  const parsed = Host.hostFromInput(host)
  if (Result.isFailure(parsed)) return undefined
  if (NetAddress.isScopedIpv6Literal(parsed.success)) return "IPv6"
  if (!NetAddress.isIpAddress(parsed.success)) return undefined
  return NetAddress.isIpv4Address(parsed.success) ? "IPv4" : "IPv6"
}
