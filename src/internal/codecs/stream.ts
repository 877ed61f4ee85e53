/** The codecs as operators on streams. */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { CodecError } from "../../codecs/CodecError.ts"

/**
 * What an operator needs of a reader: chunks go in, results come out, and the two need not keep
 * step.
 */
export interface Incremental<A> {
  /**
   * Takes in a chunk. Keeps no reference to it, so that the caller can read into the same buffer
   * again.
   */
  feed(chunk: Uint8Array): void
  /** Makes the reader pass over what comes after the first error. */
  stopAtError(): void
  /** Ends the input. What is fed afterwards is another input. */
  end(): void
  /** Takes the results that are complete. */
  takeAll(): Array<Result.Result<A, CodecError>>
}

/** An operator that takes a stream and perhaps options, or options alone and then the stream. */
export interface Dual<In, Out, Failure, Options> {
  <Arg extends Stream.Stream<In, unknown, unknown> | Options | undefined = Options>(
    streamOrOptions?: Arg,
    options?: Options
  ): [Arg] extends [Stream.Stream<In, infer E, infer R>]
    ? Stream.Stream<Out, E | Failure, R>
    : <E, R>(self: Stream.Stream<In, E, R>) => Stream.Stream<Out, E | Failure, R>
}

/**
 * Makes such an operator from one that takes its options first. The options are checked at once in
 * both cases, before there is a stream: an invalid option is a mistake in the program.
 */
const dual = <In, Out, Failure, Options>(
  withOptions: (
    options: Options | undefined
  ) => <E, R>(self: Stream.Stream<In, E, R>) => Stream.Stream<Out, E | Failure, R>
): Dual<In, Out, Failure, Options> =>
  ((streamOrOptions?: Stream.Stream<In, unknown, unknown> | Options, options?: Options) =>
    Stream.isStream(streamOrOptions)
      ? withOptions(options)(streamOrOptions as Stream.Stream<In, unknown, unknown>)
      : withOptions(streamOrOptions as Options | undefined)) as Dual<In, Out, Failure, Options>

/**
 * Applies a reader to a stream. Ends the reader's input only if the stream has come to its end. If
 * the stream failed or was interrupted, the last line may be incomplete.
 */
const readResults =
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

/** Emits what succeeded before the first failure, and then fails with that. */
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

/** Makes the operator that emits everything a reader finds, with errors in their places. */
export const decodeResults = <A, Options>(
  readerOf: (options: Options | undefined) => () => Incremental<A>
): Dual<Uint8Array, Result.Result<A, CodecError>, never, Options> => dual((options) => readResults(readerOf(options)))

/** Makes the operator that emits what a reader finds, and fails with the first error. */
export const decode = <A, Options>(
  readerOf: (options: Options | undefined) => () => Incremental<A>
): Dual<Uint8Array, A, CodecError, Options> =>
  dual<Uint8Array, A, CodecError, Options>((options) => {
    const make = readerOf(options)
    const results = readResults(() => {
      const reader = make()
      reader.stopAtError()
      return reader
    })
    return (self) => Stream.transformPull(results(self), stopAtFailure)
  })

/** Makes the operator that turns each batch into bytes, and fails with the first error. */
export const encode = <A, Options>(
  encoderOf: (
    options: Options | undefined
  ) => (batch: ReadonlyArray<A>) => ReadonlyArray<Result.Result<Uint8Array<ArrayBuffer>, CodecError>>
): Dual<A, Uint8Array<ArrayBuffer>, CodecError, Options> =>
  dual<A, Uint8Array<ArrayBuffer>, CodecError, Options>((options) => {
    const encodeBatch = encoderOf(options)
    return (self) => Stream.transformPull(self, (upstream) => stopAtFailure(Effect.map(upstream, encodeBatch)))
  })
