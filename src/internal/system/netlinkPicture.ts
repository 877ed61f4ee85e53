/** The links and addresses that a stream of changes has reported so far, and what each message changes. */
import * as Equal from "effect/Equal"
import type { Address, Change, Link, Message } from "../../system/Netlink.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import { keyOf, toAddress, toLink } from "./rtnetlink.ts"

const isSame = <A extends object>(one: A, other: A): boolean =>
  Object.entries(one).every(([member, value]) => Equal.equals(value, other[member as keyof A]))

export class Picture {
  readonly #links = new Map<number, Link>()
  readonly #addresses = new Map<string, Address>()

  /** Returns what a message of the kernel changes. Many change nothing that is reported here. */
  apply(message: Message): Change | undefined {
    switch (message.type) {
      case netlink.RTM_NEWLINK: {
        const link = toLink(message)
        if (link === undefined) return undefined
        const known = this.#links.get(link.index)
        if (known !== undefined && isSame(known, link)) return undefined
        this.#links.set(link.index, link)
        return known === undefined ? { _tag: "LinkAdded", present: false, ...link } : { _tag: "LinkChanged", ...link }
      }
      case netlink.RTM_DELLINK: {
        const link = toLink(message)
        return link !== undefined && this.#links.delete(link.index) ? { _tag: "LinkRemoved", ...link } : undefined
      }
      case netlink.RTM_NEWADDR: {
        const address = toAddress(message)
        if (address === undefined) return undefined
        const key = keyOf(address)
        const known = this.#addresses.get(key)
        if (known !== undefined && isSame(known, address)) return undefined
        this.#addresses.set(key, address)
        return known === undefined
          ? { _tag: "AddressAdded", present: false, ...address }
          : { _tag: "AddressChanged", ...address }
      }
      case netlink.RTM_DELADDR: {
        const address = toAddress(message)
        return address !== undefined && this.#addresses.delete(keyOf(address))
          ? { _tag: "AddressRemoved", ...address }
          : undefined
      }
      default:
        return undefined
    }
  }

  /**
   * Replaces everything by what a dump lists. Returns what has gone, and then all that is there.
   */
  replace(dumped: ReadonlyArray<Message>): ReadonlyArray<Change> {
    const links = new Map<number, Link>()
    const addresses = new Map<string, Address>()
    for (const message of dumped) {
      const link = message.type === netlink.RTM_NEWLINK ? toLink(message) : undefined
      if (link !== undefined) links.set(link.index, link)
      const address = message.type === netlink.RTM_NEWADDR ? toAddress(message) : undefined
      if (address !== undefined) addresses.set(keyOf(address), address)
    }
    const changes: Array<Change> = []
    for (const [key, address] of this.#addresses) {
      if (!addresses.has(key)) changes.push({ _tag: "AddressRemoved", ...address })
    }
    for (const [index, link] of this.#links) if (!links.has(index)) changes.push({ _tag: "LinkRemoved", ...link })
    this.#links.clear()
    this.#addresses.clear()
    for (const [index, link] of links) {
      this.#links.set(index, link)
      changes.push({ _tag: "LinkAdded", present: true, ...link })
    }
    for (const [key, address] of addresses) {
      this.#addresses.set(key, address)
      changes.push({ _tag: "AddressAdded", present: true, ...address })
    }
    return changes
  }
}
