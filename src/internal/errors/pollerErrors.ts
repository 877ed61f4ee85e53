/** Makes each `PollerError` from what happened. */
import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"
import { isNativeError } from "node:util/types"
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
  MessageTooLarge,
  NotConnected,
  NotFound,
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
import { UnsupportedSystem } from "../libc/unsupportedSystem.ts"
import { deniedByNode } from "./nodePermission.ts"
import { SystemCallError } from "../kernel/systemCallError.ts"

const fail = (reason: PollerErrorReason): PollerError => new PollerError({ reason })

/** Returns the name of an error number on this system. Node has two lists, and neither has all. */
export const errnoName = (errno: number): string =>
  getSystemErrorMap().get(-errno)?.[0] ??
  Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ??
  `errno ${errno}`

/** What a call was about. Any object that has these will do, and each is read once. */
export interface Where {
  readonly fd?: number | undefined
  /** Of a socket: `127.0.0.1:1`, `[::1]:80`, `/path`, `@abstract`. */
  readonly address?: string | undefined
}

interface Call {
  readonly syscall: string
  readonly errno: number
  readonly code: string
  readonly fd?: number
  readonly address?: string
}

type ToReason = (call: Call) => PollerErrorReason

type ReasonByCode = { readonly [code: string]: ToReason }

const argument =
  (description: string): ToReason =>
  (call) =>
    new InvalidArgument({ ...call, description })

const limit: ToReason = (call) => new LimitReached(call)
const notConnected: ToReason = (call) => new NotConnected(call)
const notFound: ToReason = (call) => new NotFound(call)
const notPollable: ToReason = (call) => new NotPollable(call)
const unreachable: ToReason = (call) => new Unreachable(call)
const notWatchable = argument(
  "the kernel does not watch this descriptor in this way (a poller cannot watch itself, an exclusive registration cannot be changed, and layerEventLoop cannot watch one open file under more than about 500 numbers)"
)

/** What the errors' names mean, whichever call failed. */
export const reasonByCode: ReasonByCode = {
  EACCES: (call) => new PermissionDenied(call),
  EADDRINUSE: (call) => new AddressInUse(call),
  EADDRNOTAVAIL: (call) => new AddressNotAvailable(call),
  EAFNOSUPPORT: argument("this socket does not take addresses of that family (pass one of its own: IPv4 or IPv6)"),
  EAGAIN: limit,
  EBADF: (call) => new BadDescriptor(call),
  ECONNABORTED: (call) => new ConnectionReset(call),
  ECONNREFUSED: (call) => new ConnectionRefused(call),
  ECONNRESET: (call) => new ConnectionReset(call),
  EDESTADDRREQ: notConnected,
  EHOSTDOWN: unreachable,
  EHOSTUNREACH: unreachable,
  EINVAL: argument("the kernel does not accept this argument here (the call's manual page says what it may be)"),
  EMFILE: limit,
  EMSGSIZE: (call) => new MessageTooLarge(call),
  ENAMETOOLONG: argument("this path is too long (pass a shorter one)"),
  ENETDOWN: unreachable,
  ENETUNREACH: unreachable,
  ENFILE: limit,
  ENETRESET: (call) => new ConnectionReset(call),
  ENOBUFS: limit,
  ENOMEM: limit,
  ENONET: unreachable,
  ENOSPC: limit,
  ENOTCONN: notConnected,
  ENOTSOCK: argument("this descriptor is not a socket (pass one that is, or watch it with AsyncFd)"),
  ENOTTY: argument("this descriptor does not take such a request (a terminal or a device of the right kind does)"),
  EPERM: (call) => new PermissionDenied(call),
  EPIPE: (call) => new BrokenPipe(call),
  EPROTOTYPE: argument("the socket at this path is of another kind (pass the path of a stream socket)"),
  ETIMEDOUT: (call) => new TimedOut(call)
}

/** What some of them mean when a selector returns them. */
export const selectorReasonByCode: ReasonByCode = {
  EEXIST: (call) => new AlreadyRegistered(call),
  EINVAL: notWatchable,
  ELOOP: notWatchable,
  ENODEV: notPollable,
  ENOENT: (call) => new NotRegistered(call),
  EPERM: notPollable
}

/** What some of them mean when the call was given a path. */
export const pathReasonByCode: ReasonByCode = {
  ENOENT: notFound,
  ENOTDIR: notFound
}

const noProcess = argument("this is the id of a thread, not of a process (pass the id of its process)")

