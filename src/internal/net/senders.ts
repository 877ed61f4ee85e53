/**
 * The addresses that datagrams come from. One sender's datagrams share one object, so its address is
 * decoded once, and only if it is read.
 */
import * as NetAddress from "effect/net/NetAddress"
import type { Libc } from "../libc/koffi.ts"
import { decodeInet } from "./sockaddr.ts"

const nowhere = NetAddress.inetAddressUnsafe(NetAddress.ipv4Unspecified, 0)

/** An address in the form of the kernel. */
export class Sender {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly #libc: Libc
  #address: NetAddress.InetAddress | undefined
  #host: string | undefined

  constructor(libc: Libc, words: Int32Array, length: number) {
    this.#libc = libc
    this.words = words
    this.bytes = new Uint8Array(words.buffer, words.byteOffset, length)
  }

  get address(): NetAddress.InetAddress {
    return (this.#address ??= decodeInet(this.#libc.profile.socket, this.bytes) ?? nowhere)
  }

  /** Whether it is an IPv4 address in the form of IPv6: that begins with ten zeros and `ffff`. */
  get isIpv4Mapped(): boolean {
    // Read first: the address is decoded only for the few that have these two bytes.
    if (this.bytes[18] !== 0xff || this.bytes[19] !== 0xff) return false
    const { address } = this
    return address._tag === "InetAddressV6" && NetAddress.isIpv4Mapped(address.address)
  }

  get host(): string {
    return (this.#host ??= NetAddress.formatHost(this.address))
  }

  get port(): number {
    return this.address.port
  }
}

/** Remembered senders, in groups: those whose addresses have the same hash. */
const groups = 64
const groupSize = 4
/** The golden ratio, which spreads the bits of what it is multiplied with. */
const spread = 0x9e37_79b1

/** The senders that this thread has seen last. */
export class Senders {
  readonly #libc: Libc
  readonly #places: Array<Sender | undefined> = Array.from({ length: groups * groupSize })
  /** Which place of a full group the next sender takes. */
  #turn = 0

  constructor(libc: Libc) {
    this.#libc = libc
  }

  /** Returns the sender whose address stands at `from`, in words, and has `length` bytes. */
  of(words: Int32Array, from: number, length: number): Sender {
    const count = (length + 3) >> 2
    let hash = 0
    for (let i = 0; i < count; i++) hash = Math.imul(hash ^ words[from + i]!, spread) ^ (hash >>> 15)
    const group = ((hash ^ (hash >>> 16)) & (groups - 1)) * groupSize
    let place = group
    for (; place < group + groupSize; place++) {
      const known = this.#places[place]
      if (known === undefined) break
      if (isAt(known, words, from, length)) return known
    }
    if (place === group + groupSize) {
      this.#turn = (this.#turn + 1) % groupSize
      place = group + this.#turn
    }
    const sender = new Sender(this.#libc, words.slice(from, from + count), length)
    this.#places[place] = sender
    return sender
  }
}

const isAt = (sender: Sender, words: Int32Array, from: number, length: number): boolean => {
  if (sender.bytes.length !== length) return false
  const known = sender.words
  for (let i = 0; i < known.length; i++) if (known[i] !== words[from + i]) return false
  return true
}
