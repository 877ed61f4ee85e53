/**
 * Sockets and threads of Windows behind the names, arguments and results that other systems have. What Windows
 * has not is missing here, and throws the reason when it is called.
 *
 * Each function notes the error of its call at once. Node's own calls on this thread may change what
 * `WSAGetLastError` returns later.
 */
import type { AfdProfile } from "./profiles/afdProfile.ts"
import type { Functions } from "./prototypes/index.ts"
import type { WinsockFunctions } from "./prototypes/winsock.ts"
import { errnoOf } from "./windowsErrors.ts"

const version = 0x0202
const FIONBIO = 0x8004_667e | 0
const WSA_FLAG_OVERLAPPED = 0x01
const WSA_FLAG_NO_HANDLE_INHERIT = 0x80
const HANDLE_FLAG_INHERIT = 1
const SIO_UDP_CONNRESET = 0x9800_000c
const INVALID_SOCKET = -1

/** What other systems return for a connection under way. */
const EINPROGRESS = 112
const ENOTSOCK = 128
const EBADF = 9
const EINVAL = 22
const EPIPE = 32

const SYNCHRONIZE = 0x0010_0000
const THREAD_QUERY_LIMITED_INFORMATION = 0x0800
const ERROR_INVALID_PARAMETER = 87
const WAIT_OBJECT_0 = 0

export interface Winsock {
  readonly functions: Partial<Functions>
  readonly errno: (value?: number) => number
}

