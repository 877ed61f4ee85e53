/**
 * Arrays of `struct mmsghdr`, with the memory that their addresses point to: what recvmmsg(2) and
 * sendmmsg(2) take. Only Linux has these calls, so this is its layout, in words of 32 bits.
 */
import { retryInterrupted } from "../kernel/retry.ts"
import type { Libc } from "../libc/koffi.ts"
import type { Profile } from "../libc/profiles/profile.ts"
import type { ManyDatagrams } from "../libc/profiles/socketProfile.ts"

/** Maximum messages of one call. */
export const capacity = 64

/** Bytes for the address of one message: any internet address. */
const nameBytes = 32
export const nameWords = nameBytes / 4

/** Bytes for one control message of an integer, on any machine. */
const sendControlBytes = 24
/** Bytes for the control messages of one message, of which a socket may have others enabled. */
const receiveControlBytes = 256

/** The places of the fields, in words. */
export interface Layout {
  /** Words of a pointer, and of a `size_t`. */
  readonly pointer: number
  readonly nameLength: number
  readonly vector: number
  readonly vectorCount: number
  readonly control: number
  readonly controlLength: number
  /** The bytes of the message that were received. */
  readonly received: number
  /** From one header to the next. */
  readonly stride: number
  /** In a `struct cmsghdr`, whose length comes first. */
  readonly level: number
  readonly type: number
  readonly data: number
}

export const layoutOf = ({ pointerBytes, socket }: Profile): Layout => {
  const { control, controlLength, header, size, vector, vectorCount } = socket.message
  const received = size / 4
  return {
    pointer: pointerBytes / 4,
    nameLength: pointerBytes / 4,
    vector: vector / 4,
    vectorCount: vectorCount / 4,
    control: control / 4,
    controlLength: controlLength / 4,
    received,
    stride: Math.ceil((size + 4) / pointerBytes) * (pointerBytes / 4),
    level: header.level / 4,
    type: header.type / 4,
    data: header.data / 4
  }
}

/** The length of a control message with `bytes` of data: `CMSG_LEN`. */
const controlLengthOf = ({ data }: Layout, bytes: number): number => 4 * data + bytes

class MessageVector {
  readonly bytes: Buffer
  /** The addresses of all messages. */
  readonly names = new Uint8Array(capacity * nameBytes)
  protected readonly libc: Libc
  protected readonly layout: Layout
  protected readonly headers: Uint8Array
  protected readonly words: Int32Array
  protected readonly vectors: Int32Array
  protected readonly controls: Int32Array
  protected readonly controlBytes: number
  protected readonly bytesAt: number
  protected readonly controlsAt: number

  constructor(libc: Libc, bytes: Buffer, controlBytes: number) {
    const layout = layoutOf(libc.profile)
    this.controlBytes = controlBytes
    this.layout = layout
    this.libc = libc
    this.bytes = bytes
    this.headers = new Uint8Array(capacity * layout.stride * 4)
    this.words = new Int32Array(this.headers.buffer)
    this.vectors = new Int32Array(capacity * 2 * layout.pointer)
    this.controls = new Int32Array((capacity * controlBytes) / 4)
    const addressOf = (view: Uint8Array | Int32Array) =>
      Number(libc.addressOf(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)))
    this.bytesAt = addressOf(bytes)
    this.controlsAt = addressOf(this.controls)
    const namesAt = addressOf(this.names)
    const vectorsAt = addressOf(this.vectors)
    for (let i = 0; i < capacity; i++) {
      const at = i * layout.stride
      this.point(this.words, at, namesAt + i * nameBytes)
      this.point(this.words, at + layout.vector, vectorsAt + i * 8 * layout.pointer)
      this.words[at + layout.vectorCount] = 1
      this.point(this.words, at + layout.control, this.controlsAt + i * controlBytes)
    }
  }

  /** Writes an address. */
  protected point(words: Int32Array, at: number, address: number): void {
    words[at] = address
    if (this.layout.pointer === 2) words[at + 1] = address / 2 ** 32
  }

  /** Sets what message `i` points to. */
  protected setBytes(i: number, from: number, length: number): void {
    // A `struct iovec` is an address and a length.
    const at = i * 2 * this.layout.pointer
    this.point(this.vectors, at, this.bytesAt + from)
    this.vectors[at + this.layout.pointer] = length
  }
}

/** Bytes for a received message. No datagram of UDP is longer, and none is cut. */
const mostBytes = 64 * 1024
/**
 * Bytes from one received message to the next. With a power of two, all of them would share a few
 * places in the processor's caches.
 */
const receiveStride = mostBytes + 64

export class ReceiveVector extends MessageVector {
  readonly nameWords = new Int32Array(this.names.buffer)
  #usedNames: number
  /** Messages that have room for a control message. */
  #withControl = 0

  constructor(libc: Libc) {
    // Its pages take memory once a message touches them.
    super(libc, Buffer.alloc(capacity * receiveStride), receiveControlBytes)
    this.#usedNames = capacity
    for (let i = 0; i < capacity; i++) this.setBytes(i, i * receiveStride, mostBytes)
  }

