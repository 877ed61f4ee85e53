/** Paths whose names are in no particular encoding, and what a program sees of them. */
import { isUtf8 } from "node:buffer"

/**
 * A path of a file: its bytes, one a character, and as a text. Only where the bytes are not UTF-8,
 * the text is not the whole truth.
 */
export interface Place {
  readonly bytes: string
  readonly text: string
  readonly isExact: boolean
}

// oxlint-disable-next-line no-control-regex
const isAscii = /^[\0-\x7f]*$/

/** Makes a path of bytes. */
export const placeOf = (bytes: string): Place => {
  if (isAscii.test(bytes)) return { bytes, text: bytes, isExact: true }
  const buffer = Buffer.from(bytes, "latin1")
  return { bytes, text: buffer.toString("utf8"), isExact: isUtf8(buffer) }
}

const separator = (path: string): string => (path.endsWith("/") ? "" : "/")

/** Joins the bytes of a directory's path and a name in it. */
export const joined = (directory: string, name: string): string => `${directory}${separator(directory)}${name}`

/** Joins a directory and a name in it. */
export const placeIn = (directory: Place, name: string): Place => {
  const { isExact, text } = placeOf(name)
  return {
    bytes: joined(directory.bytes, name),
    text: joined(directory.text, text),
    isExact: directory.isExact && isExact
  }
}

/** The members of an event that name a path. */
export const pathOf = (place: Place): { readonly path: string; readonly pathBytes?: Uint8Array } =>
  place.isExact ? { path: place.text } : { path: place.text, pathBytes: bytesOf(place) }

export const bytesOf = (place: Place): Uint8Array => new Uint8Array(Buffer.from(place.bytes, "latin1"))
