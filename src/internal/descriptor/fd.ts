/** Owned descriptors, with the calls that every kind of descriptor has. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { closeSync, constants, openSync } from "node:fs"
import { isUint8Array } from "node:util/types"
import type { Fd } from "../../Fd.ts"
import { isPollerError, type PollerError } from "../../PollerError.ts"
import type { FdLike } from "../../Registrar.ts"
import { toFd } from "../delivery/registrar.ts"
import { descriptorError, readArgument, rangeError, restOf, textOf } from "../errors/arguments.ts"
import { loadLibc } from "../errors/loadLibc.ts"
import { exceptOnWindows } from "../errors/onWindows.ts"
import { deniedByNode } from "../errors/nodePermission.ts"
import { fromErrno, fromThrown, invalidArgument, unsupported } from "../errors/pollerErrors.ts"
import { duplicate } from "../kernel/duplicate.ts"
import { makeIovec, setIovec } from "../kernel/iovec.ts"
import { openPipe } from "../kernel/pipe.ts"
import { retryInterrupted } from "../kernel/retry.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"
import type { Libc } from "../libc/koffi.ts"
import type { PointerArray } from "../libc/prototypes/pointers.ts"
import { fsKnowsItsOwnOnly } from "../libc/runtime.ts"
import { isOf } from "../objects/guards.ts"
import { detachMethods, PublicObject } from "../objects/publicObject.ts"
import { OwnedFd, scoped } from "./ownedFd.ts"
import { systemCall, unlessBlocked } from "./systemCall.ts"

export const TypeId = "~effect-amy/Fd"

/** The most buffers that one call takes on every system. */
const mostBuffers = 1024

export class FdImpl extends PublicObject implements Fd {
  readonly #libc: Libc
  readonly #owned: OwnedFd

  static {
    detachMethods(this)
  }

  constructor(libc: Libc, fd: number) {
    super()
    this.#libc = libc
    this.#owned = new OwnedFd(libc, fd, "the descriptor")
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get owned(): OwnedFd {
    return this.#owned
  }

  get fd(): number {
    return this.#owned.fd
  }

  get close(): Effect.Effect<void, PollerError> {
    return this.#owned.close
  }

  get take(): Effect.Effect<number, PollerError> {
    return this.#owned.take
  }

  tryRead(
    buffer: Uint8Array,
    offset = 0,
    length = restOf(buffer, offset)
  ): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "read",
      // A read of no bytes would look like the end.
      () => rangeError(buffer, offset, length, 1),
      (fd) => functions.read(fd, buffer.subarray(offset), length)
    )
  }

  tryWrite(
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

  tryReadv(buffers: ReadonlyArray<Uint8Array>): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "readv",
      () => buffersError(buffers) ?? roomError(buffers),
      (fd) => functions.readv(fd, this.#vector(buffers), buffers.length)
    )
  }

  tryWritev(buffers: ReadonlyArray<Uint8Array>): Effect.Effect<Option.Option<number>, PollerError> {
    const { functions } = this.#libc
    return this.#transfer(
      "writev",
      () => buffersError(buffers),
      (fd) => functions.writev(fd, this.#vector(buffers), buffers.length)
    )
  }

  #vector(buffers: ReadonlyArray<Uint8Array>): PointerArray {
    const vector = makeIovec(this.#libc, buffers.length)
    buffers.forEach((buffer, i) => setIovec(this.#libc, vector, i, buffer))
    return vector
  }

  #transfer(
    syscall: string,
    check: () => PollerError | undefined,
    call: (fd: number) => number
  ): Effect.Effect<Option.Option<number>, PollerError> {
    return this.#owned.use((fd) => {
      const invalid = check()
      if (invalid !== undefined) return Effect.fail(invalid)
      if (this.#libc.profile.selector === "afd" && syscall.endsWith("v")) {
        return Effect.fail(unsupported(`Windows has no ${syscall}: make a call for each buffer`))
      }
      const result = retryInterrupted(this.#libc, () => call(fd))
      const count = unlessBlocked(this.#libc, syscall, this.#owned, result)
      return count === undefined ? Effect.succeedNone : Effect.asSome(count)
    })
  }

  setNonblocking(nonblocking: boolean): Effect.Effect<void, PollerError> {
    return this.#owned.use((fd) => changeMode(this.#libc, fd, nonblocking))
  }

  get dup(): Effect.Effect<Fd, PollerError, Scope.Scope> {
    const libc = this.#libc
    return scoped(
      this.#owned.use((fd) =>
        exceptOnWindows(libc, "a socket of Windows has one descriptor: share the one that there is").pipe(
          Effect.andThen(
            systemCall(libc, "fcntl(F_DUPFD_CLOEXEC)", { fd }, () =>
              libc.functions.fcntl(fd, libc.profile.fcntl.F_DUPFD_CLOEXEC, "int", 0)
            )
          ),
          Effect.map((copy) => new FdImpl(libc, copy))
        )
      )
    )
  }

  toJSON() {
    return { _id: "effect-amy/Fd", fd: this.fd }
  }

  toString(): string {
    return `Fd(${this.fd === -1 ? "closed" : this.fd})`
  }
}

const buffersError = (buffers: ReadonlyArray<Uint8Array>): PollerError | undefined =>
  readArgument("the buffers", () => checkBuffers(buffers))

const checkBuffers = (buffers: ReadonlyArray<Uint8Array>): PollerError | undefined =>
  !Array.isArray(buffers) || !buffers.every((buffer) => isUint8Array(buffer))
    ? invalidArgument("invalid buffers: expected an array of Uint8Array")
    : buffers.length === 0 || buffers.length > mostBuffers
      ? invalidArgument(`invalid number of buffers ${buffers.length}: expected 1 to ${mostBuffers}`)
      : undefined

