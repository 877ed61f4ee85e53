/** A descriptor that is ours: closed once, by its scope or before, and not used afterwards. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PollerError } from "../../PollerError.ts"
import { closedBecause } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

/** Those who use it. */
export interface Users {
  /** The descriptor is about to be closed, or given away: from here on nothing is done with it. */
  readonly release: (error: PollerError) => void
  /** It is not theirs any more: whoever waits for it is told. */
  readonly end: (error: PollerError) => void
}

export class OwnedFd {
  readonly #libc: Libc
  readonly #users: Users | undefined
  readonly #what: string
  #fd: number

  constructor(libc: Libc, fd: number, what: string, users?: Users) {
    this.#libc = libc
    this.#fd = fd
    this.#what = what
    this.#users = users
  }

  /** Its number, or -1 once it is closed: by then that number may be somebody else's. */
  get fd(): number {
    return this.#fd
  }

  get closed(): PollerError {
    return closedBecause(`${this.#what} is closed`)
  }

  /** Gives the number away. Whoever gets it closes it. */
  take(): number {
    const fd = this.#release()
    if (fd !== -1) this.#users?.end(this.closed)
    return fd
  }

  /** Answers whether it was open. */
  closeUnsafe(): boolean {
    const fd = this.#release()
    if (fd === -1) return false
    // Whatever close(2) answers, the number is free.
    this.#libc.functions.close(fd)
    this.#users?.end(this.closed)
    return true
  }

  #release(): number {
    const fd = this.#fd
    if (fd === -1) return -1
    // First, for whoever is told of something meanwhile may close it, too.
    this.#fd = -1
    this.#users?.release(this.closed)
    return fd
  }

  /** Fails with `Closed` if it was closed before. */
  readonly close: Effect.Effect<void, PollerError> = Effect.suspend(() =>
    this.closeUnsafe() ? Effect.void : Effect.fail(this.closed)
  )
}

/** Opens something, and closes it with the scope. */
export const scoped = <A extends { readonly owned: OwnedFd }>(
  acquire: Effect.Effect<A, PollerError>
): Effect.Effect<A, PollerError, Scope.Scope> =>
  Effect.acquireRelease(acquire, ({ owned }) => Effect.sync(() => void owned.closeUnsafe()))
