/**
 * Reads and writes that never block, on an open file that other processes share and whose mode must
 * stay as it is.
 */
import { closeSync, constants as fileConstants, openSync, readlinkSync } from "node:fs"
import { constants } from "node:os"
import type { ByteCalls } from "../bytes/byteCalls.ts"
import { makeIovec, setIovec } from "../kernel/iovec.ts"
import type { Libc } from "../libc/koffi.ts"
import { noWaitCalls, type NoWaitFunctions, noWaitPrototypes, RWF_NOWAIT } from "../libc/prototypes/system/noWait.ts"

const { EIO, EOPNOTSUPP } = constants.errno
const { O_NOCTTY, O_NONBLOCK, O_RDONLY, O_WRONLY } = fileConstants

/** Calls, and what they have opened. */
export interface StdioCalls {
  readonly calls: ByteCalls
  readonly close: () => void
}

const nothingToClose = () => undefined

/** Calls on a socket: each call says that it must not block. */
export const socketCalls = (libc: Libc): StdioCalls => {
  const { recv, send } = libc.functions
  const { MSG_DONTWAIT, MSG_NOSIGNAL } = libc.profile.socket
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL
  return {
    calls: {
      reading: "recv",
      read: (fd, buffer, count) => recv(fd, buffer, count, MSG_DONTWAIT),
      writing: "send",
      write: (fd, buffer, count) => send(fd, buffer, count, flags),
      isStream: false
    },
    close: nothingToClose
  }
}

/**
 * Opens the file of a descriptor a second time, in non-blocking mode: an open file of this process
 * alone. Returns `undefined` if that is not possible.
 */
const reopen = (fd: number, isWriting: boolean): number | undefined => {
  try {
    const path = `/proc/self/fd/${fd}`
    // The controlling side of a terminal would become another terminal.
    if (readlinkSync(path).endsWith("ptmx")) return undefined
    return openSync(path, (isWriting ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY)
  } catch {
    // There is no /proc, the file is another user's, or `node --permission` forbids it.
    return undefined
  }
}

/**
 * Calls on a second open file of a terminal or a FIFO. A terminal that has been hung up fails with
 * EIO: that is its end. Returns `undefined` if the file cannot be opened again.
 */
export const reopenedCalls = (libc: Libc, fd: number, isWriting: boolean): StdioCalls | undefined => {
  const own = reopen(fd, isWriting)
  if (own === undefined) return undefined
  const { read, write } = libc.functions
  return {
    calls: {
      reading: "read",
      read: (_, buffer, count) => {
        const result = read(own, buffer, count)
        return result === -1 && libc.errno() === EIO ? 0 : result
      },
      writing: "write",
      write: (_, buffer, count) => write(own, buffer, count),
      isStream: false
    },
    close: () => closeSync(own)
  }
}

const functions = new WeakMap<Libc, NoWaitFunctions>()

const functionsOf = (libc: Libc): NoWaitFunctions => {
  const known = functions.get(libc)
  if (known !== undefined) return known
  const bound = libc.bindMore<NoWaitFunctions>(noWaitPrototypes)
  functions.set(libc, bound)
  return bound
}

/**
 * Calls with RWF_NOWAIT, which pipes know since Linux 6.4. Where the kernel does not know it for a
 * file, such as a FIFO, that file is opened again at the first call. If that is not possible
 * either, a call fails with EOPNOTSUPP. Returns `undefined` if the system has no such calls.
 */
export const noWaitOrReopenedCalls = (libc: Libc, isWriting: boolean): StdioCalls | undefined => {
  const numbers = libc.profile.selector === "epoll" ? noWaitCalls[process.arch] : undefined
  if (numbers === undefined) return undefined
  const { transfer } = functionsOf(libc)
  const vector = makeIovec(libc, 1)
  let reopened: StdioCalls | undefined
  const call = (number: number, name: "read" | "write") => (fd: number, buffer: Uint8Array, count: number) => {
    if (reopened !== undefined) return reopened.calls[name](fd, buffer, count)
    setIovec(libc, vector, 0, buffer, count)
    const result = transfer(number, fd, vector, 1, -1, -1, RWF_NOWAIT)
    if (result !== -1 || libc.errno() !== EOPNOTSUPP) return result
    reopened = reopenedCalls(libc, fd, isWriting)
    if (reopened !== undefined) return reopened.calls[name](fd, buffer, count)
    libc.errno(EOPNOTSUPP)
    return -1
  }
  return {
    calls: {
      reading: "preadv2",
      read: call(numbers.preadv2, "read"),
      writing: "pwritev2",
      write: call(numbers.pwritev2, "write"),
      isStream: false
    },
    close: () => reopened?.close()
  }
}
