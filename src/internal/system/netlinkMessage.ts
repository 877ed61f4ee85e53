/** Messages of netlink(7), and the attributes in them: encoded, and decoded from datagrams. */
import * as Effect from "effect/Effect"
import { isUint8Array } from "node:util/types"
import type { PollerError } from "../../PollerError.ts"
import type { Attribute, AttributeInput, Message } from "../../system/Netlink.ts"
import { invalidArgument } from "../errors/pollerErrors.ts"
import { netlink } from "../libc/profiles/netlink.ts"
import { readStruct, viewOf, writeStruct } from "./layout.ts"
import { nlattr, nlattrSize, nlmsghdr, nlmsghdrSize } from "./netlinkLayouts.ts"

/** Messages and attributes begin at multiples of four bytes. */
const align = (length: number): number => (length + 3) & ~3

export const encodeMessage = (type: number, flags: number, sequence: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(nlmsghdrSize + payload.length)
  writeStruct(nlmsghdr, viewOf(bytes), 0, {
    nlmsg_len: bytes.length,
    nlmsg_type: type,
    nlmsg_flags: flags,
    nlmsg_seq: sequence
  })
  bytes.set(payload, nlmsghdrSize)
  return bytes
}

/** Decodes the messages of a datagram, up to the first that is not whole. Copies their bytes. */
export const decodeMessages = (datagram: Uint8Array): ReadonlyArray<Message> => {
  const messages: Array<Message> = []
  const view = viewOf(datagram)
  for (let at = 0; at + nlmsghdrSize <= datagram.length;) {
    const header = readStruct(nlmsghdr, view, at)
    const end = at + header.nlmsg_len
    if (header.nlmsg_len < nlmsghdrSize || end > datagram.length) break
    messages.push({
      type: header.nlmsg_type,
      flags: header.nlmsg_flags,
      sequence: header.nlmsg_seq,
      pid: header.nlmsg_pid,
      payload: Uint8Array.from(datagram.subarray(at + nlmsghdrSize, end))
    })
    at += align(header.nlmsg_len)
  }
  return messages
}

/**
 * Returns the error number that ends a reply: 0 for an acknowledgement and for the end of a dump
 * without an error. Returns `undefined` for a message that ends nothing.
 */
export const endOf = ({ payload, type }: Message): number | undefined => {
  if (type !== netlink.NLMSG_ERROR && type !== netlink.NLMSG_DONE) return undefined
  // The number is negative, and an old kernel ends a dump without one.
  return payload.length < 4 ? 0 : Math.abs(readStruct({ error: [0, "i32"] }, viewOf(payload), 0).error)
}

/** The most bytes of an attribute whose length still fits into two. */
const mostOfAttribute = 0xffff - nlattrSize

const attributesError = (attributes: ReadonlyArray<AttributeInput>): PollerError | undefined => {
  if (!Array.isArray(attributes)) return invalidArgument("invalid attributes: expected an array")
  for (const attribute of attributes) {
    const type: unknown = attribute?.type
    if (!(Number.isInteger(type) && (type as number) >= 0 && (type as number) <= 0xffff)) {
      return invalidArgument(`invalid type ${String(type)} of an attribute: expected an integer from 0 to 65535`)
    }
    if (Array.isArray(attribute.payload)) {
      const nested = attributesError(attribute.payload)
      if (nested !== undefined) return nested
    } else if (!isUint8Array(attribute.payload)) {
      return invalidArgument("invalid payload of an attribute: expected a Uint8Array, or an array of attributes")
    }
  }
  return undefined
}

/** Returns `undefined` if an attribute is too long. */
const encodeChecked = (attributes: ReadonlyArray<AttributeInput>): Uint8Array | undefined => {
  const parts: Array<readonly [type: number, payload: Uint8Array]> = []
  let length = 0
  for (const { payload, type } of attributes) {
    const bytes = isUint8Array(payload) ? payload : encodeChecked(payload)
    if (bytes === undefined || bytes.length > mostOfAttribute) return undefined
    parts.push([isUint8Array(payload) ? type : type | netlink.NLA_F_NESTED, bytes])
    length += nlattrSize + align(bytes.length)
  }
  const encoded = new Uint8Array(length)
  const view = viewOf(encoded)
  let at = 0
  for (const [type, bytes] of parts) {
    writeStruct(nlattr, view, at, { nla_len: nlattrSize + bytes.length, nla_type: type })
    encoded.set(bytes, at + nlattrSize)
    at += nlattrSize + align(bytes.length)
  }
  return encoded
}

export const encodeAttributes = (attributes: ReadonlyArray<AttributeInput>): Effect.Effect<Uint8Array, PollerError> =>
  Effect.suspend(() => {
    const invalid = attributesError(attributes)
    if (invalid !== undefined) return Effect.fail(invalid)
    const encoded = encodeChecked(attributes)
    return encoded === undefined
      ? Effect.fail(invalidArgument(`an attribute is longer than ${mostOfAttribute} bytes: pass a shorter one`))
      : Effect.succeed(encoded)
  })

export const decodeAttributes = (bytes: Uint8Array, offset = 0): ReadonlyArray<Attribute> => {
  const attributes: Array<Attribute> = []
  const view = viewOf(bytes)
  for (let at = offset; at + nlattrSize <= bytes.length;) {
    const { nla_len, nla_type } = readStruct(nlattr, view, at)
    if (nla_len < nlattrSize || at + nla_len > bytes.length) break
    attributes.push({
      type: nla_type & netlink.NLA_TYPE_MASK,
      isNested: (nla_type & netlink.NLA_F_NESTED) !== 0,
      payload: bytes.subarray(at + nlattrSize, at + nla_len)
    })
    at += align(nla_len)
  }
  return attributes
}

export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)

export const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(`${value}\0`, "utf8"))

export const readU32 = (payload: Uint8Array): number =>
  payload.length < 4 ? 0 : readStruct({ value: [0, "u32"] }, viewOf(payload), 0).value

export const readText = (payload: Uint8Array): string => {
  const end = payload.indexOf(0)
  return Buffer.from(payload.buffer, payload.byteOffset, end === -1 ? payload.length : end).toString("utf8")
}
