/** What a reader has found and its user has not taken yet: values, with errors in their places. */
import * as MutableList from "effect/MutableList"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { CodecError, type CodecErrorReason } from "../../codecs/CodecError.ts"

export class Results<A> {
  readonly #list = MutableList.make<Result.Result<A, CodecError>>()

  add(value: A): void {
    MutableList.append(this.#list, Result.succeed(value))
  }

  addError(reason: CodecErrorReason): void {
    MutableList.append(this.#list, Result.fail(new CodecError({ reason })))
  }

  next(): Option.Option<Result.Result<A, CodecError>> {
    const taken = MutableList.take(this.#list)
    return taken === MutableList.Empty ? Option.none() : Option.some(taken)
  }

  takeAll(): Array<Result.Result<A, CodecError>> {
    return MutableList.takeAll(this.#list)
  }
}
