/** Bytes in and out of a descriptor, as Effect's streams and sinks. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { PollerError } from "../../PollerError.ts"

const done = Cause.fail(Cause.Done())

/** Makes a stream of the chunks that are read. It ends when a read gives `undefined`. */
export const streamOf = (
  readChunk: Effect.Effect<Uint8Array | undefined, PollerError>
): Stream.Stream<Uint8Array, PollerError> =>
  Stream.fromPull(
    Effect.succeed(
      Effect.flatMap(readChunk, (chunk) =>
        chunk === undefined ? Effect.failCause(done) : Effect.succeed([chunk] as const)
      )
    )
  )

/** Makes a sink that writes the chunks it is given together. */
export const sinkOf = <In = Uint8Array>(
  writeChunks: (chunks: ReadonlyArray<In>) => Effect.Effect<void, PollerError>
): Sink.Sink<void, In, never, PollerError> => Sink.forEachArray(writeChunks)