  /**
   * Receives up to `most` messages that have come: recvmmsg(2). `joined` asks for the sizes of
   * datagrams that the kernel has joined. Returns the number of messages, or the negated errno.
   */
  receive(fd: number, most: number, joined: boolean): number {
    const { controlLength, nameLength, stride } = this.layout
    // The kernel writes into the headers of the messages that it returns.
    for (let i = 0; i < this.#usedNames; i++) this.words[i * stride + nameLength] = nameBytes
    const withControl = joined ? most : 0
    for (let i = 0; i < Math.max(withControl, this.#withControl); i++) {
      this.words[i * stride + controlLength] = i < withControl ? this.controlBytes : 0
    }
    this.#withControl = withControl
    const { functions, profile } = this.libc
    const count = retryInterrupted(this.libc, () =>
      functions.recvmmsg(fd, this.headers, most, profile.socket.MSG_DONTWAIT, null)
    )
    this.#usedNames = Math.max(count, 0)
    return count
  }

  /** Returns where the bytes of message `i` begin. */
  startOf(i: number): number {
    return i * receiveStride
  }

  lengthOf(i: number): number {
    return this.words[i * this.layout.stride + this.layout.received]!
  }

  nameLengthOf(i: number): number {
    return this.words[i * this.layout.stride + this.layout.nameLength]!
  }

  /** Returns the size of the datagrams that were joined into message `i`, or 0 if it is a single one. */
  sizeOf(i: number, { IPPROTO_UDP, UDP_GRO }: ManyDatagrams): number {
    const { controlLength, data, level, pointer, stride, type } = this.layout
    const { controls } = this
    let at = (i * this.controlBytes) / 4
    const end = at + this.words[i * stride + controlLength]! / 4
    // A program may have asked for other control messages, such as the time of each datagram.
    while (at + data < end) {
      if (controls[at + level] === IPPROTO_UDP && controls[at + type] === UDP_GRO) return controls[at + data]!
      const bytes = Math.max(controls[at]!, controlLengthOf(this.layout, 0))
      at += Math.ceil(bytes / (4 * pointer)) * pointer
    }
    return 0
  }
}

/** Bytes of the messages of one call. */
const sendBytes = 256 * 1024
/** The kernel takes this many datagrams joined in one message, and this many bytes. */
const mostSegments = 64
const mostSegmented = 65_000

export class SendVector extends MessageVector {
  /** Whether the kernel cuts messages into datagrams. `undefined` until it was asked. */
  canSegment: boolean | undefined
  /** The number of messages that were put in. */
  count = 0
  #used = 0
  /** The datagrams of each message. */
  readonly #datagrams = new Int32Array(capacity)
  /** The addresses that are in the memory for them. Most messages go where those before went. */
  readonly #known: Array<Uint8Array | undefined> = Array.from({ length: capacity })
  // Of the last message: what may still be joined to it.
  #start = 0
  #size = 0
  #isFull = true
  #to: Uint8Array | undefined
  /** Whether no further message may follow it. */
  #isLast = false

  constructor(libc: Libc) {
    super(libc, Buffer.alloc(sendBytes), sendControlBytes)
  }

  clear(): void {
    this.count = 0
    this.#used = 0
    this.#isFull = true
    this.#isLast = false
  }

  /**
   * Puts in a datagram. Its bytes are copied. `joinable` is the size up to which datagrams of one
   * size to one address become one message. Returns false if there is no more room.
   */
  add(payload: Uint8Array, to: Uint8Array | undefined, joinable: number): boolean {
    const { length } = payload
    const from = this.#used
    if (from + length > this.bytes.length) return false
    if (!this.#join(length, to)) {
      if (this.count === capacity || this.#isLast) return false
      this.#begin(length, to, joinable)
    }
    this.bytes.set(payload, from)
    this.#used = from + length
    return true
  }

  #begin(length: number, to: Uint8Array | undefined, joinable: number): void {
    const i = this.count++
    const { controlLength, nameLength, stride } = this.layout
    const at = i * stride
    this.words[at + nameLength] = to === undefined ? 0 : to.length
    this.words[at + controlLength] = 0
    if (to !== undefined && this.#known[i] !== to) {
      this.names.set(to, i * nameBytes)
      this.#known[i] = to
    }
    this.#start = this.#used
    this.setBytes(i, this.#start, length)
    this.#datagrams[i] = 1
    this.#size = length
    this.#isFull = length === 0 || length > joinable
    this.#to = to
    // The peer of a connected socket may refuse it at once. sendmmsg(2) would make the next message
    // fail with that, and forget why.
    this.#isLast = to === undefined
  }

  /** Joins a datagram to the last message, if it may be. Only the last of them may be shorter. */
  #join(length: number, to: Uint8Array | undefined): boolean {
    if (this.#isFull || length === 0 || length > this.#size || to !== this.#to) return false
    const total = this.#used + length - this.#start
    if (total > mostSegmented) return false
    const i = this.count - 1
    this.setBytes(i, this.#start, total)
    if (++this.#datagrams[i]! === 2) this.#segment(i)
    this.#isFull = length < this.#size || this.#datagrams[i] === mostSegments
    return true
  }

  /** Adds the control message that says the size of the datagrams. */
  #segment(i: number): void {
    const { controlLength, data, level, stride, type } = this.layout
    const { IPPROTO_UDP, UDP_SEGMENT } = this.libc.profile.socket.manyDatagrams!
    const at = (i * this.controlBytes) / 4
    this.controls[at] = controlLengthOf(this.layout, 2)
    this.controls[at + level] = IPPROTO_UDP
    this.controls[at + type] = UDP_SEGMENT
    this.controls[at + data] = this.#size
    this.words[i * stride + controlLength] = this.controlBytes
  }

  /** Returns the datagrams of message `i`. */
  datagramsOf(i: number): number {
    return this.#datagrams[i]!
  }

  /**
   * Sends the messages: sendmmsg(2). Returns how many were sent, from the first, or the negated
   * errno of the first.
   */
  send(fd: number): number {
    const { functions, profile } = this.libc
    const { MSG_DONTWAIT, MSG_NOSIGNAL } = profile.socket
    return retryInterrupted(this.libc, () =>
      functions.sendmmsg(fd, this.headers, this.count, MSG_DONTWAIT | MSG_NOSIGNAL)
    )
  }
}
