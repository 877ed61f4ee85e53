/** From what happened to the `PollerError` that says so. */
import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"
import {
  AlreadyRegistered,
  BadDescriptor,
  Closed,
  InvalidArgument,
  LimitReached,
  NotPollable,
  NotRegistered,
  PermissionDenied,
  PollerError,
  type PollerErrorReason,
  SystemError,
  UnsupportedPlatform,
  WorkerFailed
} from "../PollerError.ts"
import type { Control } from "./control.ts"
import { State } from "./control.ts"
import { UnsupportedSystem } from "./libc/functions.ts"
import { SelectorFailure } from "./selector/selector.ts"

const fail = (reason: PollerErrorReason): PollerError => new PollerError({ reason })

/** The name of an error number on this system. */
export const errnoName = (errno: number): string => getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`

/** What the kernel answered to a call. */
export const fromErrno = (syscall: string, errno: number, fd?: number): PollerError => {
  const code = errnoName(errno)
  const where = { syscall, errno, code, ...(fd === undefined ? {} : { fd }) }
  switch (code) {
    case "EEXIST":
      return fail(new AlreadyRegistered(where))
    case "ENOENT":
      return fail(new NotRegistered(where))
    case "EPERM":
      return fail(syscall.startsWith("epoll_ctl") ? new NotPollable(where) : new PermissionDenied(where))
    case "EACCES":
      return fail(new PermissionDenied(where))
    case "EBADF":
      return fail(new BadDescriptor(where))
    case "ENOSPC":
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
      return fail(new LimitReached(where))
    case "EINVAL":
    case "ELOOP":
      return fail(
        new InvalidArgument({
          ...where,
          description:
            "the kernel does not watch this descriptor in this way (a poller cannot watch itself, an exclusive registration cannot be changed, and layerEventLoop cannot watch one open file under more than about 500 numbers)"
        })
      )
    default:
      return fail(new SystemError(where))
  }
}

export const invalidArgument = (description: string, fd?: number): PollerError =>
  fail(new InvalidArgument({ description, ...(fd === undefined ? {} : { fd }) }))

export const badDescriptor = (syscall: string, fd: number): PollerError => fromErrno(syscall, constants.errno.EBADF, fd)

export const notRegistered = (description: string, fd?: number): PollerError =>
  fail(new NotRegistered({ description, ...(fd === undefined ? {} : { fd }) }))

export const limitReached = (description: string): PollerError => fail(new LimitReached({ description }))

export const closed = (): PollerError => fail(new Closed({}))

export const closedBecause = (description: string): PollerError => fail(new Closed({ description }))

export const workerFailed = (description: string, cause?: unknown): PollerError =>
  fail(new WorkerFailed({ description, ...(cause === undefined ? {} : { cause }) }))

/** Why a poller that is not open cannot be used. */
export const notOpen = (control: Control): PollerError => {
  if (control.state !== State.Failed) return closed()
  const errno = control.failedWith
  return workerFailed(
    errno === 0
      ? "the thread that waited in the kernel has died"
      : `the thread that waited in the kernel has died of ${errnoName(errno)}`
  )
}

/** What opening a selector threw. Anything unforeseen is a defect and thrown on. */
export const fromThrown = (thrown: unknown): PollerError => {
  if (thrown instanceof SelectorFailure) return fromErrno(thrown.syscall, thrown.errno)
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
