/** C structures by tables of their members: read from bytes, and written into them. */
import { endianness } from "node:os"

const littleEndian = endianness() === "LE"

/** How each type is read and written. Integers of 64 bits are `bigint`. */
const types = {
  u8: {
    read: (view: DataView, at: number) => view.getUint8(at),
    write: (view: DataView, at: number, value: number) => view.setUint8(at, value)
  },
  u16: {
    read: (view: DataView, at: number) => view.getUint16(at, littleEndian),
    write: (view: DataView, at: number, value: number) => view.setUint16(at, value, littleEndian)
  },
  i16: {
    read: (view: DataView, at: number) => view.getInt16(at, littleEndian),
    write: (view: DataView, at: number, value: number) => view.setInt16(at, value, littleEndian)
  },
  u32: {
    read: (view: DataView, at: number) => view.getUint32(at, littleEndian),
    write: (view: DataView, at: number, value: number) => view.setUint32(at, value, littleEndian)
  },
  i32: {
    read: (view: DataView, at: number) => view.getInt32(at, littleEndian),
    write: (view: DataView, at: number, value: number) => view.setInt32(at, value, littleEndian)
  },
  u64: {
    read: (view: DataView, at: number) => view.getBigUint64(at, littleEndian),
    write: (view: DataView, at: number, value: bigint) => view.setBigUint64(at, value, littleEndian)
  }
} as const

type Type = keyof typeof types

/** A structure: for each member, the byte at which it begins and its type. */
export interface Layout {
  readonly [member: string]: readonly [offset: number, type: Type]
}

/** The members of a structure as a program sees them. */
export type Struct<L extends Layout> = {
  readonly [Member in keyof L]: ReturnType<(typeof types)[L[Member][1]]["read"]>
}

/** Reads the structure that begins at a byte. */
export const readStruct = <const L extends Layout>(layout: L, view: DataView, at: number): Struct<L> =>
  Object.fromEntries(
    Object.entries(layout).map(([member, [offset, type]]) => [member, types[type].read(view, at + offset)])
  ) as Struct<L>

/** Writes members of the structure that begins at a byte. The others stay as they are. */
export const writeStruct = <const L extends Layout>(
  layout: L,
  view: DataView,
  at: number,
  values: Partial<Struct<L>>
): void => {
  for (const [member, value] of Object.entries(values)) {
    const [offset, type] = layout[member]!
    const write = types[type].write as (view: DataView, at: number, value: unknown) => void
    write(view, at + offset, value)
  }
}

/** Returns a view of the bytes of an array. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
