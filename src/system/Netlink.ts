/**
 * Changes of network links and their addresses as a stream, and messages of your own to the kernel:
 * netlink(7), rtnetlink(7). Linux only.
 *
 * Reach for {@link changes} to follow what `ip monitor link address` shows: cables, interfaces that
 * come and go, addresses from DHCP. It begins with what is there, so no other listing is needed.
 * {@link open} is for other families: routes, netfilter, generic netlink.
 *
 * **Example** (The links that are there)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Netlink, Poller } from "effect-amy"
 *
 * const program = Netlink.links.pipe(
 *   Stream.takeUntil(({ _tag }) => _tag === "Current"),
 *   Stream.runForEach((change) =>
 *     Effect.sync(() => {
 *       if (change._tag === "LinkAdded" && change.name === "lo") console.log(`lo has the index ${change.index}`)
 *     })
 *   )
 * )
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop()))) // => lo has the index 1
 * ```
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type { Inspectable } from "effect/Inspectable"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { netlink as numbers } from "../internal/libc/profiles/netlink.ts"
import * as internalChanges from "../internal/system/netlinkChanges.ts"
import * as internalMessage from "../internal/system/netlinkMessage.ts"
import * as internal from "../internal/system/netlinkSocket.ts"
import type { PollerError } from "../PollerError.ts"
import type { Registrar } from "../Registrar.ts"

declare const TypeId: "~effect-amy/NetlinkSocket"

/**
 * The state of a link by RFC 2863: `IFLA_OPERSTATE`.
 *
 * @category models
 * @since 0.2.0
 */
export type OperState = "unknown" | "notpresent" | "down" | "lowerlayerdown" | "testing" | "dormant" | "up"

/**
 * A network interface. The names are those of rtnetlink(7), without their prefixes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Link {
  /** The number of the link, which is never 0. A link keeps it if it is renamed. */
  readonly index: number
  readonly name: string
  /** The hardware: `ARPHRD_ETHER` is 1, `ARPHRD_LOOPBACK` is 772. */
  readonly type: number
  /** What kind of virtual link it is: `veth`, `bridge`, `wireguard`. Real hardware has none. */
  readonly kind: string | undefined
  /** `IFF_UP` and its like: netdevice(7). */
  readonly flags: number
  /** Whether an administrator has switched it on: `IFF_UP`. */
  readonly up: boolean
  /** Whether it can carry data: `IFF_RUNNING`. A cable that is unplugged ends that. */
  readonly running: boolean
  readonly operstate: OperState
  /** The most bytes of a packet. */
  readonly mtu: number
  /** The address of its hardware: `02:00:5e:10:00:01`. Some kinds of links have none. */
  readonly address: string | undefined
  readonly broadcast: string | undefined
  /** The index of the link below: of a VLAN's device, or the other end of a veth. */
  readonly link: number | undefined
  /** The index of the bridge or bond that it belongs to. */
  readonly master: number | undefined
  /** The queueing discipline: `fq_codel`, `noqueue`. */
  readonly qdisc: string | undefined
}

/**
 * Where an address is valid: `RT_SCOPE_UNIVERSE` and its like, or a number that has no name.
 *
 * @category models
 * @since 0.2.0
 */
export type AddressScope = "universe" | "site" | "link" | "host" | "nowhere" | number

/**
 * An IPv4 or IPv6 address of a link.
 *
 * @category models
 * @since 0.2.0
 */
export interface Address {
  /** The number of its link. */
  readonly index: number
  readonly address: NetAddress.IpAddress
  readonly prefixLength: number
  readonly scope: AddressScope
  /** `IFA_F_PERMANENT` and its like: rtnetlink(7). */
  readonly flags: number
  /** The far end, if the link joins two points. */
  readonly peer: NetAddress.IpAddress | undefined
  readonly broadcast: NetAddress.IpAddress | undefined
  /** The name that ifconfig(8) knew the address by. IPv6 addresses have none. */
  readonly label: string | undefined
}

/**
 * A link is there.
 *
 * @category models
 * @since 0.2.0
 */
export interface LinkAdded extends Link {
  readonly _tag: "LinkAdded"
  /** Whether it was there already. False if it has just been made. */
  readonly present: boolean
}

