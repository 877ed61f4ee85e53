/** A descriptor of the kernel in memory, as a test holds it. */
import * as Effect from "effect/Effect"
import type { PollerError } from "../../PollerError.ts"
import type { FakeDescriptor } from "../../testing/TestPoller.ts"
import { badDescriptor } from "../errors/pollerErrors.ts"
import { Readiness } from "../kernel/selector.ts"
import { PublicObject } from "../objects/publicObject.ts"
import type { MemoryKernel } from "./memoryKernel.ts"

export class FakeDescriptorImpl extends PublicObject implements FakeDescriptor {
  readonly #kernel: MemoryKernel
  readonly #fd: number
  #isOpen = true

  constructor(kernel: MemoryKernel, fd: number) {
    super()
    this.#kernel = kernel
    this.#fd = fd
  }

  get fd(): number {
    return this.#fd
  }

  get readable(): Effect.Effect<void, PollerError> {
    return this.#raise(Readiness.Readable)
  }

  get drained(): Effect.Effect<void, PollerError> {
    return this.#lower(Readiness.Readable)
  }

  get writable(): Effect.Effect<void, PollerError> {
    return this.#raise(Readiness.Writable)
  }

  get full(): Effect.Effect<void, PollerError> {
    return this.#lower(Readiness.Writable)
  }

  get priority(): Effect.Effect<void, PollerError> {
    return this.#raise(Readiness.Priority)
  }

  get readClosed(): Effect.Effect<void, PollerError> {
    // The end of the input is something to read.
    return this.#raise(Readiness.Readable | Readiness.ReadClosed)
  }

  get hungUp(): Effect.Effect<void, PollerError> {
    return this.#raise(Readiness.Readable | Readiness.Writable | Readiness.ReadClosed | Readiness.WriteClosed)
  }

  get failed(): Effect.Effect<void, PollerError> {
    return this.#raise(Readiness.Error | Readiness.WriteClosed)
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.#whileOpen(() => {
      this.#isOpen = false
      this.#kernel.close(this.#fd)
    })
  }

  #raise(bits: number): Effect.Effect<void, PollerError> {
    return this.#whileOpen(() => this.#kernel.raise(this.#fd, bits))
  }

  #lower(bits: number): Effect.Effect<void, PollerError> {
    return this.#whileOpen(() => this.#kernel.lower(this.#fd, bits))
  }

  #whileOpen(action: () => void): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => {
      if (!this.#isOpen) return Effect.fail(badDescriptor("TestPoller", this.#fd))
      action()
      return Effect.void
    })
  }

  toString(): string {
    return `FakeDescriptor(${this.#isOpen ? this.#fd : "closed"})`
  }

  toJSON(): unknown {
    return { _id: "effect-amy/FakeDescriptor", fd: this.#isOpen ? this.#fd : null }
  }
}
