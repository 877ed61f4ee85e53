/**
 * Codecs that turn bytes into lines and frames, and back.
 *
 * @since 0.2.0
 */
export * as CodecError from "./CodecError.ts"
export * as FrameReader from "./FrameReader.ts"
export * as FrameWriter from "./FrameWriter.ts"
export * as LineReader from "./LineReader.ts"