/**
 * A link is not what it was. Has all of it, as it is now.
 *
 * @category models
 * @since 0.2.0
 */
export interface LinkChanged extends Link {
  readonly _tag: "LinkChanged"
}

/**
 * A link has gone, or has moved to another network namespace. Has what it was last.
 *
 * @category models
 * @since 0.2.0
 */
export interface LinkRemoved extends Link {
  readonly _tag: "LinkRemoved"
}

/**
 * A link has an address.
 *
 * @category models
 * @since 0.2.0
 */
export interface AddressAdded extends Address {
  readonly _tag: "AddressAdded"
  /** Whether it was there already. False if it has just been added. */
  readonly present: boolean
}

/**
 * An address has other flags, another label or scope: an IPv6 address is tentative at first.
 *
 * @category models
 * @since 0.2.0
 */
export interface AddressChanged extends Address {
  readonly _tag: "AddressChanged"
}

/**
 * A link does not have an address any more.
 *
 * @category models
 * @since 0.2.0
 */
export interface AddressRemoved extends Address {
  readonly _tag: "AddressRemoved"
}

/**
 * The kernel had to drop changes, because they came faster than the stream was read. What has gone
 * by now, and all that is there, follows. `Current` ends it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Overrun {
  readonly _tag: "Overrun"
}

/**
 * All that was there has been emitted. What follows are changes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Current {
  readonly _tag: "Current"
}

/**
 * An element of {@link links}.
 *
 * @category models
 * @since 0.2.0
 */
export type LinkChange = LinkAdded | LinkChanged | LinkRemoved | Overrun | Current

/**
 * An element of {@link addresses}.
 *
 * @category models
 * @since 0.2.0
 */
export type AddressChange = AddressAdded | AddressChanged | AddressRemoved | Overrun | Current

/**
 * An element of {@link changes}.
 *
 * @category models
 * @since 0.2.0
 */
export type Change = LinkChange | AddressChange

/**
 * The options of {@link changesWith}.
 *
 * @category options
 * @since 0.2.0
 */
export interface ChangesOptions {
  /** Whether to report links. Defaults to true. */
  readonly links?: boolean | undefined
  /** Whether to report addresses. Defaults to true. */
  readonly addresses?: boolean | undefined
  /**
   * Bytes that the kernel may keep until they are read (`SO_RCVBUF`), about 2 KB a change. Defaults
   * to 1 MiB. Linux doubles the number, and has a limit of its own (`net.core.rmem_max`).
   */
  readonly receiveBufferSize?: number | undefined
}

/**
 * Reports the links and addresses that are there, and then each change, in order. Nothing is missed
 * in between.
 *
 * **Details**
 *
 * First comes a `LinkAdded` or `AddressAdded` for each that is there, with `present: true`, links
 * before addresses. `Current` follows, and then the changes. A message of the kernel that changes
 * no member of the elements is left out.
 *
 * If the kernel had to drop changes, `Overrun` is emitted. After it come a `LinkRemoved` or
 * `AddressRemoved` for each that has gone, all that is there with `present: true`, and `Current`. A
 * map by index is right again, whether or not you empty it.
 *
 * The links are those of the network namespace that the thread is in when the stream starts. Every
 * run has a socket of its own, which is closed at its end. Messages of other processes are ignored.
 *
 * - Fails with `Closed` once the poller is closed.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if there is no descriptor left, or the kernel cannot watch one more.
 * - Fails with `PermissionDenied` if a sandbox refuses the socket.
 * - Fails with `InvalidArgument` if the poller is a `TestPoller`.
 * - Fails with `UnsupportedPlatform` on other systems: they have routing sockets, route(4), and
 *   `os.networkInterfaces`.
 *
 * **Example** (A picture of what is there)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Netlink, Poller } from "effect-amy"
 *
 * const names = new Map<number, string>()
 *
 * const follow = Stream.runForEach((change: Netlink.Change) =>
 *   Effect.sync(() => {
 *     if (change._tag === "LinkAdded" || change._tag === "LinkChanged") names.set(change.index, change.name)
 *     if (change._tag === "LinkRemoved") names.delete(change.index)
 *   })
 * )
 *
 * // Without its end, it follows for as long as the program runs.
 * const program = follow(Stream.takeUntil(Netlink.changes, ({ _tag }) => _tag === "Current"))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Poller.layerEventLoop())))
 * console.log(names.get(1)) // => lo
 * ```
 *
 * @category streams
 * @since 0.2.0
 */
