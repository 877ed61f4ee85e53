/** Messages that carry descriptors, byte for byte, in the layouts of 64-bit and 32-bit systems. */
import { describe, expect, it } from "@effect/vitest"
import type { Libc } from "../../src/internal/libc/koffi.ts"
import { linux, linux32 } from "../../src/internal/libc/profiles/linux.ts"
import type { Profile } from "../../src/internal/libc/profiles/profile.ts"
import type { MessageLayout } from "../../src/internal/libc/profiles/socketProfile.ts"
import { Message } from "../../src/internal/net/descriptorMessage.ts"

/** A layout with lengths of four bytes, and nothing between a header and its data. */
const narrow: MessageLayout = {
  size: 48,
  vector: 16,
  vectorCount: 24,
  control: 32,
  controlLength: 40,
  flags: 44,
  vectorCountBytes: 4,
  controlLengthBytes: 4,
  header: { lengthBytes: 4, level: 4, type: 8, data: 12, alignment: 4 }
}

const profiles: { readonly [name: string]: Profile } = {
  "eight-byte lengths": linux,
  "four-byte lengths": { ...linux, socket: { ...linux.socket, message: narrow } },
  "four-byte pointers": linux32
}

/**
 * A message, and the memory that its addresses point to: the address of each is 0x1000 times its
 * number.
 */
const make = (profile: Profile, buffer: Uint8Array, capacity: number) => {
  const memory: Array<Uint8Array> = []
  const layout = profile.socket.message
  const libc = {
    profile,
    addressOf: (bytes: Uint8Array) => BigInt(0x1000 * memory.push(bytes))
  } as unknown as Libc
  const message = new Message(libc, buffer, buffer.length, capacity)
  const view = new DataView(message.header.buffer)
  const addressed = (offset: number): Uint8Array => memory[length(view, offset, profile.pointerBytes) / 0x1000 - 1]!
  return { message, view, vector: addressed(layout.vector), control: addressed(layout.control), memory }
}

const length = (view: DataView, offset: number, bytes: 4 | 8): number =>
  bytes === 8 ? Number(view.getBigUint64(offset, true)) : view.getUint32(offset, true)

const { MSG_CTRUNC, SCM_RIGHTS, SOL_SOCKET } = linux.socket

/**
 * Writes a control message as the kernel does: its length, level and type, and then the numbers.
 */
const control = ({ header }: MessageLayout, level: number, type: number, numbers: ReadonlyArray<number>) => {
  const own = header.data + 4 * numbers.length
  const bytes = new Uint8Array(Math.ceil(own / header.alignment) * header.alignment)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, own, true)
  view.setInt32(header.level, level, true)
  view.setInt32(header.type, type, true)
  numbers.forEach((number, i) => view.setInt32(header.data + 4 * i, number, true))
  return bytes
}

/** Makes a message as recvmsg(2) leaves it. */
const receive = (profile: Profile, capacity: number, controls: ReadonlyArray<Uint8Array>) => {
  const made = make(profile, new Uint8Array(1), capacity)
  const all = Buffer.concat(controls)
  made.control.set(all.subarray(0, made.control.length))
  made.view.setUint32(profile.socket.message.controlLength, all.length, true)
  return made
}

for (const [name, profile] of Object.entries(profiles)) {
  const layout = profile.socket.message
  describe(`a message (${name})`, () => {
    it("has one buffer, and room for a number of descriptors", () => {
      const buffer = new Uint8Array(77)
      const { control, memory, message, vector, view } = make(profile, buffer, 3)
      expect(message.header).toHaveLength(layout.size)
      expect(length(view, layout.vectorCount, layout.vectorCountBytes)).toBe(1)
      const words = profile.pointerBytes === 8 ? new BigUint64Array(vector.buffer) : new Uint32Array(vector.buffer)
      expect(memory[Number(words[0]) / 0x1000 - 1]).toBe(buffer)
      expect(Number(words[1])).toBe(77)
      expect(length(view, layout.controlLength, layout.controlLengthBytes)).toBe(control.length)
      expect(control.length % layout.header.alignment).toBe(0)
      expect(control.length).toBeGreaterThanOrEqual(layout.header.data + 12)
    })

    it("contains its descriptors, and their number in its length", () => {
      const { control: bytes, message } = make(profile, new Uint8Array(1), 3)
      message.setDescriptors([5, 1000, 70_000])
      expect([...bytes]).toEqual([...control(layout, SOL_SOCKET, SCM_RIGHTS, [5, 1000, 70_000])])
    })

    it("returns the descriptors of one control message, or of several", () => {
      const one = control(layout, SOL_SOCKET, SCM_RIGHTS, [7])
      const three = control(layout, SOL_SOCKET, SCM_RIGHTS, [8, 9, 10])
      expect(receive(profile, 253, []).message.descriptors).toEqual([])
      expect(receive(profile, 253, [one]).message.descriptors).toEqual([7])
      expect(receive(profile, 253, [three]).message.descriptors).toEqual([8, 9, 10])
      expect(receive(profile, 253, [one, three]).message.descriptors).toEqual([7, 8, 9, 10])
    })

    it("skips control messages of another kind", () => {
      const credentials = control(layout, SOL_SOCKET, SCM_RIGHTS + 1, [1, 2, 3])
      const foreign = control(layout, SOL_SOCKET + 1, SCM_RIGHTS, [4])
      const rights = control(layout, SOL_SOCKET, SCM_RIGHTS, [5])
      expect(receive(profile, 253, [credentials, foreign, rights]).message.descriptors).toEqual([5])
    })

    it("reads nothing beyond the length that the kernel wrote", () => {
      const { message, view } = receive(profile, 253, [control(layout, SOL_SOCKET, SCM_RIGHTS, [7, 8])])
      view.setUint32(layout.controlLength, layout.header.data - 1, true)
      expect(message.descriptors).toEqual([])
      view.setUint32(layout.controlLength, 0, true)
      expect(message.descriptors).toEqual([])
    })

    it("ends at an impossible length", () => {
      const zero = control(layout, SOL_SOCKET, SCM_RIGHTS, [7])
      zero[0] = 0
      expect(receive(profile, 253, [zero]).message.descriptors).toEqual([])
      const long = control(layout, SOL_SOCKET, SCM_RIGHTS, [7])
      long[0] = 255
      expect(receive(profile, 253, [long]).message.descriptors).toEqual([])
    })

    it("says whether more descriptors came than fit", () => {
      const { message, view } = receive(profile, 1, [])
      expect(message.isTruncated).toBe(false)
      view.setInt32(layout.flags, MSG_CTRUNC | 0x40, true)
      expect(message.isTruncated).toBe(true)
      view.setInt32(layout.flags, 0x40, true)
      expect(message.isTruncated).toBe(false)
    })
  })
}
