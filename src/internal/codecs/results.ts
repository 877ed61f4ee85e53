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
    MutableList.append(this.#list, failure(reason))
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

/**
 * Makes a failure whose error is made when it is looked at. Making an error costs more than reading
 * ten lines, and the peer decides how many there are.
 */
const failure = (reason: () => CodecErrorReason): Result.Result<never, CodecError> => {
  const define = (descriptor: PropertyDescriptor) => Object.defineProperty(result, "failure", descriptor)
  const result = Object.create(failurePrototype) as Result.Failure<never, CodecError>
  define({
    enumerable: true,
    configurable: true,
    get() {
      const error = withoutStack(() => new CodecError({ reason: reason() }))
      define({ value: error, enumerable: true, writable: true })
      return error
    }
  })
  return result
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
