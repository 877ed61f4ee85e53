/**
 * A descriptor that this library owns: closed once, by its scope or before, and never used
 * afterwards.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PollerError } from "../../PollerError.ts"
import { closedBecause } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"

/** What works on the descriptor, and has to stop before it is closed. */
export interface Users {
  /**
   * Called before the descriptor is closed or given away. Nothing may use the descriptor
   * afterwards.
   */
  readonly release: (error: PollerError) => void
  /** Called after the descriptor was closed or given away, to fail the fibers that wait for it. */
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

  /** The number, or -1 once it is closed: from then on, the number may have been reused. */
  get fd(): number {
    return this.#fd
  }

  get closed(): PollerError {
    return closedBecause(`${this.#what} is closed`)
  }

  /**
   * Runs an effect on the number. Fails with `Closed` in place of touching a number that may have
   * been reused.
   */
  use<A, E, R>(use: (fd: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E | PollerError, R> {
    return Effect.suspend((): Effect.Effect<A, E | PollerError, R> =>
      this.#fd === -1 ? Effect.fail(this.closed) : use(this.#fd)
    )
  }

  /**
   * Gives the number away without closing it: its new owner has to close it. Fails with `Closed`.
   */
  get take(): Effect.Effect<number, PollerError> {
    return Effect.suspend(() => {
      const fd = this.#release()
      if (fd === -1) return Effect.fail(this.closed)
      this.#users?.end(this.closed)
      return Effect.succeed(fd)
    })
  }

  /** Closes the descriptor. Returns false if it was closed before. */
  closeUnsafe(): boolean {
    const fd = this.#release()
    if (fd === -1) return false
    // The number is free even if close(2) returns an error. An error says that written bytes were
    // lost, which only files can lose, and a poller watches none.
    this.#libc.functions.close(fd)
    this.#users?.end(this.closed)
    return true
  }

  #release(): number {
    const fd = this.#fd
    if (fd === -1) return -1
    // First, because a user that is released may run a fiber that closes this as well.
    this.#fd = -1
    this.#users?.release(this.closed)
    return fd
  }

  /** Closes the descriptor. Fails with `Closed` if it was closed before. */
  get close(): Effect.Effect<void, PollerError> {
    return Effect.suspend(() => (this.closeUnsafe() ? Effect.void : Effect.fail(this.closed)))
  }
}

/** Opens something, and closes it with the scope. */
export const scoped = <A extends { readonly owned: OwnedFd }>(
  acquire: Effect.Effect<A, PollerError>
): Effect.Effect<A, PollerError, Scope.Scope> =>
  Effect.acquireRelease(acquire, ({ owned }) => Effect.sync(() => void owned.closeUnsafe()))
