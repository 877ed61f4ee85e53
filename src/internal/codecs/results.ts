/** What a reader has found and its user has not taken yet: values, with errors in their places. */
import * as MutableList from "effect/MutableList"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { CodecError, type CodecErrorReason } from "../../codecs/CodecError.ts"

export class Results<A> {
  #stops = false
  #hasFailed = false
  readonly #list = MutableList.make<Result.Result<A, CodecError>>()

  add(value: A): void {
    MutableList.append(this.#list, Result.succeed(value))
  }

  /** Makes the first error the last result. */
  stopAtError(): void {
    this.#stops = true
  }

  /** Whether nothing that comes next is of interest. */
  get isOver(): boolean {
    return this.#stops && this.#hasFailed
  }

  addError(reason: () => CodecErrorReason): void {
    this.#hasFailed = true
    MutableList.append(this.#list, LazyFailure.make(reason))
  }

  next(): Option.Option<Result.Result<A, CodecError>> {
    const taken = MutableList.take(this.#list)
    return taken === MutableList.Empty ? Option.none() : Option.some(taken)
  }

  takeAll(): Array<Result.Result<A, CodecError>> {
    return MutableList.takeAll(this.#list)
  }
}

const failurePrototype = Object.getPrototypeOf(Result.fail(undefined)) as object

/** Gives a class's private fields to an object that was made before. */
const Field = function (of: object): object {
  return of
} as unknown as new (of: object) => object

/**
 * A failure whose error is made when it is looked at. Making an error costs more than reading ten
 * lines, and the peer decides how many there are.
 */
class LazyFailure extends Field {
  readonly #reason: () => CodecErrorReason

  static make(reason: () => CodecErrorReason): Result.Result<never, CodecError> {
    const result = Object.create(failurePrototype) as object
    return Object.defineProperty(
      new LazyFailure(result, reason),
      "failure",
      LazyFailure.#property
    ) as unknown as Result.Result<never, CodecError>
  }

  private constructor(result: object, reason: () => CodecErrorReason) {
    super(result)
    this.#reason = reason
  }

  // One function for all failures: with one for each, every failure would have a layout of its own.
  static readonly #property: PropertyDescriptor & ThisType<LazyFailure> = {
    enumerable: true,
    configurable: true,
    get() {
      const error = withoutStack(() => new CodecError({ reason: this.#reason() }))
      Object.defineProperty(this, "failure", { value: error, enumerable: true, writable: true })
      return error
    }
  }
}

/** Makes an error without recording the calls that led to it: none of them is to blame. */
const withoutStack = <A>(make: () => A): A => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}
