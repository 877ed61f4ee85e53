/** Owned descriptors with the calls that every kind of them has. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { constants, openSync } from "node:fs"
import type { Fd } from "../../Fd.ts"
import type { PollerError } from "../../PollerError.ts"
import { fromErrno, fromThrown, invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import type { Libc } from "../libc/koffi.ts"
import { openPipe } from "../kernel/pipe.ts"
import { OwnedFd, scoped } from "./ownedFd.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { attempt, outcome } from "./systemCall.ts"
import { rangeError, restOf } from "../errors/arguments.ts"
import { retryInterrupted } from "../kernel/retry.ts"

/** As many pieces as one call takes on every system. */
const mostPieces = 1024

export class FdImpl implements Fd {
  readonly owned: OwnedFd
  readonly #libc: Libc

  constructor(libc: Libc, fd: number) {
    this.#libc = libc
    this.owned = new OwnedFd(libc, fd, "the descriptor")
  }

  get fd(): number {
    return this.owned.fd
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.owned.close
  }

  readonly take: Effect.Effect<number, PollerError> = Effect.suspend(() => {
    const fd = this.owned.take()
    return fd === -1 ? Effect.fail(this.owned.closed) : Effect.succeed(fd)
  })

  read(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset)
  ): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "read",
      () => rangeError(buffer, offset, length, 1),
      (fd) => functions.read(fd, buffer.subarray(offset), length)
    )
  }

  write(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset)
  ): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "write",
      () => rangeError(buffer, offset, length, 0),
      (fd) => functions.write(fd, buffer.subarray(offset), length)
    )
  }

  readv(buffers: ReadonlyArray<Uint8Array>): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "readv",
      () => piecesError(buffers) ?? roomError(buffers),
      (fd) => functions.readv(fd, this.#vector(buffers), buffers.length)
    )
  }

  writev(buffers: ReadonlyArray<Uint8Array>): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "writev",
      () => piecesError(buffers),
      (fd) => functions.writev(fd, this.#vector(buffers), buffers.length)
    )
  }

  /** `struct iovec` for each of them. They are referred to by the caller until the call is over. */
  #vector(buffers: ReadonlyArray<Uint8Array>): BigUint64Array {
    const vector = new BigUint64Array(buffers.length * 2)
    buffers.forEach((buffer, i) => {
      vector[2 * i] = this.#libc.addressOf(buffer)
      vector[2 * i + 1] = BigInt(buffer.length)
    })
    return vector
  }

  #transfer(
    syscall: string,
    check: () => PollerError | undefined,
    make: (fd: number) => number
  ): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#use((fd) => {
      const invalid = check()
      if (invalid !== undefined) return Effect.fail(invalid)
      const done = outcome(
        this.#libc,
        syscall,
        this.owned,
        retryInterrupted(this.#libc, () => make(fd))
      )
      return done === undefined ? Effect.succeedNone : Effect.asSome(done)
    })
  }

  setNonblocking(nonblocking: boolean): Effect.Effect<void, PollerError> {
    const { F_GETFL, F_SETFL, O_NONBLOCK } = this.#libc.profile.fcntl
    const fcntl = (syscall: string, fd: number, command: number, argument: number) =>
      attempt(this.#libc, syscall, { fd }, () => this.#libc.functions.fcntl(fd, command, "int", argument))
    return this.#use((fd) =>
      Effect.flatMap(fcntl("fcntl(F_GETFL)", fd, F_GETFL, 0), (flags) =>
        Effect.asVoid(fcntl("fcntl(F_SETFL)", fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
      )
    )
  }

  get dup(): Effect.Effect<Fd, PollerError, Scope.Scope> {
    const libc = this.#libc
    return scoped(
      this.#use((fd) =>
        Effect.map(
          attempt(libc, "fcntl(F_DUPFD_CLOEXEC)", { fd }, () =>
            libc.functions.fcntl(fd, libc.profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
          ),
          (copy) => new FdImpl(libc, copy)
        )
      )
    )
  }

  #use<A>(use: (fd: number) => Effect.Effect<A, PollerError>): Effect.Effect<A, PollerError> {
    return Effect.suspend(() => {
      const { fd } = this.owned
      return fd === -1 ? Effect.fail(this.owned.closed) : use(fd)
    })
  }
}

