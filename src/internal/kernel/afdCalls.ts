/** The calls of Windows that the selector makes, and what they open. */
import type { Libc } from "../libc/koffi.ts"
import type { AfdProfile } from "../libc/profiles/afdProfile.ts"
import { type WindowsFunctions, windowsPrototypes } from "../libc/prototypes/windows.ts"
import { errnoOf } from "../libc/windowsErrors.ts"
import { SystemCallError } from "./systemCallError.ts"

export type Afd = Libc<AfdProfile>

export interface AfdCalls extends WindowsFunctions {
  /** Returns the errno of the call that has just failed. */
  readonly lastErrno: () => number
  /** Returns the errno for a status that is an error. */
  readonly errnoOfStatus: (status: number) => number
}

const STATUS_OBJECT_TYPE_MISMATCH = 0xc000_0024 | 0

export const bindAfdCalls = (libc: Afd): AfdCalls => {
  const functions = libc.bindMore<WindowsFunctions>(windowsPrototypes)
  const { EPERM } = libc.profile.errno
  return {
    ...functions,
    lastErrno: () => errnoOf(functions.GetLastError()),
    errnoOfStatus: (status) =>
      status === STATUS_OBJECT_TYPE_MISMATCH ? EPERM : errnoOf(functions.RtlNtStatusToDosError(status))
  }
}

const SYNCHRONIZE = 0x0010_0000
const FILE_SHARE_READ_WRITE = 3
const FILE_OPEN = 1

/** The device opens under any name after the last separator, and not without one. */
const deviceName = "\\Device\\Afd\\EffectAmy"

/** Opens the device Afd. Throws `SystemCallError`. */
export const openDevice = ({ addressOf }: Afd, { errnoOfStatus, NtCreateFile }: AfdCalls): number => {
  const name = new Uint8Array(Uint16Array.from(deviceName, (letter) => letter.charCodeAt(0)).buffer)
  // `UNICODE_STRING`: its length twice, and a pointer.
  const unicode = new BigUint64Array([BigInt(name.length) * 0x1_0001n, addressOf(name)])
  // `OBJECT_ATTRIBUTES`: its length, the directory, the name, flags, and two pointers.
  const attributes = new BigUint64Array([48n, 0n, addressOf(new Uint8Array(unicode.buffer)), 0n, 0n, 0n])
  const handle = new BigInt64Array(1)
  const block = new BigUint64Array(2)
  const status = NtCreateFile(
    handle,
    SYNCHRONIZE,
    attributes,
    block,
    null,
    0,
    FILE_SHARE_READ_WRITE,
    FILE_OPEN,
    0,
    null,
    0
  )
  // The views must live until here: their addresses alone hold nothing.
  if (status !== 0 || name.length === 0 || unicode.length === 0) {
    throw new SystemCallError("NtCreateFile(\\Device\\Afd)", errnoOfStatus(status))
  }
  return Number(handle[0])
}

/** Opens an I/O completion port. Throws `SystemCallError`. */
export const openPort = ({ CreateIoCompletionPort, lastErrno }: AfdCalls): number => {
  const port = CreateIoCompletionPort(-1, 0, 0, 0)
  if (port === 0) throw new SystemCallError("CreateIoCompletionPort", lastErrno())
  return port
}

/** Do not signal the handle itself, which no thread waits for. */
const FILE_SKIP_SET_EVENT_ON_HANDLE = 2

/**
 * Makes a port report the requests of a device. A request that is complete at once is reported, too:
 * the mode that would leave it out is not set. Throws `SystemCallError`.
 */
export const associate = (calls: AfdCalls, device: number, port: number, key: number): void => {
  if (calls.CreateIoCompletionPort(device, port, key, 0) === 0) {
    throw new SystemCallError("CreateIoCompletionPort", calls.lastErrno())
  }
  calls.SetFileCompletionNotificationModes(device, FILE_SKIP_SET_EVENT_ON_HANDLE)
}

const SIO_BASE_HANDLE = 0x4800_0022
/** What finds the base below providers that do not pass on the request above. */
const SIO_BSP_HANDLE_SELECT = 0x4800_001c
const SIO_BSP_HANDLE_POLL = 0x4800_001d
const WSAENOTSOCK = 10038

/**
 * Returns a function that finds the socket below all layered service providers. It returns the
 * negated errno if a number is not open (EBADF), or no socket (EPERM).
 */
export const bindBaseOf = ({ profile }: Afd, calls: AfdCalls): ((socket: number) => number) => {
  const { EBADF, EPERM } = profile.errno
  const base = new BigInt64Array(1)
  const returned = new Uint32Array(1)
  return (socket) => {
    let error = 0
    for (const code of [SIO_BASE_HANDLE, SIO_BSP_HANDLE_SELECT, SIO_BSP_HANDLE_POLL]) {
      if (calls.WSAIoctl(socket, code, null, 0, base, 8, returned, null, null) === 0) return Number(base[0])
      error = calls.WSAGetLastError()
      if (error === WSAENOTSOCK) return isOpen(calls, socket) ? -EPERM : -EBADF
    }
    return -errnoOf(error)
  }
}

/** Closes a handle that was noted when it was opened. */
export const closeHandle = ({ noteHandle }: Afd, { CloseHandle }: AfdCalls, handle: number): void => {
  // First, so that the number has not been reused while it is noted.
  noteHandle?.(handle, false)
  CloseHandle(handle)
}

const flags = new Uint32Array(1)

/** Whether a number is that of an open handle. */
export const isOpen = ({ GetHandleInformation }: AfdCalls, handle: number): boolean =>
  GetHandleInformation(handle, flags) !== 0