export const bindWinsock = (ws: WinsockFunctions, { errno: errnos, fcntl, socket: profile }: AfdProfile): Winsock => {
  // Counted by Windows, for Node has called it too. It stays so until the process ends.
  ws.WSAStartup(version, new Uint8Array(512))
  const yes = new Uint32Array([1])
  let lastErrno = 0

  const failWith = (errno: number): -1 => {
    lastErrno = errno
    return -1
  }

  const fail = (): -1 => failWith(errnoOf(ws.WSAGetLastError()))

  /** Fails as a call on a descriptor: Windows has one error for no socket and for nothing open. */
  const failOn = (fd: number): -1 => {
    fail()
    // It changes nothing, and fails for a number that is not open.
    return lastErrno === ENOTSOCK && ws.SetHandleInformation(fd, 0, 0) === 0 ? failWith(EBADF) : -1
  }

  /** Returns the result of a read. After its own end, a socket has nothing to read, as elsewhere. */
  const readResult = (fd: number, result: number): number => {
    if (result >= 0) return result
    failOn(fd)
    return lastErrno === EPIPE ? 0 : -1
  }

  /** Makes a new socket as it was asked for. Returns it, or -1. */
  const flagged = (socket: number, flags: number): number => {
    if (socket === INVALID_SOCKET) return fail()
    if ((flags & profile.SOCK_NONBLOCK!) !== 0 && ws.ioctlsocket(socket, FIONBIO, yes) !== 0) {
      fail()
      ws.closesocket(socket)
      return -1
    }
    return socket
  }

  const accepted = (listener: number, socket: number, flags: number): number =>
    socket === INVALID_SOCKET ? failOn(listener) : flagged(socket, flags)

  const functions: Partial<Functions> = {
    socket(domain, typeAndFlags, protocol) {
      const flags = typeAndFlags & (profile.SOCK_NONBLOCK! | profile.SOCK_CLOEXEC!)
      const type = typeAndFlags & ~flags
      const inherit = (flags & profile.SOCK_CLOEXEC!) === 0 ? 0 : WSA_FLAG_NO_HANDLE_INHERIT
      const socket = ws.WSASocketW(domain, type, protocol, null, 0, WSA_FLAG_OVERLAPPED | inherit)
      // Or a datagram that no program awaits would make a later receive fail.
      if (socket !== INVALID_SOCKET && type === profile.SOCK_DGRAM) ignoreUnreachable(socket)
      return flagged(socket, flags)
    },
    accept: (fd, address, length) => accepted(fd, ws.accept(fd, address, length), 0),
    accept4(fd, address, length, flags) {
      const socket = ws.accept(fd, address, length)
      if (socket !== INVALID_SOCKET && (flags & profile.SOCK_CLOEXEC!) !== 0) {
        ws.SetHandleInformation(socket, HANDLE_FLAG_INHERIT, 0)
      }
      return accepted(fd, socket, flags)
    },
    if_nametoindex: ws.if_nametoindex,
    bind: (fd, address, length) => (ws.bind(fd, address, length) === 0 ? 0 : failOn(fd)),
    connect(fd, address, length) {
      if (ws.connect(fd, address, length) === 0) return 0
      failOn(fd)
      if (lastErrno === errnos.EAGAIN) lastErrno = EINPROGRESS
      return -1
    },
    listen: (fd, backlog) => (ws.listen(fd, backlog) === 0 ? 0 : failOn(fd)),
    getpeername: (fd, address, length) => (ws.getpeername(fd, address, length) === 0 ? 0 : failOn(fd)),
    getsockname: (fd, address, length) => (ws.getsockname(fd, address, length) === 0 ? 0 : failOn(fd)),
    getsockopt(fd, level, name, value, length) {
      if (ws.getsockopt(fd, level, name, value, length) !== 0) return failOn(fd)
      if (level === profile.SOL_SOCKET && name === profile.SO_ERROR) {
        const view = new DataView(value.buffer, value.byteOffset, 4)
        view.setInt32(0, errnoOf(view.getInt32(0, true)), true)
      }
      return 0
    },
    setsockopt: (fd, level, name, value, length) =>
      ws.setsockopt(fd, level, name, value, length) === 0 ? 0 : failOn(fd),
    shutdown: (fd, how) => (ws.shutdown(fd, how) === 0 ? 0 : failOn(fd)),
    recv(fd, buffer, count, flags) {
      return readResult(fd, ws.recv(fd, buffer, count, flags))
    },
    send(fd, buffer, count, flags) {
      const result = ws.send(fd, buffer, count, flags)
      return result < 0 ? failOn(fd) : result
    },
    recvfrom(fd, buffer, count, flags, address, length) {
      return readResult(fd, ws.recvfrom(fd, buffer, count, flags, address, length))
    },
    sendto(fd, buffer, count, flags, address, length) {
      const result = ws.sendto(fd, buffer, count, flags, address, length)
      return result < 0 ? failOn(fd) : result
    },
    read(fd, buffer, count) {
      return readResult(fd, ws.recv(fd, buffer, count, 0))
    },
    write(fd, buffer, count) {
      const result = ws.send(fd, buffer, count, 0)
      return result < 0 ? failOn(fd) : result
    },
    close(fd) {
      if (ws.closesocket(fd) === 0) return 0
      fail()
      if (lastErrno === ENOTSOCK) lastErrno = EBADF
      return -1
    },
    // A number that Windows gives to another thread once this one has ended.
    gettid: () => ws.GetCurrentThreadId(),
    /** Sends no signal, but tells whether a thread of this process runs. */
    tgkill(_, pid, thread) {
      const handle = ws.OpenThread(SYNCHRONIZE | THREAD_QUERY_LIMITED_INFORMATION, 0, thread)
      if (handle === 0) return ws.WSAGetLastError() === ERROR_INVALID_PARAMETER ? failWith(errnos.ESRCH) : fail()
      // Its handle outlives a thread. And numbers are those of all processes.
      const owner = ws.GetProcessIdOfThread(handle)
      const hasEnded = ws.WaitForSingleObject(handle, 0) === WAIT_OBJECT_0
      ws.CloseHandle(handle)
      return hasEnded || (owner !== 0 && owner !== pid) ? failWith(errnos.ESRCH) : 0
    },
    /** Of its commands, those that a socket can carry out. */
    fcntl(fd, command, _, argument) {
      switch (command) {
        case fcntl.F_SETFD:
          return ws.SetHandleInformation(fd, HANDLE_FLAG_INHERIT, argument === 0 ? 1 : 0) === 0 ? fail() : 0
        case fcntl.F_SETFL:
          return ws.ioctlsocket(fd, FIONBIO, new Uint32Array([(argument & fcntl.O_NONBLOCK) === 0 ? 0 : 1])) === 0
            ? 0
            : fail()
        // Windows does not tell whether a socket blocks: every socket passes for one that does not.
        case fcntl.F_GETFL:
          return functions.getsockopt!(
            fd,
            profile.SOL_SOCKET,
            profile.SO_TYPE,
            new Uint8Array(4),
            new Uint32Array([4])
          ) === 0
            ? fcntl.O_NONBLOCK
            : -1
        default:
          return failWith(EINVAL)
      }
    }
  }

  const ignoreUnreachable = (socket: number): void => {
    // Older systems do not know it, and a socket is as good without.
    ws.WSAIoctl(socket, SIO_UDP_CONNRESET, new Uint32Array([0]), 4, null, 0, new Uint32Array(1), null, null)
  }

  const errno = (value?: number): number => {
    // A function of the program's own leaves its error in Windows alone.
    if (value === undefined) return lastErrno === 0 ? errnoOf(ws.WSAGetLastError()) : lastErrno
    if (value === 0) ws.WSASetLastError(0)
    return (lastErrno = value)
  }

  return { functions, errno }
}