export const changes: Stream.Stream<Change, PollerError, Registrar> = internalChanges.changesWith({})

/**
 * Reports links only, as {@link changes} does.
 *
 * **Details**
 *
 * - Fails with `Closed`, `WorkerFailed`, `LimitReached`, `PermissionDenied`, `InvalidArgument` and
 *   `UnsupportedPlatform` as {@link changes} does.
 *
 * @category streams
 * @since 0.2.0
 */
export const links: Stream.Stream<LinkChange, PollerError, Registrar> = internalChanges.changesWith({
  addresses: false
}) as Stream.Stream<LinkChange, PollerError, Registrar>

/**
 * Reports addresses only, as {@link changes} does.
 *
 * **Details**
 *
 * - Fails with `Closed`, `WorkerFailed`, `LimitReached`, `PermissionDenied`, `InvalidArgument` and
 *   `UnsupportedPlatform` as {@link changes} does.
 *
 * @category streams
 * @since 0.2.0
 */
export const addresses: Stream.Stream<AddressChange, PollerError, Registrar> = internalChanges.changesWith({
  links: false
}) as Stream.Stream<AddressChange, PollerError, Registrar>

/**
 * Reports as {@link changes} does, with options.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if an option is invalid, or if there is nothing to report.
 * - Fails with `Closed`, `WorkerFailed`, `LimitReached`, `PermissionDenied` and
 *   `UnsupportedPlatform` as {@link changes} does.
 *
 * @category streams
 * @since 0.2.0
 */
export const changesWith: (options: ChangesOptions) => Stream.Stream<Change, PollerError, Registrar> =
  internalChanges.changesWith

/**
 * A message of the kernel: `struct nlmsghdr` and what follows it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Message {
  /** What the message is about, by the numbers of its family: `RTM_NEWROUTE`. */
  readonly type: number
  /** {@link NLM_F_MULTI} and its like. */
  readonly flags: number
  /** The number of the request that it replies to, or 0. */
  readonly sequence: number
  /** The port of the socket that asked, or 0. */
  readonly pid: number
  /** What follows the header: a structure of the family, and {@link decodeAttributes | attributes}. */
  readonly payload: Uint8Array
}

/**
 * A message to the kernel: what {@link NetlinkSocket.send} takes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Outgoing {
  readonly type: number
  /** Defaults to {@link NLM_F_REQUEST}, without which the kernel does nothing. */
  readonly flags?: number | undefined
  /** Defaults to no bytes. */
  readonly payload?: Uint8Array | undefined
}

/**
 * The options of {@link open}.
 *
 * @category options
 * @since 0.2.0
 */
export interface OpenOptions {
  /** The numbers of multicast groups to join: `RTNLGRP_IPV4_ROUTE` is 7. Defaults to none. */
  readonly groups?: ReadonlyArray<number> | undefined
  /** Bytes that the kernel may keep until they are read (`SO_RCVBUF`). Defaults to 1 MiB. */
  readonly receiveBufferSize?: number | undefined
}

/**
 * A netlink socket.
 *
 * **Details**
 *
 * Sending and receiving (`request`, `send` and `messages`):
 *
 * - Fails with `Closed` once the socket or the poller is closed, also while it waits.
 * - Fails with `WorkerFailed` if the thread that polls has died.
 * - Fails with `LimitReached` if the kernel has no room, or cannot watch one more descriptor.
 *
 * Any number of fibers may make requests at once. Messages of other processes are dropped: only the
 * kernel is listened to.
 *
 * @category models
 * @since 0.2.0
 */
export interface NetlinkSocket extends Inspectable {
  readonly [TypeId]: typeof TypeId

  /** The descriptor's number, or -1 once the socket is closed. */
  readonly fd: number

  /** The port of the socket, which the kernel has chosen: `nl_pid`. */
  readonly pid: number

