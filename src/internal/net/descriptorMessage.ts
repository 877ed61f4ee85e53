/**
 * `struct msghdr` and the control message that carries descriptors: sendmsg(2), recvmsg(2),
 * unix(7).
 *
 * A message keeps the memory alive that its addresses point to.
 */
import { makeIovec, setIovec } from "../kernel/iovec.ts"
import type { Libc } from "../libc/koffi.ts"
import type { PointerArray } from "../libc/prototypes/pointers.ts"
import type { MessageLayout } from "../libc/profiles/socketProfile.ts"

const align = (size: number, alignment: number): number => Math.ceil(size / alignment) * alignment

/** Returns `CMSG_SPACE` and `CMSG_LEN` of a number of descriptors. */
const spaceFor = ({ header }: MessageLayout, count: number): { readonly space: number; readonly length: number } => {
  const length = header.data + 4 * count
  return { length, space: align(length, header.alignment) }
}

const setLength = (view: DataView, offset: number, bytes: 4 | 8, value: number | bigint): void =>
  bytes === 8 ? view.setBigUint64(offset, BigInt(value), true) : view.setUint32(offset, Number(value), true)

const getLength = (view: DataView, offset: number, bytes: 4 | 8): number =>
  bytes === 8 ? Number(view.getBigUint64(offset, true)) : view.getUint32(offset, true)

export class Message {
  readonly header: Uint8Array
  readonly #libc: Libc
  readonly #layout: MessageLayout
  readonly #buffer: Uint8Array
  readonly #vector: PointerArray
  readonly #control: Uint8Array

  /** Makes room for `capacity` descriptors, and for `others` bytes of other control messages. */
  constructor(libc: Libc, buffer: Uint8Array, length: number, capacity: number, others = 0) {
    const { pointerBytes, socket } = libc.profile
    const layout = socket.message
    this.#libc = libc
    this.#layout = layout
    this.#buffer = buffer
    this.#vector = makeIovec(libc, 1)
    setIovec(libc, this.#vector, 0, buffer, length)
    this.#control = new Uint8Array(spaceFor(layout, capacity).space + others)
    this.header = new Uint8Array(layout.size)
    const view = new DataView(this.header.buffer)
    setLength(view, layout.vector, pointerBytes, libc.addressOf(new Uint8Array(this.#vector.buffer)))
    setLength(view, layout.vectorCount, layout.vectorCountBytes, 1)
    setLength(view, layout.control, pointerBytes, libc.addressOf(this.#control))
    setLength(view, layout.controlLength, layout.controlLengthBytes, this.#control.length)
  }

  /** Reading this after a call keeps the memory alive during the call. */
  get held(): number {
    return this.#buffer.length + this.#vector.length + this.#control.length
  }

  setDescriptors(fds: ReadonlyArray<number>): void {
    const { header } = this.#layout
    const { SCM_RIGHTS, SOL_SOCKET } = this.#libc.profile.socket
    const view = new DataView(this.#control.buffer)
    setLength(view, 0, header.lengthBytes, spaceFor(this.#layout, fds.length).length)
    view.setInt32(header.level, SOL_SOCKET, true)
    view.setInt32(header.type, SCM_RIGHTS, true)
    fds.forEach((fd, i) => view.setInt32(header.data + 4 * i, fd, true))
  }

  /** Returns the descriptors that were received. They are open, and the caller owns them. */
  get descriptors(): ReadonlyArray<number> {
    const { controlLength, controlLengthBytes, header } = this.#layout
    const { SCM_RIGHTS, SOL_SOCKET } = this.#libc.profile.socket
    const end = getLength(new DataView(this.header.buffer), controlLength, controlLengthBytes)
    const view = new DataView(this.#control.buffer)
    const fds: Array<number> = []
    for (let start = 0; start + header.data <= end;) {
      const length = getLength(view, start, header.lengthBytes)
      if (length < header.data || start + length > end) break
      if (
        view.getInt32(start + header.level, true) === SOL_SOCKET &&
        view.getInt32(start + header.type, true) === SCM_RIGHTS
      ) {
        for (let offset = header.data; offset + 4 <= length; offset += 4) fds.push(view.getInt32(start + offset, true))
      }
      start += align(length, header.alignment)
    }
    return fds
  }

  /** Whether more descriptors came than there was room for. The kernel has closed the others. */
  get isTruncated(): boolean {
    const flags = new DataView(this.header.buffer).getInt32(this.#layout.flags, true)
    return (flags & this.#libc.profile.socket.MSG_CTRUNC) !== 0
  }
}
