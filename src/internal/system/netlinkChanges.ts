/**
 * Changes of links and addresses as a stream: a dump of what is there, and then each change.
 *
 * The socket joins its groups before the dump, and is not read until the dump is over. So a change
 * is in the dump, or comes after it, or both. A message has the whole of its link or address, so
 * the last one is right whatever the dump said. The dump has a socket of its own: the kernel makes
 * it in parts, and what an overrun loses must not be among them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { Registrar } from "../../Registrar.ts"
import type { Change, ChangesOptions, Message } from "../../system/Netlink.ts"
import { booleanError } from "../errors/options.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import { type Network, network } from "../net/network.ts"
import { Fifo } from "./fifo.ts"
import { type NetlinkChannel, openChannel, supported } from "./netlinkChannel.ts"
import { ifaddrmsgSize, ifinfomsgSize } from "./netlinkLayouts.ts"
import { decodeMessages } from "./netlinkMessage.ts"
import { Picture } from "./netlinkPicture.ts"
import { defaultReceiveBufferSize, openIn } from "./netlinkSocket.ts"

/** What is asked for and watched: links, addresses or both. */
interface Subject {
  readonly groups: ReadonlyArray<number>
  readonly dump: readonly [type: number, payload: Uint8Array]
}

const links: Subject = {
  groups: [netlink.RTNLGRP_LINK],
  dump: [netlink.RTM_GETLINK, new Uint8Array(ifinfomsgSize)]
}

const addresses: Subject = {
  groups: [netlink.RTNLGRP_IPV4_IFADDR, netlink.RTNLGRP_IPV6_IFADDR],
  dump: [netlink.RTM_GETADDR, new Uint8Array(ifaddrmsgSize)]
}

/** Datagrams that are thrown away at once, before other fibers have their turn. */
const batch = 256

class Changes {
  readonly #net: Network
  readonly #channel: NetlinkChannel
  readonly #subjects: ReadonlyArray<Subject>
  readonly #picture = new Picture()
  readonly #arrived = new Fifo<Change>()
  /** Whether the picture has to be made anew by a dump. */
  #isStale = true

  constructor(net: Network, channel: NetlinkChannel, subjects: ReadonlyArray<Subject>) {
    this.#net = net
    this.#channel = channel
    this.#subjects = subjects
  }

  readonly pull: Effect.Effect<readonly [Change], PollerError> = Effect.suspend(() => {
    const change = this.#arrived.shift()
    if (change !== undefined) return Effect.succeed([change] as const)
    const { watchedFd } = this.#channel
    const more = this.#isStale ? this.#refreshed : watchedFd.attempt(watchedFd.reading, this.#receiving)
    return Effect.andThen(more, this.pull)
  })

  readonly #receiving = (): Effect.Effect<void, PollerError> | undefined => {
    while (this.#arrived.length === 0) {
      const datagram = this.#channel.receive()
      if (datagram === undefined) return undefined
      if (isPollerError(datagram)) return Effect.fail(datagram)
      if (datagram === "Overrun") {
        this.#isStale = true
        this.#arrived.push({ _tag: "Overrun" })
        break
      }
      for (const message of decodeMessages(datagram)) {
        const change = this.#picture.apply(message)
        if (change !== undefined) this.#arrived.push(change)
      }
    }
    return Effect.void
  }

  /** Dumps what is there, and adds it to what the stream emits next. */
  get #refreshed(): Effect.Effect<void, PollerError> {
    return Effect.andThen(
      this.#empty(),
      Effect.map(Effect.scoped(this.#dump), (messages) => {
        for (const change of this.#picture.replace(messages)) this.#arrived.push(change)
        this.#arrived.push({ _tag: "Current" })
        this.#isStale = false
      })
    )
  }

  /**
   * Throws away what is older than the dump. After an overrun, the kernel drops messages until none
   * is left to read.
   */
  #empty(): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      const { watchedFd } = this.#channel
      for (let i = 0; i < batch; i++) {
        if (watchedFd.ended !== undefined) return Effect.fail(watchedFd.ended)
        const datagram = this.#channel.receive()
        if (datagram === undefined) return Effect.void
        if (isPollerError(datagram)) return Effect.fail(datagram)
      }
      return Effect.andThen(Effect.yieldNow, this.#empty())
    })
  }

  get #dump(): Effect.Effect<ReadonlyArray<Message>, PollerError, Scope.Scope> {
    return Effect.flatMap(openIn(this.#net, netlink.NETLINK_ROUTE, {}), (socket) =>
      Effect.map(
        Effect.forEach(this.#subjects, ({ dump: [type, payload] }) =>
          socket.request(type, netlink.NLM_F_DUMP, payload)
        ),
        (all) => all.flat()
      )
    )
  }
}

const toSubjects = (options: ChangesOptions): Effect.Effect<ReadonlyArray<Subject>, PollerError> => {
  for (const name of ["links", "addresses"] as const) {
    const invalid = booleanError(name, options[name])
    if (invalid !== undefined) return Effect.fail(invalid)
  }
  const subjects = [...(options.links === false ? [] : [links]), ...(options.addresses === false ? [] : [addresses])]
  return subjects.length === 0
    ? Effect.fail(invalidArgument("nothing to watch: links and addresses are both false"))
    : Effect.succeed(subjects)
}

export const changesWith = (options: ChangesOptions): Stream.Stream<Change, PollerError, Registrar> =>
  Stream.fromPull(
    Effect.gen(function* () {
      const net = yield* network
      yield* supported(net.libc)
      const subjects = yield* toSubjects(options ?? {})
      const channel = yield* openChannel(net, {
        protocol: netlink.NETLINK_ROUTE,
        groups: subjects.flatMap(({ groups }) => groups),
        receiveBufferSize: options?.receiveBufferSize ?? defaultReceiveBufferSize
      })
      return new Changes(net, channel, subjects).pull
    })
  ).pipe(Stream.scoped)
