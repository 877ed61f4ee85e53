/**
 * Network namespaces of the tests' own, and links and addresses in them. They are made by messages
 * of netlink, so that no program of the system is needed.
 */
import { Effect, type Scope } from "effect"
import { Netlink, Poller, type PollerError } from "effect-amy"
import koffi from "koffi"
import { closeSync, openSync } from "node:fs"
import { viewOf, writeStruct } from "../../src/internal/system/layout.ts"
import {
  ifaddrmsg,
  ifaddrmsgSize,
  ifinfomsg,
  ifinfomsgSize,
  sockaddrNl,
  sockaddrNlSize
} from "../../src/internal/system/netlinkLayouts.ts"
import { toLink } from "../../src/internal/system/rtnetlink.ts"

const libc = koffi.load(null)
const CLONE_NEWNET = 0x4000_0000
const bind = (prototype: string) => {
  try {
    return libc.func(prototype) as (...args: ReadonlyArray<unknown>) => number
  } catch {
    return () => -1
  }
}
const unshare = bind("int unshare(int flags)")
const setns = bind("int setns(int fd, int type)")
const sendto = bind("intptr_t sendto(int fd, void *buffer, size_t count, int flags, void *to, unsigned int length)")

/** The rest of the test runs in a new network namespace, in which there is nothing but a `lo`. */
export const ownNamespace: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = openSync("/proc/thread-self/ns/net", "r")
      if (unshare(CLONE_NEWNET) === -1) throw new Error(`unshare: errno ${koffi.errno()}`)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        const result = setns(before, CLONE_NEWNET)
        closeSync(before)
        if (result === -1) throw new Error("the thread cannot go back to its namespace")
      })
  )
)

const [IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_INFO_KIND] = [3, 4, 10, 18, 1]
const [IFA_ADDRESS, IFA_LOCAL] = [1, 2]
const [RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_NEWADDR, RTM_DELADDR] = [16, 17, 18, 20, 21]
const CREATE = Netlink.NLM_F_CREATE | Netlink.NLM_F_EXCL
const IFF_UP = 1

type Failure = PollerError.PollerError

/** Returns an `ifinfomsg`, and attributes after it. */
const linkMessage = (index: number, attributes: ReadonlyArray<Netlink.AttributeInput>, up?: boolean) =>
  Effect.map(Netlink.encodeAttributes(attributes), (encoded) => {
    const bytes = new Uint8Array(ifinfomsgSize + encoded.length)
    const [flags, change] = up === undefined ? [0, 0] : [up ? IFF_UP : 0, IFF_UP]
    writeStruct(ifinfomsg, viewOf(bytes), 0, { ifi_index: index, ifi_flags: flags, ifi_change: change })
    bytes.set(encoded, ifinfomsgSize)
    return bytes
  })

const addressMessage = (index: number, octets: ReadonlyArray<number>, prefixLength: number) =>
  Effect.map(
    Netlink.encodeAttributes([
      { type: IFA_LOCAL!, payload: Uint8Array.from(octets) },
      { type: IFA_ADDRESS!, payload: Uint8Array.from(octets) }
    ]),
    (encoded) => {
      const bytes = new Uint8Array(ifaddrmsgSize + encoded.length)
      writeStruct(ifaddrmsg, viewOf(bytes), 0, { ifa_family: 2, ifa_prefixlen: prefixLength, ifa_index: index })
      bytes.set(encoded, ifaddrmsgSize)
      return bytes
    }
  )

/** Makes and changes links and addresses, as ip(8) does. */
export class Links {
  readonly #socket: Netlink.NetlinkSocket
  readonly #kind: string

  constructor(socket: Netlink.NetlinkSocket, kind: string = usableKind ?? "") {
    this.#socket = socket
    this.#kind = kind
  }

  #ask(type: number, flags: number, payload: Effect.Effect<Uint8Array, Failure>) {
    return Effect.flatMap(payload, (payload) => this.#socket.request(type, flags, payload))
  }