  /**
   * Sends a request, and waits for its whole reply: for `NLMSG_DONE` or the acknowledgement, which
   * is asked for. Returns the messages before that.
   *
   * **Details**
   *
   * The flags default to 0. {@link NLM_F_REQUEST} and {@link NLM_F_ACK} are added. A dump during
   * which something changed (`NLM_F_DUMP_INTR`) is made again. An error is that of `NLMSG_ERROR`:
   *
   * - Fails with `PermissionDenied`, `InvalidArgument` and so on, by the errno of the kernel.
   * - Fails with `SystemError` for an errno that no reason stands for: `ENODEV`, `EEXIST`.
   * - Fails with `LimitReached` if the kernel had to drop messages, so that the reply may have been
   *   among them. The request may have been carried out.
   * - Fails with `InvalidArgument` if the type, the flags or the payload are invalid.
   *
   * **Gotchas**
   *
   * A request was carried out by the time that its fiber waits: an interruption does not take it
   * back.
   */
  readonly request: (
    type: number,
    flags?: number,
    payload?: Uint8Array
  ) => Effect.Effect<ReadonlyArray<Message>, PollerError>

  /**
   * Sends a message, and returns its sequence number. What the kernel says to it comes in
   * `messages`.
   *
   * - Fails with `InvalidArgument` if the type, the flags or the payload are invalid.
   */
  readonly send: (message: Outgoing) => Effect.Effect<number, PollerError>

  /**
   * The messages that reply to no request: those of the groups, and replies to what was sent.
   *
   * **Details**
   *
   * Streams of one socket share the messages: each goes to one of them. What arrives while none
   * runs is kept, by the kernel up to its buffer.
   *
   * - Fails with `LimitReached` if the kernel had to drop messages (ENOBUFS), after those that it
   *   kept. A stream that runs after that goes on with what comes.
   */
  readonly messages: Stream.Stream<Message, PollerError>

  /** Closes the socket before its scope does. Fails with `Closed` if it is closed already. */
  readonly close: Effect.Effect<void, PollerError>
}

/**
 * Opens a netlink socket of a family, such as {@link NETLINK_GENERIC}. It is closed with the scope.
 *
 * **When to use**
 *
 * Use it for what {@link changes} does not report. The family must speak in messages with a `struct
 * nlmsghdr`, as all do except `NETLINK_KOBJECT_UEVENT`.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if the protocol, a group or the size of the buffer is invalid.
 * - Fails with `PermissionDenied` if a group is not for this user, or a sandbox refuses the socket.
 * - Fails with `LimitReached` if there is no descriptor left.
 * - Fails with `SystemError` if the kernel does not have the family: `EPROTONOSUPPORT`.
 * - Fails with `UnsupportedPlatform` on other systems.
 *
 * **Example** (A request)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Netlink, Poller } from "effect-amy"
 *
 * const RTM_GETLINK = 18
 * const IFLA_IFNAME = 3
 * const ifinfomsg = new Uint8Array(16)
 *
 * const program = Effect.gen(function* () {
 *   const socket = yield* Netlink.open(Netlink.NETLINK_ROUTE)
 *   const links = yield* socket.request(RTM_GETLINK, Netlink.NLM_F_DUMP, ifinfomsg)
 *   const names = links.map(({ payload }) => {
 *     const name = Netlink.decodeAttributes(payload, ifinfomsg.length).find(({ type }) => type === IFLA_IFNAME)
 *     return name && Netlink.readText(name.payload)
 *   })
 *   console.log(names.includes("lo"))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Poller.layerEventLoop()))) // => true
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const open: (
  protocol: number,
  options?: OpenOptions
) => Effect.Effect<NetlinkSocket, PollerError, Registrar | Scope.Scope> = internal.open

/**
 * Returns whether a value is a {@link NetlinkSocket}.
 *
 * @category guards
 * @since 0.2.0
 */
export const isNetlinkSocket: (u: unknown) => u is NetlinkSocket = internal.isNetlinkSocket

/**
 * An attribute of a message: `struct nlattr` or `struct rtattr`.
 *
 * @category attributes
 * @since 0.2.0
 */
export interface Attribute {
  readonly type: number
  /** Whether it says that its payload is attributes (`NLA_F_NESTED`). Old families do not say so. */
  readonly isNested: boolean
  /** A view of the message's bytes. */
  readonly payload: Uint8Array
}

