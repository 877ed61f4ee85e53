/** A datagram that was received. */
import { type Inspectable, NodeInspectSymbol } from "effect/Inspectable"
import * as NetAddress from "effect/net/NetAddress"
import type { Datagram } from "../../net/Udp.ts"
import type { Sender } from "./senders.ts"

export const DatagramTypeId = "~effect-amy/Datagram"

/** Extends nothing: one is made for each datagram, so making it has to be cheap. */
export class DatagramImpl implements Datagram, Inspectable {
  readonly payload: Uint8Array
  readonly #sender: Sender

  constructor(payload: Uint8Array, sender: Sender) {
    this.payload = payload
    this.#sender = sender
  }

  get [DatagramTypeId](): typeof DatagramTypeId {
    return DatagramTypeId
  }

  get sender(): Sender {
    return this.#sender
  }

  get address(): NetAddress.InetAddress {
    return this.#sender.address
  }

  toJSON(): unknown {
    return { _id: "effect-amy/Datagram", address: NetAddress.formatInet(this.address), length: this.payload.length }
  }

  toString(): string {
    return `Datagram(${this.payload.length} bytes from ${NetAddress.formatInet(this.address)})`
  }

  [NodeInspectSymbol](): string {
    return this.toString()
  }
}