  /** Makes a link, and returns its index. */
  add(name: string, kind: string = this.#kind): Effect.Effect<number, Failure> {
    const attributes = [
      { type: IFLA_IFNAME!, payload: Netlink.text(name) },
      { type: IFLA_LINKINFO!, payload: [{ type: IFLA_INFO_KIND!, payload: Netlink.text(kind) }] }
    ]
    return Effect.andThen(this.#ask(RTM_NEWLINK!, CREATE, linkMessage(0, attributes)), this.indexOf(name))
  }

  indexOf(name: string): Effect.Effect<number, Failure> {
    const payload = linkMessage(0, [{ type: IFLA_IFNAME!, payload: Netlink.text(name) }])
    return Effect.map(this.#ask(RTM_GETLINK!, 0, payload), ([message]) => toLink(message!)!.index)
  }

  remove(index: number) {
    return this.#ask(RTM_DELLINK!, 0, linkMessage(index, []))
  }

  setUp(index: number, up: boolean) {
    return this.#ask(RTM_NEWLINK!, 0, linkMessage(index, [], up))
  }

  setMtu(index: number, mtu: number) {
    return this.#ask(RTM_NEWLINK!, 0, linkMessage(index, [{ type: IFLA_MTU!, payload: Netlink.u32(mtu) }]))
  }

  /** Puts a link into a bridge, or takes it out again: 0. */
  setMaster(index: number, master: number) {
    return this.#ask(RTM_NEWLINK!, 0, linkMessage(index, [{ type: IFLA_MASTER!, payload: Netlink.u32(master) }]))
  }

  rename(index: number, name: string) {
    return this.#ask(RTM_NEWLINK!, 0, linkMessage(index, [{ type: IFLA_IFNAME!, payload: Netlink.text(name) }]))
  }

  addAddress(index: number, octets: ReadonlyArray<number>, prefixLength = 24) {
    return this.#ask(RTM_NEWADDR!, CREATE, addressMessage(index, octets, prefixLength))
  }

  removeAddress(index: number, octets: ReadonlyArray<number>, prefixLength = 24) {
    return this.#ask(RTM_DELADDR!, 0, addressMessage(index, octets, prefixLength))
  }
}

/** Sends bytes to the port of another socket, as a program does that pretends to be the kernel. */
export const forge = (from: Netlink.NetlinkSocket, to: number, bytes: Uint8Array): number => {
  const address = new Uint8Array(sockaddrNlSize)
  writeStruct(sockaddrNl, viewOf(address), 0, { nl_family: 16, nl_pid: to })
  return sendto(from.fd, bytes, bytes.length, 0, address, address.length)
}

/** Opens a socket for links in the namespace of this thread. */
export const links = (kind?: string) =>
  Effect.map(Netlink.open(Netlink.NETLINK_ROUTE), (socket) => new Links(socket, kind))

/** Whether links of a kind can be made in a namespace of this thread's own. */
const canMake = (kind: string): Promise<boolean> =>
  Effect.gen(function* () {
    yield* ownNamespace
    const made = yield* links(kind)
    yield* made.remove(yield* made.add("probe"))
    return true
  }).pipe(
    Effect.scoped,
    Effect.provide(Poller.layerEventLoop()),
    Effect.catchCause(() => Effect.succeed(false)),
    Effect.runPromise
  )

/** The first kind of virtual link that this system has, or undefined if the tests may make none. */
export const usableKind: string | undefined =
  process.platform !== "linux"
    ? undefined
    : (await canMake("bridge"))
      ? "bridge"
      : (await canMake("dummy"))
        ? "dummy"
        : undefined

/** What a title says about tests that are skipped. */
export const unlessUsable =
  usableKind === undefined
    ? " (to run this: Linux with bridges or dummy links, as root, or by `unshare -rn npx vitest run …`)"
    : ""