/** Returns the error of buffers without room: reading no bytes would look like the end. */
const roomError = (buffers: ReadonlyArray<Uint8Array>): PollerError | undefined =>
  buffers.some(({ length }) => length > 0)
    ? undefined
    : invalidArgument("the buffers have no room for a byte: pass a longer one")

export const isFd = (u: unknown): u is Fd => isOf(FdImpl, u)

const changeMode = (libc: Libc, fd: number, nonblocking: boolean): Effect.Effect<void, PollerError> => {
  if (typeof nonblocking !== "boolean") {
    return Effect.fail(invalidArgument(`invalid nonblocking ${textOf(nonblocking)}: expected true or false`))
  }
  const { F_GETFL, F_SETFL, O_NONBLOCK } = libc.profile.fcntl
  const fcntl = (syscall: string, command: number, argument: number) =>
    systemCall(libc, syscall, { fd }, () => libc.functions.fcntl(fd, command, "int", argument))
  return Effect.flatMap(fcntl("fcntl(F_GETFL)", F_GETFL, 0), (flags) =>
    Effect.asVoid(fcntl("fcntl(F_SETFL)", F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
  )
}

export const setNonblocking = (fdLike: FdLike, nonblocking: boolean): Effect.Effect<void, PollerError> =>
  Effect.flatMap(loadLibc, (libc) => {
    const fd = toFd(fdLike)
    if (isPollerError(fd)) return Effect.fail(fd)
    const error = descriptorError(fd, "an integer of at least 0")
    return error === undefined ? changeMode(libc, fd, nonblocking) : Effect.fail(error)
  })

export const own = (fd: number): Effect.Effect<Fd, PollerError, Scope.Scope> =>
  scoped(
    Effect.flatMap(loadLibc, (libc) => {
      const invalid = descriptorError(fd, "an integer")
      if (invalid !== undefined) return Effect.fail(invalid)
      return Effect.map(
        systemCall(libc, "fcntl(F_GETFL)", { fd }, () =>
          libc.functions.fcntl(fd, libc.profile.fcntl.F_GETFL, "int", 0)
        ),
        () => new FdImpl(libc, fd)
      )
    })
  )

const accesses = new Map([
  ["read", constants.O_RDONLY],
  ["write", constants.O_WRONLY],
  ["both", constants.O_RDWR]
] as const)

/** Returns the number of an open file that `node:fs` has opened, for this library to close. */
const takeOver = (libc: Libc, fd: number): number => {
  if (!fsKnowsItsOwnOnly) return fd
  try {
    return duplicate(libc, [fd])[0]!
  } finally {
    closeSync(fd)
  }
}

/** Opens a path without waiting for anything. Returns the number, which is close-on-exec. */
export const openPath = (libc: Libc, path: string, flags: number): Effect.Effect<number, PollerError> =>
  Effect.try({
    // Node makes it close-on-exec. A terminal must not become the controlling terminal of this
    // process.
    try: () => takeOver(libc, openSync(path, flags | constants.O_NONBLOCK | constants.O_NOCTTY)),
    catch: (thrown) => {
      if (thrown instanceof SystemCallError) return fromThrown(thrown)
      const { code, errno } = thrown as NodeJS.ErrnoException
      if (errno !== undefined) return fromErrno(`open("${textOf(path)}")`, -errno)
      return (
        deniedByNode(`open("${textOf(path)}")`, thrown) ??
        invalidArgument(`invalid path (${code ?? textOf(thrown)}): expected a string without a zero byte`)
      )
    }
  })

export const open = (path: string, access: "read" | "write" | "both"): Effect.Effect<Fd, PollerError, Scope.Scope> =>
  scoped(
    Effect.flatMap(loadLibc, (libc) => {
      const flags = accesses.get(access)
      if (flags === undefined) {
        return Effect.fail(invalidArgument(`invalid access ${textOf(access)}: expected "read", "write" or "both"`))
      }
      return exceptOnWindows(libc, "Windows does not poll files: read them by Effect's `FileSystem`").pipe(
        Effect.andThen(openPath(libc, path, flags)),
        Effect.map((fd) => new FdImpl(libc, fd))
      )
    })
  )

export const pipe: Effect.Effect<{ readonly reader: Fd; readonly writer: Fd }, PollerError, Scope.Scope> =
  Effect.flatMap(loadLibc, (libc) =>
    Effect.acquireRelease(
      exceptOnWindows(libc, "Windows does not poll pipes: make a UserEvent, a PollChannel, or two sockets").pipe(
        Effect.andThen(Effect.try({ try: () => openPipe(libc), catch: fromThrown })),
        Effect.map(({ reader, writer }) => ({ reader: new FdImpl(libc, reader), writer: new FdImpl(libc, writer) }))
      ),
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
        return Effect.fail(invalidArgument(`invalid count ${textOf(initial)}: expected an integer from 0 to 2^32 - 1`))
      }
      const { profile } = libc
      if (profile.selector !== "epoll") {
        return Effect.fail(unsupported("this system has no eventfd (Linux has): make a pipe, or a UserEvent"))
      }
      const { CLOEXEC, NONBLOCK } = profile.eventfd
      return Effect.map(
        systemCall(libc, "eventfd", undefined, () => libc.functions.eventfd(initial, CLOEXEC | NONBLOCK)),
        (fd) => new FdImpl(libc, fd)
      )
    })
  )
