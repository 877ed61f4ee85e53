/** What a frame is on the wire: a length of four bytes, big-endian, and that many bytes. */
import * as Result from "effect/Result"
import { CodecError, FrameTooLong } from "../../codecs/CodecError.ts"
import { blockSize } from "./options.ts"

export const prefixLength = 4

/** The largest length that four bytes can announce. */
export const longestFrame = 0xffff_ffff

/** 16 MiB. */
export const defaultMaxLength = 16_777_216

export const tooLong = (length: number, limit: number): CodecError =>
  new CodecError({ reason: new FrameTooLong({ length, limit }) })

/** Writes a frame. Returns where the next one goes. */
export const writeFrame = (target: Uint8Array, at: number, frame: Uint8Array): number => {
  const length = frame.length
  target[at] = length >>> 24
  target[at + 1] = length >>> 16
  target[at + 2] = length >>> 8
  target[at + 3] = length
  target.set(frame, at + prefixLength)
  return at + prefixLength + length
}

/** Turns frames into bytes, up to the first that is too long. Puts small frames together. */
export const encodeFrames = (
  frames: ReadonlyArray<Uint8Array>,
  maxLength: number
): Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> => {
  const results: Array<Result.Result<Uint8Array<ArrayBuffer>, CodecError>> = []
  let first = 0
  let size = 0
  const flush = (end: number): void => {
    if (end === first) return
    const bytes = new Uint8Array(size)
    let at = 0
    for (; first < end; first++) at = writeFrame(bytes, at, frames[first]!)
    results.push(Result.succeed(bytes))
    size = 0
  }
  for (let i = 0; i < frames.length; i++) {
    const length = frames[i]!.length
    if (length > maxLength) {
      flush(i)
      results.push(Result.fail(tooLong(length, maxLength)))
      return results
    }
    if (size + length > blockSize) flush(i)
    size += prefixLength + length
  }
  flush(frames.length)
  return results
}
