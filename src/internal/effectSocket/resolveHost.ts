/** Where a `DatagramSocket` is bound and sends to: names looked up once, when it is opened. */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Result from "effect/Result"
import { lookup } from "node:dns"
import { isIP } from "node:net"
import { networkInterfaces } from "node:os"
import type { Options } from "../../net/PollerDatagramSocket.ts"

type Family = "ipv4" | "ipv6"
type Host = string | NetAddress.IpAddress

/** What the options come to. */
export interface Plan {
  /** Text that `toInet` can read, without a name in it. */
  readonly bindHost: string
  readonly family: Family
  readonly remoteHost: string | undefined
}

const familyOfVersion = (version: number): Family => (version === 6 ? "ipv6" : "ipv4")

/** Known without a lookup, unless it is a name. */
const familyOf = (host: Host | undefined): Family | undefined => {
  if (host === undefined) return undefined
  if (typeof host !== "string") return NetAddress.isIpv4Address(host) ? "ipv4" : "ipv6"
  const version = isIP(host)
  return version === 0 ? undefined : familyOfVersion(version)
}

interface Resolved {
  readonly host: string
  readonly family: Family
}

/** An endpoint may be a whole `InetAddress`, whose zone is not to be lost. */
const toText = (endpoint: { readonly address: Host }): string => {
  if (NetAddress.isInetAddress(endpoint)) return NetAddress.formatHost(endpoint)
  const { address } = endpoint
  return typeof address === "string" ? address : NetAddress.formatIp(address)
}

/** IPv4 is preferred unless the family is known. */
const resolve = (
  endpoint: { readonly address: Host } | undefined,
  wanted: Family | undefined
): Effect.Effect<Resolved | undefined, unknown> => {
  if (endpoint === undefined) return Effect.undefined
  const family = familyOf(endpoint.address)
  if (family !== undefined) return Effect.sync(() => ({ host: toText(endpoint), family }))
  const name = endpoint.address as string
  return Effect.callback<Resolved, unknown>((resume) => {
    try {
      const version = wanted === undefined ? 0 : wanted === "ipv4" ? 4 : 6
      lookup(name, { all: true, family: version }, (error, found) => {
        if (error !== null) return resume(Effect.fail(error))
        const best = found.find(({ family }) => family === 4) ?? found[0]
        if (best === undefined) return resume(Effect.fail(new Error(`${name} has no addresses`)))
        resume(Effect.succeed({ host: best.address, family: familyOfVersion(best.family) }))
      })
    } catch (thrown) {
      resume(Effect.fail(thrown))
    }
  })
}

export const plan = (options: Options): Effect.Effect<Plan, unknown> =>
  Effect.gen(function* () {
    const { bind } = options
    const local = bind?.address === undefined ? undefined : { ...bind, address: bind.address }
    const fixed = options.family ?? familyOf(local?.address)
    const remote = yield* resolve(options.connect ?? options.peer, fixed)
    const known = fixed ?? remote?.family
    const bound = yield* resolve(NetAddress.isInetAddress(bind) ? bind : local, known)
    const family = known ?? bound?.family ?? "ipv4"
    return {
      family,
      bindHost: bound?.host ?? (family === "ipv6" ? "::" : "0.0.0.0"),
      remoteHost: remote?.host
    }
  })

const namedZone = /%.*\D/

/** An address of IPv6 may name the interface that it belongs to, in place of its number. */
const scopeIds = (host: string): ReadonlyMap<string, number> | undefined =>
  namedZone.test(host) ? NetAddress.scopeIdsFromInterfaces(Object.entries(networkInterfaces())) : undefined

/** Fails with what is wrong with it. */
export const toInet = (host: string, port: number): Result.Result<NetAddress.InetAddress, unknown> =>
  NetAddress.inetAddressFromHostString(host, port, scopeIds(host))
