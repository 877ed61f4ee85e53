/** The codecs as operators on streams. */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { CodecError } from "../../codecs/CodecError.ts"
import type { Incremental } from "./incremental.ts"

/**
 * All that a reader makes of a stream. Only an input that has come to its end is ended: of one that failed or was
 * interrupted, nobody knows whether the last line was whole.
 */
export const decodeResults =
  <A>(make: () => Incremental<A>) =>
  <E, R>(self: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Result.Result<A, CodecError>, E, R> =>
    Stream.transformPull(self, (upstream) =>
      Effect.sync(() => {
        const reader = make()
        let ended = false
        const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Result.Result<A, CodecError>>, E> = Effect.suspend(() => {
          if (ended) return Cause.done()
          return Pull.matchEffect(upstream, {
            onSuccess: (chunks) => {
              for (const chunk of chunks) reader.feed(chunk)
              const results = reader.takeAll()
              return Arr.isArrayNonEmpty(results) ? Effect.succeed(results) : pull
            },
            onFailure: Effect.failCause,
            onDone: () => {
              ended = true
              reader.end()
              const results = reader.takeAll()
              return Arr.isArrayNonEmpty(results) ? Effect.succeed(results) : Cause.done()
            }
          })
        })
        return pull
      })
    )

/** What succeeded before the first failure, and then that failure. */
const stopAtFailure = <A, E>(
  upstream: Pull.Pull<ReadonlyArray<Result.Result<A, CodecError>>, E>
): Effect.Effect<Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E | CodecError>> =>
  Effect.sync(() => {
    let failure: CodecError | undefined
    const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E | CodecError> = Effect.suspend(() =>
      failure === undefined ? Effect.flatMap(upstream, emit) : Effect.fail(failure)
    )
    const emit = (results: ReadonlyArray<Result.Result<A, CodecError>>): typeof pull => {
      const values: Array<A> = []
      for (const result of results) {
        if (Result.isFailure(result)) {
          failure = result.failure
          break
        }
        values.push(result.success)
      }
      return Arr.isArrayNonEmpty(values) ? Effect.succeed(values) : pull
    }
    return pull
  })

/** What a reader makes of a stream, up to the first failure. */
export const decode =
  <A>(make: () => Incremental<A>) =>
  <E, R>(self: Stream.Stream<Uint8Array, E, R>): Stream.Stream<A, E | CodecError, R> =>
    Stream.transformPull(decodeResults(make)(self), stopAtFailure)

/** Turns each batch into bytes, up to the first failure. */
export const encode =
  <A>(encodeBatch: (batch: ReadonlyArray<A>) => ReadonlyArray<Result.Result<Uint8Array<ArrayBuffer>, CodecError>>) =>
  <E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<Uint8Array<ArrayBuffer>, E | CodecError, R> =>
    Stream.transformPull(self, (upstream) => stopAtFailure(Effect.map(upstream, encodeBatch)))