/** What some of them mean when the call was given a process, by its id or its pidfd. */
export const processReasonByCode: ReasonByCode = {
  EINVAL: noProcess,
  ENOENT: noProcess,
  ESRCH: notFound
}

/** What it means when the call was given the id of a process. */
const endedReasonByCode: ReasonByCode = { ESRCH: notFound }

/** What some of them mean when a program is started. */
export const programReasonByCode: ReasonByCode = {
  ...pathReasonByCode,
  E2BIG: argument("the arguments and the environment are too long (pass fewer, or write them to a file)"),
  ENOEXEC: argument("this file is not a program (a script begins with #! and the path of its interpreter)")
}

/** The calls of selectors. */
const selectorCall = /^(epoll_ctl|kevent|NtDeviceIoControlFile|NtCancelIoFileEx|poll$)/

/** The calls that are given a path. */
const pathCall = /^(bind|connect)$|^(inotify_add_watch|open|readdir)\(/

const specialReasonsOf = (syscall: string): ReasonByCode | undefined => {
  if (syscall === "kill" || syscall === "kevent(ADD, EVFILT_PROC)") return endedReasonByCode
  if (selectorCall.test(syscall)) return selectorReasonByCode
  if (syscall.startsWith("pidfd_")) return processReasonByCode
  if (syscall.startsWith("posix_spawn(")) return programReasonByCode
  return pathCall.test(syscall) ? pathReasonByCode : undefined
}

const systemError: ToReason = (call) => new SystemError(call)

/** Returns the error for what the kernel returned from a call. */
export const fromErrno = (syscall: string, errno: number, where?: Where): PollerError => {
  const code = errnoName(errno)
  const { address, fd } = where ?? {}
  const call = {
    syscall,
    errno,
    code,
    ...(fd === undefined ? {} : { fd }),
    ...(address === undefined ? {} : { address })
  }
  return fail((specialReasonsOf(syscall)?.[code] ?? reasonByCode[code] ?? systemError)(call))
}

export const invalidArgument = (description: string, fd?: number, cause?: unknown): PollerError =>
  fail(
    new InvalidArgument({
      description,
      ...(fd === undefined ? {} : { fd }),
      ...(cause === undefined ? {} : { cause })
    })
  )

/** Returns the error for an argument whose reading has thrown: by a getter, or as a Proxy. */
export const unreadable = (what: string, cause: unknown): PollerError =>
  fail(new InvalidArgument({ description: `${what} cannot be read: reading it has thrown (see the cause)`, cause }))

export const badDescriptor = (syscall: string, fd: number): PollerError =>
  fromErrno(syscall, constants.errno.EBADF, { fd })

export const notRegistered = (description: string, fd?: number): PollerError =>
  fail(new NotRegistered({ description, ...(fd === undefined ? {} : { fd }) }))

export const limitReached = (description: string): PollerError => fail(new LimitReached({ description }))

export const timedOut = (syscall: string, address?: string): PollerError =>
  fail(new TimedOut({ syscall, ...(address === undefined ? {} : { address }) }))

export const unsupported = (description: string): PollerError =>
  fail(new UnsupportedPlatform({ platform: process.platform, description }))

export const closed = (): PollerError => fail(new Closed({}))

export const closedBecause = (description: string): PollerError => fail(new Closed({ description }))

export const workerFailed = (description: string, cause?: unknown): PollerError =>
  fail(new WorkerFailed({ description, ...(cause === undefined ? {} : { cause }) }))

/** Returns why a poller that is not open cannot be used. */
export const notOpen = (memory: PollerMemory): PollerError => {
  if (memory.state !== State.Failed) return closed()
  const errno = memory.failedWith
  return workerFailed(
    errno === 0
      ? "the thread that waited in the kernel has died"
      : `the thread that waited in the kernel has died of ${errnoName(errno)}`
  )
}

/** Whether an allocation failed. The error may belong to another realm than this module. */
export const isRangeError = (thrown: unknown): boolean => isNativeError(thrown) && thrown.name === "RangeError"

/**
 * Returns the error for what opening a selector threw. Throws anything unforeseen on, as a defect.
 */
export const fromThrown = (thrown: unknown): PollerError => {
  if (thrown instanceof SystemCallError) return fromErrno(thrown.syscall, thrown.errno)
  if (thrown instanceof UnsupportedSystem) {
    const denied = deniedByNode("dlopen", thrown)
    if (denied !== undefined) return denied
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
