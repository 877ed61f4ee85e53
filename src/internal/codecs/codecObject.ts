/** What readers and writers have in common as objects. */
import { PublicObject } from "../objects/publicObject.ts"

/** A reader or a writer. Its printed form is `LineReader(maxLength 65536, 3 pending)`. */
export abstract class CodecObject extends PublicObject {
  /** The name of its module. */
  protected abstract get kind(): string
  abstract get maxLength(): number
  abstract get pendingBytes(): number

  toString(): string {
    return `${this.kind}(maxLength ${this.maxLength}, ${this.pendingBytes} pending)`
  }

  toJSON(): unknown {
    return { _id: `effect-amy/${this.kind}`, maxLength: this.maxLength, pendingBytes: this.pendingBytes }
  }
}

/**
 * Makes the error of an operation whose first argument was not made by its module: a mistake in the
 * program.
 */
export const notMadeBy = (kind: string, operation: string): TypeError =>
  new TypeError(`the first argument of ${kind}.${operation} is not a ${kind}: pass what ${kind}.make returned`)
