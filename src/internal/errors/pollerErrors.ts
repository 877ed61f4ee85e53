/** From what happened to the `PollerError` that says so. */
import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"
import {
  AddressInUse,
  AddressNotAvailable,
  AlreadyRegistered,
  BadDescriptor,
  BrokenPipe,
  Closed,
  ConnectionRefused,
  ConnectionReset,
  InvalidArgument,
  LimitReached,
  NotPollable,
  NotRegistered,
  PermissionDenied,
  PollerError,
  type PollerErrorReason,
  SystemError,
  TimedOut,
  Unreachable,
  UnsupportedPlatform,
  WorkerFailed
} from "../../PollerError.ts"
import type { PollerMemory } from "../shared/pollerMemory.ts"
import { State } from "../shared/pollerMemory.ts"
import { UnsupportedSystem } from "../libc/koffi.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"

const fail = (reason: PollerErrorReason): PollerError => new PollerError({ reason })

/** The name of an error number on this system. */
export const errnoName = (errno: number): string => getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`

interface Where {
  readonly syscall: string
  readonly errno: number
  readonly code: string
  readonly fd?: number
}

type Reason = (where: Where) => PollerErrorReason

const argument =
  (description: string): Reason =>
  (where) =>
    new InvalidArgument({ ...where, description })

const limit: Reason = (where) => new LimitReached(where)
const unreachable: Reason = (where) => new Unreachable(where)
const notWatchable = argument(
  "the kernel does not watch this descriptor in this way (a poller cannot watch itself, an exclusive registration cannot be changed, and layerEventLoop cannot watch one open file under more than about 500 numbers)"
)

const reasons: { readonly [code: string]: Reason } = {
  EACCES: (where) => new PermissionDenied(where),
  EADDRINUSE: (where) => new AddressInUse(where),
  EADDRNOTAVAIL: (where) => new AddressNotAvailable(where),
  EAFNOSUPPORT: argument("this socket does not have addresses of that family"),
  EBADF: (where) => new BadDescriptor(where),
  ECONNABORTED: (where) => new ConnectionReset(where),
  ECONNREFUSED: (where) => new ConnectionRefused(where),
  ECONNRESET: (where) => new ConnectionReset(where),
  EHOSTDOWN: unreachable,
  EHOSTUNREACH: unreachable,
  EINVAL: argument("the kernel does not take this argument here"),
  EMFILE: limit,
  EMSGSIZE: argument("this is too long for one datagram"),
  ENAMETOOLONG: argument("this path is too long"),
  ENETDOWN: unreachable,
  ENETUNREACH: unreachable,
  ENFILE: limit,
  ENOBUFS: limit,
  ENOMEM: limit,
  ENOSPC: limit,
  ENOTSOCK: argument("this descriptor is no socket"),
  EPERM: (where) => new PermissionDenied(where),
  EPIPE: (where) => new BrokenPipe(where),
  EPROTOTYPE: argument("the socket at that path is of another kind"),
  ETIMEDOUT: (where) => new TimedOut(where)
}

/** What some of them mean where a selector answers them. */
const selectorReasons: typeof reasons = {
  EEXIST: (where) => new AlreadyRegistered(where),
  EINVAL: notWatchable,
  ELOOP: notWatchable,
  ENOENT: (where) => new NotRegistered(where),
  EPERM: (where) => new NotPollable(where)
}

/** What they mean for an address that is a path. */
const addressReasons: typeof reasons = {
  ENOENT: (where) => new AddressNotAvailable(where),
  ENOTDIR: (where) => new AddressNotAvailable(where)
}

const reasonsOf = (syscall: string): typeof reasons | undefined => {
  if (syscall.startsWith("epoll_ctl") || syscall.startsWith("kevent")) return selectorReasons
  return syscall === "connect" || syscall === "bind" ? addressReasons : undefined
}

/** What the kernel answered to a call. */
export const fromErrno = (syscall: string, errno: number, fd?: number): PollerError => {
  const code = errnoName(errno)
  const where = { syscall, errno, code, ...(fd === undefined ? {} : { fd }) }
  return fail((reasonsOf(syscall)?.[code] ?? reasons[code] ?? ((where) => new SystemError(where)))(where))
}

export const invalidArgument = (description: string, fd?: number): PollerError =>
  fail(new InvalidArgument({ description, ...(fd === undefined ? {} : { fd }) }))

export const badDescriptor = (syscall: string, fd: number): PollerError => fromErrno(syscall, constants.errno.EBADF, fd)

export const notRegistered = (description: string, fd?: number): PollerError =>
  fail(new NotRegistered({ description, ...(fd === undefined ? {} : { fd }) }))

export const limitReached = (description: string): PollerError => fail(new LimitReached({ description }))

export const timedOut = (syscall: string): PollerError => fail(new TimedOut({ syscall }))

export const unsupported = (description: string): PollerError =>
  fail(new UnsupportedPlatform({ platform: process.platform, description }))

export const closed = (): PollerError => fail(new Closed({}))

export const closedBecause = (description: string): PollerError => fail(new Closed({ description }))

export const workerFailed = (description: string, cause?: unknown): PollerError =>
  fail(new WorkerFailed({ description, ...(cause === undefined ? {} : { cause }) }))

/** Why a poller that is not open cannot be used. */
export const notOpen = (memory: PollerMemory): PollerError => {
  if (memory.state !== State.Failed) return closed()
  const errno = memory.failedWith
  return workerFailed(
    errno === 0
      ? "the thread that waited in the kernel has died"
      : `the thread that waited in the kernel has died of ${errnoName(errno)}`
  )
}

/** What opening a selector threw. Anything unforeseen is a defect and thrown on. */
export const fromThrown = (thrown: unknown): PollerError => {
  if (thrown instanceof SystemCallError) return fromErrno(thrown.syscall, thrown.errno)
  if (thrown instanceof UnsupportedSystem) {
    return fail(
      new UnsupportedPlatform({
        platform: process.platform,
        description: thrown.message,
        ...(thrown.cause === undefined ? {} : { cause: thrown.cause })
      })
    )
  }
  throw thrown
}