/**
 * An attribute to encode: its payload is bytes, or attributes.
 *
 * @category attributes
 * @since 0.2.0
 */
export interface AttributeInput {
  readonly type: number
  readonly payload: Uint8Array | ReadonlyArray<AttributeInput>
}

/**
 * Encodes attributes, each padded to four bytes. Those that hold attributes get `NLA_F_NESTED`.
 *
 * **Details**
 *
 * - Fails with `InvalidArgument` if a type is no integer from 0 to 65535, or a payload is longer
 *   than 65,531 bytes.
 *
 * **Example** (The attributes of a new bridge)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Netlink } from "effect-amy"
 *
 * const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND] = [3, 18, 1]
 *
 * const attributes = Netlink.encodeAttributes([
 *   { type: IFLA_IFNAME, payload: Netlink.text("br0") },
 *   { type: IFLA_LINKINFO, payload: [{ type: IFLA_INFO_KIND, payload: Netlink.text("bridge") }] }
 * ])
 *
 * console.log((await Effect.runPromise(attributes)).length) // => 24
 * ```
 *
 * @category attributes
 * @since 0.2.0
 */
export const encodeAttributes: (attributes: ReadonlyArray<AttributeInput>) => Effect.Effect<Uint8Array, PollerError> =
  internalMessage.encodeAttributes

/**
 * Decodes the attributes of a payload, from a byte on: after the structure of the family. Decode the
 * payload of an attribute for those inside. Ends before one that is not whole, as the kernel does.
 *
 * @category attributes
 * @since 0.2.0
 */
export const decodeAttributes: (bytes: Uint8Array, offset?: number) => ReadonlyArray<Attribute> =
  internalMessage.decodeAttributes

/**
 * Returns a number as the payload of an attribute: 32 bits, in the byte order of the machine.
 *
 * @category attributes
 * @since 0.2.0
 */
export const u32: (value: number) => Uint8Array = internalMessage.u32

/**
 * Returns a text as the payload of an attribute: UTF-8, and a zero byte.
 *
 * @category attributes
 * @since 0.2.0
 */
export const text: (value: string) => Uint8Array = internalMessage.text

/**
 * Reads a number of 32 bits in the byte order of the machine. Returns 0 if the payload is shorter.
 *
 * @category attributes
 * @since 0.2.0
 */
export const readU32: (payload: Uint8Array) => number = internalMessage.readU32

/**
 * Reads a text up to its zero byte.
 *
 * @category attributes
 * @since 0.2.0
 */
export const readText: (payload: Uint8Array) => string = internalMessage.readText

/**
 * The family of rtnetlink(7): links, addresses, routes, neighbours.
 *
 * @category protocols
 * @since 0.2.0
 */
export const NETLINK_ROUTE = numbers.NETLINK_ROUTE

/**
 * The family of netfilter: connection tracking, queues, logs.
 *
 * @category protocols
 * @since 0.2.0
 */
export const NETLINK_NETFILTER = numbers.NETLINK_NETFILTER

/**
 * The family of generic netlink: `nl80211`, `taskstats`, WireGuard and many more.
 *
 * @category protocols
 * @since 0.2.0
 */
export const NETLINK_GENERIC = numbers.NETLINK_GENERIC

/**
 * The message is a request.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_REQUEST = numbers.NLM_F_REQUEST

/**
 * The message is one of several, which `NLMSG_DONE` ends.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_MULTI = numbers.NLM_F_MULTI

/**
 * The kernel shall acknowledge the request.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_ACK = numbers.NLM_F_ACK

/**
 * The kernel shall send the requester what it sends to the groups.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_ECHO = numbers.NLM_F_ECHO

/**
 * The kernel shall list everything.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_DUMP = numbers.NLM_F_DUMP

/**
 * What is there shall be replaced.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_REPLACE = numbers.NLM_F_REPLACE

/**
 * What is there shall not be replaced.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_EXCL = numbers.NLM_F_EXCL

/**
 * What is not there shall be made.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_CREATE = numbers.NLM_F_CREATE

/**
 * The object shall be added at the end of a list.
 *
 * @category flags
 * @since 0.2.0
 */
export const NLM_F_APPEND = numbers.NLM_F_APPEND
