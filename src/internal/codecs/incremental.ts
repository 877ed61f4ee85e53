/**
 * What the incremental readers share: chunks go in, results come out, and the two need not keep
 * step.
 */
import * as MutableList from "effect/MutableList"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { CodecError, type CodecErrorReason } from "../../codecs/CodecError.ts"
import { CodecObject } from "./codecObject.ts"

export abstract class Incremental<A> extends CodecObject {
  readonly #results = MutableList.make<Result.Result<A, CodecError>>()

  /**
   * Takes in a chunk. Keeps no reference to it, so that the caller can read into the same buffer
   * again.
   */
  abstract feed(chunk: Uint8Array): void

  /** Ends the input. What is fed afterwards is another input. */
  abstract end(): void

  protected emit(value: A): void {
    MutableList.append(this.#results, Result.succeed(value))
  }

  protected emitError(reason: CodecErrorReason): void {
    MutableList.append(this.#results, Result.fail(new CodecError({ reason })))
  }

  next(): Option.Option<Result.Result<A, CodecError>> {
    const taken = MutableList.take(this.#results)
    return taken === MutableList.Empty ? Option.none() : Option.some(taken)
  }

  takeAll(): Array<Result.Result<A, CodecError>> {
    return MutableList.takeAll(this.#results)
  }
}