const piecesError = (buffers: ReadonlyArray<Uint8Array>): PollerError | undefined =>
  !Array.isArray(buffers)
    ? invalidArgument("these are no buffers: give an array of Uint8Array")
    : buffers.length === 0 || buffers.length > mostPieces
      ? invalidArgument(`${buffers.length} buffers are not between 1 and ${mostPieces}`)
      : buffers.every((buffer) => buffer instanceof Uint8Array)
        ? undefined
        : invalidArgument("one of the buffers is none: give an array of Uint8Array")

/** Nothing to read into would look like the end. */
const roomError = (buffers: ReadonlyArray<Uint8Array>): PollerError | undefined =>
  buffers.some(({ length }) => length > 0)
    ? undefined
    : invalidArgument("the buffers have no room for a byte: give a longer one")

export const own = (fd: number): Effect.Effect<Fd, PollerError, Scope.Scope> =>
  scoped(
    Effect.flatMap(loadLibc, (libc) => {
      if (!Number.isInteger(fd) || fd !== (fd | 0)) {
        return Effect.fail(invalidArgument(`${String(fd)} is no descriptor: give a whole number`))
      }
      return Effect.map(
        attempt(libc, "fcntl(F_GETFL)", { fd }, () => libc.functions.fcntl(fd, libc.profile.fcntl.F_GETFL, "int", 0)),
        () => new FdImpl(libc, fd)
      )
    })
  )

const accesses = { read: constants.O_RDONLY, write: constants.O_WRONLY, both: constants.O_RDWR }

export const open = (path: string, access: keyof typeof accesses): Effect.Effect<Fd, PollerError, Scope.Scope> =>
  scoped(
    Effect.flatMap(loadLibc, (libc) => {
      const flags: number | undefined = accesses[access]
      if (flags === undefined) return Effect.fail(invalidArgument('the access is "read", "write" or "both"'))
      return Effect.try({
        // Node makes it close-on-exec. A terminal that is opened does not become the one of this process.
        try: () => new FdImpl(libc, openSync(path, flags | constants.O_NONBLOCK | constants.O_NOCTTY)),
        catch: (thrown) => {
          const { code, errno } = thrown as NodeJS.ErrnoException
          return errno === undefined
            ? invalidArgument(`the path cannot be used (${code ?? String(thrown)}): give one without a zero byte`)
            : fromErrno(`open("${path}")`, -errno)
        }
      })
    })
  )

export const pipe: Effect.Effect<{ readonly reader: Fd; readonly writer: Fd }, PollerError, Scope.Scope> =
  Effect.flatMap(loadLibc, (libc) =>
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          const { reader, writer } = openPipe(libc)
          return { reader: new FdImpl(libc, reader), writer: new FdImpl(libc, writer) }
        },
        catch: fromThrown
      }),
      ({ reader, writer }) =>
        Effect.sync(() => {
          reader.owned.closeUnsafe()
          writer.owned.closeUnsafe()
        })
    )
  )

export const eventfd = (initial: number): Effect.Effect<Fd, PollerError, Scope.Scope> =>
  scoped(
    Effect.flatMap(loadLibc, (libc) => {
      if (!Number.isInteger(initial) || initial < 0 || initial > 0xffff_ffff) {
        return Effect.fail(invalidArgument(`the count ${String(initial)} is not a whole number from 0 to 2^32 - 1`))
      }
      const { profile } = libc
      if (profile.selector !== "epoll") {
        return Effect.fail(unsupported("this system has no eventfd (Linux has): make a pipe, or a UserEvent"))
      }
      const { CLOEXEC, NONBLOCK } = profile.eventfd
      return Effect.map(
        attempt(libc, "eventfd", undefined, () => libc.functions.eventfd(initial, CLOEXEC | NONBLOCK)),
        (fd) => new FdImpl(libc, fd)
      )
    })
  )
